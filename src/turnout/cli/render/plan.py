"""What a plan is going to do, and when at the earliest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from turnout.cli.render.words import called, count, gives, minute, moment, percent, spaced, span, table
from turnout.domain.bucketing import TOTAL
from turnout.domain.channels import Channel
from turnout.domain.experiments import Experiment
from turnout.domain.plan import SAMPLE_RATIO, Gate, Plan, Stage, Undecided
from turnout.domain.routing import Resolver
from turnout.domain.windows import next_open

ACTS: dict[Undecided, str] = {
    "pause": "pauses",
    "rollback": "rolls back",
    "hold": "waits without an end",
    "advance_if_no_evidence_of_harm": "moves on without proof unless something speaks for harm, else pauses",
}
"""What each policy for the deadline does."""

_DOUBTS = ("no data", "inconclusive", "a source does not answer")
_ON_FAIL = {"pause": "a failure pauses", "rollback": "a failure rolls back", "hold": "the stage waits while it fails"}


@dataclass(frozen=True, slots=True)
class StageDate:
    """A stage of a plan and its earliest dates: nothing waits, nothing fails."""

    stage: Stage
    share: float
    begins: datetime
    ends: datetime


def schedule(plan: Plan, start: datetime) -> tuple[StageDate, ...]:
    """The earliest dates of every stage of a rollout that begins at ``start``, within its windows."""
    dates: list[StageDate] = []
    start = max(start, plan.start_at) if plan.start_at is not None else start
    for index, stage in enumerate(plan.stages):
        start = next_open(stage.windows, start.astimezone(UTC)) or start
        dates.append(StageDate(stage, plan.share(index), start, start + stage.hold))
        start += stage.hold
    return tuple(dates)


def total(plan: Plan) -> timedelta:
    """How long the plan takes at the least."""
    return sum((stage.hold for stage in plan.stages), timedelta())


def headline(plan: Plan) -> str:
    """The plan in one sentence."""
    trial = trial_of(plan)
    if trial is not None:
        return (
            f"{called(plan.strategy, plan.name)} of {plan.flag}: {', '.join(trial.treatments)} versus {trial.control}, "
            f"{trial.sample:,} users, {span(total(plan))} at the most"
        )
    return (
        f"{called(plan.strategy, plan.name)} of {plan.flag} from {plan.stable} to {plan.candidate}: "
        f"{count(len(plan.stages), 'stage')}, {span(total(plan))} at the least"
    )


def trial_of(plan: Plan) -> Experiment | None:
    """The test that ``plan`` is about, if it is one."""
    return next((gate.experiment for stage in plan.stages for gate in stage.gates if gate.experiment), None)


def plan_view(plan: Plan, start: datetime) -> RenderableType:
    """The stages with their dates, what is asked of them, and what happens when it is not met."""
    parts: list[RenderableType] = [Text(headline(plan), style="bold"), Text(), _stages(schedule(plan, start))]
    parts += [Text(line) for line in _arms(plan)]
    for title, lines in (
        ("Gates, asked at the end of a stage:", _asked(plan, [stage.gates for stage in plan.stages])),
        ("Guardrails, watched all the time:", _asked(plan, [stage.guardrails for stage in plan.stages])),
        ("Moves forward within:", _times(plan)),
        ("When a stage cannot be decided by its deadline:", _undecided(plan.stages[0])),
        ("Router:", _routed(plan)),
    ):
        if lines or title not in _ONLY_IF_ANY:
            parts += [Text(), Text(title), *(Text(f"  {line}") for line in lines or ["none"])]
    if plan.notify:
        parts += [Text(), Text("Told of it:"), *(Text(f"  {_told(channel)}") for channel in plan.notify)]
    return Group(*parts)


def _told(channel: Channel) -> str:
    events = ", ".join(map(spaced, channel.events)) if channel.events else "everything"
    return f"{channel.label}: {events}"


_ONLY_IF_ANY = frozenset({"Moves forward within:", "Router:"})


def _times(plan: Plan) -> list[str]:
    """The windows, each with the stages it is for where not all have the same; and when the rollout begins."""
    stages: dict[str, list[int]] = {}
    for number, stage in enumerate(plan.stages, 1):
        for window in stage.windows:
            stages.setdefault(window.text, []).append(number)
    lines = [text + _where(found, len(plan.stages)) for text, found in stages.items()]
    return lines + ([f"begins on {minute(plan.start_at)}"] if plan.start_at is not None else [])


def _arms(plan: Plan) -> Iterator[str]:
    """The shares of a test, whom it includes, and what follows its winner."""
    trial, stage = trial_of(plan), plan.stages[0]
    if trial is None:
        return
    shares = ", ".join(f"{arm} {percent(weight / TOTAL)}" for arm, weight in trial.arms.items())
    yield ""
    yield f"Arms: {shares} of {percent(stage.exposed / TOTAL)} of all users."
    ends = {"return": "everybody gets {}", "stay": "the shares stay", "adopt": "it becomes stable"}
    then = "; then a gradual rollout ships it" if plan.follow_up is not None else ""
    yield f"After a winner: {ends[plan.end].format(plan.stable)}{then}."


def _stages(dates: Sequence[StageDate]) -> Table:
    grid = table(
        "stage", "share", "hold", "from (earliest)", "to (earliest)", "first needs", "failed gate", right=("share",)
    )
    shown = minute if all(date.stage.hold >= timedelta(hours=1) for date in dates) else moment
    for number, date in enumerate(dates, 1):
        grid.add_row(
            f"{number} {_name(date.stage)}".strip(),
            gives(date.stage, date.share),
            span(date.stage.hold),
            shown(date.begins),
            shown(date.ends),
            needs(date.stage),
            failed_gate(date.stage, number == 1),
        )
    return grid


def _name(stage: Stage) -> str:
    """The stage's name where it says more than its share."""
    shares = {f"{weight / 1000:g} %" for weight in stage.weights.values()}
    return "" if stage.name in shares else stage.name


