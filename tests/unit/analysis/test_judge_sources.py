"""How gates on aggregates, single numbers, the split of the users and scorecards are judged."""

from __future__ import annotations

import math

import pytest

from tests.unit.analysis.judging import minutes
from turnout.analysis.judge import judge
from turnout.domain.plan import SAMPLE_RATIO, SCORE, Gate, PrometheusSource, Scorecard, ScoredMetric
from turnout.domain.readings import FractionReading, PointReading, Reading, SeriesReading, SplitReading
from turnout.domain.verdicts import Check, Verdict

QUEUE = Gate(metric="queue", max=20, source=PrometheusSource(kind="prometheus", url="http://p", query="q"))
FAULTS = Gate(
    metric="faults",
    max=0.02,
    source=PrometheusSource(kind="prometheus", url="http://p", numerator="a", denominator="b"),
)
SPLIT = Gate(metric=SAMPLE_RATIO)
PLANNED = {"new": 5_000.0, "old": 95_000.0}


@pytest.mark.parametrize(
    ("events", "total", "verdict"),
    [
        (1, 2000, Verdict.PASS),
        (20, 1000, Verdict.INCONCLUSIVE),
        (100, 1000, Verdict.FAIL),
        (49, 49.9, Verdict.FAIL),
        (9, 9, Verdict.INCONCLUSIVE),
        (0, 0, Verdict.NO_DATA),
        (2, 1, Verdict.SOURCE_ERROR),
        (-1, 100, Verdict.SOURCE_ERROR),
        (1, -100, Verdict.SOURCE_ERROR),
        (math.nan, 100, Verdict.SOURCE_ERROR),
        (1, math.nan, Verdict.SOURCE_ERROR),
        (1, math.inf, Verdict.SOURCE_ERROR),
    ],
)
def test_fractions(events: float, total: float, verdict: Verdict) -> None:
    """Counts are judged as a rate; none are no data, impossible ones are the source's fault."""
    check = judge(FAULTS, "guardrail", FractionReading(events, total))
    assert check.verdict is verdict
    assert check.role == "guardrail"


def test_fractions_are_worth_less() -> None:
    """Counts that may hide clusters are divided by the gate's design effect, and the sentence says so."""
    reading = FractionReading(3, 811.72)
    check, plain = (
        judge(FAULTS, "gate", reading),
        judge(FAULTS.model_copy(update={"design_effect": 1.0}), "gate", reading),
    )
    assert check.text.startswith("faults is 0.4 % (anytime 90 % interval ")
    assert "3 of 811.7 counted by prometheus, each worth 1/3 outcome)" in check.text
    assert (check.verdict, plain.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)
    assert check.design_effect == 3


@pytest.mark.parametrize(
    ("events", "total", "verdict"),
    [
        (10, 1000, Verdict.INCONCLUSIVE),
        (10, 995, Verdict.INCONCLUSIVE),
        (10, 900, Verdict.SOURCE_ERROR),
        (5, 1000, Verdict.SOURCE_ERROR),
    ],
)
def test_fractions_that_fall(events: float, total: float, verdict: Verdict) -> None:
    """Counts of one stage never fall by more than what an extrapolating source moves them; the next reading goes on."""
    before = judge(FAULTS, "gate", FractionReading(10, 1000))
    check = judge(FAULTS, "gate", FractionReading(events, total), before=before)
    assert check.verdict is verdict
    assert judge(FAULTS, "gate", FractionReading(events, total), before=check).verdict is not Verdict.SOURCE_ERROR


@pytest.mark.parametrize(
    ("value", "breaches", "verdict", "after"),
    [
        (20, 2, Verdict.PASS, 0),
        (21, 0, Verdict.INCONCLUSIVE, 1),
        (21, 1, Verdict.INCONCLUSIVE, 2),
        (21, 2, Verdict.FAIL, 3),
        (21, 3, Verdict.FAIL, 4),
        (None, 2, Verdict.NO_DATA, 2),
        (math.nan, 2, Verdict.NO_DATA, 2),
        (math.inf, 2, Verdict.NO_DATA, 2),
        (-math.inf, 2, Verdict.NO_DATA, 2),
    ],
)
def test_points(value: float | None, breaches: int, verdict: Verdict, after: int) -> None:
    """A bare number fails only with the third breach in a row; meeting the limit ends the row, no value does not."""
    check = judge(QUEUE, "gate", PointReading(value), before=known(breaches, breaches))
    assert check.verdict is verdict
    assert check.breaches == after
    assert (check.anytime, check.p_fail) == (False, None)
    assert "no statistical test" in check.method


@pytest.mark.parametrize(("before", "verdict"), [(3, Verdict.INCONCLUSIVE), (4, Verdict.FAIL)])
def test_failure_limit(before: int, verdict: Verdict) -> None:
    """More breaches in the stage than are allowed fail, without a row of them."""
    gate = QUEUE.model_copy(update={"failure_limit": 4})
    check = judge(gate, "gate", PointReading(25), before=known(0, before))
    assert check.verdict is verdict
    assert (check.breaches, check.all_breaches) == (1, before + 1)
    assert judge(gate, "gate", PointReading(1), before=check).all_breaches == before + 1


