"""Measure the systems side by side: ``python -m examples.answers.compare [queries] [seed]``."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .corpus import load
from .keyword_search import KeywordSearch
from .queries import Query, queries, reciprocal_rank
from .semantic_search import SemanticSearch

T = TypeVar("T")
Search = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a search did: mean reciprocal rank, share of answers found, latencies in milliseconds."""

    reciprocal_rank: float
    found: float
    median_ms: float
    p99_ms: float


def measure(search: Search, asked: Iterable[Query]) -> Quality:
    """Put every query to ``search`` and judge what it returns; needs at least two queries."""
    ranks: list[float] = []
    latencies: list[float] = []
    for query in asked:
        begun = time.perf_counter()
        results = search(query.text)
        latencies.append(1000 * (time.perf_counter() - begun))
        ranks.append(reciprocal_rank(results, query.relevant))
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    found = statistics.fmean(rank > 0 for rank in ranks)
    return Quality(statistics.fmean(ranks), found, percentiles[49], percentiles[98])


def main(count: int = 2000, seed: int = 1) -> None:
    """Print one line for each system."""
    documents, seconds = _timed(load)
    print(f"{len(documents)} documents, read in {seconds:.1f} s")
    asked = queries(documents, count, seed)
    builds: dict[str, Callable[[], KeywordSearch | SemanticSearch]] = {
        "keyword": lambda: KeywordSearch(documents),
        "semantic": lambda: SemanticSearch(documents),
        "degraded": lambda: SemanticSearch.degraded(documents, seed),
    }
    print(f"{'':10}{'MRR':>8}{'found':>8}{'median':>11}{'p99':>11}{'build':>9}")
    for name, build in builds.items():
        system, seconds = _timed(build)
        quality = measure(system.search, asked)
        print(
            f"{name:10}{quality.reciprocal_rank:8.3f}{quality.found:8.3f}"
            f"{quality.median_ms:8.2f} ms{quality.p99_ms:8.2f} ms{seconds:7.1f} s"
        )


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    return action(), time.perf_counter() - begun


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:3]))
