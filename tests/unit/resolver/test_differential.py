"""The resolver against flagd's own Python engine (version 2 of the bucketing), on random flags and callers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

from tests.unit.resolver.generators import contexts, published_flags, units
from turnout.domain.flags import Flag, Traffic
from turnout.domain.plan import Stage
from turnout.domain.snapshot import PublishedFlag, document
from turnout.domain.targeting import published_form
from turnout.resolver import compile_document
from turnout.strategies import compile_plan, parse_spec


def stages_of(**strategy: Any) -> tuple[Stage, ...]:
    """The stages of a rollout from old to new."""
    gates = [{"metric": "success_rate", "min": 0.9}]
    return compile_plan(
        parse_spec({"flag": "f", "candidate": "new", "strategy": strategy, "gates": gates}), "old"
    ).stages


STAGES = (
    *stages_of(
        kind="cohort",
        cohorts=[
            {"name": "named", "match": {"ids": ["ann", "bob"]}},
            {"name": "beta", "match": {"plan": ["beta", "pro"], "beta": True}, "percentage": 50},
            {"name": "rest", "match": {"if": {"!": {"var": "beta"}}}, "percentage": 20},
        ],
    ),
    *stages_of(
        kind="geographic",
        regions=[{"name": "dach", "countries": ["DE", "AT"], "percentage": 50}, {"name": "eu", "percentage": 10}],
        other={"percentage": 5},
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """flagd's engine logs a traceback for every attribute that is no version."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def by_flagd(text: str, unit: str | None, attributes: dict[str, Any]) -> tuple[Any, ...]:
    """Variant, value, reason, error code and metadata as flagd's engine gives them."""
    core = FlagdCore()
    core.set_flags(text)
    context = EvaluationContext(unit, attributes)
    try:
        details = core.resolve_string_value("engine", "the caller's own", context)
    except OpenFeatureError as error:
        return (None, None, "ERROR", error.error_code.value)
    value = details.value if details.variant is not None else None
    return (details.variant, value, str(details.reason), None, dict(details.flag_metadata))


def by_turnout(text: str, unit: str | None, attributes: dict[str, Any]) -> tuple[Any, ...]:
    """The same from the resolver."""
    found = compile_document(json.loads(text)).resolve("engine", unit, attributes)
    if found.reason == "ERROR":
        return (found.variant, found.value, "ERROR", found.error_code)
    metadata = {name: value for name, value in found.metadata.items() if name != "decidedBy"}
    return (found.variant, found.value, found.reason, found.error_code, metadata)


@settings(max_examples=600, deadline=None)
@given(published_flags(), st.lists(st.tuples(units, contexts), min_size=1, max_size=4))
def test_every_published_flag_resolves_as_in_flagd(
    flag: PublishedFlag, callers: list[tuple[str | None, dict[str, Any]]]
) -> None:
    """Variant, value, reason and metadata are flagd's for any flag, unit and attributes, mistyped ones too."""
    text = json.dumps(document([flag], revision=3, store_id="s"))
    for unit, attributes in callers:
        assert by_turnout(text, unit, attributes) == by_flagd(text, unit, attributes)


MISTYPED: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        -0.0,
        float("nan"),
        "",
        "0",
        "a",
        "abc",
        "1.2.0",
        "v2",
        "1.3.0-rc.1",
        " 1.3.0 ",
    ),
    *([], ["a"], ["", "a"], [0], [["a"]], {}, {"a": 1}, {"0": "a"}, {"length": 2}, {"y": {"z": "a"}}),
]

SIMPLE: list[Any] = [
    {"var": "x"},
    {"!": [{"var": "x"}]},
    {"===": [{"var": "x"}, "a"]},
    {"!==": [{"var": "x"}, "a"]},
    {"in": [{"var": "x"}, ["a", "0"]]},
    {"in": ["a", {"var": "x"}]},
    published_form({"in": ["a", {"var": "x"}]}),
    {"starts_with": [{"var": "x"}, ""]},
    {"starts_with": [{"var": "x"}, "a"]},
    {"ends_with": [{"var": "x"}, "c"]},
    *({"sem_ver": [{"var": "x"}, op, "1.3.0"]} for op in ("=", "!=", "<", "<=", ">", ">=", "^", "~")),
    *({"var": f"x.{name}"} for name in ("0", "1", "01", "length", "a", "y.z")),
]


