"""The clinical example without a stack: its systems over real HTTP, its judge, its drills, and its patterns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr, ValidationError

from examples.lightrag.drills import drilled
from examples.lightrag.judging import support
from examples.lightrag.patterns import flags_of, spec_of
from examples.lightrag.people import about
from examples.lightrag.service import FLAG, Clinic, Shown
from examples.lightrag.settings import PATTERNS, Pattern, Settings
from examples.lightrag.systems import Ask, Reply, SystemFailed
from examples.lightrag.systems.lightrag import LightRag
from examples.lightrag.systems.local import fused, local_systems, notes
from examples.lightrag.systems.perplexity import Perplexity
from examples.lightrag.systems.pick import opened
from tests.receivers import Endpoint, endpoint
from turnout import Turnout
from turnout.domain.flags import parse_flags
from turnout.strategies import UNKNOWN_STABLE, compile_plan, parse_spec

QUESTION = "what raises lactate in sepsis"
STAGES = {
    "shadow": ["shadow 20 %"],
    "canary": ["10 %", "50 %", "100 %"],
    "gradual": ["5 %", "25 %", "50 %", "75 %", "100 %"],
    "cohort": ["staff 100 %", "partners 50 %", "licensed 25 %"],
    "geographic": ["dach 50 %", "north-america 50 %"],
    "blue_green": ["health of green", "preview", "25 %", "50 %", "75 %", "bake at 100 %"],
    "ab_test": ["test"],
    "multivariate": ["test"],
}
WEB = {
    "status": "completed",
    "output": [
        {"type": "search_results", "results": [{"url": "https://a.example/1"}, {"url": "https://a.example/2"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "It rises "}, {"text": "without oxygen."}]},
    ],
    "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13, "cost": {"total_cost": 0.0061}},
}
GRAPH = {"response": "Without oxygen.", "references": [{"reference_id": "1", "file_path": "sepsis.pdf"}]}


def serving(body: object) -> AbstractAsyncContextManager[Endpoint]:
    """A real HTTP server that answers everything with ``body`` as JSON and keeps what it was asked."""
    return endpoint(json.dumps(body).encode())


async def test_both_systems_over_http() -> None:
    """Perplexity and LightRAG are asked as their APIs want it; texts, sources and costs come from what they answer."""
    async with serving(WEB) as web, serving(GRAPH) as graph:
        settings = Settings(
            systems="http",
            perplexity_url=web.origin,
            perplexity_api_key=SecretStr("pplx"),
            lightrag_url=graph.origin,
            lightrag_api_key=SecretStr("lr"),
            lightrag_price=0.004,
        )
        async with opened(settings) as systems:
            found = {name: await ask(question=QUESTION) for name, ask in systems.items()}
    assert found["perplexity"] == Reply(
        "It rises without oxygen.", ("https://a.example/1", "https://a.example/2"), 0.0061
    )
    assert found["lightrag"] == found["lightrag-mix"] == Reply("Without oxygen.", ("sepsis.pdf",), 0.004)
    (asked,) = web.posted
    assert (asked.line, asked.headers["authorization"]) == ("POST /v1/agent HTTP/1.1", "Bearer pplx")
    assert json.loads(asked.body)["input"] == QUESTION
    assert [json.loads(one.body) for one in graph.posted] == [
        {"query": QUESTION, "mode": "hybrid"},
        {"query": QUESTION, "mode": "mix"},
    ]
    assert {(one.line, one.headers["x-api-key"]) for one in graph.posted} == {("POST /query HTTP/1.1", "lr")}


def perplexity(http: httpx.AsyncClient) -> Ask:
    """Perplexity over ``http``."""
    return Perplexity(http, "pplx", "low").ask


def lightrag(http: httpx.AsyncClient) -> Ask:
    """LightRAG over ``http``, in one of its modes."""
    return partial(LightRag(http, "", 0.002).ask, mode="hybrid")


@pytest.mark.parametrize(
    ("system", "body", "status", "raised"),
    [
        (perplexity, WEB | {"status": "failed", "error": {"message": "busy"}}, 200, SystemFailed),
        (perplexity, {"detail": "no such thing"}, 200, SystemFailed),
        (perplexity, {}, 429, httpx.HTTPStatusError),
        (lightrag, {"data": 1}, 200, SystemFailed),
        (lightrag, {"detail": "overloaded"}, 503, httpx.HTTPStatusError),
    ],
)
async def test_what_is_no_answer_is_raised(
    system: Callable[[httpx.AsyncClient], Ask], body: object, status: int, raised: type[Exception]
) -> None:
    """A refusal, a failed run and an answer of another shape are failures, which the guarded call falls back from."""
    async with serving(body) as api, httpx.AsyncClient(base_url=api.origin) as http:
        api.answers.append(status)
        with pytest.raises(raised):
            await system(http)(QUESTION)


async def test_a_canned_reply_is_no_answer() -> None:
    """What LightRAG says when it knows nothing has no text, and is not accepted then."""
    async with serving(GRAPH | {"llm_generated": False}) as api, httpx.AsyncClient(base_url=api.origin) as http:
        assert (await lightrag(http)(QUESTION)).text == ""


async def test_the_local_systems_find_the_note() -> None:
    """All three answer from the notes, name their sources best first, and tell what that cost."""
    for variant, ask in local_systems().items():
        reply = await ask(question=QUESTION)
        assert reply.sources[0] == "lactate", variant
        assert reply.text.startswith("Lactate rises in the blood")
        assert 0 < (reply.cost or 0) < 0.01


def test_rankings_are_fused_by_their_ranks() -> None:
    """What two rankings have high up comes first, and nothing is lost."""
    assert fused(["a", "b", "c"], ["b", "d"]) == ["b", "a", "d", "c"]


@pytest.mark.parametrize(("text", "worth"), [("Lactates in sepsis", 0.5), ("Ask your doctor.", 0.0)])
def test_support_is_the_share_of_the_question_that_is_spoken_of(text: str, worth: float) -> None:
    """Endings do not count. Two of what, raises, lactate and sepsis are in the first answer, none is in the second."""
    assert support(Reply(text), "what raises lactate in sepsis") == worth


@pytest.mark.parametrize("fault", ["errors", "hang", "garbage", "poor", "costly", "none"])
async def test_a_drill_does_what_it_is_called(fault: str) -> None:
    """Each fault shows as that fault, from the next question on."""

    async def ask(question: str) -> Reply:
        return Reply(f"about {question}", ("a",), 0.001)

    asked = drilled(ask, lambda: fault)("sepsis")
    match fault:
        case "errors":
            with pytest.raises(SystemFailed):
                await asked
        case "hang":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asked, 0.05)
        case _:
            reply = await asked
            assert (reply.text, reply.cost) == {
                "garbage": ("", None),
                "poor": ("Ask your doctor.", 0.001),
                "costly": ("about sepsis", 1.0),
                "none": ("about sepsis", 0.001),
            }[fault]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("quick", [False, True])
def test_a_pattern_can_be_started(pattern: Pattern, quick: bool) -> None:
    """Its flags are valid, its rollout is of one of them, and a quick one has the same stages."""
    flags = {flag.key: flag for flag in parse_flags(flags_of(pattern))}
    document = spec_of(pattern, "http://127.0.0.1:1", quick=quick)
    if document is None:
        assert pattern == "toggles"
        return
    spec = parse_spec(document)
    assert spec.candidate in flags[spec.flag].variants
    assert [stage.name for stage in compile_plan(spec, UNKNOWN_STABLE).stages] == STAGES[pattern]


def alone(tmp_path: Path, pattern: Pattern) -> Turnout:
    """A client whose flags are a file, those of ``pattern``; no controller is there, and so no budget."""
    file, document = tmp_path / "flags.yaml", flags_of(pattern)
    del document["flags"][FLAG]["budgets"]
    file.write_text(yaml.safe_dump(document))
    return Turnout("http://127.0.0.1:9", cache_dir=None, wait=0, flags_file=file)


async def asked(tmp_path: Path, pattern: Pattern, number: int) -> Shown:
    """What a person is shown of an answer."""
    settings = Settings()
    with alone(tmp_path, pattern) as turnout:
        async with opened(settings) as systems:
            return await Clinic(turnout, systems, settings).ask(f"person-{number}", QUESTION, about(number))


async def test_toggles_decide_what_is_shown(tmp_path: Path) -> None:
    """Without a controller too: staff have LightRAG and see its sources, with the notice of their country."""
    shown = await asked(tmp_path, "toggles", 0)
    assert (shown.served_by, shown.reason, shown.sources[0]) == ("lightrag", "assigned", "lactate")
    assert shown.notice == "Ersetzt kein ärztliches Urteil."
    other = await asked(tmp_path, "canary", 121)
    assert (other.served_by, other.sources, other.notice) == (
        "perplexity",
        (),
        "Not a substitute for medical judgement.",
    )


async def test_an_answer_can_be_rated_once(tmp_path: Path) -> None:
    """By the id that came with it; what Perplexity said in LightRAG's place cannot."""
    with alone(tmp_path, "toggles") as turnout:
        clinic = Clinic(turnout, {"perplexity": local_systems()["perplexity"], "lightrag": failing}, Settings())
        fallen = await clinic.ask("person-0", QUESTION, about(0))
        shown = await clinic.ask("person-1", QUESTION, {"role": "clinician"})
        assert (fallen.served_by, fallen.reason) == ("perplexity", "error_fallback")
        assert [clinic.rate(shown.id, 5), clinic.rate(shown.id, 5), clinic.rate(fallen.id, 1)] == [True, False, False]


async def failing(question: str) -> Reply:
    """A system that is down."""
    raise SystemFailed(question)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"CLINIC_SYSTEMS": "http"}, "CLINIC_PERPLEXITY_API_KEY"),
        ({"CLINIC_TIMEOUT": "PT0S"}, "CLINIC_TIMEOUT"),
        ({"CLINIC_PATTERN": "bluegreen"}, "pattern"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    """By the name of the variable or field."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=named):
        Settings()


def test_every_note_can_be_asked_for() -> None:
    """Notes have a title with words to ask by, and no two the same text."""
    texts: set[Any] = {note.text for note in notes()}
    assert len(texts) == len(notes()) >= 40
    assert all(note.text.startswith(note.title) for note in notes())


def test_the_flag_is_bound_to_the_environment() -> None:
    """By the prefix that all the variables of the README begin with."""
    assert flags_of("canary")["flags"][FLAG]["env_prefix"] == "LIGHTRAG_"
