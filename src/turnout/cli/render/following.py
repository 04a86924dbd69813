"""What a rollout would do next, and what a person can do."""

from __future__ import annotations

from turnout.cli.render.plan import ACTS, failed_gate
from turnout.cli.render.words import gives, minute, span
from turnout.cli.views import RolloutView
from turnout.domain.freezes import FREEZE_OVERRIDE
from turnout.domain.plan import Gate, Stage, Undecided
from turnout.domain.recourse import policy_of
from turnout.domain.rollout import State
from turnout.domain.verdicts import Verdict


def need(stage: Stage | None) -> str:
    """What a person has to do before ``stage`` begins."""
    if stage is None or stage.approval is None:
        return "promote"
    return f"approval by {stage.approval.by or 'another person'}"


def next_step(view: RolloutView) -> str:
    """What would happen next, and what a person can do."""
    match view.state:
        case State.SCHEDULED:
            return _begins(view)
        case State.RUNNING:
            return _judged(view)
        case State.HOLDING:
            return f"it goes on when the evidence decides{_overdue(view)}"
        case State.PAUSED:
            return f"a person decides: turnout resume, promote, rollback or abort {view.flag} --reason …"
        case State.AWAITING_APPROVAL:
            verb = "approve" if view.upcoming is not None and view.upcoming.approval else "promote"
            return f"turnout {verb} {view.flag} --reason … begins {_next_stage(view)}"
        case State.WAITING_WINDOW:
            return _when_open(view)
        case State.COMPLETED:
            return f"nothing; {f'{view.candidate} serves everybody' if _adopts(view) else completed(view)}"
        case _:
            return f"turnout history {view.flag} tells why; turnout start begins another rollout"


def completed(view: RolloutView) -> str:
    """What a rollout leaves behind when it completes."""
    match view.plan.end if view.plan is not None else "adopt":
        case "adopt":
            return f"{view.candidate} is the stable variant"
        case "stay":
            return "the traffic stays as it is"
        case "return":
            return f"all users get {view.stable}"


def _adopts(view: RolloutView) -> bool:
    return view.plan is None or view.plan.end == "adopt"


def _begins(view: RolloutView) -> str:
    if view.plan is None:
        return "stage 1 begins once a worker runs"
    first = f"stage 1 begins with {gives(view.plan.stages[0], view.plan.share(0))}"
    if view.plan.start_at is None:
        return f"{first} once a worker runs"
    return f"{first} on {minute(view.plan.start_at)}; turnout promote {view.flag} starts it now"


def _when_open(view: RolloutView) -> str:
    """What comes when traffic may move forward again; guardrails are watched until then."""
    override = f"; turnout promote {view.flag} --reason … moves before, with the role {FREEZE_OVERRIDE}"
    if view.since is None and view.plan is not None:
        return f"when it opens stage 1 begins with {gives(view.plan.stages[0], view.plan.share(0))}{override}"
    return f"when it opens the gates are asked again: if all pass, {_passed(view)}{override}"


def _judged(view: RolloutView) -> str:
    stage = view.here
    if stage is None:
        return "the rollout goes on by itself"
    when = f"after {span(view.left)} more of watching" if view.left else "now"
    if not stage.gates:
        return f"{when}, without a gate to ask, {_passed(view)}"
    failed = failed_gate(stage, view.stage == 0)
    otherwise = "goes back one stage" if failed == "back one stage" else failed
    return f"{when} the gates are asked: if all pass, {_passed(view)}; if one fails, it {otherwise}"


def _passed(view: RolloutView) -> str:
    stage = view.upcoming
    if stage is None:
        if _adopts(view):
            return f"{view.candidate} becomes the stable variant and the rollout completes"
        return f"the rollout completes and {completed(view)}"
    approved = view.last is not None and view.last.kind == "approved"
    if (stage.approval is not None or stage.manual) and not approved:
        return f"it waits for {need(stage)} before {_next_stage(view)}"
    return f"{_next_stage(view)} begins"


def _next_stage(view: RolloutView) -> str:
    share = ""
    if view.plan is not None and view.upcoming is not None:
        share = f" with {gives(view.upcoming, view.plan.share(view.stage + 1))}"
    return f"stage {view.stage + 2}{share}"


def _overdue(view: RolloutView) -> str:
    stage = view.here
    if stage is None:
        return ""
    doubt = view.blocked or Verdict.SOURCE_ERROR
    asked = {policy_of(stage, gate, doubt) for gate in stage.gates if not gate.dry_run} or {_of_stage(stage, doubt)}
    acts = " or ".join(act for policy, act in ACTS.items() if policy in asked)
    return f"; after {span(stage.deadline)} of waiting it {acts}"


def _of_stage(stage: Stage, doubt: Verdict) -> Undecided:
    return policy_of(stage, Gate(metric="any"), doubt)
