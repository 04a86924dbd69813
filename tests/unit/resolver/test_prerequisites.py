"""Flags that require other flags: what is published, against flagd's own engine, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.resolver.generators import VARIANTS, contexts, published_flags, units
from tests.unit.resolver.test_differential import by_flagd, by_turnout
from turnout.domain.flags import Flag, Traffic, exposure, initial_traffic
from turnout.domain.prerequisites import MAX_CHAIN, MAX_REQUIRED, requirement_problems
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import Snapshot, compile_document


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """flagd's engine logs a traceback for every attribute that is no version."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def flag(key: str, requires: dict[str, str] | None = None, **more: Any) -> Flag:
    """A flag that serves ``on`` unless told otherwise."""
    body = {"key": key, "variants": {"on": True, "off": False}, "stable": "off", "requires": requires or {}}
    return Flag.model_validate({**body, "serve": "on"} | more)


def snapshot(*flags: Flag | PublishedFlag) -> Snapshot:
    """The flags as resolvers have them."""
    every = [f if isinstance(f, PublishedFlag) else _published(f) for f in flags]
    return compile_document(json.loads(json.dumps(document(every, 1, "s"))))


def _published(definition: Flag, **more: Any) -> PublishedFlag:
    return PublishedFlag(definition=definition, traffic=initial_traffic(definition), **more)


def _with(published: PublishedFlag, key: str, requires: dict[str, str]) -> PublishedFlag:
    return published.model_copy(
        update={"definition": published.definition.model_copy(update={"key": key, "requires": requires})}
    )


chains = st.tuples(published_flags(), published_flags(), published_flags())


@settings(max_examples=100, deadline=None)
@given(
    chains,
    st.lists(st.sampled_from(VARIANTS), min_size=3, max_size=3),
    st.booleans(),
    st.lists(st.tuples(units, contexts), min_size=1, max_size=4),
)
def test_a_prerequisite_decides_as_in_flagd_and_as_the_flag_itself_does(
    chain: tuple[PublishedFlag, PublishedFlag, PublishedFlag],
    wanted: list[str],
    both: bool,
    callers: Sequence[tuple[str | None, dict[str, Any]]],
) -> None:
    """The engines agree, and the flag gives stable exactly where a prerequisite, asked itself, gives another variant.

    The chain is engine -> middle -> last, and engine -> last when ``both``, on any flags, units and attributes.
    """
    last = _with(chain[2], "last", {})
    middle = _with(chain[1], "middle", {"last": wanted[1]})
    engine = _with(chain[0], "engine", {"middle": wanted[0], **({"last": wanted[2]} if both else {})})
    text = json.dumps(document([engine, middle, last], revision=3, store_id="s"))
    flags, alone = compile_document(json.loads(text)), snapshot(_with(chain[0], "engine", {}))
    for unit, attributes in callers:
        assert by_turnout(text, unit, attributes) == by_flagd(text, unit, attributes)
        found, free = (each.resolve("engine", unit, attributes) for each in (flags, alone))
        if found.reason in {"ERROR", "DISABLED"} or free.reason == "ERROR":
            continue
        given_by = {key: flags.resolve(key, unit, attributes).variant for key in ("middle", "last")}
        met = all(given_by[key] == variant for key, variant in engine.definition.requires.items())
        assert found.variant == (free.variant if met or engine.stopped else engine.traffic.stable)


def test_a_half_exposed_prerequisite_lets_the_same_half_through() -> None:
    """Who has the prerequisite's variant is decided by the prerequisite's hash, not by the flag's."""
    parent = flag("parent")
    flags = snapshot(
        PublishedFlag(definition=parent, traffic=Traffic(stable="off", weights=exposure("on", "off", 50))),
        flag("child", {"parent": "on"}),
    )
    having = {key: {n for n in range(2000) if flags.resolve(key, f"u{n}").value} for key in ("parent", "child")}
    assert having["parent"] == having["child"]
    assert 900 < len(having["child"]) < 1100


