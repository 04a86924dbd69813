"""Watching a stage: what counts as time, and when there is something to decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.watching import HOUR, SPLIT, START, after, check, compared, gate, over, request, stage, step
from turnout.domain.plan import Gate
from turnout.domain.rollout import Clock, Observation, WatchRequest
from turnout.domain.verdicts import Check, Verdict
from turnout.domain.vigil import Progress, advance, conclude, interrupted, next_check, resumed, tolerance

PASS, FAIL, INCONCLUSIVE, NO_DATA, SOURCE_ERROR = Verdict
ALARM = Gate(metric="error_rate", max=0.1, on_fail="rollback")
CAUTION = Gate(metric="cost", max=2, on_fail="pause")

verdicts = st.sampled_from(Verdict)
gaps = st.integers(0, 300).map(lambda minutes: timedelta(minutes=minutes))


def kinds(seen: Observation | None) -> tuple[str, Verdict] | None:
    """Kind and verdict of an observation."""
    return None if seen is None else (seen.kind, seen.verdict)


def test_watched_time_counts() -> None:
    """Between two checks that found no fault the hold's clock runs, the deadline's does not."""
    progress = advance(request(), after(), [check(INCONCLUSIVE)], START + HOUR)
    assert progress == Progress(START + HOUR, Clock(counted=HOUR))


def test_a_gap_counts_towards_nothing() -> None:
    """Time in which nobody checked is neither evidence nor waiting."""
    gap = tolerance(request()) + timedelta(seconds=1)
    progress = advance(request(), after(HOUR, HOUR), [check(INCONCLUSIVE)], START + gap)
    assert progress.clock == Clock(counted=HOUR, waited=HOUR)


@pytest.mark.parametrize(
    ("gates", "guardrails", "checks"),
    [
        ([gate()], [], [check(SOURCE_ERROR)]),
        ([gate()], [SPLIT], [check(PASS), check(FAIL, "signal")]),
        ([gate()], [SPLIT], [check(PASS), check(SOURCE_ERROR, "signal")]),
    ],
)
def test_blocked_time_is_waited(gates: list[Gate], guardrails: list[Gate], checks: list[Check]) -> None:
    """Without a source, and while a signal fails, the hold stands still and the deadline comes nearer."""
    progress = advance(request(stage(gates, guardrails)), after(), checks, START + HOUR)
    assert progress.clock == Clock(waited=HOUR)


def test_after_the_hold_time_is_waited() -> None:
    """What is beyond the hold counts towards the deadline."""
    progress = advance(request(), over(), [check(INCONCLUSIVE)], START + HOUR)
    assert progress.clock == Clock(counted=10 * HOUR, waited=HOUR)


@given(st.lists(st.tuples(verdicts, verdicts, st.timedeltas(-HOUR, 5 * HOUR)), max_size=30), st.booleans())
def test_clocks_never_run_backwards(story: list[tuple[Verdict, Verdict, timedelta]], counting: bool) -> None:
    """Whatever is found, and however the machine's clock jumps; and no more is counted than has passed."""
    asked = request(stage([gate()], [SPLIT]), counting=counting)
    progress, passed = after(), timedelta()
    for of_gate, of_signal, gap in story:
        checks = [check(of_gate), check(of_signal, "signal")]
        following = advance(asked, progress, checks, progress.at + gap)
        grown = (
            following.clock.counted - progress.clock.counted,
            following.clock.waited - progress.clock.waited,
        )
        assert min(grown) >= timedelta()
        assert sum(grown, timedelta()) <= max(gap, timedelta())
        assert counting or sum(grown, timedelta()) == timedelta()
        progress, passed = following, passed + max(gap, timedelta())
    assert progress.clock.counted + progress.clock.waited <= passed


