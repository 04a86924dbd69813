"""What a study found, for people: the split, every metric with its arms, what it could have found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnout.cli.render.words import count, table

if TYPE_CHECKING:
    from turnout.analysis.study.result import Estimate, Finding, Required, Segments, Study

_VERDICTS = {"better": "green", "worse": "bold red", "met": "green", "broken": "bold red"}
_ENDS = {"undecided": "no difference shown", "no_data": "no data"}


def study_view(study: Study) -> RenderableType:
    """The study, in 100 columns."""
    parts: list[RenderableType] = [
        Text(study.sample_ratio.text, style="bold red" if study.sample_ratio.mismatch else ""),
        *(Text(line) for line in _counted(study)),
    ]
    for label, findings in groupby(study.findings, key=lambda finding: finding.metric):
        parts += ["", *_metric(label, list(findings), study)]
    if study.plan is not None:
        parts += ["", *(Text(line) for line in _planned(study))]
    parts += ["", *(Text(note) for note in _notes(study))]
    return Group(*parts)


def _counted(study: Study) -> Iterator[str]:
    rows = study.rows
    dropped = [
        f"{count(rows.without_unit_or_arm, 'row')} without unit or arm" if rows.without_unit_or_arm else "",
        f"{count(rows.repeated, 'repeated row')}" if rows.repeated else "",
        f"{count(rows.crossed_over_units, 'unit')} in several arms" if rows.crossed_over_units else "",
        f"{count(rows.units_in_several_segments, 'unit')} in several segments (left out of those only)"
        if rows.units_in_several_segments
        else "",
    ]
    left_out = ", ".join(filter(None, dropped))
    yield f"{count(rows.read, 'row')} read; left out: {left_out}" if left_out else f"{count(rows.read, 'row')} read"
    for column in study.columns:
        told = [
            f"{column.missing:,} missing" if column.missing else "",
            f"{column.not_finite:,} not finite, dropped" if column.not_finite else "",
        ]
        if any(told):
            yield f"{column.column}: {count(column.values, 'value')}, {', '.join(filter(None, told))}"


def _metric(label: str, findings: list[Finding], study: Study) -> Iterator[RenderableType]:
    first = findings[0]
    head = Text(label, style="bold")
    if first.control_units is not None:
        value = _value(first, first.control_value)
        head.append(f"  {study.control} {value}, {_of(first.control_outcomes, first.control_units)}", style="not bold")
        if first.threshold is not None:
            head.append(f"; counted beyond its quantile, {first.threshold:.4g}", style="not bold")
    yield head
    yield _estimates(findings, study)
    for finding in findings:
        yield from (Text(f"  {finding.arm}: {line}") for line in _details(finding, study))
        if finding.segments is not None:
            yield from _segments(finding.arm, finding.segments)


def _estimates(findings: list[Finding], study: Study) -> Table:
    grid = table(
        "  arm",
        "units",
        "value",
        "right at",
        f"effect ({study.confidence:.3g})",
        "p",
        "",
        right=("units", "value", "p"),
    )
    # An interval over two lines is hard to read; the verdict gives way.
    grid.columns[4].no_wrap = True
    for finding in findings:
        names = [f"  {finding.arm}", f"{finding.units:,}", _value(finding, finding.value)]
        asked = finding.requirement
        for when, found, required in (
            ("this look", finding.fixed, asked.fixed if asked else None),
            ("any time", finding.anytime, asked.anytime if asked else None),
        ):
            if found is not None:
                grid.add_row(*names, when, effect(found), _p(found), _verdict(finding, found, required))
                names = ["", "", ""]
    return grid


def effect(found: Estimate) -> str:
    """``+0.0253 (0.0129 … 0.0378)``, ``×2.27 (1.07 … 5.25)``; an open end is an infinity."""
    if found.estimate is None and found.low is None and found.high is None:
        return "–"
    low = "-∞" if found.low is None else f"{found.low:.4g}"
    high = "∞" if found.high is None else f"{found.high:.4g}"
    if found.estimate is None:
        middle = "–"
    elif found.scale == "ratio":
        middle = f"×{found.estimate:.3g}"
    else:
        middle = f"{found.estimate:+.4g}" if found.scale == "difference" else f"{found.estimate:.4g}"
    return f"{middle} ({low} … {high})" + (" of non-events" if found.counted == "non_events" else "")


def _p(found: Estimate) -> str:
    value = found.p_value if found.p_corrected is None else found.p_corrected
    return "–" if value is None else f"{value:.2g}"


def _verdict(finding: Finding, found: Estimate, required: Required | None) -> Text:
    text = Text()
    if found.verdict is not None:
        text.append(_ENDS.get(found.verdict, found.verdict), style=_VERDICTS.get(found.verdict, ""))
    if required is not None and finding.requirement is not None:
        kind = finding.requirement.kind
        status = required.status.replace("_", " ")
        text.append(f"{'; ' if text else ''}{kind} ").append(status, style=_VERDICTS.get(required.status, ""))
    return text


def _details(finding: Finding, study: Study) -> Iterator[str]:
    told: list[str] = [_of(finding.outcomes, finding.units)]
    if finding.quantile is not None:
        told.append(f"own quantile {finding.quantile:.4g}")
    if finding.design_effect > 1:
        told.append(f"design effect {finding.design_effect:.3g}")
    if finding.detectable is not None:
        told.append(f"finds ±{finding.detectable:.3g} with power {study.power:g}")
    if finding.power_at_margin is not None:
        told.append(f"power {finding.power_at_margin:.2g} to show the margin kept")
    yield ", ".join(told)
    for found, when in ((finding.fixed, "this look"), (finding.anytime, "any time")):
        if found is not None:
            since = "" if found.decided_at is None else f"; decided first at {found.decided_at:.15g}"
            yield f"{when}: {found.method}{since}" + (f"; {found.note}" if found.note else "")
    yield from _more(finding)


def _more(finding: Finding) -> Iterator[str]:
    if (joint := finding.simultaneous) is not None:
        ends = ["∞" if end is None else f"{end:.4g}" for end in (joint.low, joint.high)]
        yield f"all arms at once (Dunnett): {ends[0]} … {ends[1]}, p {joint.p_value:.2g}"
    if (ranks := finding.ranks) is not None:
        shift = "" if ranks.shift is None else f", median difference {ranks.shift:.4g}"
        yield f"a unit of it is above one of the control with probability {ranks.superiority:.3g}{shift}"
    if (taken := finding.adjustment) is not None:
        without = f"; {count(taken.units_without, 'unit')} without it" if taken.units_without else ""
        yield f"the covariate leaves {taken.variance_left:.1%} of the variance (slope {taken.theta:.3g}){without}"
    if (crossing := finding.crossing) is not None and crossing.boundary is not None:
        yield f"z {crossing.z:.3g} against the boundary {crossing.boundary:.3g} of this look"


def _segments(arm: str, found: Segments) -> Iterator[RenderableType]:
    same = "" if found.p_value is None else f"; the same everywhere? Q {found.q:.3g}, p {found.p_value:.2g}"
    yield Text(f"  {arm} by {found.column} (picks no winner){same}")
    grid = table("    segment", "units", "control", "effect", right=("units", "control"))
    for part in found.parts:
        ends = [f"{end:.4g}" if end is not None else "∞" for end in (part.low, part.high)]
        told = "–" if part.estimate is None else f"{part.estimate:+.4g} ({ends[0]} … {ends[1]})"
        grid.add_row(f"    {part.segment}", f"{part.units:,}", f"{part.control_units:,}", told)
    yield grid


def _planned(study: Study) -> Iterator[str]:
    plan = study.plan
    if plan is None:
        return
    looks = ", ".join(
        f"{look.fraction:g}: {'none' if look.boundary is None else f'{look.boundary:.3f}'}" for look in plan.looks
    )
    now = (
        "before the first look" if not plan.due else "no stop yet" if plan.boundary is None else f"{plan.boundary:.3f}"
    )
    yield f"planned looks ({plan.spending}, {plan.planned_units:,} units, error rate {plan.alpha:.3g}): |z| {looks}"
    yield f"now at {plan.fraction:.3g} of the units: {now}"


def _notes(study: Study) -> Iterator[str]:
    names = {"holm": "Holm", "bh": "Benjamini and Hochberg"}
    if study.correction != "none" and study.comparisons > 1:
        yield f"p-values count {study.comparisons} comparisons ({names[study.correction]}); intervals do not."
    yield from study.notes


def _of(outcomes: int | None, units: int) -> str:
    return f"{count(outcomes or 0, 'outcome')} of {count(units, 'unit')}"


def _value(finding: Finding, value: float | None) -> str:
    if value is None:
        return "–"
    share = finding.threshold is not None or ":rate" in finding.metric
    return f"{value * 100:.4g} %" if share else f"{value:.4g}"
