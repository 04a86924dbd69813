"""The study of recorded outcomes against statsmodels, scipy and single values, and at its edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from turnout.analysis import confseq, counting, eprocess
from turnout.analysis.spending import boundaries
from turnout.analysis.study.metrics import parse_metric
from turnout.analysis.study.outcomes import Outcomes
from turnout.analysis.study.question import Question
from turnout.analysis.study.result import Finding, Study
from turnout.analysis.study.run import study
from turnout.domain.errors import InvalidInput
from turnout.testing.sources import arm_of

A = [5.1, 4.9, 6.2, 5.8, 6.0, 5.5, 6.4, 5.9]
B = [4.8, 5.0, 5.2, 4.7, 5.1, 4.9, 5.6, 5.0, 5.3]

Units = Sequence[Sequence[float]]


def outcomes(arms: dict[str, Units], **more: Any) -> Outcomes:
    """Outcomes of column ``x``: by arm the values of every unit."""
    names, rows, unit = tuple(arms), [], 0
    for place, units in enumerate(arms.values()):
        for values in units:
            rows += [(place, unit, value) for value in values]
            unit += 1
    arm, units_, values_ = (np.asarray([row[i] for row in rows]) for i in range(3))
    columns = {"x": np.asarray(values_, dtype=np.float64)}
    return replace(Outcomes(names, unit, arm.astype(np.int64), units_.astype(np.int64), columns), **more)


def singles(values: Sequence[float]) -> Units:
    return [[value] for value in values]


def ones(events: int, total: int) -> Units:
    return singles([1.0] * events + [0.0] * (total - events))


def asked(data: Outcomes, *metrics: str, control: str = "s", **more: Any) -> Study:
    return study(data, Question(tuple(parse_metric(text) for text in metrics), control, **more))


def first(data: Outcomes, metric: str, **more: Any) -> Finding:
    return asked(data, metric, **more).findings[0]


def test_means_are_statsmodels() -> None:
    """CompareMeans(A, B).ttest_ind and tconfint_diff, usevar="unequal", of statsmodels 0.15.0; so the margin."""
    finding = first(outcomes({"c": singles(A), "s": singles(B)}), "x:mean:higher", margins={"x:mean": 0.1})
    fixed = finding.fixed
    assert fixed is not None
    assert fixed.p_value == pytest.approx(0.009284468625811395, rel=1e-9)
    assert (fixed.low, fixed.high) == pytest.approx((0.20059408353598313, 1.1160725831306832), rel=1e-9)
    assert fixed.verdict == "better"
    assert finding.requirement is not None
    assert finding.requirement.fixed is not None
    assert finding.requirement.fixed.p_met == pytest.approx(0.002033012784069538, rel=1e-9)
    assert finding.requirement.fixed.status == "met"


def test_rates_are_statsmodels() -> None:
    """test_proportions_2indep(56, 70, 48, 80, method="score", compare="diff") of statsmodels 0.15.0.

    The margin is tested at the most likely rates that are 0.1 apart, here found by search.
    """
    data = outcomes({"c": ones(56, 70), "s": ones(48, 80)})
    finding = first(data, "x:rate:lower", margins={"x:rate": 0.1})
    assert finding.fixed is not None
    assert finding.fixed.p_value == pytest.approx(0.008258287929380758, rel=1e-6)
    assert finding.fixed.verdict == "worse"
    assert finding.requirement is not None
    assert finding.requirement.fixed is not None

    def unlikely(rate: float) -> float:
        return -float(stats.binom.logpmf(56, 70, rate + 0.1) + stats.binom.logpmf(48, 80, rate))

    rate = optimize.minimize_scalar(unlikely, bounds=(0.3, 0.89), method="bounded", options={"xatol": 1e-12}).x
    spread = ((rate + 0.1) * (0.9 - rate) / 70 + rate * (1 - rate) / 80) * 150 / 149
    expected = stats.norm.sf((56 / 70 - 48 / 80 - 0.1) / math.sqrt(spread))
    assert finding.requirement.fixed.p_broken == pytest.approx(expected, rel=1e-5)


def test_sparse_rates_are_exact() -> None:
    """Few events of single outcomes are tested by Fisher's test: scipy's p-value."""
    finding = first(outcomes({"c": ones(3, 30), "s": ones(0, 40)}), "x:rate")
    assert finding.fixed is not None
    assert finding.fixed.p_value == pytest.approx(0.0741687979539642, rel=1e-9)
    assert "Fisher" in finding.fixed.method


def test_a_limit_is_statsmodels() -> None:
    """proportion_confint(7, 120, method="wilson") of statsmodels 0.15.0, for a rate and for a quantile alike."""
    data = outcomes({"c": ones(7, 120), "s": ones(0, 10)})
    slow = replace(data, values={"x": np.where(data.values["x"] == 1, 6000.0, 100.0)})
    for found in (asked(data, "x:rate<=0.05"), asked(slow, "x:p95<=5000")):
        finding = found.findings[1]
        assert finding.fixed is not None
        expected = (0.028541010000220288, 0.11552592033630114)
        assert (finding.fixed.low, finding.fixed.high) == pytest.approx(expected, rel=1e-9)
        assert finding.requirement is not None
        assert finding.requirement.anytime is not None
        assert finding.requirement.anytime.p_met == eprocess.evidence(7, 120, 0.05, "pass").p_value


def test_a_lower_limit_on_a_rate_is_told_as_the_rate() -> None:
    """ "rate >= 0.9" is judged by the zeros and shown as the share of ones."""
    finding = asked(outcomes({"c": ones(190, 200), "s": ones(9, 10)}), "x:rate>=0.9").findings[1]
    assert finding.value == pytest.approx(0.95)
    assert finding.fixed is not None
    assert finding.fixed.estimate == pytest.approx(0.95)
    assert finding.fixed.low is not None
    assert finding.fixed.high is not None
    assert finding.fixed.low < 0.95 < finding.fixed.high
    assert finding.requirement is not None
    assert finding.requirement.fixed is not None
    assert finding.requirement.fixed.status == "met"


def test_units_not_outcomes_are_counted() -> None:
    """The squared standard errors of statsmodels' cluster-robust OLS, times G/(G-1), and Welch's t of them."""
    ours, theirs = [[1.0, 2.0, 3.0], [2.0], [4.0, 5.0]], [[1.0, 1.5], [0.5], [2.0, 2.5, 1.0], [1.2]]
    fixed = first(outcomes({"c": ours, "s": theirs}), "x").fixed
    one, two = 0.7523148148148158, 0.07335832292100512
    freedom = (one + two) ** 2 / (one**2 / 2 + two**2 / 3)
    gap = 2.8333333333333344 - 1.3857142857142857
    assert fixed is not None
    assert fixed.estimate == pytest.approx(gap, rel=1e-9)
    assert fixed.p_value == pytest.approx(2 * stats.t.sf(gap / math.sqrt(one + two), freedom), rel=1e-7)


def test_any_time_is_the_confidence_sequence() -> None:
    """Means are those of `confseq`, though values are summed less a centre; single outcomes are tuned for 250 units."""
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(1e6 + 0.5, 1, 60), rng.normal(1e6, 1, 80)
    anytime = first(outcomes({"c": singles(list(ours)), "s": singles(list(theirs))}), "x").anytime
    near = [arm_of(singles(list(values - 1e6))) for values in (ours, theirs)]
    expected = confseq.difference(near[0], near[1], 0.025, 0.025, 250)
    assert anytime is not None
    assert (anytime.low, anytime.high) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_any_time_counts_first_events() -> None:
    """Rare events are counted by unit, once, against the planned share."""
    ours, theirs = [[1.0, 1.0], *[[0.0]] * 99], [*[[1.0]] * 5, *[[0.0]] * 995]
    data = outcomes({"c": ours, "s": theirs})
    anytime = first(data, "x:rate:lower", shares={"c": 0.1, "s": 0.9}).anytime
    fail, good = (counting.first_error_evidence(1, 5, 0.1, side).p_value for side in ("fail", "pass"))
    assert anytime is not None
    assert (anytime.scale, anytime.counted, anytime.estimate) == ("ratio", "events", pytest.approx(1 / 5 * 9))
    assert anytime.p_value == min(1.0, 2 * min(fail, good))


def test_frequent_events_are_compared_by_their_opposite_or_as_means() -> None:
    """Of a success rate failures are counted; of a rate in the middle the difference is taken."""
    high = first(outcomes({"c": ones(80, 100), "s": ones(99, 100)}), "x:rate:higher").anytime
    middle = first(outcomes({"c": ones(50, 100), "s": ones(40, 100)}), "x:rate:higher").anytime
    assert high is not None
    assert (high.counted, high.estimate, high.verdict) == ("non_events", 20, "worse")
    assert middle is not None
    assert middle.scale == "difference"


def test_a_quantile_against_the_control() -> None:
    """What is beyond the control's own quantile is counted on both sides; more of it is worse."""
    rng = np.random.default_rng(5)
    ours, theirs = rng.lognormal(0.5, 1, 400), rng.lognormal(0, 1, 4000)
    finding = first(outcomes({"c": singles(list(ours)), "s": singles(list(theirs))}), "x:p90")
    assert finding.threshold == pytest.approx(float(np.quantile(theirs, 0.9)))
    assert finding.value == pytest.approx(float(np.mean(ours > np.quantile(theirs, 0.9))))
    assert finding.quantile == pytest.approx(float(np.quantile(ours, 0.9)))
    for found in (finding.fixed, finding.anytime):
        assert found is not None
        assert found.verdict == "worse"