def test_a_watch_goes_on_where_another_died() -> None:
    """A new attempt takes the clock of the last heartbeat, and nothing for the time between."""
    last = interrupted(after(3 * HOUR, HOUR))
    assert resumed(request(), last, START + 9 * HOUR) == Progress(START + 9 * HOUR, last.clock)
    assert resumed(request(clock=Clock(counted=HOUR)), None, START) == Progress(START, Clock(counted=HOUR))


def test_the_end_of_the_hold_is_not_overslept() -> None:
    """The last sleep of a hold is as long as what is left of it, every other one the usual interval."""
    assert next_check(request(), after(9 * HOUR + HOUR / 2)) == HOUR / 2
    assert next_check(request(), after(HOUR)) == HOUR
    assert next_check(request(), over()) == HOUR
    assert next_check(request(counting=False), after(9 * HOUR + HOUR / 2)) == HOUR


def test_a_pass_takes_the_whole_hold_and_every_gate() -> None:
    """Before the end of the hold nothing passes; at its end one undecided gate is enough not to."""
    asked = request(stage([gate(), compared()]))
    both = [check(PASS), check(PASS)]
    assert conclude(asked, after(9 * HOUR), both) is None
    assert kinds(conclude(asked, over(), both)) == ("judged", PASS)
    assert kinds(conclude(asked, over(), [check(PASS), check(INCONCLUSIVE)])) == ("blocked", INCONCLUSIVE)
    assert kinds(conclude(asked, over(), [check(PASS), check(FAIL)])) == ("judged", FAIL)


def test_a_stage_without_a_question_passes_by_its_hold() -> None:
    """At 100 % there may be nothing left to ask."""
    seen = conclude(request(stage([])), over(), [])
    assert seen is not None
    assert (seen.kind, seen.verdict, "nothing to ask" in seen.text) == ("judged", PASS, True)


@pytest.mark.parametrize("verdict", [INCONCLUSIVE, NO_DATA])
def test_undecided_is_told_once_and_again_at_the_deadline(verdict: Verdict) -> None:
    """The hold is over without a verdict: said once, then silence until the deadline."""
    first = conclude(request(), over(), [check(verdict)])
    assert kinds(first) == ("blocked", verdict)
    asked = request(blocked=verdict)
    assert conclude(asked, over(2 * HOUR), [check(verdict)]) is None
    last = conclude(asked, over(3 * HOUR), [check(verdict)])
    assert kinds(last) == ("overdue", verdict)
    assert last is not None
    assert last.recourse == "pause"


def test_a_failure_that_takes_the_hold_waits_for_its_end() -> None:
    """A plain interval is right for one look: that of the end of the hold."""
    failed = [check(FAIL)]
    assert conclude(request(), after(9 * HOUR), failed) is None
    assert kinds(conclude(request(), over(), failed)) == ("judged", FAIL)


def test_a_failure_that_stays_right_is_acted_on_at_once() -> None:
    """Waiting could not change what an anytime-valid test has proven."""
    seen = conclude(request(), after(HOUR), [check(FAIL, anytime=True)])
    assert kinds(seen) == ("judged", FAIL)
    assert kinds(conclude(request(), after(HOUR), [check(PASS, anytime=True)])) is None


def test_two_gates_at_once() -> None:
    """One that fails decides over one that passes and is the only one told; of two that fail both are told."""
    asked = request(stage([gate(), compared()]))
    harm, good = check(FAIL, anytime=True, text="errors are up"), check(PASS, anytime=True, text="quality is kept")
    worse = check(FAIL, anytime=True, text="latency is up")
    for checks, text in (
        ([harm, good], "errors are up"),
        ([good, worse], "latency is up"),
        ([harm, worse], "errors are up; latency is up"),
    ):
        seen = conclude(asked, after(HOUR), checks)
        assert seen is not None
        assert (seen.kind, seen.verdict, seen.text) == ("judged", FAIL, f"gates fail: {text}")


