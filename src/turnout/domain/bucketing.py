"""The one hash: which arm of a split a unit belongs to.

It is flagd's ``fractional`` operator, version 2, which the flagd engines for Go, Java and JavaScript share::

    bucket = murmur3_x86_32(utf8(seed + unit), 0) * total >> 32          # 0 <= bucket < total

and the unit gets the first arm whose cumulative weight is greater than its bucket. So an arm that stands
first and grows keeps everybody it has. Nothing else in Turnout hashes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, TypeVar

import mmh3

T = TypeVar("T")

TOTAL: Final = 100_000
"""What the weights of a split sum to: shares are exact to a thousandth of a percent."""


MAX_TOTAL: Final = 2**31 - 1
"""The largest sum of weights that every engine takes."""


def hash32(text: str) -> int:
    """MurmurHash3 (x86, 32 bit, seed 0) of ``text`` as UTF-8, unsigned.

    Raises UnicodeEncodeError on lone surrogates, which have no UTF-8.
    """
    # Never give mmh3 the text itself: on a lone surrogate, which a JSON request can hold, it crashes the process.
    return mmh3.mmh3_32_uintdigest(text.encode())


def bucket(seed: str, unit: str, total: int = TOTAL) -> int:
    """The bucket of ``unit`` under ``seed``, in ``range(total)``."""
    return hash32(seed + unit) * total >> 32


def pick(bucket: int, weights: Sequence[tuple[str, int]]) -> str | None:
    """The first arm whose cumulative weight is above ``bucket``; None when all of them together are not."""
    end = 0
    for name, weight in weights:
        end += weight
        if bucket < end:
            return name
    return None


def splitter(seed: str, arms: Sequence[tuple[T, int]], missing: T) -> Callable[[str | None, object], T]:
    """``pick(bucket(seed, unit, total), arms)`` as one fast function of the unit; ``missing`` without a unit.

    ``total`` is the sum of the weights, which must be positive. The function takes a second argument that it
    ignores, so that it fits wherever an evaluation of a unit and its attributes is called for.
    """
    hash_of, outcomes = mmh3.mmh3_32_uintdigest, tuple(arm for arm, _ in arms)
    limits = _limits([weight for _, weight in arms])
    if len(outcomes) == 2:
        (first, second), limit = outcomes, limits[0]

        def of_two(unit: str | None, _context: object) -> T:
            if not unit:
                return missing
            return first if hash_of((seed + unit).encode()) < limit else second

        return of_two

    def of_many(unit: str | None, _context: object) -> T:
        if not unit:
            return missing
        return outcomes[bisect_right(limits, hash_of((seed + unit).encode()))]

    return of_many


def _limits(weights: Sequence[int]) -> list[int]:
    """For each arm the lowest hash beyond it: ``hash * total >> 32 < end`` solved for the hash."""
    total = sum(weights)
    return [-((-end << 32) // total) for end in accumulate(weights)]


def cluster(unit: str, clusters: int) -> int:
    """The cluster in ``range(clusters)`` in which ``unit`` is summed for statistics; unrelated to any assignment."""
    return hash32("turnout:statistics:" + unit) * clusters >> 32
