"""The policy once more, look by look, through `checks.conclude`: the very call that decides in a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.decisions import policy
from benchmarks.decisions.figures import share
from benchmarks.decisions.policy import LOOKS, METRICS, SHAPES, SHARE, Shape
from benchmarks.decisions.result import Requirement, Result
from benchmarks.decisions.rules import Flags
from benchmarks.decisions.run import Run, Size
from benchmarks.decisions.traffic import Crowd, Random, by_request, clustered, crowd, first_hits
from benchmarks.report import Section
from turnout.analysis.checks import Asked, conclude, remembered
from turnout.analysis.clusters import Sums
from turnout.analysis.evidence import Floats
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.stats import ArmStats, Minute
from turnout.domain.verdicts import Check, Verdict

_SIZE = Size(10, 1)
GATES: Mapping[str, Gate] = {
    "error": Gate(metric="error_rate", versus="stable", ratio=1.0, min_samples=1),
    "latency": Gate(metric="response_time", quantile=0.95, versus="stable", ratio=1.0, min_samples=1),
    "quality": Gate(metric="quality_score", versus="stable", margin=0.0, min_samples=1),
    "satisfaction": Gate(metric="satisfaction", versus="stable", margin=0.0, min_samples=1),
    "cost": Gate(metric="cost", versus="stable", margin=0.0, min_samples=1),
}
"""The five metrics as a stage's guardrails, each allowing the candidate nothing."""


def measure(run: Run) -> Result:
    """Candidates as good as stable, and worse in everything at once."""
    rows: list[list[str]] = []
    requirements: list[Requirement] = []
    for title, worse in (("as good as stable", False), ("worse in all five", True)):
        for name, shape in SHAPES.items():
            drawn = run.repeat(simulate, _SIZE, f"concluded {name} {worse}", shape, worse)
            apart = share(drawn["apart"] > 0)
            rows.append([title, shape.title, *(f"{drawn[key].sum():,.0f}" for key in ("verdicts", "fails", "apart"))])
            what = f"paths judged otherwise by the code that decides: {title}, {shape.title}"
            requirements.append(Requirement(what, apart, 0.0, main=not worse))
    return Result(
        Section(
            "The same through the code that decides",
            f"{run.paths(_SIZE)} paths a row, with the traffic and the changes of the table before. At every look the "
            "statistics of both arms go as readings through "
            "`turnout.analysis.checks.conclude`, which decides in a rollout: five guardrails that allow nothing, with "
            "the memory of the look before. Each of its verdicts is compared with that of the functions on arrays "
            "that the tables are made with; once failed is failed.",
            ("candidate", "traffic", "verdicts", "of them failed", "verdicts that differ"),
            rows,
        ),
        requirements=requirements,
    )


def simulate(random: Random, paths: int, shape: Shape, worse: bool, every: int = 1) -> dict[str, Floats]:
    """Per path how many verdicts there were, how many of them failed, and how many were not those of the arrays.

    Looks are taken ``every`` so many minutes.
    """
    found = [_path(random, shape, range(every - 1, LOOKS, every), worse=worse) for _ in range(paths)]
    return {key: np.asarray([one[key] for one in found]) for key in found[0]}


def _path(random: Random, shape: Shape, looks: Sequence[int], *, worse: bool) -> dict[str, float]:
    traffic = crowd(random, shape.habits, 100_000, LOOKS, SHARE)
    arrays: list[Flags] = []
    readings: list[list[ArmReading]] = []
    for metric in METRICS:
        values, rated = policy.drawn_values(random, traffic, metric, worse=worse)
        arrays.append(np.logical_or.accumulate(policy.judged(traffic, metric, values, rated)["turnout"][list(looks)]))
        readings.append(_readings(traffic, metric, values, rated, looks))
    failed = _concluded(readings)
    return {
        "verdicts": float(failed.size),
        "fails": float(failed.sum()),
        "apart": float((failed != np.stack(arrays, axis=-1)).sum()),
    }


def _concluded(readings: Sequence[Sequence[ArmReading]]) -> Flags:
    """Looks × metrics: whether the guardrail has failed. ``readings`` are by metric and look."""
    asked = [Asked(GATES[metric], "guardrail", index) for index, metric in enumerate(METRICS)]
    checks: tuple[Check, ...] = ()
    failed: list[list[bool]] = []
    for answers in zip(*readings, strict=True):
        checks = conclude(asked, answers, remembered(checks))
        failed.append([check.verdict is Verdict.FAIL for check in checks])
    return np.asarray(failed)


def _readings(
    traffic: Crowd, metric: str, values: Floats, rated: Flags | None, looks: Sequence[int]
) -> list[ArmReading]:
    """What a store would answer about ``metric`` at each of ``looks``."""
    ours, theirs = clustered(traffic, values, rated)
    candidate, stable = _minutes(traffic, values) if metric == "error" else ((), ())
    return [
        ArmReading(
            _stats(ours, look),
            _stats(theirs, look),
            rate=metric in ("error", "latency"),
            share=SHARE,
            candidate_minutes=candidate[: look + 1],
            stable_minutes=stable[: look + 1],
            planned=LOOKS,
            limit=1.0 if metric == "latency" else None,
        )
        for look in looks
    ]


def _minutes(traffic: Crowd, values: Floats) -> tuple[Sequence[Minute], Sequence[Minute]]:
    """Both arms' errors by minute, and users whose first fell into it."""
    arms = zip(by_request(traffic, values), first_hits(traffic, values), strict=True)
    candidate, stable = (
        [
            Minute(minute=minute, samples=int(samples), total=total, squares=total, hits=int(hits))
            for minute, (samples, total, hits) in enumerate(zip(*map(_increments, columns), strict=True))
        ]
        for columns in ((sums.samples, sums.total, hit) for sums, hit in arms)
    )
    return candidate, stable


def _increments(cumulated: Floats) -> list[float]:
    return [float(one) for one in np.diff(cumulated, prepend=0.0)]


def _stats(sums: Sums, look: int) -> ArmStats:
    counts = {name: int(getattr(sums, name)[look]) for name in ("units", "samples", "clusters")}
    totals = {name: float(getattr(sums, name)[look]) for name in ("total", "squares", "nn", "yy", "ny")}
    return ArmStats.model_validate({**counts, **totals})
