"""The report on a rollout, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnout.cli.render.checks import checks_drawn
from turnout.cli.render.words import called, count, minute, percent, spaced, state_text, table
from turnout.domain.experiments import ArmResult, ExperimentResult, MetricResult
from turnout.domain.metrics import metric_of
from turnout.domain.reporting import Report

_NONE = "–"
_DRAWING = 30
ARM_COLUMNS = ("arm", "outcomes", "users", "value", "effect", "interval", "p", "corrected p", "verdict")
ACTIONS = {"deploy": "bold green", "keep": "bold red", "continue": "yellow"}
"""The colours of the recommendations."""


def report_view(found: Report) -> RenderableType:
    """The rollout, what it found, and what it decided."""
    heading = Text.assemble((f"{found.flag}: {called(found.strategy, found.name)} ", "bold"), state_text(found.state))
    parts: list[RenderableType] = [heading, Text(facts(found), style="dim")]
    if found.experiment is not None:
        parts += [Text(), *_trial(found.experiment)]
    others = [check for check in found.checks if check.experiment is None]
    if others:
        parts += [Text(), Text("Gates and guardrails:"), checks_drawn(others, _DRAWING)]
    return Group(*parts, Text(), Text("Decisions:"), _decisions(found))


def facts(found: Report) -> str:
    """Which rollout it is, by whom, and when."""
    end = f"ended {minute(found.ended_at)}" if found.ended_at is not None else f"as of {minute(found.at)}"
    return f"rollout {found.rollout_id}, started by {found.started_by} {minute(found.started_at)}, {end}"


def advice_line(found: ExperimentResult) -> str:
    """The recommendation in a sentence, or what there is of the sample."""
    advice = found.recommendation
    have = f"{found.users:,} of {found.sample:,} planned users"
    if advice is None:
        return f"no recommendation yet: {have}"
    what = f"deploy {advice.winner}" if advice.winner else f"keep {found.control}"
    what = "continue" if advice.action == "continue" else what
    sure = "" if advice.confidence is None else f" ({confidence(advice.confidence)} confidence)"
    return f"{what}{sure}: {advice.reason}"


def confidence(value: float) -> str:
    """A confidence of 0..1 in percent; what is all but certain is not called certain."""
    return "more than 99.99 %" if value > 0.9999 else f"{value * 100:.4g} %"


def shown(result: MetricResult, value: float | None, *, difference: bool = False) -> str:
    """A value of the metric with its unit; rates in percent, their differences in points, with a sign."""
    if value is None:
        return _NONE
    rate = result.kind == "rate"
    unit = (" pp" if difference else " %") if rate else f" {metric_of(result.metric).unit}".rstrip()
    text = f"{value * 100 if rate else value:{'+' if difference else ''}.4g}".replace("-", "−")
    return text + unit


def interval(result: MetricResult, one: ArmResult) -> str:
    """The interval of an effect; an end that is open has no number."""
    if one.low is None and one.high is None:
        return _NONE
    return f"{shown(result, one.low, difference=True)} to {shown(result, one.high, difference=True)}"


def p_text(value: float | None) -> str:
    """A p-value in two digits."""
    return _NONE if value is None else "<0.0001" if value < 1e-4 else f"{value:.2g}"


def aim(result: MetricResult) -> str:
    """What a metric was tested for."""
    if result.goal == "not_worse":
        return f"not worse by more than {shown(result, result.margin)}".replace(" %", " pp")
    least = "" if result.smallest_effect is None else f", {shown(result, result.smallest_effect)} matters"
    return f"{result.better} is better{least}".replace(" %", " pp")


def _trial(found: ExperimentResult) -> Iterator[RenderableType]:
    advice = found.recommendation
    yield Text(advice_line(found), style=ACTIONS[advice.action] if advice is not None else "yellow")
    planned = ", ".join(
        f"{arm} {users:,} ({percent(found.planned[arm])} planned)" for arm, users in found.split.items()
    )
    yield Text(f"users: {planned}; split p = {found.split_p:.2g}", style="dim")
    for result in found.metrics:
        yield Text()
        yield Text(f"{result.metric} ({aim(result)})")
        yield _arms(result)
        if result.method:
            level = "" if result.confidence is None else f", {result.confidence * 100:.4g} % intervals"
            yield Text(f"{result.method}{level}, correction: {found.correction}", style="dim")
    if len(found.looks) > 1 or found.stage == "interim":
        yield Text()
        yield Text(f"{count(len(found.looks), 'look')} taken: " + "; ".join(looks(found)), style="dim")


def arm_row(result: MetricResult, one: ArmResult) -> tuple[str, ...]:
    """The cells of `ARM_COLUMNS` for one arm."""
    return (
        one.arm,
        f"{one.outcomes:,}",
        f"{one.users:,}",
        shown(result, one.value),
        shown(result, one.effect, difference=True),
        interval(result, one),
        p_text(one.p_value),
        p_text(one.p_corrected),
        spaced(one.verdict),
    )


def looks(found: ExperimentResult) -> list[str]:
    """Every analysis, in a few words."""
    return [f"at {percent(round(look.fraction, 4))} of the sample, p below {look.p_needed:.3g}" for look in found.looks]


def _arms(result: MetricResult) -> Table:
    grid = table(*ARM_COLUMNS, right=("outcomes", "users", "value", "effect", "p", "corrected p"))
    for one in result.arms:
        grid.add_row(*arm_row(result, one))
    return grid


def _decisions(found: Report) -> Table:
    grid = table("at", "share", "decision", right=("share",))
    for change in found.changes:
        grid.add_row(minute(change.at), percent(change.share), change.text)
    return grid
