"""How long to wait before trying again."""

from __future__ import annotations

from random import SystemRandom
from typing import Final

# The system's randomness: forked processes must not wait in step.
_random: Final = SystemRandom()


class Backoff:
    """Delays in seconds that double from ``first`` to ``longest``, each shortened at random by up to half."""

    __slots__ = ("_first", "_longest", "_next")

    def __init__(self, first: float, longest: float) -> None:
        self._first: Final = first
        self._longest: Final = longest
        self._next = first

    def next(self) -> float:
        """The delay to wait now; the next one is longer."""
        delay = self._next
        self._next = min(self._longest, 2 * delay)
        return delay * _random.uniform(0.5, 1)

    def reset(self) -> None:
        """Start from ``first`` again."""
        self._next = self._first
