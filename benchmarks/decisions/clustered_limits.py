"""Absolute limits on users who return: which design effect keeps a gate right exactly at its limit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.figures import at_first, median, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Habits, Order, Random, clustered, crowd, errors
from benchmarks.report import Section
from turnout.analysis.clusters import Sums, absolute_effect, design_effect
from turnout.analysis.confseq import hold, widening
from turnout.analysis.eprocess import log_evidence
from turnout.analysis.evidence import Floats, Side

_LOOKS, _LIMIT, _ALPHA, _SHARE = 100, 0.05, 0.05, 0.05
_SIZE = Size(600, 20)
_RULES = ("per request", "own effect", "larger effect", "sequence")


@dataclass(frozen=True, slots=True)
class Case:
    """The candidate's and stable's true rates; ``study`` are (false fail, false pass) in the order of the rules."""

    icc: float
    order: Order
    stable: float
    study: tuple[tuple[float | None, float | None], ...]

    @property
    def title(self) -> str:
        """The case in words."""
        stable = f", stable at {self.stable:.0%}" if self.stable != _LIMIT else ""
        return f"correlation {self.icc:g}, {self.order}{stable}"


_NONE = (None, None)
_CASES = (
    Case(0.05, "return", 0.05, ((0.045, 0.035), (0.016, 0.023), (0.021, 0.02), (0.006, 0.097))),
    Case(0.3, "return", 0.05, ((0.14, 0.17), (0.014, 0.047), (0.008, 0.028), (0.003, 0.12))),
    Case(0.3, "session", 0.05, ((0.49, 0.60), (0.008, 0.165), (0.015, 0.022), (0.001, 0.25))),
    Case(0.3, "session", 0.01, (_NONE, _NONE, (0.01, 0.015), _NONE)),
)
_POWER: tuple[tuple[str, float, Side, Order, float], ...] = (
    ("true 1 % passes", 0.01, "pass", "return", 150),
    ("true 1 % passes", 0.01, "pass", "session", 800),
    ("true 15 % fails", 0.15, "fail", "return", 100),
    ("true 15 % fails", 0.15, "fail", "session", 450),
)


def measure(run: Run) -> Result:
    """Table 5.3."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for case in _CASES:
        drawn = run.repeat(simulate, _SIZE, f"clustered {case.title}", case.icc, case.order, _LIMIT, case.stable)
        cells: list[str] = []
        for rule, known in zip(_RULES, case.study, strict=True):
            fail, good = (
                share(np.isfinite(drawn[f"{rule} {side}"]), one)
                for side, one in zip(("fail", "pass"), known, strict=True)
            )
            cells.append(f"{fail} / {good}")
            if rule == "larger effect":
                requirements.append(
                    Requirement(f"false pass exactly at the limit, {case.title}, α = 5 %", good, _ALPHA, main=True)
                )
                requirements.append(
                    Requirement(f"false fail exactly at the limit, {case.title}, α = 5 %", fail, _ALPHA)
                )
        rows.append([case.title, *cells])
    verdicts, delays = _verdicts(run)
    rows += verdicts
    requirements += delays
    return Result(
        Section(
            "Absolute limits on users who return",
            f"{run.paths(_SIZE):,} paths a row: 5,000 users of 20 requests, 5 % of them on the candidate (about 250 "
            "users and 5,000 requests), a look every 1,000 requests (50 of the candidate), “error rate ≤ 5 %” at a "
            "true 5 %, α = 5 % on either side. False fail / false pass. Counts are divided by the design effect: of "
            "none, of the candidate's own, or of the larger of both arms', which is what gates do. The sequence is "
            "that of a mean.",
            ("case", "per request", "own design effect", "**larger design effect**", "confidence sequence"),
            rows,
        ),
        requirements=requirements,
    )


def _verdicts(run: Run) -> tuple[list[list[str]], list[Requirement]]:
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for title, rate, side, order, study in _POWER:
        drawn = run.repeat(simulate, _SIZE, f"clustered power {rate} {order}", 0.3, order, rate, _LIMIT)
        found = median(drawn[f"larger effect {side}"], study)
        rows.append([f"{title}, correlation 0.3, {order}: median requests", "", "", str(found), ""])
        requirements.append(Requirement(f"median requests, {title}, {order}", found, 1.25 * study))
    return rows, requirements


def simulate(random: Random, paths: int, icc: float, order: Order, rate: float, stable: float) -> dict[str, Floats]:
    """Candidate requests at which each rule fails or passes the candidate, infinite for never."""
    found = [_path(random, icc, order, rate, stable) for _ in range(paths)]
    return {key: np.asarray([one[key] for one in found]) for key in found[0]}


def _path(random: Random, icc: float, order: Order, rate: float, stable: float) -> dict[str, float]:
    traffic = crowd(random, Habits(5_000, order=order), 100_000, _LOOKS, _SHARE)
    ours, theirs = clustered(traffic, errors(random, traffic, stable, icc, rate))
    effects = {
        "per request": np.ones(_LOOKS),
        "own effect": design_effect(ours),
        "larger effect": absolute_effect(ours, theirs),
    }
    found: dict[str, float] = {}
    for side in _SIDES:
        for rule, effect in effects.items():
            evidence = log_evidence(ours.total / effect, ours.samples / effect, _LIMIT, side)
            hits = (evidence >= -math.log(_ALPHA)) & (ours.units >= 20)
            found[f"{rule} {side}"] = float(at_first(hits, ours.samples))
        found[f"sequence {side}"] = float(at_first(_held(ours, side), ours.samples))
    return found


_SIDES: tuple[Side, Side] = ("fail", "pass")


def _held(ours: Sums, side: Side) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    found = hold(ours, _LIMIT)
    half = widening(found.effective_units, _ALPHA) * found.se
    beyond = found.value - half > _LIMIT if side == "fail" else found.value + half < _LIMIT
    return beyond & (ours.units >= 20)
