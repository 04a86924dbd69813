"""May this variant be called? Its breakers and its budget, and what a call gives back to them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from turnout.client.answer import Reason
from turnout.client.assignment import Assignment
from turnout.client.shared import Shared
from turnout.domain.breaking import BreakerKind
from turnout.domain.budget import micros
from turnout.domain.durations import format_duration
from turnout.guards.breaker import Breaker, Change, Circuit, Permit
from turnout.guards.policy import Policy
from turnout.guards.wallet import Reservation, Wallet

T = TypeVar("T")

_log = logging.getLogger("turnout.client")

_OPEN: Final[dict[BreakerKind, Reason]] = {"errors": "breaker_open", "quality": "quality_breaker_open"}


@dataclass(slots=True)
class Passage:
    """Leave for one call of a variant. `ended` when it is over, and `measured` when its worth is known, each once."""

    errors: tuple[Breaker, Permit] | None = None
    quality: tuple[Breaker, Permit] | None = None
    money: tuple[Wallet, Reservation] | None = None

    def ended(self, value: float | None) -> None:
        """The call went well (1), failed (0), or says nothing about its variant (None)."""
        if self.errors is not None:
            breaker, permit = self.errors
            self.errors = None
            breaker.leave(permit, value)

    def measured(self, quality: float | None, cost: float | None) -> None:
        """What the answer is worth and what it has cost, as far as known; a cost that is not is the estimate."""
        if self.quality is not None:
            breaker, permit = self.quality
            self.quality = None
            breaker.leave(permit, quality)
        if self.money is not None:
            wallet, reservation = self.money
            self.money = None
            wallet.settle(reservation, reservation.amount if cost is None else _spent(cost, reservation))

    def unused(self) -> None:
        """The call was not made, and has cost nothing."""
        self.ended(None)
        self.measured(None, 0.0)

    def lost(self) -> None:
        """Nobody will know what came of the call."""
        self.ended(None)
        self.measured(None, None)


class Protection:
    """The breakers and the budget of one variant of a flag, in this process."""

    def __init__(self, flag: str, variant: str, policy: Policy, shared: Shared) -> None:
        self._flag: Final = flag
        self._variant: Final = variant
        self._shared: Final = shared
        self._estimate: Final = max(1, policy.estimate_micros)
        self._errors: Final = policy.errors.breaker(partial(self._tell, "errors")) if policy.errors else None
        self._quality: Final = policy.quality.breaker(partial(self._tell, "quality")) if policy.quality else None

    @property
    def circuits(self) -> dict[BreakerKind, Circuit]:
        """Where the breakers are."""
        found: dict[BreakerKind, Circuit] = {}
        if self._errors is not None:
            found["errors"] = self._errors.circuit
        if self._quality is not None:
            found["quality"] = self._quality.circuit
        return found

    def enter(self, assignment: Assignment) -> Passage | Reason:
        """Leave for one call, or why there is none."""
        shared = self._shared
        if shared.blocked is not None and (kind := _asked(partial(shared.blocked, assignment))) is not None:
            return _OPEN[kind]
        passage = Passage()
        if self._errors is not None:
            permit = self._errors.enter()
            if permit is None:
                return "breaker_open"
            passage.errors = self._errors, permit
        if self._quality is not None:
            permit = self._quality.enter()
            if permit is None:
                passage.lost()
                return "quality_breaker_open"
            passage.quality = self._quality, permit
        wallet = None if shared.wallet is None else _asked(partial(shared.wallet, self._flag, self._variant))
        if wallet is not None:
            reservation = wallet.reserve(self._estimate)
            if reservation is None:
                passage.lost()
                return "budget_exceeded"
            passage.money = wallet, reservation
        return passage

    def _tell(self, kind: BreakerKind, change: Change) -> None:
        stays = f", for {format_duration(change.open_for)}" if change.after is Circuit.OPEN else ""
        what = f"the {kind} breaker of {self._flag}/{self._variant}"
        _log.warning("%s goes from %s to %s%s: %s", what, change.before, change.after, stays, change.why)
        if self._shared.changed is not None:
            _asked(partial(self._shared.changed, self._flag, self._variant, kind, change))


def _spent(cost: float, reservation: Reservation) -> int:
    try:
        return micros(cost)
    except ValueError:
        return reservation.amount


def _asked(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except Exception:
        _log.exception("what is shared with other processes cannot be asked; calls go on without it")
        return None
