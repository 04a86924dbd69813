"""What goes in and out over HTTP, beyond the models of the domain."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from api.errors import FieldProblem
from turnout.domain.breaking import SharedBreaker
from turnout.domain.budget import Settlement
from turnout.domain.freezes import Closed, Freeze, FreezeSpec
from turnout.domain.model import Frozen
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Plan
from turnout.domain.rollout import Decision, Pause, State
from turnout.domain.spec import Percentage
from turnout.domain.verdicts import Check, Verdict
from turnout.ports import AuditEntry, Evidence, FlagChange, FlagRecord, RolloutRecord

MOST_OUTCOMES = 5000
MOST_SETTLEMENTS = 500


class Flags(Frozen):
    """All flags, by key."""

    flags: tuple[FlagRecord, ...]


class Changes(Frozen):
    """What applying flags did, in the order they were sent."""

    changes: tuple[FlagChange, ...]


class Stop(Frozen):
    """Asks for an emergency stop, or for its end."""

    reason: Annotated[str, Field(max_length=2000)] = ""


class StopResult(Frozen):
    """The flag after it; ``rollout`` says what became of its open rollout, empty when it has none."""

    flag: FlagRecord
    rollout: str = ""


class FreezeIn(FreezeSpec):
    """Asks for a freeze. With an ``id`` it may be sent again: it is kept once."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=100)] | None = None


class Freezes(Frozen):
    """Freezes, by their begin."""

    freezes: tuple[Freeze, ...]


class SpecIn(Frozen):
    """A rollout spec, as in a rollout file."""

    spec: dict[str, JsonValue]


class JudgeIn(SpecIn):
    """A rollout spec whose gates are asked about the past: of the flag's last rollout, or of an earlier one by id."""

    rollout: Annotated[str, Field(max_length=200)] | None = None


class Validation(Frozen):
    """Whether a rollout could start with this spec; the plan it would follow, if so."""

    valid: bool
    problems: tuple[FieldProblem, ...] = ()
    plan: Plan | None = None


class Scheduled(Frozen):
    """A rollout that is kept but that no worker has begun yet."""

    id: str
    flag: str
    state: Literal["scheduled"] = "scheduled"
    text: str


class CommandIn(Frozen):
    """A command. With an ``id`` it may be sent again: it is acted on once."""

    reason: Annotated[str, Field(max_length=2000)] = ""
    id: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class ShareIn(CommandIn):
    """A share for one part of the users, in percent; with ``override`` also beyond what gates have passed."""

    percentage: Percentage
    override: bool = False


class CommandOut(Frozen):
    """What became of a command. ``applied`` is null while it is on its way; ``durable``: it will not be lost."""

    id: str
    applied: bool | None
    durable: bool
    state: State | None = None
    text: str


class Rollouts(Frozen):
    """Rollouts, the newest first."""

    rollouts: tuple[RolloutRecord, ...]


class RolloutView(Frozen):
    """Where a rollout is: the stored record, made current by the rollout's own word when it answers (``live``).

    Shares are 0..1; ``counted`` of ``hold`` is how much of the stage is over. ``stages`` are the plan's names.
    ``closed`` says why traffic may not move forward now, while the rollout waits for that. ``breakers`` are those that
    keep users from variants of the flag now, by variant; ``stopped`` says that the flag is, so that all get stable.
    """

    id: str
    flag: str
    strategy: str
    candidate: str
    stable: str
    state: State
    stage: int
    stages: tuple[str, ...]
    share: float
    generation: int
    started_by: str
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    since: AwareDatetime | None
    counted: timedelta
    hold: timedelta
    blocked: Verdict | None
    pause: Pause | None
    approval_by: str | None
    approval_due: AwareDatetime | None = None
    closed: Closed | None = None
    stopped: bool = False
    breakers: dict[str, SharedBreaker] = Field(default_factory=dict[str, SharedBreaker])
    checks: tuple[Check, ...]
    checked_at: AwareDatetime | None
    summary: str
    decisions: tuple[Decision, ...]
    live: bool
    spec: dict[str, JsonValue]
    plan: Plan | None


class DecisionView(Decision):
    """A decision; ``evidence_detail`` is the evidence it rests on, when asked for and when there is some."""

    evidence_detail: Evidence | None = None


class Decisions(Frozen):
    """The decisions of one rollout, in order."""

    flag: str
    rollout_id: str
    decisions: tuple[DecisionView, ...]


class Audit(Frozen):
    """Entries of the audit log, the newest first."""

    entries: tuple[AuditEntry, ...]


class OutcomeBatch(Frozen):
    """Outcomes to keep, at most 5,000 at once."""

    outcomes: Annotated[tuple[Outcome, ...], Field(max_length=MOST_OUTCOMES)]