def test_gates_are_not_asked_while_the_clock_stands() -> None:
    """Paused, or waiting for a person: only guardrails act."""
    standing = request(stage([gate()], [ALARM, SPLIT]), counting=False)
    quiet = [check(FAIL, anytime=True), check(PASS, "guardrail"), check(FAIL, "signal")]
    assert conclude(standing, over(), quiet) is None
    alarm = [check(PASS), check(FAIL, "guardrail"), check(PASS, "signal")]
    assert kinds(conclude(standing, over(), alarm)) == ("guardrail", FAIL)


@given(verdicts, verdicts, st.integers(0, 14), st.sampled_from([None, INCONCLUSIVE, NO_DATA, SOURCE_ERROR]))
def test_a_failed_guardrail_goes_before_everything(
    of_gate: Verdict, of_signal: Verdict, hours: int, blocked: Verdict | None
) -> None:
    """Proven harm acts at once, whatever else is found or missing, at any time of the stage."""
    asked = request(stage([gate()], [CAUTION, ALARM, SPLIT]), blocked=blocked)
    checks = [check(of_gate), check(PASS, "guardrail"), check(FAIL, "guardrail"), check(of_signal, "signal")]
    seen = conclude(asked, after(hours * HOUR), checks)
    assert seen is not None
    assert (seen.kind, seen.verdict, seen.recourse) == ("guardrail", FAIL, "rollback")


def test_the_harshest_guardrail_is_heard() -> None:
    """One that pauses and one that takes everybody back, together, take everybody back."""
    asked = request(stage([], [CAUTION, ALARM]))
    one, both = [check(FAIL, "guardrail"), check(PASS, "guardrail")], [check(FAIL, "guardrail")] * 2
    asks = [conclude(asked, after(), checks) for checks in (one, both)]
    assert [seen and seen.recourse for seen in asks] == ["pause", "rollback"]


def test_a_failing_signal_blocks_and_recovers() -> None:
    """It is told by name, holds at once, and the hold goes on when it has recovered."""
    asked = request(stage([gate()], [SPLIT]))
    broken, whole = [check(PASS), check(FAIL, "signal")], [check(PASS), check(PASS, "signal")]
    progress, seen = step(asked, after(HOUR), broken)
    assert kinds(seen) == ("blocked", INCONCLUSIVE)
    assert seen is not None
    assert seen.text == "signal users split as planned fails: signal fail"
    assert seen.clock == Clock(counted=HOUR, waited=HOUR)
    blocked = request(stage([gate()], [SPLIT]), blocked=INCONCLUSIVE)
    progress, seen = step(blocked, progress, broken)
    assert seen is None
    progress, seen = step(blocked, progress, whole)
    assert seen is not None
    assert (seen.kind, seen.clock) == ("recovered", Clock(counted=2 * HOUR, waited=2 * HOUR))
    assert "no signal fails any more" in seen.text


def test_no_stage_passes_with_a_failing_signal() -> None:
    """However good the gates look at the end of the hold; when it recovers there, they pass at once."""
    asked = request(stage([gate()], [SPLIT]))
    assert kinds(conclude(asked, over(), [check(PASS), check(FAIL, "signal")])) == ("blocked", INCONCLUSIVE)
    blocked = request(stage([gate()], [SPLIT]), blocked=INCONCLUSIVE)
    assert kinds(conclude(blocked, over(HOUR), [check(PASS), check(PASS, "signal")])) == ("judged", PASS)


def test_a_signal_that_stays_is_overdue_like_any_doubt() -> None:
    """At the deadline the stage's policy applies; a signal does not let a stage advance without proof."""
    for asks, recourse in (
        ("pause", "pause"),
        ("rollback", "rollback"),
        ("hold", None),
        ("advance_if_no_evidence_of_harm", "pause"),
    ):
        asked = request(stage([gate()], [SPLIT], on_inconclusive=asks), blocked=INCONCLUSIVE)
        seen = conclude(asked, after(HOUR, 3 * HOUR), [check(PASS), check(FAIL, "signal")])
        assert (seen and seen.recourse) == recourse


