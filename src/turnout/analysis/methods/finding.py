"""What every method finds, and the limits it holds estimates against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from turnout.analysis.intervals import Interval
from turnout.analysis.policy import Alphas
from turnout.analysis.projection import lacking
from turnout.domain.experiments import ExperimentResult
from turnout.domain.metrics import metric_of
from turnout.domain.plan import Gate
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Verdict

UNKNOWN: Final = Interval(None, -math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Limit:
    """A threshold and its good side; the threshold itself is good."""

    threshold: float
    at_least: bool

    def verdict(self, low: float, high: float) -> Verdict:
        """Where the interval lies. NaN compares with nothing and so proves nothing."""
        if low >= self.threshold if self.at_least else high <= self.threshold:
            return Verdict.PASS
        if high < self.threshold if self.at_least else low > self.threshold:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE

    def ends(self, alphas: Alphas) -> tuple[float, float]:
        """The error rates of an interval's lower and upper end: the one towards the bad side proves a pass."""
        return (alphas.good, alphas.fail) if self.at_least else (alphas.fail, alphas.good)

    def distance(self, estimate: float) -> float:
        """How far ``estimate`` is on the bad side; negative on the good one."""
        return self.threshold - estimate if self.at_least else estimate - self.threshold


@dataclass(frozen=True, slots=True)
class Finding:
    """A check without the names of its gate; see `turnout.domain.verdicts.Check`."""

    verdict: Verdict
    text: str
    method: str = ""
    anytime: bool = False
    interval: Interval = UNKNOWN
    threshold: float | None = None
    baseline: float | None = None
    confidence: float | None = None
    samples: int = 0
    units: int = 0
    p_fail: float | None = None
    p_pass: float | None = None
    alphas: Alphas | None = None
    design_effect: float | None = None
    effective_units: float | None = None
    missing: str = ""
    breaches: int = 0
    all_breaches: int = 0
    experiment: ExperimentResult | None = None
    met: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What evidence on both sides comes to: ``harm`` and ``good`` say whether either is proven."""

    harm: bool
    good: bool

    @property
    def verdict(self) -> Verdict:
        """Proven harm goes before a proven good."""
        if self.harm:
            return Verdict.FAIL
        return Verdict.PASS if self.good else Verdict.INCONCLUSIVE

    @property
    def open(self) -> bool:
        """Whether nothing is proven."""
        return not (self.harm or self.good)


def limit_of(gate: Gate) -> Limit:
    """The limit of what is estimated: for a quantile the share of values that may lie above ``max``.

    Raises:
        ValueError: the gate has none of min, max and versus.
    """
    if gate.quantile is not None:
        return Limit(round(1 - gate.quantile, 12), at_least=False)
    return plain_limit(gate)


def plain_limit(gate: Gate) -> Limit:
    """The limit as it is written.

    Raises:
        ValueError: the gate has none of min, max and versus.
    """
    if gate.min is not None:
        return Limit(gate.min, at_least=True)
    if gate.max is not None:
        return Limit(gate.max, at_least=False)
    raise ValueError(f"the gate on {gate.metric} has no limit; give it one of min, max and versus")


def higher_is_better(gate: Gate) -> bool:
    """Which way the gate's metric is better; the gate says it for a custom metric."""
    return metric_of(gate.metric, gate.better or "higher").better == "higher"


def enough(gate: Gate, stats: ArmStats, units: int = 0) -> bool:
    """Whether an arm has the outcomes and users that the gate asks for, and ``units`` users that its method needs."""
    return stats.samples >= gate.min_samples and stats.units >= max(gate.min_units, units)


def unheard(gate: Gate) -> str:
    """The sentence for a candidate without any outcome."""
    return f"there is no outcome with {gate.metric} from the candidate yet"


def no_outcome(gate: Gate, limit: Limit, method: str, alphas: Alphas) -> Finding:
    """The finding where the candidate has no outcome with the gate's metric."""
    return Finding(
        Verdict.NO_DATA,
        unheard(gate),
        method,
        anytime=True,
        threshold=limit.threshold,
        alphas=alphas,
        missing=lacking(gate, ArmStats(), 1.0),
    )
