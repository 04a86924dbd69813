"""Statistics computed from the outcomes themselves, plainly and in exact arithmetic, to hold the stores against."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from turnout.domain.bucketing import cluster
from turnout.domain.histogram import bin_of
from turnout.domain.outcomes import ANY_METRIC, Outcome, exceedance
from turnout.domain.plan import Bounds
from turnout.domain.stats import ArmStats, Minute

Value = tuple[str, int, float]
"""A unit, a minute and a value."""

_numbers = st.none() | st.integers(0, 1000).map(float) | st.floats(0, 1e6)


def documents(variants: list[str], start: int, ids: int = 10**9) -> st.SearchStrategy[dict[str, Any]]:
    """Outcomes as documents without a flag, within five minutes from ``start`` (seconds since the epoch)."""
    return st.fixed_dictionaries(
        {
            "id": st.integers(0, ids).map(str),
            "variant": st.sampled_from(variants),
            "unit": st.sampled_from(["u1", "u2", "u3", "ü", "🚆"]),
            "at": st.integers(start, start + 299),
            "ok": st.none() | st.booleans(),
            "latency_ms": _numbers,
            "quality": _numbers,
            "cost": _numbers,
            "values": st.just({}) | _numbers.map(lambda n: {} if n is None else {"tokens": n}),
            "decided_by": st.sampled_from([None, "traffic", "static", "rule:staff", "segment:north"]),
            "mode": st.sampled_from(["serve", "serve", "serve", "shadow"]),
        }
    )


@dataclass(frozen=True, slots=True)
class Direct:
    """What is expected, by metric and variant; rejected values by metric."""

    stats: dict[tuple[str, str], ArmStats]
    minutes: dict[tuple[str, str], list[Minute]]
    bins: dict[tuple[str, str], dict[int, int]]
    units: dict[str, int]
    rejected: dict[str, int] = field(default_factory=dict[str, int])


def _arm(outcome: Outcome) -> str:
    if outcome.mode == "shadow":
        return outcome.variant + ":shadow"
    return outcome.variant + ("@north" if outcome.decided_by == "segment:north" else "")


def direct(
    outcomes: Iterable[Outcome], bounds: Mapping[str, Bounds] | None = None, limits: Mapping[str, float] | None = None
) -> Direct:
    """What follows from ``outcomes``, each of which counts; ``limits`` are thresholds by metric."""
    values: defaultdict[tuple[str, str], list[Value]] = defaultdict(list)
    rejected = Counter[str]()
    derived = set[str]()
    for outcome in outcomes:
        if not outcome.drawn:
            continue
        assert outcome.at is not None
        minute, unit, arm = int(outcome.at.timestamp() // 60), outcome.unit, _arm(outcome)
        values[ANY_METRIC, arm].append((unit, minute, 1.0))
        for metric, value in outcome.measurements().items():
            if not _inside((bounds or {}).get(metric), value):
                rejected[metric] += 1
                continue
            values[metric, arm].append((unit, minute, value))
            if limits and metric in limits:
                name = exceedance(metric, limits[metric])
                derived.add(name)
                values[name, arm].append((unit, minute, float(value > limits[metric])))
    seen = {arm: _first(values[ANY_METRIC, arm]) for _, arm in list(values)}
    failed = {arm: _first(v for v in values["error_rate", arm] if v[2] > 0) for _, arm in list(values)}
    kept = {key: found for key, found in values.items() if found}
    return Direct(
        stats={
            (m, arm): _stats(found, len(failed[arm]) if m == "error_rate" else 0) for (m, arm), found in kept.items()
        },
        minutes={
            (m, arm): _minutes(found, seen[arm], failed[arm] if m == "error_rate" else {})
            for (m, arm), found in kept.items()
        },
        bins={
            key: dict(Counter(bin_of(v) for _, _, v in found)) for key, found in kept.items() if key[0] not in derived
        },
        units={arm: len(units) for arm, units in seen.items()},
        rejected=dict(rejected),
    )


def _inside(bounds: Bounds | None, value: float) -> bool:
    low = bounds.min if bounds else None
    high = bounds.max if bounds else None
    return (low is None or value >= low) and (high is None or value <= high)


def _first(values: Iterable[Value]) -> dict[str, int]:
    first: dict[str, int] = {}
    for unit, minute, _ in values:
        first[unit] = min(minute, first.get(unit, minute))
    return first


def _stats(values: list[Value], hits: int) -> ArmStats:
    clusters: defaultdict[int, list[Fraction]] = defaultdict(list)
    for unit, _, value in values:
        clusters[cluster(unit, 1024)].append(_exact(value))
    sums = [(len(of), sum(of)) for of in clusters.values()]
    return ArmStats(
        units=len({unit for unit, _, _ in values}),
        samples=len(values),
        total=float(sum(y for _, y in sums)),
        squares=float(sum(_exact(value) ** 2 for _, _, value in values)),
        nn=float(sum(n * n for n, _ in sums)),
        yy=float(sum(y * y for _, y in sums)),
        ny=float(sum(n * y for n, y in sums)),
        clusters=len(sums),
        hits=hits,
    )


def _minutes(values: list[Value], seen: Mapping[str, int], failed: Mapping[str, int]) -> list[Minute]:
    return [
        Minute(
            minute=minute,
            samples=len(here),
            total=float(sum(map(_exact, here))),
            squares=float(sum(_exact(value) ** 2 for value in here)),
            units=sum(first == minute for first in seen.values()),
            hits=sum(first == minute for first in failed.values()),
        )
        for minute in sorted({minute for _, minute, _ in values})
        for here in [[value for _, at, value in values if at == minute]]
    ]


def _exact(value: float) -> Fraction:
    return Fraction(value if abs(value) >= 1e-100 else 0)