def test_a_ratio_is_tested_against_the_scaled_control() -> None:
    """ "At most 1.5 times as bad" is Welch's test of c against 1.5 times s: scipy's one-sided p-value."""
    data = outcomes({"c": singles(A), "s": singles(B)})
    finding = first(data, "x:mean:lower", ratios={"x:mean": 1.5})
    expected = stats.ttest_ind(A, [1.5 * value for value in B], equal_var=False, alternative="less").pvalue
    assert finding.requirement is not None
    assert finding.requirement.fixed is not None
    assert finding.requirement.fixed.p_met == pytest.approx(expected, rel=1e-7)


def test_of_what_should_be_high_a_margin_counts_downwards() -> None:
    """A quality that is lower by more than the margin breaks it, by both methods; a higher one keeps it."""
    rng = np.random.default_rng(11)
    good, bad = rng.normal(0.8, 0.05, 300), rng.normal(0.7, 0.05, 300)
    for values, status in ((bad, "broken"), (good + 0.05, "met")):
        data = outcomes({"c": singles(list(values)), "s": singles(list(good))})
        requirement = first(data, "x:mean:higher", margins={"x:mean": 0.02}).requirement
        assert requirement is not None
        assert requirement.fixed is not None
        assert requirement.anytime is not None
        assert (requirement.fixed.status, requirement.anytime.status) == (status, status)


