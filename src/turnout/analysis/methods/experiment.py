"""A/B and multivariate tests as gates: analysed once when the sample is in, or at planned looks; never in between."""

from __future__ import annotations

import math

from scipy.special import ndtr

from turnout.analysis import srm, wording
from turnout.analysis.comparing import Certainty, compared, contradiction, correction_of, described
from turnout.analysis.intervals import Interval
from turnout.analysis.methods.finding import Finding
from turnout.analysis.recommending import recommended, undecidable
from turnout.analysis.spending import boundaries
from turnout.domain.experiments import Experiment, ExperimentResult, LookTaken, Recommendation
from turnout.domain.plan import Gate
from turnout.domain.readings import ExperimentReading
from turnout.domain.verdicts import Check, Verdict

_NEW = 1.01
"""A look with less than a hundredth more users than the last one has nothing new to see."""

_VERDICTS = {"deploy": Verdict.PASS, "keep": Verdict.FAIL, "continue": Verdict.INCONCLUSIVE}


def judged(gate: Gate, reading: ExperimentReading, before: Check | None) -> Finding:
    """What the test has come to; once it is decided, that stands.

    Before a look is due the finding is inconclusive and no effect is computed, so that nobody can act on one.

    Raises:
        ValueError: the gate has no experiment.
    """
    experiment = gate.experiment
    if experiment is None:
        raise ValueError(f"the gate on {gate.metric} has no experiment; an ab_test or multivariate strategy makes one")
    known = before.experiment if before is not None else None
    if known is not None and known.final:
        return _finding(experiment, known)
    for metric in experiment.metrics:
        if wrong := contradiction(metric.metric, reading.metrics[metric.metric]):
            return Finding(Verdict.SOURCE_ERROR, wrong)
    return _finding(experiment, examined(experiment, reading, known))


def examined(experiment: Experiment, reading: ExperimentReading, known: ExperimentResult | None) -> ExperimentResult:
    """The result at this moment; ``known`` is the last one."""
    users = _counting(experiment, reading)
    split = srm.mismatch([reading.users.get(arm, 0) for arm in experiment.arms], list(experiment.arms.values()))
    now = _standing(experiment, reading, known, users, split.p_value)
    complete = users >= experiment.sample
    if not users or not (complete or reading.over or _interim_due(experiment, now)):
        return now
    if split.rejects(srm.MISMATCH_ALPHA):
        return _mismatched(now) if reading.over else now
    taken, certainty = _look(experiment, now, users, ends=complete or reading.over)
    metrics = compared(experiment, reading.metrics, certainty)
    advice = recommended(experiment, metrics, complete=complete, over=reading.over)
    return now.model_copy(
        update={
            "stage": "interim" if advice is None else "final",
            "looks": taken,
            "metrics": metrics,
            "recommendation": advice,
        }
    )


def _counting(experiment: Experiment, reading: ExperimentReading) -> int:
    """The users of all arms that have a value in every metric that an arm can win by."""
    return min(sum(stats.units for stats in reading.metrics[one.metric].values()) for one in experiment.improving)


def _standing(
    experiment: Experiment, reading: ExperimentReading, known: ExperimentResult | None, users: int, split_p: float
) -> ExperimentResult:
    """Where the test is before anything is analysed; what the last look found stays."""
    total = sum(experiment.arms.values())
    looked = known is not None and bool(known.looks)
    return ExperimentResult(
        control=experiment.control,
        stage="interim" if looked else "waiting",
        sample=experiment.sample,
        users=users,
        split={arm: reading.users.get(arm, 0) for arm in experiment.arms},
        planned={arm: weight / total for arm, weight in experiment.arms.items()},
        split_p=split_p,
        significance=experiment.significance,
        power=experiment.power,
        correction=correction_of(experiment),
        looks=known.looks if known is not None else (),
        metrics=known.metrics if known is not None and looked else described(experiment, reading.metrics),
    )


