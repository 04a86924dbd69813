"""What the environment says of flags, laid over what is published."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.domain.errors import InvalidInput
from turnout.domain.flags import Flag, Shadow, Traffic, exposure, initial_traffic, parse_flags
from turnout.domain.outcomes import Outcome
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Snapshot, compile_document

UNITS = [f"u{number}" for number in range(1000)]
STAFF = {"name": "staff", "if": {"var": "staff"}, "serve": "lightrag"}


def snapshot(environ: dict[str, str], traffic: Traffic | None = None, stopped: bool = False, **more: Any) -> Snapshot:
    """A flag bound to ``LIGHTRAG_``, as a process with ``environ`` has it."""
    variants = {"perplexity": {"mode": "web"}, "lightrag": {"mode": "hybrid"}}
    body = {"key": "answer-engine", "variants": variants, "stable": "perplexity", "env_prefix": "LIGHTRAG_"}
    flag = Flag.model_validate(body | {"rules": [STAFF]} | more)
    published = PublishedFlag(definition=flag, traffic=traffic or initial_traffic(flag), stopped=stopped)
    return compile_document(document([published], 1, "s"), environ)


def served(flags: Snapshot, **attributes: object) -> set[str]:
    """The units that get lightrag."""
    return {u for u in UNITS if flags.resolve("answer-engine", u, attributes).variant == "lightrag"}


def test_a_variant_named_for_a_flag_is_everybodys() -> None:
    """It stands above rules and traffic, a disabled flag too, and says which variable decided."""
    for more in ({}, {"enabled": False}, {"serve": "lightrag"}):
        flags = snapshot({"TURNOUT_FLAG_ANSWER_ENGINE": "perplexity"}, **more)
        found = flags.resolve("answer-engine", "u", {"staff": True})
        assert (found.variant, found.value, found.reason) == ("perplexity", {"mode": "web"}, "STATIC")
        assert found.metadata["decidedBy"] == "environment"
        assert found.metadata["environment"] == "TURNOUT_FLAG_ANSWER_ENGINE"


def test_a_published_stop_stands_above_the_environment() -> None:
    """An emergency stop is for every process, whatever its environment says."""
    flags = snapshot({"TURNOUT_FLAG_ANSWER_ENGINE": "lightrag"}, stopped=True)
    assert flags.resolve("answer-engine", "u").metadata["decidedBy"] == "stopped"
    told = {c.source: (c.says, c.decided) for c in flags.explain("answer-engine", "u").contenders}
    assert told["emergency stop"] == ("perplexity to everybody", True)
    assert told["environment"] == ("TURNOUT_FLAG_ANSWER_ENGINE=lightrag", False)


def test_a_percentage_exposes_the_units_that_a_rollout_would() -> None:
    """The same hash as the flag's traffic, so that 25 % here are the 25 % of a rollout; 0 and 100 are exact."""
    traffic = Traffic(stable="perplexity", weights=exposure("lightrag", "perplexity", 25))
    for more in ({}, {"seed": "exp-1"}):
        quarter = served(snapshot({"LIGHTRAG_ROLLOUT_PERCENTAGE": "25"}, **more))
        assert quarter == served(snapshot({}, traffic, **more)) != set()
        assert quarter == served(snapshot({"LIGHTRAG_ROLLOUT_PERCENTAGE": "25"}, **more), staff=True)
    assert served(snapshot({"LIGHTRAG_ROLLOUT_PERCENTAGE": "0"}), staff=True) == set()
    assert served(snapshot({"LIGHTRAG_ROLLOUT_PERCENTAGE": "100"})) == set(UNITS)


@pytest.mark.parametrize("switch", ["LIGHTRAG_ENABLED=false", "LIGHTRAG_EMERGENCY_STOP_ENABLED=true"])
def test_a_switch_gives_everybody_the_other_variant(switch: str) -> None:
    """Also to those whom a rule names, also once a rollout has made the variant the stable one; no shadow runs."""
    name, value = switch.split("=")
    traffic = Traffic(stable="perplexity", weights={"perplexity": 100_000}, shadow=Shadow(variant="lightrag"))
    completed = Traffic(stable="lightrag", weights={"lightrag": 100_000})
    for now in (traffic, completed):
        flags = snapshot({name: value}, now)
        found = flags.resolve("answer-engine", "u", {"staff": True})
        assert (found.variant, found.metadata["environment"]) == ("perplexity", name)
        assert not [field for field in found.metadata if field.startswith("shadow")]


