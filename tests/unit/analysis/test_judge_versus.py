"""How a gate versus stable is judged: first errors, values beyond stable's quantile, means by margin and by ratio."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.analysis.judging import BEGAN, NOBODY, around, look, met, rate
from turnout.analysis.judge import judge
from turnout.analysis.policy import Alphas
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Check, Verdict
from turnout.testing.sources import arm_of

QUALITY = Gate(metric="quality_score", versus="stable", margin=0.02)
RATIO = Gate(metric="error_rate", versus="stable", ratio=1.5)
MARGIN = Gate(metric="error_rate", versus="stable", margin=0.01)
SLOWER = Gate(metric="response_time", quantile=0.95, versus="stable")
DEARER = Gate(metric="cost", versus="stable", ratio=1.1)


@pytest.mark.parametrize(("errors", "verdict"), [(1, Verdict.PASS), (3, Verdict.INCONCLUSIVE), (12, Verdict.FAIL)])
@pytest.mark.parametrize("metric", ["error_rate", "success_rate"])
def test_first_errors(metric: str, errors: int, verdict: Verdict) -> None:
    """Users who meet an error 1.5 times as often fail, proven less often pass; the ratio goes without saying."""
    check = judge(Gate(metric=metric, versus="stable"), "gate", met([errors] * 30, [3] * 30))
    assert check.verdict is verdict
    assert check.value == pytest.approx(errors / 3)
    assert (check.threshold, check.baseline) == (1.5, 0.03)
    assert check.method == "which-arm e-process on first errors, late onset"


def test_first_errors_late() -> None:
    """A candidate that turns bad after a long good time fails though over the whole stage it is not worse."""
    check = judge(RATIO, "gate", met([1] * 150 + [20] * 12, [3] * 162))
    assert check.verdict is Verdict.FAIL
    assert check.value is not None
    assert check.value < 1.5
    assert "the latest minutes are proven to be worse" in check.text


def test_first_errors_count_users() -> None:
    """One user who repeats an error a thousand times is one error."""
    reading = met([1] + [0] * 29, [1] * 30)
    clustered = ArmReading(
        reading.candidate,
        reading.stable,
        True,
        share=0.5,
        candidate_minutes=[minute.model_copy(update={"total": 100.0}) for minute in reading.candidate_minutes],
        stable_minutes=reading.stable_minutes,
        began=BEGAN,
        planned=30,
    )
    assert judge(RATIO, "gate", clustered).verdict is Verdict.PASS


def test_first_errors_without_minutes() -> None:
    """Where a source keeps no minutes, the hits of the arms themselves are compared."""
    arms = (rate(90, 1000).model_copy(update={"hits": 90}), rate(20, 1000).model_copy(update={"hits": 20}))
    assert judge(RATIO, "gate", ArmReading(*arms, True, share=0.5)).verdict is Verdict.FAIL


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_first_errors_without_a_split(share: float) -> None:
    """Where one arm is planned to have nobody there is nothing to compare."""
    check = judge(RATIO, "gate", met([9] * 30, [3] * 30, share=share))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.missing == "a split between both arms"
    assert "cannot be compared without a split" in check.text


def test_no_errors_at_all() -> None:
    """Two arms without an error have no ratio; the check says what helps."""
    check = judge(RATIO, "gate", met([0] * 30, [0] * 30))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.missing == "a first error in either arm; a margin decides without one"


def test_errors_of_the_candidate_alone() -> None:
    """An infinite ratio is no number of a check, and fails all the same."""
    check = judge(RATIO, "gate", met([3] * 30, [0] * 30))
    assert check.verdict is Verdict.FAIL
    assert check.value is None
    assert "only the candidate's (anytime 90 % interval at least " in check.text


@pytest.mark.parametrize(("above", "verdict"), [(10, Verdict.PASS), (50, Verdict.INCONCLUSIVE), (150, Verdict.FAIL)])
def test_quantiles(above: int, verdict: Verdict) -> None:
    """More than 1.5 times as many values beyond stable's own quantile fail."""
    check = judge(SLOWER, "gate", ArmReading(rate(above, 1000), rate(50, 1000), True, share=0.5, limit=1234.0))
    assert check.verdict is verdict
    assert check.value == pytest.approx(above / 50)
    assert check.text.startswith(f"{above / 10:.1f} % of the response_time values are above stable's p95 of 1234 ms")


