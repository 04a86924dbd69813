"""How the sums by cluster and the counts by histogram bin are kept in one column each, little-endian.

Clusters: the numbers (2 bytes) of the k that have a value, then their k counts (8), then their k totals (8). Bins: the
k numbers (4), then the k counts (8). A generation with few units stays small; 1024 clusters take 18 kB.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter

from turnout.adapters.tally import Series

_CLUSTER_BYTES = 2 + 8 + 8
_BIN_BYTES = 4 + 8


def pack_clusters(series: Series) -> bytes:
    """The column of the sums by cluster."""
    used = [index for index, count in enumerate(series.counts) if count]
    k, counts, totals = len(used), series.counts, series.totals
    return struct.pack(f"<{k}H{k}q{k}d", *used, *[counts[i] for i in used], *[totals[i] for i in used])


def unpack_clusters(packed: bytes, counts: array[int], totals: array[float]) -> None:
    """Write the column into ``counts`` and ``totals``, which are 0 everywhere."""
    k = len(packed) // _CLUSTER_BYTES
    numbers = struct.unpack(f"<{k}H{k}q{k}d", packed)
    for index, count, total in zip(numbers[:k], numbers[k : 2 * k], numbers[2 * k :], strict=True):
        counts[index] = count
        totals[index] = total


def pack_bins(bins: Counter[int]) -> bytes:
    """The column of the counts by bin."""
    k = len(bins)
    return struct.pack(f"<{k}i{k}q", *bins.keys(), *bins.values())


def unpack_bins(packed: bytes) -> Counter[int]:
    """The counts by bin."""
    k = len(packed) // _BIN_BYTES
    numbers = struct.unpack(f"<{k}i{k}q", packed)
    return Counter(dict(zip(numbers[:k], numbers[k:], strict=True)))