def test_users_who_are_not_split_as_planned_are_not_compared() -> None:
    """A comparison's failure waits until the split is whole; one against a limit does not need the split."""
    asked = request(stage([compared(), gate()], [SPLIT]))
    broken = check(FAIL, "signal")
    by_comparison = [check(FAIL, anytime=True), check(PASS), broken]
    by_limit = [check(PASS), check(FAIL, anytime=True), broken]
    assert kinds(conclude(asked, after(HOUR), by_comparison)) == ("blocked", INCONCLUSIVE)
    assert kinds(conclude(asked, over(), by_comparison)) == ("blocked", INCONCLUSIVE)
    assert kinds(conclude(asked, after(HOUR), by_limit)) == ("judged", FAIL)
    whole = [*by_comparison[:2], check(PASS, "signal")]
    assert kinds(conclude(asked, after(HOUR), whole)) == ("judged", FAIL)


def test_another_signal_leaves_comparisons_alone() -> None:
    """Only the split of the users is what comparisons rest on."""
    signal = Gate(metric="queue", max=100, on_fail="hold")
    asked = request(stage([compared()], [signal]))
    seen = conclude(asked, after(HOUR), [check(FAIL, anytime=True), check(FAIL, "signal")])
    assert kinds(seen) == ("judged", FAIL)


@pytest.mark.parametrize(("limit", "borne"), [(2, 2), (0, 0), (5, 5)])
def test_a_source_may_fail_a_few_times(limit: int, borne: int) -> None:
    """As often in a row as the gate says, by the check's own count or else by the watch's."""
    asked = request(stage([gate(consecutive_error_limit=limit)]))
    for rows in range(1, 8):
        counted = conclude(asked, after(errors=1), [check(SOURCE_ERROR, errors=rows)])
        by_watch = conclude(asked, after(errors=rows), [check(SOURCE_ERROR)])
        expected = None if rows <= borne else ("blocked", SOURCE_ERROR)
        assert (kinds(counted), kinds(by_watch)) == (expected, expected)


def test_a_source_that_answers_again_lets_the_hold_go_on() -> None:
    """Recovery is told once; at the end of the hold the gates speak for themselves."""
    asked = request(blocked=SOURCE_ERROR)
    seen = conclude(asked, after(HOUR, HOUR), [check(INCONCLUSIVE)])
    assert seen is not None
    assert (seen.kind, "every source answers again" in seen.text) == ("recovered", True)
    assert kinds(conclude(asked, over(HOUR), [check(PASS)])) == ("judged", PASS)
    assert kinds(conclude(asked, over(HOUR), [check(INCONCLUSIVE)])) == ("blocked", INCONCLUSIVE)


def test_nothing_passes_while_a_source_is_silent() -> None:
    """Not even within its patience; and silence is not held against the candidate."""
    asked = request(stage([gate(), gate()]))
    checks = [check(PASS), check(SOURCE_ERROR, errors=1)]
    assert conclude(asked, after(10 * HOUR, errors=1), checks) is None


def test_doubts_of_one_kind_are_told_as_that_kind() -> None:
    """A silent source is named before missing data, missing data before an open question."""
    asked = request(stage([gate(), gate(), gate()]))
    checks = [check(INCONCLUSIVE), check(NO_DATA), check(SOURCE_ERROR, errors=3)]
    seen = conclude(asked, after(10 * HOUR, errors=3), checks)
    assert seen is not None
    assert (seen.verdict, seen.text) == (SOURCE_ERROR, "gate source_error")
    seen = conclude(asked, over(), [check(INCONCLUSIVE), check(NO_DATA), check(PASS)])
    assert seen is not None
    assert (seen.verdict, seen.text) == (NO_DATA, "gate no_data")