def test_a_quantile_without_baseline() -> None:
    """Before stable's quantile is frozen nothing is compared."""
    check = judge(SLOWER, "gate", ArmReading(rate(900, 1000), rate(50, 1000), True, share=0.5))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert "no baseline yet" in check.text
    assert check.missing == "a baseline: enough values of stable"


def test_clustered_quantiles() -> None:
    """A few users whose every request is slow are no evidence against the candidate."""
    ours = arm_of([[1.0] * 50] * 3 + [[0.0] * 50] * 17)
    stable = arm_of([[1.0] * 50] * 15 + [[0.0] * 50] * 285)
    check = judge(SLOWER, "gate", ArmReading(ours, stable, True, share=0.0625, limit=1234.0))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.design_effect is not None
    assert check.design_effect > 20


@pytest.mark.parametrize(
    ("gate", "candidate", "verdict"),
    [
        (QUALITY, around(0.80, 200), Verdict.FAIL),
        (QUALITY, around(0.83, 200), Verdict.INCONCLUSIVE),
        (QUALITY, around(0.86, 200), Verdict.PASS),
        (Gate(metric="quality_score", versus="stable"), around(0.86, 200), Verdict.PASS),
        (Gate(metric="cost", versus="stable", margin=0.02), around(0.95, 200), Verdict.FAIL),
        (Gate(metric="cost", versus="stable", margin=0.02), around(0.80, 200), Verdict.PASS),
        (Gate(metric="tokens", versus="stable", margin=0, better="lower"), around(0.95, 200), Verdict.FAIL),
        (Gate(metric="tokens", versus="stable", margin=0, better="higher"), around(0.95, 200), Verdict.PASS),
    ],
)
def test_margins(gate: Gate, candidate: ArmStats, verdict: Verdict) -> None:
    """Worse by more than the margin fails, proven less passes; which way is worse is the metric's or the gate's."""
    assert look(gate, candidate, around(0.85, 2000)).verdict is verdict


@pytest.mark.parametrize(("errors", "verdict"), [(2, Verdict.PASS), (25, Verdict.INCONCLUSIVE), (100, Verdict.FAIL)])
def test_rates_by_margin(errors: int, verdict: Verdict) -> None:
    """Rates with a margin are compared by the sequence of their difference; the threshold has the difference's sign."""
    check = look(MARGIN, rate(errors, 1000), rate(200, 10_000))
    assert check.verdict is verdict
    assert check.baseline == 0.02
    assert check.value == pytest.approx(errors / 1000 - 0.02)
    assert check.threshold == 0.01
    assert look(QUALITY, around(1, 50), around(1, 50)).threshold == -0.02


@pytest.mark.parametrize(
    ("gate", "mean", "threshold", "verdict"),
    [
        (DEARER, 0.86, 1.1, Verdict.PASS),
        (DEARER, 0.935, 1.1, Verdict.INCONCLUSIVE),
        (DEARER, 1.2, 1.1, Verdict.FAIL),
        (Gate(metric="cost", versus="stable"), 1.2, 1.1, Verdict.FAIL),
        (Gate(metric="quality_score", versus="stable", ratio=1.25), 0.8, 0.8, Verdict.PASS),
        (Gate(metric="quality_score", versus="stable", ratio=1.25), 0.5, 0.8, Verdict.FAIL),
    ],
)
def test_ratios_of_means(gate: Gate, mean: float, threshold: float, verdict: Verdict) -> None:
    """Of a cost so many times stable's is allowed, of a quality stable's divided by it; the interval is the ratio's."""
    check = look(gate, around(mean, 200), around(0.85, 2000))
    assert check.verdict is verdict
    assert check.threshold == threshold
    assert check.value == pytest.approx(mean / 0.85)
    assert check.low is not None
    assert check.high is not None
    assert check.low < check.value < check.high
    assert (check.low <= threshold <= check.high) is (verdict is Verdict.INCONCLUSIVE)