@pytest.mark.parametrize("condition", SIMPLE, ids=json.dumps)
def test_every_condition_on_every_type(condition: Any) -> None:
    """Each condition decides alike for attributes of every type, and for one that is missing."""
    flag = {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "targeting": {"if": [condition, "a", "b"]}}
    text = json.dumps({"flags": {"engine": flag}})
    for attributes in [{}, *({"x": value} for value in MISTYPED)]:
        assert by_turnout(text, "u", attributes) == by_flagd(text, "u", attributes), attributes


arms: st.SearchStrategy[Any] = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["a", "b", "true", "gone", True, None]), st.integers(0, 50)).map(list),
        st.sampled_from(["a", "true"]).map(lambda name: [name]),
    ),
    min_size=1,
    max_size=3,
)
served: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["a", "true", "gone", True, False, None]),
    arms.map(lambda a: {"fractional": a}),
    arms.map(
        lambda a: {
            "if": [{"var": "targetingKey"}, {"fractional": [{"cat": ["s:", {"var": "targetingKey"}]}, *a]}, None]
        }
    ),
)


@st.composite
def targetings(draw: st.DrawFn) -> Any:
    """Targeting nobody here writes but a flag file may hold: nested, without else, with results of other types."""
    chain: list[Any] = []
    for _ in range(draw(st.integers(1, 2))):
        chain += [{"===": [{"var": "plan"}, draw(st.sampled_from(["a", "pro"]))]}, draw(served)]
    last = draw(st.one_of(served, st.just({"if": [{"var": "beta"}, "b", "a"]})))
    return {"if": [*chain, last] if draw(st.booleans()) else chain}


@settings(max_examples=400, deadline=None)
@given(targetings(), st.sampled_from(["a", None]), units, contexts)
def test_results_of_other_types_resolve_as_in_flagd(
    targeting: Any, default: str | None, unit: str | None, attributes: dict[str, Any]
) -> None:
    """Booleans name variants, null means the default variant, and an unknown variant is an error, as in flagd."""
    flag = {
        "state": "ENABLED",
        "variants": {"a": "A", "b": "B", "true": "T"},
        "defaultVariant": default,
        "targeting": targeting,
        "metadata": {"owner": "search"},
    }
    text = json.dumps({"flags": {"engine": flag}, "metadata": {"owner": "all", "flagSetId": "x"}})
    assert by_turnout(text, unit, attributes) == by_flagd(text, unit, attributes)


@pytest.mark.parametrize("default", ["a", None])
def test_static_flags_resolve_as_in_flagd(default: str | None) -> None:
    """A flag without targeting is STATIC, or DEFAULT when it has no default variant."""
    flag = {"state": "ENABLED", "variants": {"a": "A"}, "defaultVariant": default, "targeting": {}}
    text = json.dumps({"flags": {"engine": flag}})
    assert by_turnout(text, "u", {}) == by_flagd(text, "u", {})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(units, contexts), min_size=1, max_size=4))
def test_cohorts_and_regions_resolve_as_in_flagd(callers: list[tuple[str | None, dict[str, Any]]]) -> None:
    """By ids, attributes, conditions, countries and names of regions, as strategies compile them."""
    for stage in STAGES:
        definition = Flag.model_validate({"key": "engine", "variants": {"old": "o", "new": "n"}, "stable": "old"})
        traffic = Traffic(stable="old", weights=stage.weights, segments=stage.segments)
        text = json.dumps(document([PublishedFlag(definition=definition, traffic=traffic)], revision=3, store_id="s"))
        for unit, attributes in (*callers, ("ann", {}), ("zoe", {"country": "DE"}), ("zoe", {"region": "dach"})):
            assert by_turnout(text, unit, attributes) == by_flagd(text, unit, attributes)
