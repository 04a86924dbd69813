"""The score of a scorecard against scipy's Mann-Whitney test and examples made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from turnout.analysis.scorecard import Score, judge_scorecard, shift_interval
from turnout.domain.plan import Scorecard
from turnout.domain.readings import SeriesReading
from turnout.domain.stats import Minute

RNG = np.random.default_rng(23)
NOISE = list(RNG.normal(0, 1, 60))


def series(values: Sequence[float]) -> list[Minute]:
    """One minute a value, two outcomes each."""
    return [Minute(minute=place, samples=2, total=2 * float(value)) for place, value in enumerate(values)]


def judged(arms: Mapping[str, tuple[Sequence[float], Sequence[float]]], **more: object) -> Score:
    """The score of metrics that all must not move either way, unless ``more`` says otherwise."""
    metrics = more.pop("metrics", [{"metric": name, "direction": "either"} for name in arms])
    card = Scorecard.model_validate({"metrics": metrics, "min_points": 50, **more})
    return judge_scorecard(card, SeriesReading({name: (series(c), series(s)) for name, (c, s) in arms.items()}))


def test_p_value_is_scipys() -> None:
    """The p-value and the estimate are those of the minutes' means."""
    ours, theirs = RNG.normal(0.3, 1, 60), RNG.normal(0, 1, 70)
    found = judged({"x": (list(ours), list(theirs))}).metrics[0]
    assert found.p_value == pytest.approx(float(stats.mannwhitneyu(ours, theirs).pvalue), rel=1e-9)
    assert found.shift == pytest.approx(float(np.median(np.subtract.outer(ours, theirs))))


def test_the_interval_inverts_the_test() -> None:
    """Moved by an end of the interval, the samples are just at the test's level; a little further, beyond it."""
    ours, theirs = RNG.normal(0.3, 1, 60), RNG.normal(0, 1, 70)
    for end, further in zip(shift_interval(ours, theirs, 0.98), (-0.05, 0.05), strict=True):

        def p_value(moved: float) -> float:
            return float(stats.mannwhitneyu(ours - moved, theirs, method="asymptotic", use_continuity=False).pvalue)

        assert p_value(end) == pytest.approx(0.02, abs=0.002)
        assert p_value(end + further) < 0.02


def test_by_hand() -> None:
    """Of the nine differences of 1, 2, 4 and 10, 20, 40 the shortest interval is from the fourth to the sixth."""
    low, high = shift_interval(np.asarray([10.0, 20, 40]), np.asarray([1.0, 2, 4]), 1e-9)
    assert (low, high) == (16, 19)
    assert shift_interval(np.asarray([10.0, 20, 40]), np.asarray([1.0, 2, 4]), 0.999) == (6, 39)


def test_directions() -> None:
    """A rise is high, a fall low; a metric that may only not rise passes when it falls."""
    up, down = [x + 3 for x in NOISE], [x - 3 for x in NOISE]
    for direction, expected in (
        ("either", ["high", "low"]),
        ("increase", ["high", "pass"]),
        ("decrease", ["pass", "low"]),
    ):
        metrics = [{"metric": name, "direction": direction} for name in ("up", "down")]
        score = judged({"up": (up, NOISE), "down": (down, NOISE)}, metrics=metrics)
        assert [one.classification for one in score.metrics] == expected


def test_the_tolerance_is_a_share_of_the_shift() -> None:
    """A shift known to half of itself is high at a tolerance of 0.25 and passes at 0.95."""
    up = [x + 0.8 for x in NOISE]
    assert judged({"x": (up, NOISE)}, tolerance=0.25).metrics[0].classification == "high"
    assert judged({"x": (up, NOISE)}, tolerance=0.95).metrics[0].classification == "pass"


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [(0.0, 0.0, "pass"), (5.0, 5.0, "pass"), (1.0, 0.0, "high"), (0.0, 1e-9, "low"), (1e9 + 1, 1e9, "high")],
)
def test_without_spread(candidate: float, stable: float, expected: str) -> None:
    """Constant samples pass when equal, also at zero, and have moved for certain when not; the same at every time."""
    first, second = (judged({"x": ([candidate] * 60, [stable] * 60)}) for _ in range(2))
    assert first.metrics[0].classification == expected
    assert first == second


def test_the_score_is_the_weight_that_passed() -> None:
    """Three quarters of the weight passed: 75, which is marginal; a smaller loss passes, a larger fails."""
    up = [x + 3 for x in NOISE]
    arms = {"a": (NOISE, NOISE), "b": (up, NOISE)}
    for weight, score, verdict in ((1.0, 75.0, "marginal"), (0.1, 300 / 3.1, "pass"), (3.0, 50.0, "fail")):
        metrics = [
            {"metric": "a", "direction": "either", "weight": 3.0},
            {"metric": "b", "direction": "either", "weight": weight},
        ]
        found = judged(arms, metrics=metrics)
        assert (found.score, found.verdict) == (pytest.approx(score), verdict)
    assert judged({"a": (NOISE, NOISE)}).score == 100


def test_a_critical_metric() -> None:
    """Failed it makes the score 0, silent there is none, whatever the others say."""
    metrics = [
        {"metric": "a", "direction": "either", "critical": True},
        {"metric": "b", "direction": "either"},
        {"metric": "c", "direction": "either"},
    ]
    fine = {"b": (NOISE, NOISE), "c": (NOISE, NOISE)}
    failed = judged({"a": ([x + 3 for x in NOISE], NOISE), **fine}, metrics=metrics)
    assert (failed.score, failed.verdict, failed.reason) == (0, "fail", "critical a did not pass")
    assert judged(fine, metrics=metrics).verdict == "no_data"
    assert judged({"a": (NOISE, NOISE), **fine}, metrics=metrics).verdict == "pass"


def test_silence() -> None:
    """A silent metric is left out, unless it must have data; half of them silent is no score."""
    arms = {"a": (NOISE, NOISE), "b": (NOISE, NOISE), "c": (NOISE[:49], NOISE)}
    assert judged(arms).score == 100
    assert judged(arms).metrics[2].reason == "49 and 60 minutes with data, needs 50"
    must = [{"metric": name, "direction": "either", "must_have_data": name == "c"} for name in arms]
    assert judged(arms, metrics=must).score == pytest.approx(200 / 3)
    assert judged({"a": (NOISE, NOISE), "b": ([], NOISE)}).score is None


def test_minutes_without_outcomes_are_no_points() -> None:
    """A minute that nobody used says nothing, and a series of weeks is judged by means over several minutes."""
    card = Scorecard.model_validate({"metrics": [{"metric": "x", "direction": "either"}], "min_points": 3})
    idle = [Minute(minute=place) for place in range(100)]
    found = judge_scorecard(card, SeriesReading({"x": (idle, series(NOISE))}))
    assert found.metrics[0].points == (0, 60)
    long = series([float(place % 2) for place in range(5000)])
    assert judge_scorecard(card, SeriesReading({"x": (long, long)})).metrics[0].points == (1667, 1667)


@given(st.lists(st.floats(-1e6, 1e6), max_size=12), st.lists(st.floats(-1e6, 1e6), max_size=12))
def test_never_more_than_it_says(ours: list[float], theirs: list[float]) -> None:
    """A score is in 0..100, and turning the arms round turns high into low."""
    one, two = judged({"x": (ours, theirs)}, min_points=3), judged({"x": (theirs, ours)}, min_points=3)
    assert one.score is None or 0 <= one.score <= 100
    turned = {"high": "low", "low": "high"}
    assert two.metrics[0].classification == turned.get(one.metrics[0].classification, one.metrics[0].classification)
