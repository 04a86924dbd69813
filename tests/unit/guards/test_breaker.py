"""Circuit breakers: when they open, how they come back, and that they never get stuck."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from turnout.guards.breaker import Breaker, Change, Circuit, Permit, Recovery
from turnout.guards.meters import ErrorMeter, QualityMeter, SuccessMeter

RECOVERY = Recovery(timeout=timedelta(seconds=10), probes=2, longest=timedelta(seconds=60), calm=timedelta(seconds=100))


class Bench:
    """A breaker on a clock of the test's own, and the changes it told of."""

    def __init__(self, meter: ErrorMeter | QualityMeter | None = None, recovery: Recovery = RECOVERY) -> None:
        self.now = 0.0
        self.changes: list[Change] = []
        self.breaker = Breaker(meter or ErrorMeter(3), recovery, clock=lambda: self.now, on_change=self.changes.append)

    def call(self, value: float | None) -> bool:
        """One call that comes to ``value``; whether it was let through."""
        permit = self.breaker.enter()
        if permit is None:
            return False
        self.breaker.leave(permit, value)
        return True

    def open(self) -> None:
        """Let three calls fail."""
        for _ in range(3):
            self.call(0)
        assert self.breaker.circuit is Circuit.OPEN


def test_it_opens_at_the_third_failure_in_a_row() -> None:
    """A success in between begins the row anew; open, no call passes until the recovery time is over."""
    bench = Bench()
    assert [bench.call(value) for value in (0, 0, 1, 0, 0)] == [True] * 5
    assert bench.breaker.circuit is Circuit.CLOSED
    bench.call(0)
    assert bench.breaker.circuit is Circuit.OPEN
    assert bench.changes == [Change(Circuit.CLOSED, Circuit.OPEN, "3 failures in a row", timedelta(seconds=10))]
    bench.now = 9.9
    assert not bench.call(1)
    assert bench.breaker.opens_in == pytest.approx(0.1)


def test_good_probes_close_it() -> None:
    """After the recovery time one call at a time passes, and two good ones close it."""
    bench = Bench()
    bench.open()
    bench.now = 10
    assert bench.breaker.circuit is Circuit.HALF_OPEN
    first = bench.breaker.enter()
    assert first is not None
    assert first.probe
    assert bench.breaker.enter() is None
    bench.breaker.leave(first, 1)
    assert bench.breaker.circuit is Circuit.HALF_OPEN
    assert bench.call(1)
    assert bench.breaker.circuit is Circuit.CLOSED
    assert [change.after for change in bench.changes] == [Circuit.OPEN, Circuit.HALF_OPEN, Circuit.CLOSED]


def test_a_bad_probe_opens_it_again_for_twice_as_long() -> None:
    """10, 20, 40 and then never more than 60 seconds."""
    bench = Bench()
    bench.open()
    for seconds in (20, 40, 60, 60):
        bench.now += bench.breaker.opens_in
        assert bench.call(0)
        assert bench.breaker.circuit is Circuit.OPEN
        assert bench.breaker.opens_in == pytest.approx(seconds)


def test_one_that_was_calm_begins_anew_with_the_shortest_time() -> None:
    """Trips soon after closing add up; after 100 quiet seconds they are forgotten."""
    bench = Bench()
    bench.open()
    bench.now = 10
    bench.call(1)
    bench.call(1)
    bench.now = 20
    bench.open()
    assert bench.breaker.opens_in == pytest.approx(20)
    bench.now = 40
    bench.call(1)
    bench.call(1)
    bench.now = 140
    bench.open()
    assert bench.breaker.opens_in == pytest.approx(10)


def test_what_began_before_a_change_is_not_counted() -> None:
    """Calls that were under way when it opened do not judge the probes, nor what follows."""
    bench = Bench()
    late = [bench.breaker.enter() for _ in range(5)]
    bench.open()
    bench.now = 10
    probe = bench.breaker.enter()
    for permit in late:
        assert permit is not None
        bench.breaker.leave(permit, 0)
    assert bench.breaker.circuit is Circuit.HALF_OPEN
    assert probe is not None
    bench.breaker.leave(probe, 1)
    bench.call(1)
    assert bench.breaker.circuit is Circuit.CLOSED


def test_a_lost_probe_does_not_keep_others_out_for_ever() -> None:
    """A permit that never comes back makes room after the recovery time."""
    bench = Bench()
    bench.open()
    bench.now = 10
    assert bench.breaker.enter() is not None
    bench.now = 19
    assert bench.breaker.enter() is None
    bench.now = 20
    assert bench.call(1)


def test_a_cancelled_call_says_nothing() -> None:
    """Neither a failure nor a success, closed or half open; its place as a probe is free again."""
    bench = Bench()
    bench.call(0)
    bench.call(0)
    bench.call(None)
    assert bench.breaker.circuit is Circuit.CLOSED
    bench.call(0)
    bench.now = 10
    assert bench.call(None)
    assert bench.breaker.circuit is Circuit.HALF_OPEN
    assert bench.call(1)