def test_mann_whitney() -> None:
    """Asked for, the p-value is scipy's on the units' means; the interval stays that of the means."""
    finding = first(outcomes({"c": singles(A), "s": singles(B)}), "x", test="mann-whitney")
    assert finding.fixed is not None
    assert finding.fixed.p_value == pytest.approx(float(stats.mannwhitneyu(A, B).pvalue), rel=1e-9)
    assert finding.ranks is not None
    assert finding.ranks.shift == pytest.approx(float(np.median(np.subtract.outer(A, B))))


def test_several_arms() -> None:
    """Holm over the arms' p-values; Dunnett's interval beside it, which is scipy's within its simulation error."""
    other = [value + 0.3 for value in B]
    found = asked(outcomes({"c": singles(A), "d": singles(other), "s": singles(B)}), "x")
    raw = [stats.ttest_ind(arm, B, equal_var=False).pvalue for arm in (A, other)]
    low, high = sorted(raw)
    assert [finding.arm for finding in found.findings] == ["c", "d"]
    assert sorted(f.fixed.p_corrected for f in found.findings if f.fixed and f.fixed.p_corrected) == pytest.approx(
        [2 * low, max(2 * low, high)], rel=1e-7
    )
    joint = stats.dunnett(A, other, control=B, rng=np.random.default_rng(1)).pvalue
    assert [f.simultaneous.p_value for f in found.findings if f.simultaneous] == pytest.approx(list(joint), abs=2e-3)


def test_a_covariate() -> None:
    """CUPED takes out what was known before; a unit without a covariate adjusts nothing and is counted."""
    rng = np.random.default_rng(7)
    before = rng.normal(10, 3, 200)
    after = before + rng.normal(0, 0.5, 200) + 0.3 * (np.arange(200) < 100)
    data = outcomes({"c": singles(list(after[:100])), "s": singles(list(after[100:]))}, covariate=before)
    finding, raw = first(data, "x"), first(replace(data, covariate=None), "x")
    assert finding.adjustment is not None
    assert finding.fixed is not None
    assert raw.fixed is not None
    assert (finding.adjustment.theta, finding.adjustment.units_without) == (pytest.approx(1, abs=0.05), 0)
    assert finding.fixed.p_value is not None
    assert raw.fixed.p_value is not None
    assert finding.fixed.p_value < 1e-3 < raw.fixed.p_value
    assert finding.anytime is not None
    assert raw.anytime is not None
    assert finding.anytime.method.endswith("adjusted by the covariate (CUPED)")
    assert (finding.anytime.verdict, raw.anytime.verdict) == ("higher", "undecided")
    assert finding.anytime.estimate == pytest.approx(finding.fixed.estimate, rel=1e-9)
    partly = first(replace(data, covariate=np.where(np.arange(200) % 2, before, np.nan)), "x").adjustment
    assert partly is not None
    assert partly.units_without == 100