def _routed(plan: Plan) -> list[str]:
    """What a router does, if there is one."""
    if plan.router is None or isinstance(plan.router, Resolver):
        return []
    lines = [f"{plan.router.kind}: every change of traffic goes to it; what it does otherwise is set right"]
    previews: dict[str, list[int]] = {}
    for number, stage in enumerate(plan.stages, 1):
        if stage.preview is not None:
            previews.setdefault(f"preview: {stage.preview}", []).append(number)
    return lines + [text + _where(found, len(plan.stages)) for text, found in previews.items()]


def needs(stage: Stage) -> str:
    """What a person has to do before ``stage`` begins."""
    if stage.approval is not None:
        return f"approval by {stage.approval.by or 'another person'}{_in_time(stage)}"
    return "promote" if stage.manual else "–"


def _in_time(stage: Stage) -> str:
    approval = stage.approval
    if approval is None or approval.timeout is None:
        return ""
    acts = {"pause": "pauses", "rollback": "rolls back", "hold": "waits on"}[approval.on_timeout]
    return f" within {span(approval.timeout)}, else it {acts}"


def failed_gate(stage: Stage, first: bool) -> str:
    """What a failed gate of ``stage`` does; going back from the ``first`` one is a rollback."""
    if not stage.gates:
        return "–"
    if stage.on_fail == "pause":
        return "pauses"
    return "back one stage" if stage.on_fail == "previous_stage" and not first else "rolls back"


def _asked(plan: Plan, by_stage: Sequence[Sequence[Gate]]) -> list[str]:
    """Every gate once, with the stages that ask it where not all of them do."""
    stages: dict[str, list[int]] = {}
    for index, gates in enumerate(by_stage, 1):
        for gate in gates:
            stages.setdefault(gate.model_dump_json(), []).append(index)
    read = {gate.model_dump_json(): gate for gates in by_stage for gate in gates}
    return [gate_line(read[key]) + _where(found, len(plan.stages)) for key, found in stages.items()]


