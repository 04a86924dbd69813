"""What a batch of new outcomes adds to the statistics of a generation, whatever keeps them. No I/O.

`gathered` sorts the values of a batch by arm, minute and metric; `Window.add` counts them. A store brings to the window
what it has kept of the arms and units concerned, and keeps what the window is afterwards.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from operator import itemgetter, mul
from typing import Final, NamedTuple

from turnout.adapters.intake import Attributed, FlagFacts, Measuring
from turnout.domain.bucketing import cluster
from turnout.domain.histogram import Histogram, bin_of
from turnout.domain.outcomes import ANY_METRIC, capped
from turnout.domain.stats import CLUSTERS, ArmStats

ENOUGH_TO_FREEZE: Final = 1000
"""So many values of stable make a quantile that others are held against."""

_FAILURES: Final = "error_rate"
# Squares of smaller numbers underflow, which PostgreSQL refuses to compute.
_TINY: Final = 1e-100
_PLAIN: Final = Measuring()


Sample = tuple[str, int, float]
"""A unit, the cluster in which it is summed, and one value of it. (Naming the three costs more than summing them.)"""


_Carrier = tuple[str, int, Mapping[str, float]]
"""A unit, its cluster, and the values that one outcome of it has by metric."""


class WindowKey(NamedTuple):
    """One generation of one flag's traffic."""

    flag: str
    generation: int


Arm = dict[int, dict[str, list[Sample]]]
"""The values on one arm by minute since the epoch and by metric, `ANY_METRIC` first."""


@dataclass(slots=True)
class Arrivals:
    """What a batch brings to one window: values by variant, and how many were out of bounds by metric."""

    facts: FlagFacts
    arms: dict[str, Arm] = field(default_factory=dict[str, Arm])
    rejected: Counter[str] = field(default_factory=Counter[str])

    def accepted(self, carriers: Sequence[_Carrier]) -> dict[str, list[Sample]]:
        """What outcomes carry, by metric, without the values out of bounds, which are counted."""
        found = {ANY_METRIC: [(unit, place, 1.0) for unit, place, _ in carriers]}
        for metric in sorted({metric for _, _, values in carriers for metric in values}):
            samples = [
                (unit, place, 0.0 if -_TINY < (value := values[metric]) < _TINY else value)
                for unit, place, values in carriers
                if metric in values
            ]
            asked = self.facts.measuring.get(metric, _PLAIN)
            inside = [sample for sample in samples if asked.low <= sample[2] <= asked.high]
            if len(inside) < len(samples):
                self.rejected[metric] += len(samples) - len(inside)
            if inside:
                found[metric] = inside
        return found

    def metrics(self) -> set[str]:
        """The metrics that have a value."""
        return {metric for arm in self.arms.values() for minute in arm.values() for metric in minute}

    def units(self, variant: str) -> set[str]:
        """The units that arrive on one arm."""
        return {unit for minute in self.arms[variant].values() for unit, _, _ in minute[ANY_METRIC]}

    def series(self) -> set[str]:
        """The names of the metrics that may change, those derived included."""
        derived = self.facts.measuring
        names = {name for m in self.metrics() & derived.keys() for name in names_of(derived[m])}
        return self.metrics() | names


@dataclass(slots=True)
class MinuteSums:
    """What one minute adds; see `turnout.domain.stats.Minute`."""

    samples: int = 0
    total: float = 0.0
    squares: float = 0.0
    units: int = 0
    hits: int = 0