def test_capped_means_tell_the_uncapped() -> None:
    """A cost is compared with single values capped, and the means without the cap are told."""
    reading = ArmReading(around(1, 400), around(1, 2000), False, limit=3.0, uncapped=(1.25, 1.125))
    text = judge(DEARER, "gate", reading).text
    assert text.endswith("(values above 3 count as that; without the cap the means are 1.25 and 1.125)")


def test_a_ratio_to_nothing() -> None:
    """Where stable's mean is not positive no ratio to it says anything."""
    check = look(DEARER, around(1, 200), around(-1, 2000))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.missing == "a positive mean of stable, without which a ratio says nothing"


@pytest.mark.parametrize(
    ("ours", "theirs", "margin", "verdict"),
    [
        (1.0, 1.0, 0.0, Verdict.INCONCLUSIVE),
        (1.0, 1.0, 0.02, Verdict.PASS),
    ],
)
def test_arms_without_spread(ours: float, theirs: float, margin: float, verdict: Verdict) -> None:
    """Arms that agree in every value pass by the number of users within a margin, and never without one."""
    gate = Gate(metric="quality_score", versus="stable", margin=margin)
    assert look(gate, arm_of([[ours]] * 200), arm_of([[theirs]] * 200)).verdict is verdict
    assert look(gate, arm_of([[ours] * 3] * 20), arm_of([[theirs] * 3] * 20)).verdict is Verdict.INCONCLUSIVE


def alike(gate: Gate, candidate: ArmStats, stable: ArmStats) -> Check:
    reading = met([0], [0])
    is_rate = gate.metric == "error_rate" or gate.quantile is not None
    return judge(gate, "gate", ArmReading(candidate, stable, is_rate, share=reading.share, limit=1.0))


@pytest.mark.parametrize("gate", [QUALITY, RATIO, MARGIN, SLOWER, DEARER])
def test_comparisons_without_an_arm(gate: Gate) -> None:
    """An arm without an outcome is no data; one user decides nothing, whatever it sends."""
    full, one = rate(100, 200), arm_of([[1.0] * 500])
    assert alike(gate, NOBODY, full).verdict is Verdict.NO_DATA
    assert alike(gate, full, NOBODY).verdict is Verdict.NO_DATA
    assert alike(gate, one, full).verdict is Verdict.INCONCLUSIVE
    assert alike(gate, full, one).verdict is Verdict.INCONCLUSIVE


def test_too_few_on_stable() -> None:
    """A comparison waits for the stable arm, too, and says so."""
    check = look(MARGIN, rate(500, 1000), arm_of([[1.0, 1.0, 1.0, 0.0]] * 3))
    assert check.verdict is Verdict.INCONCLUSIVE
    assert check.text == "error_rate cannot be compared yet: stable has 12 of 50 outcomes, 3 of 20 users"
    assert check.missing == "38 more outcomes, 17 more users of stable"


def test_missing_is_enough() -> None:
    """With as much more data as is said to be missing, in the same proportions, the comparison decides."""
    few, much = (
        look(QUALITY, around(0.85, 200), around(0.85, 2000)),
        look(QUALITY, around(0.85, 240), around(0.85, 2400)),
    )
    assert few.missing == "about 38 more outcomes, 38 more users"
    assert (few.verdict, much.verdict) == (Verdict.INCONCLUSIVE, Verdict.PASS)


def test_false_failures_are_rare() -> None:
    """Two alike arms, looked at each minute: a comparison at 5 % false failures in all looks keeps to them."""
    random = np.random.default_rng(7)
    failed = 0
    for _ in range(60):
        ours, theirs = (random.binomial(100, 0.03, 40).tolist() for _ in range(2))
        looks = (met(ours[:until], theirs[:until]) for until in range(1, 41, 3))
        gate = RATIO.model_copy(update={"ratio": 1.0})
        failed += any(judge(gate, "gate", reading, Alphas(0.05, 0.05)).verdict is Verdict.FAIL for reading in looks)
    assert failed <= 6
