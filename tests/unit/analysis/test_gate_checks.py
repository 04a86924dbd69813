"""All gates and guardrails of a stage together: error rates, memory, failures that stand, a broken split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.analysis.judging import NOBODY, rate
from turnout.analysis.checks import Answer, asked_of, conclude, remembered
from turnout.analysis.policy import STAGE_ALPHA, alphas_of, shared_alpha
from turnout.domain.errors import SourceError
from turnout.domain.plan import SAMPLE_RATIO, Gate, JsonSource, PrometheusSource, Stage
from turnout.domain.readings import ArmReading, PointReading, SplitReading
from turnout.domain.verdicts import Check, Verdict

STAGE = Stage(
    name="5 %",
    weights={"new": 5_000, "old": 95_000},
    hold=timedelta(hours=1),
    deadline=timedelta(hours=1),
    check_every=timedelta(seconds=30),
    gates=(Gate(metric="queue", max=20), Gate(metric="lag", max=5)),
    guardrails=(Gate(metric="queue", max=40),),
)
ERRORS = Gate(metric="error_rate", max=0.05)
MARGIN = Gate(metric="error_rate", versus="stable", margin=0.01)
SPLIT = Gate(metric=SAMPLE_RATIO, on_fail="hold")
BAD = ArmReading(rate(100, 1000), rate(50, 1000), True)
GOOD = ArmReading(rate(10, 1000), rate(50, 1000), True)
BROKEN = SplitReading({"new": 300, "old": 9700}, {"new": 5.0, "old": 95.0})
SOUND = SplitReading({"new": 500, "old": 9500}, {"new": 5.0, "old": 95.0})


def stage(*gates: Gate, guardrails: tuple[Gate, ...] = ()) -> Stage:
    return STAGE.model_copy(update={"gates": gates, "guardrails": guardrails})


def looks(of: Stage, *moments: Sequence[Answer]) -> tuple[Check, ...]:
    """The checks of the last of several moments, each with the memory of the one before."""
    checks: tuple[Check, ...] = ()
    for answers in moments:
        checks = conclude(asked_of(of), answers, remembered(checks))
    return checks


def test_everything_is_asked_once() -> None:
    """Gates come first, guardrails after them, each with its own key; a guardrail that holds is a signal."""
    asked = asked_of(stage(*STAGE.gates, guardrails=(*STAGE.guardrails, SPLIT)))
    assert [one.key for one in asked] == ["gate:0", "gate:1", "guardrail:0", "guardrail:1"]
    assert [one.role for one in asked] == ["gate", "gate", "guardrail", "signal"]
    assert [one.gate for one in asked] == [*STAGE.gates, *STAGE.guardrails, SPLIT]


def test_rows_are_kept_apart() -> None:
    """Each gate counts its own breaches, from what was known before."""
    bad, good = [PointReading(50), PointReading(1), PointReading(50)], [PointReading(50)] * 3
    checks = looks(STAGE, good, good, bad)
    assert [check.verdict for check in checks] == [Verdict.FAIL, Verdict.PASS, Verdict.FAIL]
    assert [check.key for check in checks] == ["gate:0", "gate:1", "guardrail:0"]
    assert [(check.breaches, check.all_breaches) for check in checks] == [(3, 3), (0, 2), (3, 3)]


def test_a_failed_source_leaves_the_row() -> None:
    """An outage is a source_error of its own gate alone, counted in a row, and no end of a row of breaches."""
    down = [SourceError("down"), PointReading(1), PointReading(1)]
    breach = [PointReading(50), PointReading(1), PointReading(1)]
    checks = looks(STAGE, breach, breach, down, down)
    assert [check.verdict for check in checks] == [Verdict.SOURCE_ERROR, Verdict.PASS, Verdict.PASS]
    assert (checks[0].breaches, checks[0].errors) == (2, 2)
    checks = looks(STAGE, breach, breach, down, down, breach)
    assert (checks[0].verdict, checks[0].breaches, checks[0].errors) == (Verdict.FAIL, 3, 0)


def test_a_failure_stands() -> None:
    """What has failed in a stage stays failed, whatever comes later, and the text tells what is now."""
    one = stage(ERRORS)
    first, second, third = looks(one, [BAD])[0], looks(one, [BAD], [GOOD])[0], looks(one, [BAD], [GOOD], [GOOD])[0]
    assert (first.verdict, first.latched) == (Verdict.FAIL, True)
    assert (second.verdict, second.latched) == (Verdict.FAIL, True)
    opening = "this has failed in this stage, and that stands; at this look: error_rate is 1.0 %"
    assert second.text.startswith(opening)
    assert third.text == second.text
    assert looks(one, [BAD], [SourceError("down")])[0].verdict is Verdict.FAIL
    assert looks(one, [GOOD])[0].latched is False


def test_gates_are_judged_side_by_side() -> None:
    """Of two gates one fails and one passes, or both fail: each by its own reading, at the shared rate, for itself."""
    two = stage(ERRORS, MARGIN)
    fails, passes = looks(two, [BAD, GOOD])
    assert [(one.key, one.verdict, one.latched) for one in (fails, passes)] == [
        ("gate:0", Verdict.FAIL, True),
        ("gate:1", Verdict.PASS, False),
    ]
    assert fails.text.startswith("error_rate is 10.0 %")
    assert passes.text.startswith("error_rate is 1.0 % against stable's 5.0 %")
    assert fails.alpha_fail == passes.alpha_fail == STAGE_ALPHA / 2
    both = looks(two, [BAD, BAD])
    assert [(one.verdict, one.latched) for one in both] == [(Verdict.FAIL, True)] * 2
    assert both[0] == fails
    assert [one.verdict for one in looks(two, [BAD, GOOD], [GOOD, BAD])] == [Verdict.FAIL] * 2
    assert [one.verdict for one in looks(two, [BAD, BAD], [GOOD, GOOD])] == [Verdict.FAIL] * 2
    assert [one.verdict for one in looks(two, [GOOD, GOOD], [GOOD, BAD])] == [Verdict.PASS, Verdict.FAIL]


@pytest.mark.parametrize(
    "of",
    [
        stage(guardrails=(ERRORS.model_copy(update={"on_fail": "hold"}),)),
        stage(ERRORS.model_copy(update={"method": "fixed"})),
    ],
)
def test_what_does_not_stand(of: Stage) -> None:
    """A signal may recover; an interval for one look is not held against what an earlier look found."""
    assert looks(of, [BAD])[0].verdict is Verdict.FAIL
    again = looks(of, [BAD], [GOOD])[0]
    assert (again.verdict, again.latched) == (Verdict.PASS, False)


def test_another_gate_has_no_memory() -> None:
    """The memory of a position is for the gate that was there; it is found again where the gate has moved to."""
    before = remembered(looks(stage(guardrails=(MARGIN, ERRORS)), [GOOD, BAD]))
    moved = conclude(asked_of(stage(guardrails=(ERRORS,))), [GOOD], before)[0]
    assert (moved.key, moved.verdict) == ("guardrail:0", Verdict.FAIL)
    other = conclude(
        asked_of(stage(guardrails=(MARGIN,))), [GOOD], remembered(looks(stage(guardrails=(ERRORS,)), [BAD]))
    )
    assert other[0].verdict is Verdict.PASS


def test_a_broken_split_mutes_comparisons() -> None:
    """While users are not split as planned, comparisons decide nothing; absolute limits do."""
    of = stage(MARGIN, ERRORS, guardrails=(SPLIT,))
    margin, errors, split = looks(of, [BAD, BAD, BROKEN])
    assert (margin.verdict, errors.verdict, split.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.FAIL)
    assert margin.text.startswith("users are not split as planned, and a comparison means nothing then")
    assert (margin.missing, margin.latched) == ("users split as planned", False)
    assert looks(of, [BAD, BAD, BROKEN], [GOOD, BAD, SOUND])[0].verdict is Verdict.PASS
    assert looks(of, [BAD, BAD, SOUND])[0].verdict is Verdict.FAIL
    empty = ArmReading(NOBODY, NOBODY, True)
    assert looks(of, [empty, BAD, BROKEN])[0].verdict is Verdict.NO_DATA


def test_a_dry_split_mutes_nothing() -> None:
    """A dry run is shown and decides nothing, not even that comparisons are void."""
    of = stage(MARGIN, guardrails=(SPLIT.model_copy(update={"dry_run": True}),))
    margin, split = looks(of, [BAD, BROKEN])
    assert (margin.verdict, split.verdict, split.dry_run) == (Verdict.FAIL, Verdict.FAIL, True)


def test_the_error_rate_is_shared() -> None:
    """The stage's error rate is shared by what chance could fail; passes are not corrected."""
    queue = PrometheusSource(kind="prometheus", url="http://p", query="q")
    counted = JsonSource(kind="json", url="http://j", numerator="a", denominator="b")
    gates = (
        ERRORS,
        MARGIN,
        Gate(metric="faults", max=0.1, source=counted),
        Gate(metric="queue", max=20, source=queue),
        ERRORS.model_copy(update={"dry_run": True}),
        SPLIT,
    )
    assert shared_alpha(gates) == pytest.approx(0.05 / 3)
    checks = looks(stage(*gates[:2], guardrails=(SPLIT,)), [GOOD, GOOD, SOUND])
    assert [(check.alpha_fail, check.alpha_pass) for check in checks] == [(0.025, 0.05), (0.025, 0.05), (0.001, None)]
    own = ERRORS.model_copy(update={"alpha_fail": 0.001, "alpha_pass": 0.1})
    check = looks(stage(own, MARGIN), [GOOD, GOOD])[0]
    assert (check.alpha_fail, check.alpha_pass) == (0.001, 0.1)


@given(st.lists(st.sampled_from([ERRORS, MARGIN, SPLIT, Gate(metric="cost", max=1)]), max_size=30))
def test_the_stage_keeps_its_error_rate(gates: list[Gate]) -> None:
    """However many gates a stage has, their shares of the error rate sum to it at most, besides that of the split."""
    shared = shared_alpha(gates)
    assert sum(alphas_of(gate, shared).fail for gate in gates if gate != SPLIT) <= STAGE_ALPHA * (1 + 1e-12)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=6), st.booleans())
def test_looks_in_any_order(bad: list[int], dry: bool) -> None:
    """A failure, once there, is there at every later look; a dry run is marked as such at all of them."""
    of = stage(ERRORS.model_copy(update={"dry_run": dry}))
    memory: Mapping[str, Check] = {}
    failed = False
    for count in bad:
        checks = conclude(asked_of(of), [ArmReading(rate(count, 1000), NOBODY, True)], memory)
        memory = remembered(checks)
        failed = failed or checks[0].verdict is Verdict.FAIL
        assert (checks[0].verdict is Verdict.FAIL, checks[0].dry_run) == (failed, dry)