def test_a_stopped_disabled_or_missing_prerequisite_is_not_met() -> None:
    """The flag then serves its stable variant, and says which prerequisite decided."""
    child = flag("child", {"parent": "on"})
    parents = [[_published(flag("parent"), stopped=True)], [_published(flag("parent", enabled=False))], []]
    for parent in parents:
        found = snapshot(*parent, child).resolve("child", "u")
        assert (found.variant, found.metadata["decidedBy"]) == ("off", "prerequisite:parent")
    assert snapshot(flag("parent"), child).resolve("child", "u").variant == "on"


def test_prerequisites_stand_above_rules() -> None:
    """Whom a rule names gets stable too while the prerequisite is not met; explain shows both cases."""
    rule = {"name": "staff", "if": {"var": "staff"}, "serve": "on"}
    child = flag("child", {"parent": "on"}, serve="off", rules=[rule])
    unmet, met = snapshot(flag("parent", serve="off"), child), snapshot(flag("parent"), child)
    assert unmet.resolve("child", "u", {"staff": True}).variant == "off"
    assert unmet.explain("child", "u", {"staff": True}).source == "prerequisite"
    explained = met.explain("child", "u", {"staff": True})
    assert (explained.resolution.variant, explained.name, explained.passed) == ("on", "staff", ("prerequisite:parent",))


def test_a_condition_on_the_flags_key_is_the_prerequisites_own() -> None:
    """What a prerequisite's rule says of ``$flagd.flagKey`` is about the prerequisite, wherever it is asked."""
    key = {"var": "$flagd.flagKey"}
    held: list[Any] = [
        key,
        {"===": [key, "parent"]},
        {"!==": [key, "child"]},
        {"in": [key, ["parent"]]},
        {"in": ["aren", key]},
        {"starts_with": [key, "par"]},
        {"ends_with": [key, "ent"]},
        {"!": [{"===": [key, "child"]}]},
        {"!": {"sem_ver": [key, "=", "1.0.0"]}},
    ]
    for condition in held:
        parent = flag("parent", serve="off", rules=[{"name": "own", "if": condition, "serve": "on"}])
        flags = snapshot(parent, flag("child", {"parent": "on"}))
        assert flags.resolve("parent", "u").variant == flags.resolve("child", "u").variant == "on", condition


def _faults(*flags: Flag) -> list[str]:
    return [str(problem) for problem in requirement_problems({f.key: f for f in flags})]


def test_what_cannot_be_met_is_refused_with_a_remedy() -> None:
    """Unknown flags and variants are named with the nearest known one."""
    assert _faults(flag("parent"), flag("child", {"parant": "on"})) == [
        "flags.child.requires.parant: there is no flag 'parant' (got on); did you mean parent?"
    ]
    assert _faults(flag("parent"), flag("child", {"parent": "onn"})) == [
        "flags.child.requires.parent: flag 'parent' has no variant 'onn' (got onn); did you mean on?"
    ]
    with pytest.raises(ValueError, match="the flag requires itself"):
        flag("child", {"child": "on"})


def test_cycles_are_refused_once_each() -> None:
    """The way round is shown; flags that only lead into a cycle are not blamed."""
    a, b, c = flag("a", {"b": "on"}), flag("b", {"c": "on"}), flag("c", {"a": "on"})
    (fault,) = _faults(flag("into", {"a": "on"}), c, b, a)
    assert (
        fault
        == "flags.a.requires: the flags require each other (got a -> b -> c -> a); remove one of these requirements"
    )


def test_chains_and_fans_have_limits() -> None:
    """As long as allowed is published and works; one more is refused, and so is a tree with too many leaves."""
    links = [flag("f0"), *(flag(f"f{n}", {f"f{n - 1}": "on"}) for n in range(1, MAX_CHAIN + 1))]
    assert _faults(*links) == []
    assert snapshot(*links).resolve(f"f{MAX_CHAIN}", "u").variant == "on"
    assert "in a row" in _faults(*links, flag("more", {f"f{MAX_CHAIN}": "on"}))[0]
    leaves = [flag(f"leaf{n}") for n in range(MAX_REQUIRED + 1)]
    assert "too many" in _faults(*leaves, flag("wide", {leaf.key: "on" for leaf in leaves}))[0]
    assert _faults(*leaves, flag("wide", {leaf.key: "on" for leaf in leaves[1:]})) == []