def test_segments_and_cochrans_q() -> None:
    """combine_effects([.5, .1, .9], [.04, .09, .01]).test_homogeneity() of statsmodels 0.15.0."""
    from turnout.analysis.study.segments import heterogeneity

    q, freedom, p_value = heterogeneity([(0.5, 0.2), (0.1, 0.3), (0.9, 0.1)])
    assert (q, freedom, p_value) == pytest.approx((8.48979591836735, 2, 0.014337196583615444), rel=1e-9)


def test_units_in_several_segments() -> None:
    """They are left out of the segments and counted; the notes say that segments pick no winner."""
    data = outcomes({"c": [[1.0, 2.0], [3.0], [2.5]], "s": [[1.0], [2.0], [4.0]]})
    data = replace(data, segments=("x", "y"), segment=np.asarray([0, 1, 0, 0, 0, 0, 1]))
    found = asked(data, "x", segment="country")
    parts = found.findings[0].segments
    assert found.rows.units_in_several_segments == 1
    assert parts is not None
    assert [(part.units, part.control_units) for part in parts.parts] == [(2, 2), (0, 1)]
    assert any("pick no winner" in note for note in found.notes)


def test_planned_looks() -> None:
    """This look is the last planned one that was reached, at its real fraction; without one nothing stops."""
    data = outcomes({"c": singles(A * 10), "s": singles(B * 10)})
    looks = {"looks": (0.5, 1.0), "planned_units": 200}
    found = asked(data, "x:mean:higher", **looks)
    assert found.plan is not None
    assert found.plan.fraction == 170 / 200
    assert found.plan.boundary == pytest.approx(boundaries([0.85], 0.05, "obrien_fleming", 2)[0].boundary)
    crossing = found.findings[0].crossing
    assert crossing is not None
    assert crossing.crossed
    early = asked(data, "x:mean:higher", **{**looks, "planned_units": 2000})
    assert early.plan is not None
    assert (early.plan.due, early.plan.boundary) == (False, None)
    assert early.findings[0].fixed is not None
    assert early.findings[0].fixed.verdict == "undecided"


def test_in_order_of_time() -> None:
    """With a time the first deciding look is told, and the p-value is the smallest over the looks."""
    rng = np.random.default_rng(9)
    values = [list(rng.normal(shift, 1, 500)) for shift in (0.6, 0.0)]
    data = outcomes({"c": singles(values[0]), "s": singles(values[1])})
    timed = first(replace(data, time=np.tile(np.arange(500.0), 2)), "x").anytime
    last = first(data, "x").anytime
    assert timed is not None
    assert last is not None
    assert last.decided_at is None
    assert timed.decided_at is not None
    assert 20 <= timed.decided_at < 499
    assert timed.p_value is not None
    assert last.p_value is not None
    assert timed.p_value <= last.p_value


def test_crossed_over_units_are_left_out() -> None:
    """A unit in two arms counts for neither and is told."""
    data = outcomes({"c": singles([1.0, 2.0, 3.0]), "s": singles([1.0, 2.0])})
    both = replace(data, unit=np.asarray([0, 1, 2, 2, 3]), units=4)
    found = asked(both, "x")
    assert found.rows.crossed_over_units == 1
    assert (found.findings[0].units, found.findings[0].control_units) == (2, 1)


def test_a_wrong_split() -> None:
    """Users that are not split as planned make the arms incomparable; equal shares are only assumed and said so."""
    data = outcomes({"c": ones(1, 300), "s": ones(1, 900)})
    wrong, right = asked(data, "x:rate"), asked(data, "x:rate", shares={"c": 0.25, "s": 0.75})
    assert not wrong.comparable
    assert "no --shares were given" in wrong.sample_ratio.text
    assert right.comparable