def gate_line(gate: Gate) -> str:
    """A gate with what it takes to decide it."""
    parts = [f"dry run: {gate.label}" if gate.dry_run else gate.label, *_sample(gate)]
    if gate.on_fail is not None and not gate.dry_run:
        parts.append(_ON_FAIL[gate.on_fail])
    own = (gate.on_no_data, gate.on_inconclusive, gate.on_source_error)
    parts += [f"{doubt}: {ACTS[asked]}" for doubt, asked in zip(_DOUBTS, own, strict=True) if asked is not None]
    return "; ".join(parts)


def _sample(gate: Gate) -> Iterator[str]:
    if gate.experiment is not None:
        yield from _trial(gate.experiment)
        return
    if gate.source.kind == "router":
        yield f"read from {gate.source.router.kind}"
    elif gate.source.kind != "outcomes":
        yield f"from {gate.source.kind} at {gate.source.url}"
    elif gate.metric != SAMPLE_RATIO and gate.score is None:
        yield f"from {count(gate.min_samples, 'outcome')} of {count(gate.min_units, 'user')}"
    if gate.score is None and gate.source.kind == "outcomes":
        yield _certainty(gate)


def _trial(trial: Experiment) -> Iterator[str]:
    """How many users a test takes, how sure it is, and what it asks of each metric."""
    yield f"from {trial.sample:,} users of all arms"
    yield f"error rate {trial.significance:g}, power {trial.power:g}"
    if len(trial.looks) > 1:
        looks = ", ".join(percent(look) for look in trial.looks)
        yield f"looks at {looks} of the sample ({spaced(trial.spending)})"
    for metric in trial.metrics:
        if metric.goal == "not_worse":
            yield f"{metric.metric} not worse by more than {metric.margin or 0:g}"
        elif metric.smallest_effect is not None:
            yield f"{metric.metric} better, {metric.smallest_effect:g} matters"


def _certainty(gate: Gate) -> str:
    """The method and its error rates; what the gate does not set for a failure is shared among the stage's gates."""
    failing = f"fails at {gate.alpha_fail:g}" if gate.alpha_fail is not None else ""
    passing = "" if gate.metric == SAMPLE_RATIO else f"passes at {_alpha_pass(gate):.3g}"
    return f"{gate.method}, " + ", ".join(filter(None, (passing, failing)))


def _alpha_pass(gate: Gate) -> float:
    return gate.alpha_pass if gate.alpha_pass is not None else 1 - gate.confidence


def _where(stages: Sequence[int], of: int) -> str:
    if len(stages) == of:
        return ""
    word = "stage" if len(stages) == 1 else "stages"
    return f" ({word} {', '.join(map(str, stages))} only)"


def _undecided(stage: Stage) -> list[str]:
    policies = (stage.on_no_data, stage.on_inconclusive, stage.on_source_error)
    lines = [f"{doubt}: {ACTS[asked]}" for doubt, asked in zip(_DOUBTS, policies, strict=True)]
    lines.append(f"the deadline is {span(stage.deadline)} after the hold, checked every {span(stage.check_every)}")
    return lines


def plan_data(plan: Plan, start: datetime) -> dict[str, object]:
    """The plan with its dates as plain data; durations in seconds."""
    return {
        "plan": plan.model_dump(mode="json"),
        "starts_at": start.isoformat(),
        "total_seconds": total(plan).total_seconds(),
        "stages": [
            {
                "name": date.stage.name,
                "share": date.share,
                "shadow": date.stage.shadow.sample / TOTAL if date.stage.shadow else None,
                "hold_seconds": date.stage.hold.total_seconds(),
                "begins_at": date.begins.isoformat(),
                "ends_at": date.ends.isoformat(),
            }
            for date in schedule(plan, start)
        ],
    }