def known(breaches: int, all_breaches: int) -> Check:
    return judge(QUEUE, "gate", PointReading(1)).model_copy(update={"breaches": breaches, "all_breaches": all_breaches})


def test_point_sentences() -> None:
    """A breach says how many there were and how many it takes."""
    assert (
        judge(QUEUE, "gate", PointReading(25), before=known(2, 2)).text == "queue is 25, above 20, 3 readings in a row"
    )
    text = judge(QUEUE, "gate", PointReading(25)).text
    assert text == "queue is 25, above 20; 1 of the 3 readings in a row that make it fail"
    limited = judge(QUEUE.model_copy(update={"failure_limit": 4}), "gate", PointReading(25), before=known(0, 4)).text
    assert limited == "queue is 25, above 20, 5 readings in this stage, more than the 4 that are allowed"
    rate = Gate(metric="success_rate", min=0.95, source=QUEUE.source)
    assert judge(rate, "gate", PointReading(0.97)).text == "success_rate is 97 %, at least 95 %"


@pytest.mark.parametrize("reading", [PointReading(1.0), FractionReading(1, 100)])
def test_an_aggregate_cannot_be_compared(reading: Reading) -> None:
    """A comparison put to a source that does not tell the arms apart is the source's fault."""
    assert judge(Gate(metric="error_rate", versus="stable"), "gate", reading).verdict is Verdict.SOURCE_ERROR


@pytest.mark.parametrize(
    ("units", "verdict"),
    [
        ({"new": 500, "old": 9500}, Verdict.PASS),
        ({"new": 470, "old": 9530}, Verdict.PASS),
        ({"new": 300, "old": 9700}, Verdict.FAIL),
        ({"new": 1}, Verdict.PASS),
        ({}, Verdict.NO_DATA),
        ({"new": 0, "old": 0}, Verdict.NO_DATA),
        ({"new": 500, "old": 9500, "other": 1}, Verdict.FAIL),
        ({"new": -1, "old": 10}, Verdict.SOURCE_ERROR),
    ],
)
def test_splits(units: dict[str, int], verdict: Verdict) -> None:
    """A split that chance does not explain fails, any other with users passes."""
    check = judge(SPLIT, "signal", SplitReading(units, PLANNED))
    assert check.verdict is verdict
    if verdict in (Verdict.PASS, Verdict.FAIL):
        assert (check.alpha_fail, check.threshold, check.units) == (0.001, 0.05, sum(units.values()))


def test_a_split_of_one() -> None:
    """Where one variant has all users there is nothing to test, and nothing passes."""
    check = judge(SPLIT, "signal", SplitReading({"new": 500}, {"new": 100_000.0, "old": 0.0}))
    assert check.verdict is Verdict.INCONCLUSIVE


def test_split_sentence() -> None:
    """The sentence tells the split as it is and as it is planned."""
    text = judge(SPLIT, "signal", SplitReading({"new": 300, "old": 9700}, PLANNED)).text
    assert text == (
        "10000 users split into 3 % new, 97 % old; planned are 5 %, 95 %, which chance does not explain "
        "(anytime p = 3e-19): the arms cannot be compared"
    )


CARD = Gate(
    metric=SCORE,
    score=Scorecard(
        metrics=(
            ScoredMetric(metric="error_rate", direction="increase", weight=3),
            ScoredMetric(metric="cost", direction="increase"),
        ),
        passing=90,
        marginal=60,
    ),
)


@pytest.mark.parametrize(
    ("errors", "cost", "score", "verdict"),
    [(4, 4, 100, Verdict.PASS), (4, 9, 75, Verdict.INCONCLUSIVE), (9, 4, 25, Verdict.FAIL)],
)
def test_scores(errors: int, cost: int, score: float, verdict: Verdict) -> None:
    """A score passes from its upper limit, fails below its lower one, and is inconclusive between."""

    def both(level: int) -> tuple[list[int], list[int]]:
        return [level + index % 3 for index in range(60)], [4 + index % 3 for index in range(60)]

    reading = SeriesReading(
        {
            name: (minutes(both(level)[0]), minutes(both(level)[1]))
            for name, level in (("error_rate", errors), ("cost", cost))
        }
    )
    check = judge(CARD, "gate", reading)
    assert check.verdict is verdict
    assert (check.value, check.threshold, check.samples, check.anytime) == (score, 90, 12_000, False)


def test_no_score() -> None:
    """Too few minutes are no data, and say how many there are."""
    check = judge(CARD, "gate", SeriesReading({}))
    assert check.verdict is Verdict.NO_DATA
    assert check.missing == "data of error_rate, cost"


def test_a_score_needs_a_card() -> None:
    """Series for a gate without a scorecard are a mistake of the plan."""
    with pytest.raises(ValueError, match="has no score"):
        judge(QUEUE, "gate", SeriesReading({}))
