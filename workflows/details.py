"""What Temporal's own UI shows of a rollout."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from turnout.domain.durations import format_duration
    from turnout.domain.plan import Plan
    from turnout.domain.rollout import RolloutState


def details_of(plan: Plan, state: RolloutState) -> str:
    """``state`` as a few lines of Markdown."""
    stage = plan.stages[state.stage]
    lines = [
        f"**{plan.flag}**: {plan.stable} → {plan.candidate} ({plan.strategy})",
        f"- state: **{state.state}**, {state.share:.1%} on {plan.candidate}",
        f"- stage {state.stage + 1} of {len(plan.stages)} ({stage.name}): "
        f"{format_duration(state.clock.counted)} of {format_duration(stage.hold)} counted",
    ]
    if state.closed is not None:
        lines.append(f"- waits for its window: {state.closed.opens} ({state.closed.why})")
    if state.pause is not None:
        lines.append(f"- paused: {state.pause.reason}")
    if state.last is not None:
        lines.append(f"- last decision: {state.last.text}")
    return "\n".join(lines)