class OutcomeReceipt(Frozen):
    """What became of a batch: new ones, ones known by their id, and ones of unknown flags or variants.

    ``rejected`` counts, by metric, single values of accepted outcomes outside the bounds that the rollout's spec
    declares: such an outcome is kept and its other values count.
    """

    accepted: int
    duplicates: int
    unknown: int
    rejected: dict[str, int]


class LeaseOut(Frozen):
    """A lease: ``amount`` millionths of ``currency`` may be spent for ``seconds`` from now, none when nothing is left.

    ``left`` is what may still be leased today.
    """

    id: str
    amount: int
    seconds: float
    currency: str
    left: int


class Settlements(Frozen):
    """Leases that come back, with what was spent of each in millionths."""

    settlements: Annotated[tuple[Settlement, ...], Field(max_length=MOST_SETTLEMENTS)]


class SettledOut(Frozen):
    """What became of settlements: new ones, ones taken before, and ones of no lease."""

    settled: int
    repeated: int
    unknown: int
    left: int


class BudgetView(Frozen):
    """What one variant's budget has come to today, in its time zone. Amounts are millionths of ``currency``.

    ``leased`` is not settled yet, and counts as spent until it is. ``alerted`` and ``exhausted``: it was told so today.
    ``source`` is ``environment`` where that of the process which leased last gives the budget, or lowers the flag's.
    """

    flag: str
    variant: str
    currency: str
    timezone: str
    day: date
    ends: AwareDatetime
    daily: int
    spent: int
    leased: int
    left: int
    alert_at: float
    alerted: bool
    exhausted: bool
    source: Literal["flag", "environment"] = "flag"


class Budgets(Frozen):
    """All budgets, by flag and variant."""

    budgets: tuple[BudgetView, ...]


class BreakerView(SharedBreaker):
    """Where the shared breaker of a variant is. ``blocking``: the variant is kept from users, all or but for probes."""

    flag: str
    variant: str
    blocking: bool


class Breakers(Frozen):
    """The shared breakers that have ever opened, by flag and variant."""

    breakers: tuple[BreakerView, ...]


class Reported(Frozen):
    """What became of a report, or of closing a breaker."""

    text: str


class CloseIn(Frozen):
    """Asks to close a breaker."""

    reason: Annotated[str, Field(max_length=500)] = ""


class Health(Frozen):
    """Whether the process, or all that it needs, is well."""

    status: Literal["ok"] = "ok"
    revision: int | None = None


class _Ofrep(BaseModel):
    model_config = ConfigDict(extra="allow")


class EvaluationRequest(_Ofrep):
    """OFREP: what a flag is evaluated for. ``targetingKey`` in the context is the unit."""

    context: dict[str, JsonValue] | None = None


class EvaluationSuccess(_Ofrep):
    """OFREP: a flag's variant. Without ``value`` the caller's own default applies."""

    key: str
    reason: str
    variant: str
    value: JsonValue = None
    metadata: dict[str, bool | str | float] = {}


class EvaluationFailure(_Ofrep):
    """OFREP: why a flag could not be evaluated."""

    key: str | None = None
    errorCode: str  # noqa: N815 - OFREP's name
    errorDetails: str  # noqa: N815 - OFREP's name


class BulkEvaluation(_Ofrep):
    """OFREP: all flags, evaluated for one context."""

    flags: list[EvaluationSuccess | EvaluationFailure]
    metadata: dict[str, bool | str | float] = {}


class RuleBody(BaseModel):
    """A rule: whom it applies to (a JSONLogic condition), and the variant or the split (percentages) they get."""

    name: str
    condition: Annotated[JsonValue, Field(alias="if")]
    serve: str | None = None
    split: dict[str, float] | None = None


class BudgetBody(BaseModel):
    """What a variant may cost a day, in units of the currency; `lease` is how much a process holds at a time."""

    daily: float
    currency: str = "USD"
    alert_at: float = 0.8
    timezone: str = "UTC"
    lease: float | None = None
    lease_time: str = "1m"


class BreakerBody(BaseModel):
    """How the shared breaker of a variant comes back; `probe_share` is in percent."""

    recovery_timeout: str = "30s"
    probe_share: float = 5
    probes: int = 3
    calm: str = "5m"
    longest: str = "10m"


class FlagBody(BaseModel):
    """A flag as in flags.yaml: variants of one type, the stable one, rules, and what everybody else gets."""

    variants: dict[str, JsonValue]
    stable: str
    rules: list[RuleBody] = []
    serve: str | None = None
    split: dict[str, float] | None = None
    seed: str | None = None
    enabled: bool = True
    description: str = ""
    budgets: dict[str, BudgetBody] = {}
    breakers: dict[str, BreakerBody] = {}
    notify: list[dict[str, JsonValue]] = []


class FlagsBody(BaseModel):
    """The content of a flags.yaml: flags by key."""

    flags: dict[str, FlagBody]