def test_long_texts_are_cut() -> None:
    """A decision's text stays readable however many gates fail."""
    seen = conclude(request(), over(), [check(FAIL, text="x" * 2000)])
    assert seen is not None
    assert len(seen.text) == 600


def test_checks_of_another_stage_are_a_fault_of_the_program() -> None:
    """Checks are matched to gates by their order, so there must be as many."""
    with pytest.raises(ValueError, match="zip"):
        conclude(request(stage([gate(), gate()])), after(), [check(PASS)])


outcomes = st.lists(st.tuples(verdicts, st.booleans()), min_size=1, max_size=3)
clocks = st.builds(after, st.integers(0, 12).map(HOUR.__mul__), st.integers(0, 4).map(HOUR.__mul__), st.integers(0, 4))
policies: Any = st.sampled_from(["pause", "rollback", "hold", "advance_if_no_evidence_of_harm"])


def watch_of(
    gates: list[tuple[Verdict, bool]], blocked: Verdict | None, policy: Any
) -> tuple[WatchRequest, list[Check]]:
    """A watch over gates that found these verdicts (anytime or not), one guardrail and one signal."""
    asked = request(stage([gate()] * len(gates), [CAUTION, SPLIT], on_inconclusive=policy), blocked=blocked)
    return asked, [check(verdict, anytime=anytime, p_fail=1.0) for verdict, anytime in gates]


@given(outcomes, verdicts, verdicts, verdicts, clocks, st.none() | st.sampled_from(list(Verdict)[2:]), policies)
def test_a_dry_run_never_changes_what_is_seen(
    gates: list[tuple[Verdict, bool]],
    of_guardrail: Verdict,
    of_signal: Verdict,
    dry: Verdict,
    progress: Progress,
    blocked: Verdict | None,
    policy: Any,
) -> None:
    """A stage with dry runs of every role next to its gates comes to what it comes to without them."""
    asked, of_gates = watch_of(gates, blocked, policy)
    others = [check(of_guardrail, "guardrail"), check(of_signal, "signal")]
    rehearsed = asked.stage.model_copy(
        update={
            "gates": (*asked.stage.gates, gate(dry_run=True)),
            "guardrails": (
                *asked.stage.guardrails,
                ALARM.model_copy(update={"dry_run": True}),
                SPLIT.model_copy(update={"dry_run": True}),
            ),
        }
    )
    more = [check(dry, "guardrail", dry_run=True), check(dry, "signal", dry_run=True)]
    dry_checks = [*of_gates, check(dry, anytime=True, dry_run=True), *others, *more]
    with_them = asked.model_copy(update={"stage": rehearsed})
    assert step(with_them, progress, dry_checks) == step(asked, progress, [*of_gates, *others])


@given(outcomes, verdicts, clocks, st.none() | st.sampled_from(list(Verdict)[2:]), policies)
def test_a_pass_needs_all_and_a_failure_one(
    gates: list[tuple[Verdict, bool]], of_signal: Verdict, progress: Progress, blocked: Verdict | None, policy: Any
) -> None:
    """Passed: the hold is over and every gate passes. Failed: some gate fails, early only if it stays right."""
    asked, checks = watch_of(gates, blocked, policy)
    seen = conclude(asked, progress, [*checks, check(PASS, "guardrail"), check(of_signal, "signal")])
    at_the_end = progress.clock.counted >= asked.stage.hold
    failed = [anytime for verdict, anytime in gates if verdict is FAIL]
    judged = seen.verdict if seen is not None and seen.kind == "judged" else None
    assert (judged is FAIL) is (any(failed) or (at_the_end and bool(failed)))
    if judged is PASS:
        assert at_the_end
        assert {verdict for verdict, _ in gates} == {PASS}
        assert of_signal is not FAIL
    if seen is not None and seen.recourse == "advance":
        assert at_the_end
        assert policy == "advance_if_no_evidence_of_harm"
        assert {verdict for verdict, _ in gates} <= {PASS, INCONCLUSIVE}
