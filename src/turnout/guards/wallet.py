"""What one process may spend: leases of a budget, reservations for calls, and what came of them. In memory only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from turnout.domain.budget import Settlement


@dataclass(slots=True, eq=False)
class _Held:
    """A lease in the wallet: what is left of it, what is reserved and what was spent, in millionths."""

    id: str
    left: int
    until: float
    reserved: int = 0
    spent: int = 0
    slot: int = -1


@dataclass(frozen=True, slots=True)
class Reservation:
    """``amount`` set aside for one call, out of the lease ``held``; give it back with `Wallet.settle`."""

    held: _Held
    amount: int


class Record(Protocol):
    """Keeps what leases were used for, beyond the life of the process. Used under the wallet's lock."""

    def write(self, slot: int, used: int) -> None:
        """``used`` millionths of the lease in ``slot`` are set aside or spent by now."""
        ...


class Wallet:
    """Spends leases, the one that ends first before the others. Safe to share between threads; never waits.

    A lease is good for ``seconds`` after it was asked for, by this process's ``clock``: measured from before the
    request, it ends here before it ends at the controller. Nothing is reserved from one that is over. A reservation is
    covered by one lease as a whole.

    ``on_low`` is called outside of the lock when less than half of the last lease is left, with 0, and when a
    reservation is refused, with its amount. ``uses`` counts reservations, refused ones too, ``largest`` is the
    largest of them. ``record`` hears of every use before the call is made.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        on_low: Callable[[int], None] | None = None,
        record: Record | None = None,
    ) -> None:
        self.uses = 0
        self.largest = 0
        self._clock: Final = clock
        self._on_low: Final = on_low
        self._record: Final = record
        self._low = 0
        self._lock = threading.Lock()
        self._held: list[_Held] = []

    def add(self, id: str, amount: int, asked_at: float, seconds: float, slot: int = -1) -> None:
        """Take in a lease of ``amount`` millionths that was asked for at ``asked_at`` of the clock.

        ``slot`` is its place in the record; -1 for none.
        """
        with self._lock:
            self._low = amount // 2
            self._held.append(_Held(id, amount, asked_at + seconds, slot=slot))
            self._held.sort(key=lambda held: held.until)

    @property
    def left(self) -> int:
        """What can be reserved now, in millionths."""
        with self._lock:
            now = self._clock()
            return sum(held.left for held in self._held if held.until > now)

    def reserve(self, amount: int) -> Reservation | None:
        """Set ``amount`` millionths aside for a call; None when no lease has so much left."""
        with self._lock:
            reservation, left = self._take(amount)
            low = reservation is None or left < self._low
        if low and self._on_low is not None:
            self._on_low(amount if reservation is None else 0)
        return reservation

    def _take(self, amount: int) -> tuple[Reservation | None, int]:
        """A reservation, and what is left after it."""
        self.uses += 1
        self.largest = max(self.largest, amount)
        now, left, taken = self._clock(), 0, None
        for held in self._held:
            if held.until > now:
                if taken is None and held.left >= amount:
                    held.left -= amount
                    held.reserved += amount
                    taken = Reservation(held, amount)
                    self._write(held)
                left += held.left
        return taken, left

    def settle(self, reservation: Reservation, spent: int) -> None:
        """The call of ``reservation`` has cost ``spent``; the difference goes back to its lease, or comes from it."""
        with self._lock:
            held = reservation.held
            held.reserved -= reservation.amount
            held.spent += spent
            held.left += reservation.amount - spent
            self._write(held)

    def _write(self, held: _Held) -> None:
        if held.slot >= 0 and self._record is not None:
            self._record.write(held.slot, held.spent + held.reserved)

    def collect(self, everything: bool = False) -> tuple[Settlement, ...]:
        """Leases that are over or used up, with no call under way: settle them and forget them.

        ``everything`` also gives up leases that are still good; calls under way count as spent as reserved.
        """
        with self._lock:
            now = self._clock()
            over = [h for h in self._held if everything or (not h.reserved and (h.until <= now or h.left <= 0))]
            self._held = [held for held in self._held if held not in over]
            for held in over:
                # Its settlement says the last word; the slot may soon be another lease's.
                held.slot = -1
            return tuple(Settlement(id=held.id, spent=held.spent + held.reserved) for held in over)
