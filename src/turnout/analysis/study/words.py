"""A finding as a sentence, and the verdict it rests on."""

from __future__ import annotations

from turnout.analysis.study.metrics import Metric
from turnout.analysis.study.result import Estimate, Finding, Required, SampleRatio, Status, Verdict

_STATUS: dict[Status, str] = {
    "met": "the requirement is met",
    "broken": "the requirement is broken",
    "undecided": "undecided",
    "no_data": "no data",
}
_SHOWN = {"better": "better", "worse": "worse", "higher": "higher", "lower": "lower"}


def verdict_of(found: Estimate, metric: Metric, shown: bool) -> Verdict:
    """What an estimate means when a difference is ``shown``; events of a quantile are bad ones."""
    if found.estimate is None and found.p_value is None:
        return "no_data"
    if not shown:
        return "undecided"
    # A ratio without an event in the control has no value; it is above one.
    above = found.estimate is None or found.estimate > (1 if found.scale == "ratio" else 0)
    if found.counted == "non_events":
        above = not above
    if metric.kind == "quantile":
        return "worse" if above else "better"
    if metric.better is None:
        return "higher" if above else "lower"
    return "better" if above == (metric.better == "higher") else "worse"


def sentence(finding: Finding, metric: Metric, control: str) -> str:
    """The finding in one line."""
    head = f"{finding.metric}: {finding.arm}"
    if finding.value is None:
        return f"{head} has no data"
    level = f"{head} {_subject(finding, metric)}"
    if metric.limit is None:
        other = "no data" if finding.control_value is None else _number(finding.control_value, metric)
        level += f" against {other} of {control}"
    parts = [level]
    asked = finding.requirement
    for name, found, required in (
        ("at this look", finding.fixed, asked.fixed if asked else None),
        ("at any time", finding.anytime, asked.anytime if asked else None),
    ):
        if found is not None:
            parts.append(f"{name} {_told(found, required)}")
    if finding.crossing is not None:
        parts.append(_crossing(finding))
    return "; ".join(parts)


def _subject(finding: Finding, metric: Metric) -> str:
    value = _number(finding.value or 0.0, metric)
    if metric.kind != "quantile" or finding.threshold is None:
        return value
    side = "above" if metric.better == "lower" else "below"
    return f"{value} {side} {finding.threshold:.4g}"


def _told(found: Estimate, required: Required | None) -> str:
    interval = f"{_effect(found)} ({_end(found.low, '-∞')} … {_end(found.high, '∞')})"
    p_value = found.p_corrected if found.p_corrected is not None else found.p_value
    told = [interval] if p_value is None else [interval, f"p {p_value:.2g}"]
    if found.verdict is not None:
        told.append(_SHOWN.get(found.verdict, "no difference shown" if found.verdict == "undecided" else "no data"))
    if required is not None:
        told.append(_STATUS[required.status])
    if found.note:
        told.append(found.note)
    return ", ".join(told)


def _effect(found: Estimate) -> str:
    if found.estimate is None:
        return "unknown"
    if found.scale == "ratio":
        return f"×{found.estimate:.3g}" + (" non-events" if found.counted == "non_events" else "")
    return f"{found.estimate:+.4g}" if found.scale == "difference" else f"{found.estimate:.4g}"


def _crossing(finding: Finding) -> str:
    crossing = finding.crossing
    if crossing is None or crossing.boundary is None:
        return "the planned looks allow no stop yet"
    words = "crosses" if crossing.crossed else "is within"
    return f"z {crossing.z:.2f} {words} the boundary {crossing.boundary:.2f}"


def ratio_text(ratio: SampleRatio) -> str:
    """What the sample ratio says."""
    planned = "as given" if ratio.given else "equal, as no --shares were given"
    total = sum(arm.units for arm in ratio.arms)
    arms = ", ".join(
        f"{arm.arm} {arm.units:,} ({arm.units / total if total else 0:.2%}, planned {arm.share:.2%})"
        for arm in ratio.arms
    )
    if ratio.mismatch:
        end = "the split is not the planned one, so no comparison is to be trusted; find out why before reading on"
    else:
        end = "no sign of another split than planned"
    return f"units {arms}; shares {planned}; p {ratio.p_value:.2g}: {end}"


def _number(value: float, metric: Metric) -> str:
    return f"{value:.4g}" if metric.kind == "mean" else f"{value * 100:.4g} %"


def _end(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.4g}"
