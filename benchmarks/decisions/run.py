"""Many simulated paths over all processors, from one seed, the same whatever the number of processors."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from turnout.analysis.evidence import Floats

Batch = Callable[..., Mapping[str, Floats]]
"""``(random, paths, *arguments)`` → arrays with one entry a path on the first axis; a function of a module."""


@dataclass(frozen=True, slots=True)
class Size:
    """``paths`` repetitions at full scale, simulated ``batch`` at a time."""

    paths: int
    batch: int


class Run:
    """Runs batches; ``scale`` multiplies the repetitions. A context manager: it ends its processes."""

    def __init__(self, scale: float = 1.0, jobs: int | None = None, seed: int = 20_240_501) -> None:
        self.scale = scale
        self._seed = seed
        self._jobs = jobs if jobs is not None else os.cpu_count() or 1
        self._pool = ProcessPoolExecutor(self._jobs) if self._jobs > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def paths(self, size: Size) -> int:
        """How many repetitions there are at this scale, at least 20."""
        return max(20, round(size.paths * self.scale))

    def repeat(self, simulate: Batch, size: Size, name: str, *arguments: Any) -> dict[str, Floats]:
        """The results of all repetitions of ``simulate``; ``name`` sets their random numbers apart."""
        paths = self.paths(size)
        batches = math.ceil(paths / size.batch)
        seeds = np.random.SeedSequence([self._seed, zlib.crc32(name.encode())]).spawn(batches)
        sizes = [min(size.batch, paths - index * size.batch) for index in range(batches)]
        calls = [(simulate, seed, count, arguments) for seed, count in zip(seeds, sizes, strict=True)]
        if self._pool is None:
            parts = [_batch(*call) for call in calls]
        else:
            parts = [future.result() for future in [self._pool.submit(_batch, *call) for call in calls]]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _batch(
    simulate: Batch, seed: np.random.SeedSequence, paths: int, arguments: tuple[Any, ...]
) -> Mapping[str, Floats]:
    return simulate(np.random.default_rng(seed), paths, *arguments)
