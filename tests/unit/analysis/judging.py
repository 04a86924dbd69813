"""Arms, minutes and looks for the tests of judgement."""

from __future__ import annotations

from turnout.analysis.judge import judge
from turnout.domain.plan import Gate
from turnout.domain.readings import ArmReading
from turnout.domain.stats import ArmStats, Minute
from turnout.domain.verdicts import Check
from turnout.testing.sources import arm_of

NOBODY = ArmStats()
BEGAN = 1000


def rate(ones: int, users: int) -> ArmStats:
    """One outcome a user, ``ones`` of them 1."""
    return arm_of([[1.0]] * ones + [[0.0]] * (users - ones))


def around(mean: float, users: int, spread: float = 0.1) -> ArmStats:
    """One value a user, ``spread`` above and below ``mean`` in turn."""
    return arm_of([[mean + (spread if index % 2 else -spread)] for index in range(users)])


def minutes(errors: list[int], each: int = 100) -> list[Minute]:
    """Minutes of ``each`` outcomes of as many users, ``errors`` of whom meet their first."""
    return [
        Minute(minute=BEGAN + index, samples=each, total=count, squares=count, units=each, hits=count)
        for index, count in enumerate(errors)
    ]


def met(candidate: list[int], stable: list[int], share: float = 0.5, each: int = 100) -> ArmReading:
    """Errors by minute on both arms, a user and an outcome each; the stage is planned for as long."""
    shown = round(each * (1 - share) / share) if 0 < share < 1 else each
    return ArmReading(
        rate(sum(candidate), each * len(candidate)),
        rate(sum(stable), shown * len(stable)),
        True,
        share=share,
        candidate_minutes=minutes(candidate, each),
        stable_minutes=minutes(stable, shown),
        began=BEGAN,
        planned=len(candidate),
    )


def look(gate: Gate, candidate: ArmStats, stable: ArmStats = NOBODY) -> Check:
    """One look without minutes."""
    is_rate = gate.metric.endswith("_rate") or gate.quantile is not None
    return judge(gate, "gate", ArmReading(candidate, stable, is_rate))