def test_a_stop_in_the_environment_beats_a_variant_named_there() -> None:
    """Of what the environment says the stop is first, then the variant, then the other settings."""
    named = {"TURNOUT_FLAG_ANSWER_ENGINE": "lightrag"}
    assert served(snapshot(named | {"LIGHTRAG_EMERGENCY_STOP_ENABLED": "1"})) == set()
    assert served(snapshot(named | {"LIGHTRAG_ENABLED": "0"})) == set(UNITS)


def test_what_decides_nothing_leaves_everything_as_it_is() -> None:
    """ENABLED=true and settings for guarded calls change no evaluation, and the model has them."""
    flags = snapshot({"LIGHTRAG_ENABLED": "true", "LIGHTRAG_DAILY_BUDGET_USD": "5"}, serve="lightrag")
    assert flags.resolve("answer-engine", "u").metadata["decidedBy"] == "traffic"
    assert flags.bound("answer-engine").daily_budget_usd == 5
    assert flags.bound("nope").daily_budget_usd is None


def test_a_process_without_the_test_gives_its_units_stable() -> None:
    """Whom the traffic of a test would draw; a rule decides as ever, and outcomes of both count for no comparison."""
    test = Traffic(stable="perplexity", weights=exposure("lightrag", "perplexity", 50), exposed=60_000, test=True)
    flags, without = snapshot({}, test), snapshot({"LIGHTRAG_AB_TEST_ENABLED": "false"}, test)
    inside = {u for u in UNITS if flags.resolve("answer-engine", u).metadata["decidedBy"] == "traffic"}
    assert 0 < len(served(flags)) < len(inside) < len(UNITS)
    for unit in UNITS:
        before, found = (one.resolve("answer-engine", unit) for one in (flags, without))
        if unit in inside:
            told = found.metadata
            assert (told["decidedBy"], told["environment"]) == ("environment", "LIGHTRAG_AB_TEST_ENABLED")
        else:
            assert found == before
        assert (found.variant, found.value) == ("perplexity", {"mode": "web"})
    assert without.resolve("answer-engine", "u", {"staff": True}).metadata["decidedBy"] == "rule:staff"


def test_explain_says_which_variable_keeps_a_unit_out_of_the_test() -> None:
    """And what the test would have given; where a rule decides before, the environment is passed over."""
    test = Traffic(stable="perplexity", weights={"lightrag": 99_999, "perplexity": 1}, test=True)
    flags = snapshot({"LIGHTRAG_AB_TEST_ENABLED": "no"}, test)
    for staff, source, name in ((False, "environment", "LIGHTRAG_AB_TEST_ENABLED"), (True, "rule", "staff")):
        found = flags.explain("answer-engine", "u", {"staff": staff})
        assert (found.source, found.name, found.slices) == (source, name, ())
        told = {one.source: (one.says, one.decided) for one in found.contenders}
        assert told["environment"] == ("LIGHTRAG_AB_TEST_ENABLED=false", not staff)
        assert told["database"] == (f"lightrag ({'rule:staff' if staff else 'traffic'})", staff)


@pytest.mark.parametrize("environ", [{}, {"LIGHTRAG_AB_TEST_ENABLED": "true"}, {"LIGHTRAG_AB_TEST_ENABLED": "false"}])
def test_only_a_process_without_the_test_leaves_it_out(environ: dict[str, str]) -> None:
    """A process that takes part, or traffic that is no test: nothing changes; a stop stands above it."""
    for test in (True, False):
        traffic = Traffic(stable="perplexity", weights=exposure("lightrag", "perplexity", 50), test=test)
        if not test or environ.get("LIGHTRAG_AB_TEST_ENABLED") != "false":
            assert served(snapshot(environ, traffic)) == served(snapshot({}, traffic)) != set()
        stopped = snapshot(environ, traffic, stopped=True).resolve("answer-engine", "u")
        assert stopped.metadata["decidedBy"] == "stopped"
    named = snapshot(environ | {"TURNOUT_FLAG_ANSWER_ENGINE": "lightrag"}, traffic.model_copy(update={"test": True}))
    assert served(named) == set(UNITS)


