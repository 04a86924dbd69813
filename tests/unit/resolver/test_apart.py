"""Holdouts and layers: units that no rollout, or only one test, ever includes."""

from __future__ import annotations

import math

import pytest

from turnout.adapters.store_rules import overlapping
from turnout.domain.errors import InvalidInput
from turnout.domain.flags import Flag, Traffic, exposure, parse_flags
from turnout.domain.snapshot import PublishedFlag, document
from turnout.resolver import compile_document

UNITS = [f"user-{number}" for number in range(20_000)]


def flag(key: str, **more: object) -> Flag:
    """A flag with two variants."""
    return Flag.model_validate({"key": key, "variants": {"old": 1, "new": 2}, "stable": "old", **more})


def having(candidate: Flag, percent: float) -> set[str]:
    """The units that get the candidate at ``percent``."""
    traffic = Traffic(stable="old", weights=exposure("new", "old", percent))
    snapshot = compile_document(document([PublishedFlag(definition=candidate, traffic=traffic)], 1, "s"))
    return {unit for unit in UNITS if snapshot.resolve(candidate.key, unit).variant == "new"}


def within(count: int, share: float) -> bool:
    """Whether ``count`` of the units is what a draw of ``share`` may give (five standard errors)."""
    expected, n = share * len(UNITS), len(UNITS)
    return abs(count - expected) <= 5 * math.sqrt(n * share * (1 - share))


def test_a_holdout_is_the_same_units_for_every_flag_that_names_it() -> None:
    """Nobody in it gets a candidate at any share of any flag; a smaller holdout is a part of a larger one."""
    ten = {"name": "all", "percentage": 10}
    included = having(flag("one", holdout=ten), 100)
    assert within(len(UNITS) - len(included), 0.1)
    assert having(flag("two", holdout=ten), 100) == included
    assert having(flag("two", holdout=ten), 40) < included
    assert having(flag("three", holdout={"name": "all", "percentage": 4}), 100) > included
    assert having(flag("two", holdout={"name": "other", "percentage": 10}), 100) != included


def test_a_holdout_does_not_change_who_else_is_exposed() -> None:
    """The hash of the holdout is independent of the exposure's: the rest keeps the split it would have had."""
    without = having(flag("one"), 25)
    held = having(flag("one", holdout={"name": "all", "percentage": 50}), 25)
    assert held < without
    assert within(len(held), 0.125)


def test_a_test_that_exposes_a_part_of_the_users() -> None:
    """Who is in a test and who gets which arm are drawn apart: the arms among those exposed are as planned, whoever
    is left out gets stable, and a smaller exposure is a part of a larger one."""
    tested = flag("one")

    def arms(exposed: int) -> dict[str, str]:
        traffic = Traffic(stable="old", weights=exposure("new", "old", 50), exposed=exposed)
        snapshot = compile_document(document([PublishedFlag(definition=tested, traffic=traffic)], 1, "s"))
        found = {unit: snapshot.resolve("one", unit) for unit in UNITS}
        assert all(one.variant == "old" for one in found.values() if one.metadata["decidedBy"] == "exposure:test")
        return {unit: str(one.variant) for unit, one in found.items() if one.metadata["decidedBy"] == "traffic"}

    some, most = arms(20_000), arms(60_000)
    assert within(len(some), 0.2)
    assert some.items() < most.items()
    assert within(sum(arm == "new" for arm in some.values()), 0.1)
    nobody = PublishedFlag(definition=tested, traffic=Traffic(stable="old", weights={"new": 100_000}, exposed=1))
    explained = compile_document(document([nobody], 1, "s")).explain("one", "user-1")
    assert (explained.source, explained.name) == ("exposure", "test")


def test_flags_with_parts_of_a_layer_exclude_each_other() -> None:
    """No unit is in two tests of a layer, and together they reach everybody."""
    one = having(flag("one", layer={"name": "checkout", "from": 0, "to": 30}), 100)
    two = having(flag("two", layer={"name": "checkout", "from": 30, "to": 100}), 100)
    assert not one & two
    assert one | two == set(UNITS)
    assert within(len(one), 0.3)


def test_nobody_is_apart_while_everybody_has_stable() -> None:
    """Without traffic to another variant there is no targeting to pay for."""
    plain = flag("one", holdout={"name": "all", "percentage": 10}, layer={"name": "l", "from": 0, "to": 50})
    published = PublishedFlag(definition=plain, traffic=Traffic(stable="old", weights={"old": 100_000}))
    compiled = document([published], 1, "s")["flags"]
    assert isinstance(compiled, dict)
    assert "targeting" not in str(compiled["one"])


def test_why_a_unit_is_apart_is_told() -> None:
    """``decidedBy`` and the explanation name the holdout."""
    held = flag("one", holdout={"name": "all", "percentage": 100})
    traffic = Traffic(stable="old", weights=exposure("new", "old", 50))
    snapshot = compile_document(document([PublishedFlag(definition=held, traffic=traffic)], 1, "s"))
    assert snapshot.resolve("one", "u").metadata["decidedBy"] == "holdout:all"
    explained = snapshot.explain("one", "u")
    assert (explained.source, explained.name) == ("holdout", "all")


def test_parts_of_a_layer_must_not_overlap() -> None:
    """Two flags that claim the same units are refused, with both parts named; other layers do not matter."""
    one, two = (flag(key, layer={"name": "l", "from": 0, "to": to}) for key, to in (("one", 60), ("two", 40)))
    overlapping([one, flag("three", layer={"name": "other", "from": 0, "to": 100}), flag("four")])
    with pytest.raises(InvalidInput, match="overlaps that of flag one") as error:
        overlapping([one, two])
    assert error.value.problems[0].path == "flags.two.layer"


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("holdout", {"name": "all", "percentage": 101}, "flags.f.holdout.percentage"),
        ("holdout", {"percentage": 5}, "flags.f.holdout.name"),
        ("layer", {"name": "l", "from": 50, "to": 50}, "flags.f.layer"),
        ("layer", {"name": "a:b", "from": 0, "to": 50}, "flags.f.layer.name"),
    ],
)
def test_faults_name_their_field(field: str, value: object, path: str) -> None:
    """A wrong holdout or layer is told with its path."""
    body = {"variants": {"old": 1, "new": 2}, "stable": "old", field: value}
    with pytest.raises(InvalidInput) as error:
        parse_flags({"flags": {"f": body}})
    assert [problem.path for problem in error.value.problems] == [path]


def test_two_tests_in_parts_of_a_layer_share_no_user() -> None:
    """Users of one test, whatever their arm, are in no arm of the other; within each the arms are as planned."""
    parts = {"one": {"name": "answers", "from": 0, "to": 60}, "two": {"name": "answers", "from": 60, "to": 100}}
    traffic = Traffic(stable="old", weights=exposure("new", "old", 50))
    flags = [PublishedFlag(definition=flag(key, layer=part), traffic=traffic) for key, part in parts.items()]
    snapshot = compile_document(document(flags, 1, "s"))
    drawn = {
        key: {unit for unit in UNITS if snapshot.resolve(key, unit).metadata["decidedBy"] == "traffic"} for key in parts
    }
    assert not drawn["one"] & drawn["two"]
    assert drawn["one"] | drawn["two"] == set(UNITS)
    assert within(len(drawn["one"]), 0.6)
    assert within(sum(snapshot.resolve("one", unit).variant == "new" for unit in drawn["one"]), 0.3)