@pytest.mark.parametrize("metric", ["x:mean", "x:rate", "x:p95", "x:p95<=1", "x:mean<=1", "x:rate<=0.5"])
@pytest.mark.parametrize(
    "arms",
    [
        {"c": [[]], "s": ones(1, 30)},
        {"c": ones(1, 30), "s": [[]]},
        {"c": [[1.0]], "s": ones(3, 30)},
        {"c": ones(3, 30), "s": [[1.0, 0.0]]},
        {"c": ones(30, 30), "s": ones(30, 30)},
        {"c": ones(0, 30), "s": ones(0, 30)},
        {"c": ones(30, 30), "s": ones(0, 30)},
        {"c": [[1.0] * 50], "s": [[0.0] * 50]},
    ],
    ids=["empty arm", "empty control", "one unit", "one control", "all failed", "none failed", "apart", "two units"],
)
def test_edges_prove_nothing(metric: str, arms: dict[str, Units]) -> None:
    """No data, single units and no spread give results in range and never a verdict from nothing."""
    found = asked(outcomes(arms), metric)
    assert found.model_dump_json()
    units = [len([unit for unit in arm if unit]) for arm in arms.values()]
    for finding in found.findings:
        for one in (finding.fixed, finding.anytime):
            assert one is not None
            assert one.p_value is None or 0 <= one.p_value <= 1
            if min(units) < 2 and one.scale != "level":
                assert one.verdict in ("undecided", "no_data")


def test_an_arm_that_never_came() -> None:
    """A planned arm without a row is shown as empty, and its absence is a wrong split."""
    data = outcomes({"c": ones(5, 500), "s": ones(5, 500)})
    found = asked(data, "x:rate", shares={"c": 1, "d": 1, "s": 1})
    assert not found.comparable
    assert found.findings[1].fixed is not None
    assert (found.findings[1].arm, found.findings[1].fixed.verdict) == ("d", "no_data")


@pytest.mark.parametrize(
    ("arms", "more", "words"),
    [
        ({"c": [[1.0]], "d": [[1.0]]}, {}, "--control: is no arm of the data (got s); the arms are c, d"),
        ({"s": [[1.0]]}, {}, "--arm: has one arm only"),
        ({"c": [[1.0]], "s": [[1.0]]}, {"shares": {"s": 1.0}}, "--shares: leaves out an arm of the data (got c)"),
        ({"c": [[1.0]], "s": [[1.0]]}, {"margins": {"y:mean": 0.1}}, "the metrics are x:mean"),
        ({"c": [[1.0]], "s": [[1.0]]}, {"margins": {"x:mean": 0.1}}, "write --metric x:mean:higher"),
        ({"c": [[1.0]], "s": [[1.0]]}, {"confidence": 95.0}, "--confidence: is out of range (got 95); write 0.95"),
        ({"c": [[1.0]], "s": [[1.0]]}, {"looks": (0.5, 0.2)}, "--looks: must increase"),
        ({"c": [[1.0]], "s": [[1.0]]}, {"looks": (0.5,)}, "--planned-units: is missing"),
    ],
)
def test_what_cannot_be_answered(arms: dict[str, Units], more: dict[str, Any], words: str) -> None:
    """A wrong question names the option, the value and what to write."""
    with pytest.raises(InvalidInput) as error:
        asked(outcomes(arms), "x:mean", **more)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "label", "better"),
    [
        ("quality", "quality:mean", None),
        ("quality_score", "quality_score:mean", "higher"),
        ("error_rate", "error_rate:rate", "lower"),
        ("a:b:mean:lower", "a:b:mean", "lower"),
        ("latency:p99.9", "latency:p99.9", "lower"),
        ("latency:p95<=5000", "latency:p95<=5000", "lower"),
        ("quality>=0.8", "quality:mean>=0.8", "higher"),
    ],
)
def test_metrics(text: str, label: str, better: str | None) -> None:
    """A metric has a column, a kind, a limit and a direction, with the defaults that its name suggests."""
    metric = parse_metric(text)
    assert (metric.label, metric.better) == (label, better)


@pytest.mark.parametrize("text", ["", "x:p0", "x:p100", "x:rate<=2", "x:mean<=much", "x<=1:higher", "x:p95<="])
def test_texts_that_are_no_metrics(text: str) -> None:
    """They are refused with the grammar."""
    with pytest.raises(InvalidInput, match="write NAME"):
        parse_metric(text)
