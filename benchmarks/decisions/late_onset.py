"""Trouble that begins later in a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.decisions import rules
from benchmarks.decisions.figures import Figure, first, median, quantile, share
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Random, binomial, independent
from benchmarks.report import Section
from turnout.analysis.evidence import Floats

_MINUTES, _PER_MINUTE, _PART, _ALPHA = 200, 1000, 0.05, 0.05
_WINDOW = 10
_SIZE = Size(1000, 25)
_ONSETS = (0, 30, 60, 120)
_STUDY: Mapping[int, tuple[tuple[float, float | None], ...]] = {
    0: ((5.0, 17), (11.6, 26), (6.4, 20), (6.4, None)),
    30: ((15, 31), (10.6, 24), (11.2, 25), (11.2, None)),
    60: ((21, 38), (10.8, 24), (11.8, 26), (11.8, None)),
    120: ((30, 51), (10.6, 23), (11.6, 26), (11.6, None)),
}
_EARLY = {30: 0.37, 60: 0.61, 120: 0.87}
_RULES = ("cumulative", "spread", "half", "lead")
_FALSE = (0.036, 0.023, 0.03, None, 0.978)


def measure(run: Run) -> Result:
    """Table 4.5."""
    rows: list[list[str]] = []
    centres: dict[str, list[float]] = {rule: [] for rule in _RULES}
    requirements: list[Requirement] = []
    for onset in _ONSETS:
        drawn = run.repeat(simulate, _SIZE, f"onset {onset}", onset)
        cells: list[str] = []
        for rule, (middle, late) in zip(_RULES, _STUDY[onset], strict=True):
            centre = median(_after(drawn[rule], onset), middle)
            cells.append(f"{centre} / {quantile(_after(drawn[rule], onset), 0.95, late)}")
            centres[rule].append(centre.value)
            if rule == "lead":
                requirements.append(_soon(onset, centre, middle))
        early = drawn["window"] <= onset
        cells.append(f"{share(early, _EARLY[onset])} before" if onset else str(median(drawn["window"], 10)))
        rows.append([str(onset), *cells])
    figures = _false(run)
    rows.append(["A/A: false rollback", *map(str, figures)])
    requirements.append(Requirement("false rollback with a late onset in mind, α = 5 %", figures[3], 0.05))
    return Result(
        Section(
            "Trouble that begins later",
            f"{run.paths(_SIZE):,} paths a row: 200 minutes of 1,000 requests, the candidate's share 5 %, a look a "
            "minute, α = 5 %; its errors go from 1 to 3 % at the onset. Minutes from onset to rollback, median / "
            "p95, among paths not taken back before. Turnout's weights are the bold ones; the earlier study had those "
            "beside them, whose figures are required of both ([ADR 0008](adr/0008-where-the-bets-lie.md)).",
            (
                "onset, minute",
                "cumulative",
                "starts spread evenly",
                "half of the weight at the start, ratios alike",
                "**three quarters, twice as much on 2 and 3**",
                "naive z, last 10 min",
            ),
            rows,
        ),
        {"onset": [float(one) for one in _ONSETS], **centres},
        requirements,
    )


def _false(run: Run) -> list[Figure]:
    same = run.repeat(simulate, _SIZE, "onset never", _MINUTES)
    return [share(np.isfinite(same[rule]), known) for rule, known in zip((*_RULES, "window"), _FALSE, strict=True)]


def _soon(onset: int, centre: Figure, study: float) -> Requirement:
    return Requirement(f"median minutes to find 1 → 3 % errors from minute {onset}", centre, 1.25 * study, main=True)


def _after(minute: Floats, onset: int) -> Floats:
    return minute[minute > onset] - onset


def simulate(random: Random, paths: int, onset: int) -> dict[str, Floats]:
    """The minute (from 1) at which each rule takes the candidate back, infinite for never."""
    rate = np.where(np.arange(_MINUTES) >= onset, 0.03, 0.01)
    n = binomial(random, _PER_MINUTE, _PART, (paths, _MINUTES))
    arms: Sequence[tuple[Floats, Floats]] = (
        (n, binomial(random, n, rate)),
        (_PER_MINUTE - n, binomial(random, _PER_MINUTE - n, 0.01)),
    )
    x, y = (np.cumsum(hits, axis=-1, dtype=np.float64) for _, hits in arms)
    window = [independent(*(_last(one) for one in (size, hits, hits))) for size, hits in arms]
    flags = {
        "cumulative": rules.first_error(x, y, _PART, _ALPHA),
        "spread": rules.late_onset(x, y, _PART, _ALPHA, lead=0.0),
        "half": rules.even_bets(x, y, _PART, _ALPHA),
        "lead": rules.late_onset(x, y, _PART, _ALPHA),
        "window": rules.naive_rates(window[0], window[1], _ALPHA),
    }
    return {rule: first(hits) + 1 for rule, hits in flags.items()}


def _last(per_minute: Floats) -> Floats:
    """Sums over the last ten minutes at every minute."""
    whole = np.cumsum(per_minute, axis=-1, dtype=np.float64)
    before = np.concatenate((np.zeros((len(whole), _WINDOW)), whole[:, :-_WINDOW]), axis=-1)
    return whole - before