@dataclass(slots=True)
class Series:
    """The values of one metric on one arm: their sums, by cluster and by minute, and their counts by histogram bin."""

    units: int = 0
    hits: int = 0
    samples: int = 0
    total: float = 0.0
    squares: float = 0.0
    counts: array[int] = field(default_factory=lambda: array("q", bytes(8 * CLUSTERS)))
    totals: array[float] = field(default_factory=lambda: array("d", bytes(8 * CLUSTERS)))
    bins: Counter[int] = field(default_factory=Counter[int])
    minutes: defaultdict[int, MinuteSums] = field(default_factory=lambda: defaultdict[int, MinuteSums](MinuteSums))

    def add(self, minute: int, samples: Sequence[Sample]) -> None:
        """Count ``samples`` of one minute."""
        values = [value for _, _, value in samples]
        count, total, squares = len(values), fsum(values), fsum(map(mul, values, values))
        self.samples += count
        self.total += total
        self.squares += squares
        here = self.minutes[minute]
        here.samples += count
        here.total += total
        here.squares += squares
        counts, totals = self.counts, self.totals
        for _, place, value in samples:
            counts[place] += 1
            totals[place] += value

    def distribute(self, samples: Iterable[Sample]) -> None:
        """Count ``samples`` by histogram bin."""
        for value, count in Counter([value for _, _, value in samples]).items():
            self.bins[bin_of(value)] += count

    def stats(self) -> ArmStats:
        """The statistics; the sums of products over clusters are those of the moment, and exact to rounding."""
        pairs = [(n, y) for n, y in zip(self.counts, self.totals, strict=True) if n]
        return ArmStats(
            units=self.units,
            samples=self.samples,
            total=self.total,
            squares=self.squares,
            nn=float(sum(n * n for n, _ in pairs)),
            yy=fsum(y * y for _, y in pairs),
            ny=fsum(n * y for n, y in pairs),
            clusters=len(pairs),
            hits=self.hits,
        )


@dataclass(slots=True)
class Mark:
    """What is known of a unit on one arm.

    Bit i of ``metrics`` says that it had a value of the window's i-th metric. ``seen`` and ``failed`` are the minutes
    of its first outcome and of its first error.
    """

    seen: int
    metrics: int = 0
    failed: int | None = None


@dataclass(slots=True)
class ArmTally:
    """One arm of a window: its series by metric, the marks of its units, and which of these have changed."""

    series: defaultdict[str, Series] = field(default_factory=lambda: defaultdict[str, Series](Series))
    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])
    changed: set[str] = field(default_factory=set[str])

    def arrive(self, minute: int, samples: Iterable[Sample]) -> None:
        """Note at which minute units were seen first, whatever the order in which that is learnt."""
        minutes = self.series[ANY_METRIC].minutes
        for unit in {unit for unit, _, _ in samples}:
            mark = self.marks.get(unit)
            if mark is None:
                self.marks[unit] = Mark(seen=minute)
            elif minute < mark.seen:
                minutes[mark.seen].units -= 1
                mark.seen = minute
            else:
                continue
            minutes[minute].units += 1
            self.changed.add(unit)

    def fail(self, minute: int, samples: Iterable[Sample]) -> None:
        """Note at which minute units had their first error, whatever the order in which that is learnt."""
        series = self.series[_FAILURES]
        for unit in {unit for unit, _, value in samples if value > 0}:
            mark = self.marks[unit]
            if mark.failed is None:
                series.hits += 1
            elif minute < mark.failed:
                series.minutes[mark.failed].hits -= 1
            else:
                continue
            mark.failed = minute
            series.minutes[minute].hits += 1
            self.changed.add(unit)

    def meet(self, metric: str, bit: int, samples: Iterable[Sample]) -> None:
        """Count the units that have their first value of ``metric``, whose mark is ``bit``."""
        series, marks = self.series[metric], self.marks
        for unit in {unit for unit, _, _ in samples}:
            mark = marks[unit]
            if not mark.metrics & bit:
                mark.metrics |= bit
                series.units += 1
                self.changed.add(unit)


