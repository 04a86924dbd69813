"""A gate as a person writes it: what fits together, what does not, and what goes without saying."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Self

from pydantic import Field, model_validator

from turnout.domain.errors import Problem
from turnout.domain.metrics import AGREEMENT, KNOWN_METRICS, Metric, metric_of
from turnout.domain.plan import SAMPLE_RATIO, SCORE, Bounds, Gate, JsonSource, PrometheusSource
from turnout.domain.problems import Faults

SPLIT_ALPHA: Final = 0.001
"""The error rate at which users count as split otherwise than planned, unless the spec says."""

_RATE_RATIO, _QUANTILE_RATIO, _COST_RATIO, _SCORE_MARGIN = 1.5, 1.5, 1.1, 0.02
_LIMITS = ("min", "max", "versus", "score")


class GateSpec(Gate):
    """A gate as written; raises every fault it finds at once."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        special = {SAMPLE_RATIO: _split_faults, SCORE: _score_faults}
        rules = (special.get(self.metric, _metric_faults), _source_faults, _certainty_faults, _trial_faults)
        faults = [fault for rule in rules for fault in rule(self)]
        if faults:
            raise Faults(faults)
        return self


class GuardrailSpec(GateSpec):
    """A guardrail as written. It is looked at again and again, so it is surer than a gate unless the spec says."""

    confidence: float = Field(default=0.99, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _only_acts(self) -> Self:
        unused = [name for name in ("on_no_data", "on_inconclusive") if getattr(self, name) is not None]
        if unused:
            remedy = "move the question to gates:, or remove it"
            why = "has no effect on a guardrail, which acts when it fails and asks for nothing else"
            raise Faults(Problem(name, why, remedy, _shown(getattr(self, name))) for name in unused)
        return self


def completed(gate: Gate) -> Gate:
    """``gate`` with what goes without saying, as the plan carries it.

    A comparison that names neither margin nor ratio gets the usual one of its metric; the split of the users is held
    against its own error rate, and a broken one makes the stage wait.
    """
    said = gate.model_dump()
    if gate.metric == SAMPLE_RATIO:
        said |= {"on_fail": gate.on_fail or "hold", "alpha_fail": gate.alpha_fail or SPLIT_ALPHA}
    if gate.versus is not None and gate.margin is None and gate.ratio is None:
        said |= _usual_allowance(gate)
    return Gate.model_validate(said)


def needs_both_arms(gate: Gate) -> bool:
    """Whether ``gate`` cannot be asked where everybody has the candidate."""
    return gate.versus is not None or gate.score is not None or gate.metric == SAMPLE_RATIO


def bounds_faults(bounds: Mapping[str, Bounds], gates: Mapping[str, Gate]) -> Iterator[Problem]:
    """What is wrong with ``bounds``: on their own, and with the ``gates`` (by path) that ask about the same metric."""
    for name, bound in bounds.items():
        if metric_of(name).kind == "rate" or name in (SAMPLE_RATIO, SCORE):
            yield Problem(
                f"bounds.{name}", "has no values to bound", "bound a metric with numbers, such as quality_score"
            )
        for path, gate in gates.items():
            yield from _beyond(name, bound, path, gate)


def _beyond(name: str, bound: Bounds, path: str, gate: Gate) -> Iterator[Problem]:
    low, high = -float("inf") if bound.min is None else bound.min, float("inf") if bound.max is None else bound.max
    for side in ("min", "max"):
        limit = getattr(gate, side)
        if gate.metric == name and limit is not None and not low <= limit <= high:
            why = f"lies outside the bounds of {name}, {low:g} to {high:g}"
            yield Problem(f"{path}.{side}", why, "change the limit or the bounds", _shown(limit))


def _usual_allowance(gate: Gate) -> dict[str, float]:
    if gate.quantile is not None:
        return {"ratio": _QUANTILE_RATIO}
    if metric_of(gate.metric).kind == "rate":
        return {"ratio": _RATE_RATIO}
    usual: dict[str, dict[str, float]] = {
        "quality_score": {"margin": _SCORE_MARGIN},
        "satisfaction": {"margin": _SCORE_MARGIN},
        "cost": {"ratio": _COST_RATIO},
    }
    return usual.get(gate.metric, {})


def _metric_faults(gate: Gate) -> Iterator[Problem]:
    found = [name for name in _LIMITS if getattr(gate, name) is not None]
    if len(found) != 1:
        named = " and ".join(found) or "none"
        yield Problem("", f"a gate needs exactly one of min, max, versus and score; found {named}", "keep one of them")
    metric = metric_of(gate.metric)
    yield from _limit_faults(gate, metric)
    yield from _quantile_faults(gate, metric)
    yield from _comparison_faults(gate)
    if gate.score is not None:
        yield Problem("metric", "is not the metric of a scorecard", f"write metric: {SCORE}", _shown(gate.metric))


def _limit_faults(gate: Gate, metric: Metric) -> Iterator[Problem]:
    for name in ("min", "max"):
        limit = getattr(gate, name)
        if metric.kind == "rate" and limit is not None and not 0 <= limit <= 1:
            yield Problem(name, f"{gate.metric} is a rate from 0 to 1", "write 0.95 for 95 %", _shown(limit))


def _quantile_faults(gate: Gate, metric: Metric) -> Iterator[Problem]:
    if gate.quantile is None:
        return
    if metric.kind == "rate":
        why = f"{gate.metric} is a rate and has no quantiles"
        yield Problem("quantile", why, "remove it, or ask about response_time", _shown(gate.quantile))
    if gate.min is not None:
        why = "needs a max, or versus: stable, not a min"
        yield Problem("quantile", why, "ask how large the values may get", _shown(gate.quantile))
    if gate.margin is not None:
        why = "has no meaning between quantiles, which are compared by how many values lie above stable's"
        yield Problem("margin", why, "write ratio: 1.5 for at most 1.5 times as many", _shown(gate.margin))


def _comparison_faults(gate: Gate) -> Iterator[Problem]:
    for name in ("margin", "ratio"):
        if getattr(gate, name) is not None and gate.versus is None:
            yield Problem(
                name, "belongs to a comparison", f"add versus: stable, or remove {name}", _shown(getattr(gate, name))
            )
    if gate.ratio is not None and gate.margin is not None:
        yield Problem("ratio", "says how much worse is allowed, and so does margin", "keep one", _shown(gate.ratio))
    if gate.ratio is not None and gate.ratio < 1:
        why = "is how many times as bad the candidate may be, and must be at least 1"
        yield Problem("ratio", why, "write 1 for not worse at all, 1.5 for half as much again", _shown(gate.ratio))
    if gate.versus is not None and gate.margin is None and gate.ratio is None and not _usual_allowance(gate):
        why = f"how much worse {gate.metric} may be than stable's has no usual value"
        yield Problem("versus", why, "add a margin in its unit, or a ratio", _shown(gate.versus))
    if gate.versus is not None and gate.metric == AGREEMENT:
        why = "is between the candidate and stable already, and stable has none of its own"
        yield Problem("versus", f"{gate.metric} {why}", "write min: 0.9 instead", _shown(gate.versus))
    if gate.better is not None and gate.metric in KNOWN_METRICS:
        why = f"which way {gate.metric} is better is known"
        yield Problem("better", why, "remove it", _shown(gate.better))


def _split_faults(gate: Gate) -> Iterator[Problem]:
    for name in (*_LIMITS, "quantile", "margin", "ratio", "better"):
        value = getattr(gate, name)
        if value is not None:
            why = f"has no meaning for {SAMPLE_RATIO}, whose limit is the planned split"
            yield Problem(name, why, "remove it", _shown(value))


def _score_faults(gate: Gate) -> Iterator[Problem]:
    if gate.score is None:
        yield Problem("score", "is what metric: score asks about", "add score: {metrics: [...]}")
    for name in ("min", "max", "versus", "quantile", "margin", "ratio", "better"):
        value = getattr(gate, name)
        if value is not None:
            why = "has no meaning for a score, which has its own limits"
            yield Problem(name, why, "remove it; a score has passing and marginal", _shown(value))
    if gate.score is None:
        return
    if gate.score.marginal >= gate.score.passing:
        why = f"must be below passing, {gate.score.passing:g}"
        yield Problem("score.marginal", why, "lower it, or raise passing", _shown(gate.score.marginal))
    names = [scored.metric for scored in gate.score.metrics]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"score.metrics[{index}].metric", "is scored already", "score each metric once", _shown(name))