def _interim_due(experiment: Experiment, now: ExperimentResult) -> bool:
    last = now.looks[-1].fraction if now.looks else 0.0
    return any(last < planned <= now.users / experiment.sample for planned in experiment.looks[:-1])


def _look(
    experiment: Experiment, now: ExperimentResult, users: int, *, ends: bool
) -> tuple[tuple[LookTaken, ...], Certainty]:
    """The looks with this one, and how sure it has to be."""
    correction, comparisons = correction_of(experiment), experiment.comparisons
    if len(experiment.looks) == 1:
        alpha = experiment.significance
        look = LookTaken(fraction=users / experiment.sample, users=users, p_needed=alpha, spent=alpha)
        return (*now.looks, look), Certainty(correction, comparisons, alpha)
    done, fraction = [look.fraction for look in now.looks], users / experiment.sample
    if done and fraction < done[-1] * _NEW:
        return now.looks, Certainty(correction, comparisons, now.looks[-1].p_needed)
    each = experiment.significance / comparisons
    found = boundaries([*done, fraction], each, experiment.spending, 2, ends=ends)[-1]
    p_needed = 2 * float(ndtr(-found.boundary)) * comparisons if math.isfinite(found.boundary) else 0.0
    look = LookTaken(fraction=fraction, users=users, p_needed=p_needed, spent=found.spent * comparisons)
    return (*now.looks, look), Certainty(correction, comparisons, p_needed)


def _mismatched(now: ExperimentResult) -> ExperimentResult:
    reason = (
        f"users are not split as planned (p = {now.split_p:.1g}), so the arms cannot be compared; "
        "find the cause before the test is repeated"
    )
    return now.model_copy(update={"stage": "final", "recommendation": undecidable(reason)})


def _finding(experiment: Experiment, result: ExperimentResult) -> Finding:
    advice, winner = result.recommendation, _shown_arm(experiment, result)
    first = next((one for one in result.metrics if one.metric == experiment.improving[0].metric), None)
    shown = first.of(winner) if first is not None else None
    bounded = shown is not None and shown.low is not None and shown.high is not None
    return Finding(
        _verdict(result),
        _text(experiment, result, advice),
        f"test at a fixed sample, correction: {result.correction}",
        interval=Interval(
            shown.effect if shown is not None else None,
            shown.low if shown is not None and shown.low is not None else -math.inf,
            shown.high if shown is not None and shown.high is not None else math.inf,
        ),
        threshold=0.0 if bounded else None,
        baseline=first.of(experiment.control).value if bounded and first is not None else None,
        confidence=first.confidence if bounded and first is not None else None,
        samples=shown.outcomes if shown is not None else 0,
        units=shown.users if shown is not None else 0,
        missing="" if result.final else _missing(result),
        experiment=result,
    )


def _verdict(result: ExperimentResult) -> Verdict:
    if result.recommendation is not None:
        return _VERDICTS[result.recommendation.action]
    return Verdict.INCONCLUSIVE if result.users else Verdict.NO_DATA


def _shown_arm(experiment: Experiment, result: ExperimentResult) -> str:
    winner = result.recommendation.winner if result.recommendation is not None else None
    return winner or experiment.treatments[0]


def _text(experiment: Experiment, result: ExperimentResult, advice: Recommendation | None) -> str:
    if advice is not None:
        what = {"deploy": f"deploy {advice.winner}", "keep": f"keep {result.control}"}.get(advice.action, "continue")
        return f"{what}: {advice.reason}"
    have = f"{result.users:,} of {result.sample:,} planned users"
    if not result.users:
        return f"there is no outcome with {experiment.improving[0].metric} from any arm yet"
    if result.looks:
        return f"{wording.count(len(result.looks), 'planned look')} decided nothing; {have}"
    return f"{have}; the arms are not compared before the planned look"


def _missing(result: ExperimentResult) -> str:
    return wording.count(max(0, result.sample - result.users), "user")