@dataclass(slots=True)
class Window:
    """The statistics of one generation, or the part of them that a batch concerns.

    ``metrics`` gives each metric its bit in the marks of units, ``frozen`` holds the limits by derived name. ``stable``
    is the variant that was stable when the generation's first outcome came.
    """

    stable: str
    metrics: list[str] = field(default_factory=list[str])
    rejected: Counter[str] = field(default_factory=Counter[str])
    frozen: dict[str, float] = field(default_factory=dict[str, float])
    arms: defaultdict[str, ArmTally] = field(default_factory=lambda: defaultdict[str, ArmTally](ArmTally))

    def thawed(self, arrivals: Arrivals) -> dict[str, list[tuple[str, float]]]:
        """Limits that ``arrivals`` are to be held against and that are not frozen: names and quantiles by metric."""
        asked = arrivals.facts.measuring
        missing = {m: [limit for limit in asked[m].frozen if limit[0] not in self.frozen] for m in asked}
        return {metric: missing[metric] for metric in sorted(missing.keys() & arrivals.metrics()) if missing[metric]}

    def freeze(self, metric: str, limits: Iterable[tuple[str, float]], earlier: Mapping[int, int] | None) -> None:
        """Freeze ``limits`` on ``metric``: ``earlier`` are the bins of an earlier stable arm, if there is one.

        Without it the stable arm of this window is asked, as it was before the batch; one with too few values
        freezes nothing.
        """
        counts = earlier
        if counts is None:
            own = self.arms[self.stable].series.get(metric) if self.stable in self.arms else None
            if own is None or own.samples < ENOUGH_TO_FREEZE:
                return
            counts = own.bins
        histogram = Histogram(counts=counts)
        found = {name: histogram.quantile(quantile) for name, quantile in limits}
        self.frozen |= {name: limit for name, limit in found.items() if limit is not None}

    def add(self, arrivals: Arrivals) -> None:
        """Count ``arrivals``. What the batch is held against has been frozen before."""
        self.rejected.update(arrivals.rejected)
        measuring = arrivals.facts.measuring
        for variant, minutes in sorted(arrivals.arms.items()):
            arm = self.arms[variant]
            for minute, metrics in sorted(minutes.items()):
                arm.arrive(minute, metrics[ANY_METRIC])
                for metric, samples in metrics.items():
                    self._count(arm, metric, minute, samples)
                    arm.series[metric].distribute(samples)
                    for name, value_of in self._derived(metric, measuring.get(metric, _PLAIN)):
                        derived = [(unit, place, value_of(value)) for unit, place, value in samples]
                        self._count(arm, name, minute, derived)
                if _FAILURES in metrics:
                    arm.fail(minute, metrics[_FAILURES])

    def _count(self, arm: ArmTally, metric: str, minute: int, samples: Sequence[Sample]) -> None:
        arm.series[metric].add(minute, samples)
        arm.meet(metric, self._bit(metric), samples)

    def _bit(self, metric: str) -> int:
        if metric not in self.metrics:
            self.metrics.append(metric)
        return 1 << self.metrics.index(metric)

    def _derived(self, metric: str, measuring: Measuring) -> Iterator[tuple[str, Callable[[float], float]]]:
        for name, threshold in measuring.exceedances:
            yield name, _above(threshold)
        for name, _ in measuring.frozen:
            limit = self.frozen.get(name)
            if name == capped(metric):
                yield name, _at_most(limit)
            elif limit is not None:
                yield name, _above(limit)


def names_of(measuring: Measuring) -> list[str]:
    """The names of the metrics derived from one."""
    return [name for name, _ in (*measuring.exceedances, *measuring.frozen)]


def gathered(outcomes: Iterable[Attributed], facts: Mapping[str, FlagFacts]) -> dict[WindowKey, Arrivals]:
    """The values of new outcomes by window, in the order of its keys; outcomes that chance did not draw have none.

    A number closer to 0 than 1e-100 counts as 0.
    """
    places: defaultdict[tuple[str, int, str, int], list[_Carrier]] = defaultdict(list)
    for outcome, generation, at in outcomes:
        if outcome.drawn:
            place = (outcome.flag, generation, outcome.arm, int(at.timestamp()) // 60)
            places[place].append((outcome.unit, cluster(outcome.unit, CLUSTERS), outcome.measurements()))
    windows: dict[WindowKey, Arrivals] = {}
    for (flag, generation, variant, minute), carriers in sorted(places.items(), key=itemgetter(0)):
        arrivals = windows.setdefault(WindowKey(flag, generation), Arrivals(facts[flag]))
        arrivals.arms.setdefault(variant, {})[minute] = arrivals.accepted(carriers)
    return windows


def rejected_by(windows: Mapping[WindowKey, Arrivals]) -> dict[str, int]:
    """How many values of a batch were out of bounds, by metric."""
    return dict(sum((arrivals.rejected for arrivals in windows.values()), Counter[str]()))


def _above(limit: float) -> Callable[[float], float]:
    return lambda value: float(value > limit)


def _at_most(limit: float | None) -> Callable[[float], float]:
    return (lambda value: value) if limit is None else (lambda value: min(value, limit))