def _source_faults(gate: Gate) -> Iterator[Problem]:
    source = gate.source
    if source.kind == "outcomes":
        if gate.failure_limit is not None:
            why = "counts the readings of a source that gives one number, and outcomes are more than that"
            yield Problem("failure_limit", why, "remove it", _shown(gate.failure_limit))
        return
    if gate.metric in (SAMPLE_RATIO, SCORE):
        yield Problem("source", f"{gate.metric} needs single outcomes", "remove source", _shown(source.kind))
        return
    if source.kind == "router":
        why = "is put into every stage of a rollout with a router"
        yield Problem("source.kind", why, "remove the gate, and write router: at the top", _shown(source.kind))
        return
    if source.kind == "prometheus" or source.kind == "json":
        yield from _number_faults(source)
    for name in ("versus", "quantile"):
        if getattr(gate, name) is not None:
            why = f"needs single outcomes, and a {source.kind} source gives only sums"
            yield Problem(name, why, "put it into the query and write min or max", _shown(getattr(gate, name)))


def _trial_faults(gate: Gate) -> Iterator[Problem]:
    for name in ("experiment", "arm"):
        if getattr(gate, name) is not None:
            why = "is what the strategies ab_test and multivariate write into their plan"
            yield Problem(name, why, "remove it, and use one of these strategies")


def _number_faults(source: PrometheusSource | JsonSource) -> Iterator[Problem]:
    field, query = ("query", source.query) if source.kind == "prometheus" else ("pointer", source.pointer)
    counts = (source.numerator is not None, source.denominator is not None)
    if (query is not None) == any(counts) or any(counts) != all(counts):
        yield Problem("source", f"needs either {field}, or numerator and denominator", "write one of the two")


def _certainty_faults(gate: Gate) -> Iterator[Problem]:
    if "confidence" in gate.model_fields_set and gate.alpha_pass is not None:
        why = "says how sure a pass must be, and so does confidence"
        yield Problem("alpha_pass", why, "keep one of the two", _shown(gate.alpha_pass))


def _shown(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else repr(value)
