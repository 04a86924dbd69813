"""What the client answers: which variant a unit gets, and how the client itself is doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

State = Literal["ready", "stale", "not_ready"]
"""``ready``: the flags are those of the controller. ``stale``: it cannot be asked, the last good flags apply.
``not_ready``: there are no flags yet, callers get their own defaults."""

FlagSource = Literal["stream", "poll", "disk", "none"]
"""Where the flags in use came from."""


class Assignment(NamedTuple):
    """Which ``variant`` of ``flag`` the ``unit`` gets.

    ``value`` is the variant's, or the caller's default when ``variant`` is None. It is shared with every other
    assignment: read it, never change it. ``reason`` is flagd's: STATIC, TARGETING_MATCH, DEFAULT, DISABLED or ERROR.
    ``generation`` numbers the traffic the unit was assigned under. ``error`` says what went wrong, if anything did.
    ``decided_by`` is the part of the flag that decided: see ``decidedBy`` of `turnout.resolver.Resolution`.
    ``metadata`` is all that was published with the flag, shared like the value.
    """

    flag: str
    variant: str | None
    value: Any
    reason: str
    unit: str
    generation: int | None
    error: str | None
    decided_by: str | None = None
    metadata: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Status:
    """How a client is doing.

    ``revision`` and ``store_id`` are those of the flags in use, None without any. ``age_s`` is how many seconds ago the
    controller last confirmed them (flags from disk: since they were written). ``last_error`` is what last went wrong
    with flags or outcomes and has not been made good since; ``denied`` tells that the controller refuses the token.
    ``queued`` outcomes wait to be sent, ``sent`` ones are accepted by the controller, ``dropped`` ones are lost;
    ``drops`` counts these by reason: ``overflow``, ``invalid``, ``unattributed`` (there was no variant), ``refused``
    (by the controller), ``unknown`` (to the controller: the flag or the variant is gone), ``closed``.
    ``shadows`` counts background answers of candidates: ``started``, ``shed`` because too many ran or waited already,
    ``late`` (past their time limit), ``unjudged`` (comparing or scoring failed), ``unserved`` (no such system).
    ``rejected`` counts, by metric, values of accepted outcomes outside the bounds that the rollout's spec declares:
    they count for nothing, the rest of their outcomes does.
    ``calls`` counts guarded calls by the reason of their answer (see `turnout.Answer`), ``failed`` ones, which gave
    none, and ``unscored``: scorers that failed, or were not asked in time. ``breakers`` has those that are not closed.
    """

    state: State
    revision: int | None
    store_id: str | None
    source: FlagSource
    age_s: float | None
    last_error: str | None
    dropped: int
    queued: int
    sent: int
    denied: bool = False
    drops: Mapping[str, int] = field(default_factory=dict[str, int])
    shadows: Mapping[str, int] = field(default_factory=dict[str, int])
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])
    calls: Mapping[str, int] = field(default_factory=dict[str, int])
    breakers: Mapping[str, str] = field(default_factory=dict[str, str])
