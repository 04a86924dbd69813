"""How the sums by cluster and the counts by histogram bin are kept in one column each, little-endian.

Clusters: the numbers (2 bytes) of the k that have a value, then their k counts (8), then their k totals (8); from 600
on, where it is hardly longer and much faster, all 1024 counts and totals. Bins: the k numbers (4), the k counts (8).
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter
from typing import Final, TypeVar

from turnout.adapters.tally import Series
from turnout.domain.stats import CLUSTERS

_CLUSTER_BYTES: Final = 2 + 8 + 8
_ALL_BYTES: Final = CLUSTERS * (8 + 8)  # not a multiple of 18, so the length tells which it is
_BIN_BYTES: Final = 4 + 8
_MANY: Final = 600

_Number = TypeVar("_Number", int, float)


def pack_clusters(series: Series) -> bytes:
    """The column of the sums by cluster."""
    counts, totals = series.counts, series.totals
    if CLUSTERS - counts.count(0) >= _MANY:
        return _little(counts).tobytes() + _little(totals).tobytes()
    used = [index for index, count in enumerate(counts) if count]
    k = len(used)
    return struct.pack(f"<{k}H{k}q{k}d", *used, *[counts[i] for i in used], *[totals[i] for i in used])


def unpack_clusters(packed: bytes) -> tuple[array[int], array[float]]:
    """The counts and the totals of all clusters."""
    if len(packed) == _ALL_BYTES:
        half = CLUSTERS * 8
        return _little(array("q", packed[:half])), _little(array("d", packed[half:]))
    counts, totals = array("q", bytes(8 * CLUSTERS)), array("d", bytes(8 * CLUSTERS))
    k = len(packed) // _CLUSTER_BYTES
    numbers = struct.unpack(f"<{k}H{k}q{k}d", packed)
    for index, count, total in zip(numbers[:k], numbers[k : 2 * k], numbers[2 * k :], strict=True):
        counts[index] = count
        totals[index] = total
    return counts, totals


def pack_bins(bins: Counter[int]) -> bytes:
    """The column of the counts by bin."""
    k = len(bins)
    return struct.pack(f"<{k}i{k}q", *bins.keys(), *bins.values())


def unpack_bins(packed: bytes) -> Counter[int]:
    """The counts by bin."""
    k = len(packed) // _BIN_BYTES
    numbers = struct.unpack(f"<{k}i{k}q", packed)
    return Counter(dict(zip(numbers[:k], numbers[k:], strict=True)))


def _little(numbers: array[_Number]) -> array[_Number]:
    if sys.byteorder == "little":
        return numbers
    swapped = numbers[:]
    swapped.byteswap()
    return swapped
