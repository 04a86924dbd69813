"""Whole numbers in the proportion of others: what a router with coarse weights makes of exact shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from turnout.domain.bucketing import TOTAL

TOLERANCE: Final = 0.01
"""How far an achieved share may be from the one asked for, as a part of it, before larger numbers are tried."""


def scaled(weights: Mapping[str, int], largest: int) -> dict[str, int]:
    """Whole numbers of 0 to ``largest`` in the proportion of ``weights``, which are not all 0.

    They are the smallest for which every share is within `TOLERANCE` of its own; if there are none up to ``largest``,
    the nearest. Small numbers make a short round, in which a round robin keeps its proportions. A weight of 0 stays 0,
    and no other becomes 0: the smallest share is ``1 / (1 + largest)`` of two.
    """
    asked = {name: weight for name, weight in weights.items() if weight}
    total = sum(asked.values())
    first = max(len(asked), int(total / (min(asked.values()) * (1 + TOLERANCE))))
    best, least = dict[str, int](), float("inf")
    for size in range(min(first, largest), largest * len(asked) + 1):
        parts = {name: max(1, round(weight * size / total)) for name, weight in asked.items()}
        if max(parts.values()) > largest:
            break
        error = _error(parts, asked)
        if error < least:
            best, least = parts, error
        if error <= TOLERANCE:
            break
    return {name: best.get(name, 0) for name in weights}


def _error(parts: Mapping[str, int], asked: Mapping[str, int]) -> float:
    """The largest relative difference of a share of ``parts`` from that of ``asked``."""
    ratio = sum(asked.values()) / sum(parts.values())
    return max(abs(part * ratio / asked[name] - 1) for name, part in parts.items())


def shares(parts: Mapping[str, float]) -> dict[str, int]:
    """``parts`` as shares in 1/100000 that sum to 100000 (largest remainder); nothing where all are 0."""
    total = sum(parts.values())
    if not total:
        return dict.fromkeys(parts, 0)
    exact = {name: part * TOTAL / total for name, part in parts.items()}
    found = {name: int(share) for name, share in exact.items()}
    short = TOTAL - sum(found.values())
    for name in sorted(exact, key=lambda name: found[name] - exact[name])[:short]:
        found[name] += 1
    return found