def test_wrong_overrides_are_ignored_and_told() -> None:
    """An unknown variant, an unknown flag, and a name that two flags share."""
    wrong = snapshot({"TURNOUT_FLAG_ANSWER_ENGINE": "lightrg", "TURNOUT_FLAG_ANSWR_ENGINE": "x"})
    assert wrong.resolve("answer-engine", "u").metadata["decidedBy"] == "traffic"
    assert [str(fault) for fault in wrong.faults] == [
        "TURNOUT_FLAG_ANSWR_ENGINE: names no flag; after TURNOUT_FLAG_: did you mean ANSWER_ENGINE?",
        "TURNOUT_FLAG_ANSWER_ENGINE: flag answer-engine has no such variant, so the variable is ignored (got lightrg); "
        "did you mean lightrag?",
    ]
    twins = [Flag(key=key, variants={"on": True, "off": False}, stable="off") for key in ("a-b", "a.b")]
    published = [PublishedFlag(definition=flag, traffic=initial_traffic(flag)) for flag in twins]
    both = compile_document(document(published, 1, "s"), {"TURNOUT_FLAG_A_B": "on"})
    assert both.resolve("a-b", "u").variant == both.resolve("a.b", "u").variant == "off"
    assert "could mean a-b or a.b" in str(both.faults[0])


def test_outcomes_of_overridden_units_do_not_count_for_a_rollout() -> None:
    """Chance did not draw them."""
    outcome = Outcome(id="1", flag="answer-engine", variant="lightrag", unit="u", decided_by="environment")
    assert not outcome.drawn


def test_explain_names_the_variable_and_the_losers() -> None:
    """The bucket of a percentage is told, and what the database would have said."""
    flags = snapshot({"LIGHTRAG_ROLLOUT_PERCENTAGE": "25"})
    found = flags.explain("answer-engine", "u", {"staff": True})
    assert (found.source, found.name) == ("environment", "LIGHTRAG_ROLLOUT_PERCENTAGE")
    assert [(part.variant, part.end) for part in found.slices] == [("lightrag", 25_000), ("perplexity", 100_000)]
    assert [(c.source, c.says, c.decided) for c in found.contenders] == [
        ("emergency stop", None, False),
        ("environment", "LIGHTRAG_ROLLOUT_PERCENTAGE=25", True),
        ("database", "lightrag (rule:staff)", False),
        ("flag file", None, False),
        ("caller's default", "its own", False),
    ]


def test_a_flag_file_is_beneath_the_database() -> None:
    """It serves flags the database lacks and says what it would give where the database wins, disabled flags too."""
    flag = Flag(key="f", variants={"old": 1, "new": 2}, stable="old", serve="new")
    file = document([PublishedFlag(definition=flag, traffic=initial_traffic(flag))], 0, "")
    alone = compile_document({"flags": {}}, {}, file).explain("f", "u")
    assert (alone.resolution.variant, alone.resolution.metadata["source"]) == ("new", "flag file")
    assert [(c.source, c.says, c.decided) for c in alone.contenders][2:] == [
        ("database", None, False),
        ("flag file", "new (static)", True),
        ("caller's default", "its own", False),
    ]
    for more, says in (({"serve": "old"}, "old (static)"), ({"enabled": False}, "the flag is disabled")):
        held = flag.model_copy(update=more)
        both = document([PublishedFlag(definition=held, traffic=initial_traffic(held))], 4, "s")
        found = compile_document(both, {}, file).explain("f", "u")
        assert [(c.source, c.says, c.decided) for c in found.contenders][2:] == [
            ("database", says, True),
            ("flag file", "new (static)", False),
            ("caller's default", "its own", False),
        ]
    overridden = compile_document({"flags": {}}, {"TURNOUT_FLAG_F": "old"}, file)
    assert overridden.resolve("f", "u").metadata["decidedBy"] == "environment"


def test_which_variant_a_prefix_is_about() -> None:
    """The one of its name among several, or the only one beside stable; otherwise the flag is refused."""
    three = {"old": 1, "lightrag": 2, "other": 3}

    def flag(prefix: str, variants: dict[str, int]) -> dict[str, Any]:
        return {"flags": {"f": {"variants": variants, "stable": "old", "env_prefix": prefix}}}

    for prefix, variants in (("LIGHTRAG_", three), ("ANY_", {"old": 1, "new": 2})):
        assert parse_flags(flag(prefix, variants))[0].env_prefix == prefix
    with pytest.raises(InvalidInput, match=r"does not tell which variant it is about .* LIGHTRAG_ or OTHER_"):
        parse_flags(flag("ANY_", three))
    for bad in ("lightrag_", "LIGHTRAG", "TURNOUT_", "TURNOUT_FLAG_"):
        with pytest.raises(InvalidInput, match="is not a prefix"):
            parse_flags(flag(bad, three))
