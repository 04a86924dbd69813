"""How numbers and verdicts are put into sentences: plain enough to act on, exact enough to check."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from turnout.domain.metrics import metric_of
from turnout.domain.plan import Gate
from turnout.domain.stats import ArmStats
from turnout.domain.verdicts import Verdict

_NOTEWORTHY = 1.02
"""Design effects below change no digit that is shown."""

NEAR: Final = "a distance from the limit: so near to it this is not decidable"
"""What a gate lacks whose estimate is all but its limit."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How values of a metric are written: in ``unit``, rates (``rate``) times 100, with ``decimals``."""

    rate: bool
    unit: str
    decimals: int = 1

    def number(self, value: float) -> str:
        """``value`` without its unit, with a true minus sign."""
        shown = f"{value * 100 if self.rate else value:.{self.decimals}f}"
        return shown.replace("-", "−") if float(shown) else shown.removeprefix("-")

    def value(self, value: float) -> str:
        """``value`` with its unit: ``93.1 %``, ``812 ms``."""
        return f"{self.number(value)}{self.suffix}"

    def limit(self, value: float) -> str:
        """A limit as a person wrote it, not rounded to the scale's decimals: ``95 %``, ``5000 ms``."""
        return f"{value * 100 if self.rate else value:.10g}".replace("-", "−") + self.suffix

    @property
    def suffix(self) -> str:
        """The unit with its space in front; empty for a bare number."""
        return f" {self.unit}" if self.unit else ""

    def fitting(self, low: float, high: float) -> Scale:
        """The same with as many decimals as show the width of an interval in two digits."""
        width = (high - low) * (100 if self.rate else 1)
        fewest = 1 if self.rate else 0
        if not math.isfinite(width) or width <= 0:
            return replace(self, decimals=fewest or 3)
        return replace(self, decimals=min(6, max(fewest, 1 - math.floor(math.log10(width)))))


def scale_of(gate: Gate, *, rate: bool) -> Scale:
    """How values of the gate's metric are written; rates, and shares of any metric, as percent."""
    return Scale(rate, "%" if rate else metric_of(gate.metric).unit)


def span(scale: Scale, low: float, high: float) -> str:
    """``91.0–94.8 %``; with words in between when a sign would be read as a dash."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "without bounds"
    between = " to " if low < 0 else "–"
    return f"{scale.number(low)}{between}{scale.number(high)}{scale.suffix}"


def level(confidence: float) -> str:
    """``95 % interval``."""
    return f"{confidence * 100:.10g} % interval"


def sure(confidence: float) -> str:
    """``anytime 94 % interval``: one that holds at all looks together."""
    return f"anytime {confidence * 100:.4g} % interval"


def times_span(low: float, high: float) -> str:
    """The interval of a ratio: ``1.2–3.4 times``, or what it says where one end is open."""
    if not math.isfinite(high):
        return f"at least {low:.3g} times" if low > 0 else "without bounds"
    return f"{low:.3g}–{high:.3g} times"


def amount(value: float) -> str:
    """A count, which an aggregating source may have extrapolated: ``812`` or ``811.7``."""
    return f"{value:.1f}".removesuffix(".0")


def significant(scale: Scale, value: float) -> str:
    """A bare number in four digits, with its unit."""
    return f"{value * 100 if scale.rate else value:.4g}".replace("-", "−") + scale.suffix


def crowd(stats: ArmStats) -> str:
    """``812 outcomes of 164 users``."""
    return f"{count(stats.samples, 'outcome')} of {count(stats.units, 'user')}"


def worth(samples: int, effect: float) -> str:
    """What clustered outcomes are worth: ``, worth 612 independent ones``; nothing where that is all but the same."""
    return f", worth {round(samples / effect)} independent ones" if effect >= _NOTEWORTHY else ""


def clustering(effect: float) -> str:
    """``, design effect 1.3``, where there is one."""
    return f", design effect {effect:.3g}" if effect >= _NOTEWORTHY else ""


def missing(gate: Gate, stats: ArmStats, units: int = 0) -> str:
    """``12 of 50 outcomes, 5 of 20 users``: what there is of what the gate needs, and its method (``units``)."""
    outcomes = f"{stats.samples} of {count(gate.min_samples, 'outcome')}"
    return f"{outcomes}, {stats.units} of {count(max(gate.min_units, units), 'user')}"


def against_limit(verdict: Verdict, limit: str, *, at_least: bool) -> str:
    """How a sentence about a value ends: ``, below 95 %``; what is undecided has the limit inside its interval."""
    match verdict:
        case Verdict.PASS:
            return f", at {'least' if at_least else 'most'} {limit}"
        case Verdict.FAIL:
            return f", {'below' if at_least else 'above'} {limit}"
        case _:
            return f"; {limit} lies inside the interval, so this is not decided yet"


def against_quantile(verdict: Verdict, allowed: str, label: str) -> str:
    """How a sentence about the share above a quantile's limit ends."""
    match verdict:
        case Verdict.PASS:
            return f", within the {allowed} that {label} allows"
        case Verdict.FAIL:
            return f", more than the {allowed} that {label} allows"
        case _:
            return f"; {label} allows {allowed}, which lies inside the interval, so this is not decided yet"


def against_ratio(verdict: Verdict, allowed: str) -> str:
    """How a sentence about a ratio to stable ends."""
    match verdict:
        case Verdict.PASS:
            return f", so it is not worse by more than {allowed}"
        case Verdict.FAIL:
            return f", so it is worse by more than {allowed}"
        case _:
            return f"; whether it is worse by more than {allowed} is not decided yet"


def against_times(verdict: Verdict, limit: str, *, at_least: bool) -> str:
    """How a sentence about a ratio of means ends, held against ``1.1 times``."""
    match verdict:
        case Verdict.PASS:
            return f", so it is at {'least' if at_least else 'most'} {limit} stable's"
        case Verdict.FAIL:
            return f", so it is {'less' if at_least else 'more'} than {limit} stable's"
        case _:
            return f"; whether it is {'less' if at_least else 'more'} than {limit} stable's is not decided yet"


def margin_of(margin: float, gap: Scale) -> str | None:
    """A margin in the scale of a difference; None for none."""
    if not margin:
        return None
    shown = gap.limit(margin)
    return shown.removesuffix("s") if shown == "1 percentage points" else shown


def against_margin(verdict: Verdict, margin: str | None) -> str:
    """How a sentence about a difference to stable ends; ``margin`` None is a margin of zero."""
    worse = "worse" if margin is None else f"worse by more than the margin of {margin}"
    match verdict:
        case Verdict.PASS:
            return f", so it is not {worse}"
        case Verdict.FAIL:
            return f", so it is {worse}"
        case _:
            return f"; whether it is {worse} is not decided yet"


def lately(verdict: Verdict, shown: Verdict) -> str:
    """Said where trouble that began later is proven, which the interval over the whole stage does not show yet."""
    if verdict is not Verdict.FAIL or shown is Verdict.FAIL:
        return ""
    return "; the interval is of the whole stage, and the latest minutes are proven to be worse"


def would_decide(missing: str) -> str:
    """How a sentence without a decision ends: ``: about 480 more outcomes, 96 more users would decide``."""
    if missing == NEAR:
        return ", and so near to the limit more data will hardly decide it"
    if " more " in missing:
        return f": {missing} would decide at this rate"
    return f"; it lacks {missing}" if missing else ""


def count(number: int, noun: str) -> str:
    """``1 user``, ``20 users``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