def test_quality_opens_on_a_low_mean_and_needs_a_minimum() -> None:
    """Nothing happens below the minimum; then the mean of the window decides; probes are judged by their mean."""
    bench = Bench(QualityMeter(0.7, window=4, minimum=3))
    for score in (0.1, 0.1):
        bench.call(score)
    assert bench.breaker.circuit is Circuit.CLOSED
    bench.call(0.3)
    assert bench.changes[-1].why == "the mean of the last 3 scores is 0.167, below 0.7"
    bench.now = 10
    bench.call(0.6)
    assert bench.breaker.circuit is Circuit.HALF_OPEN
    bench.call(0.9)
    assert bench.breaker.circuit is Circuit.CLOSED


def test_quality_forgets_what_is_older_than_its_window() -> None:
    """Old bad scores fall out of the window."""
    bench = Bench(QualityMeter(0.5, window=2, minimum=2))
    for score in (0.6, 0.5, 0.9, 0.2):
        bench.call(score)
    assert bench.breaker.circuit is Circuit.CLOSED
    bench.call(0.2)
    assert bench.breaker.circuit is Circuit.OPEN


@given(
    st.lists(st.booleans(), max_size=60),
    st.integers(1, 8),
    st.integers(1, 12).flatmap(lambda window: st.tuples(st.just(window), st.integers(1, window))),
    st.integers(0, 20).map(lambda twentieths: twentieths / 20),
)
def test_too_few_successes_open_it(calls: list[bool], row: int, sizes: tuple[int, int], least: float) -> None:
    """As soon as the share of successes of the last calls is below the least, or too many failed in a row."""
    window, minimum = sizes
    bench, made = Bench(SuccessMeter(row, least, window, minimum)), list[bool]()
    for good in calls:
        made.append(good)
        assert bench.call(good)
        recent = made[-window:]
        few = len(recent) >= minimum and sum(recent) / len(recent) < least
        bad = few or (len(made) >= row and not any(made[-row:]))
        assert bench.breaker.circuit is (Circuit.OPEN if bad else Circuit.CLOSED)
        if bad:
            return


def test_too_few_successes_are_forgotten_when_it_closes() -> None:
    """It says how many went well; probes close it, and then the window begins anew."""
    bench = Bench(SuccessMeter(5, least=0.7, window=10, minimum=4))
    for value in (1, 0, 1, 0):
        bench.call(value)
    assert bench.changes[-1].why == "2 of the last 4 calls went well, below 0.7 of them"
    assert not bench.call(1)
    bench.now = 10
    assert [bench.call(1), bench.call(1)] == [True, True]
    assert [bench.call(value) for value in (0, 0, 0)] == [True] * 3
    assert bench.breaker.circuit is Circuit.CLOSED


def test_by_hand() -> None:
    """It can be opened and closed from outside; closing a closed one is no change."""
    bench = Bench()
    bench.breaker.close("nothing to do")
    assert bench.changes == []
    bench.breaker.trip("told to")
    assert not bench.call(1)
    bench.breaker.close("told to")
    assert bench.call(1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ErrorMeter(0),
        lambda: SuccessMeter(5, 0.9, 10, 11),
        lambda: QualityMeter(0.5, 10, 11),
        lambda: QualityMeter(0.5, 10, 0),
    ],
)
def test_settings_that_cannot_work(make: object) -> None:
    """Are refused with their value."""
    with pytest.raises(ValueError, match="got"):
        make()  # type: ignore[operator]


def test_many_threads_never_have_two_probes() -> None:
    """Fifty threads at a half-open breaker: one probe at a time, whatever their timing."""
    bench = Bench(recovery=RECOVERY.model_copy(update={"probes": 1000}))
    bench.open()
    bench.now = 10
    now, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        for _ in range(200):
            permit = bench.breaker.enter()
            if permit is None:
                continue
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            bench.breaker.leave(permit, 1)

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


class Life(RuleBasedStateMachine):
    """Any order of calls, lost permits and time: closed lets everything pass, open nothing, and none of it is final."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.held: list[Permit] = []

    @rule()
    def enter(self) -> None:
        """A call begins."""
        permit = self.bench.breaker.enter()
        if permit is not None:
            self.held.append(permit)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), value=st.sampled_from([0.0, 1.0, None]))
    def leave(self, data: st.DataObject, value: float | None) -> None:
        """One of the calls ends."""
        self.bench.breaker.leave(self.held.pop(data.draw(st.integers(0, len(self.held) - 1))), value)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.bench.now += seconds

    @invariant()
    def changes_are_a_walk(self) -> None:
        """Each change begins where the one before ended, along the arrows of the diagram."""
        changes = self.bench.changes
        assert all(a.after is b.before for a, b in itertools.pairwise(changes))
        arrows = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
        assert {(change.before.value, change.after.value) for change in changes} <= arrows

    def teardown(self) -> None:
        """Once everything works again, it closes."""
        for _ in range(10):
            self.bench.now += 60
            self.bench.call(1)
            self.bench.call(1)
        assert self.bench.breaker.circuit is Circuit.CLOSED


TestLife = Life.TestCase


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_meter_is_the_mean_of_its_window(scores: list[float]) -> None:
    """It trips exactly when the mean of the last ten, five at the least, is below the threshold."""
    meter = QualityMeter(0.5, window=10, minimum=5)
    for number in range(1, len(scores) + 1):
        window = scores[max(0, number - 10) : number]
        low = len(window) >= 5 and sum(window) / len(window) < 0.5 - 1e-12
        near = abs(sum(window) / len(window) - 0.5) < 1e-9
        tripped = meter.record(scores[number - 1]) is not None
        assert near or tripped == low
