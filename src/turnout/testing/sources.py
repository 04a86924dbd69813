"""A metric source that answers from a script, and statistics made from single values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from turnout.domain.errors import SourceError
from turnout.domain.stats import ArmStats
from turnout.ports import Question, Reading


class ScriptedSource:
    """Answers each metric with its readings in turn, and goes on repeating the last.

    ``script`` maps a gate's metric to readings, or to errors that are raised instead. A metric without a script
    is a `SourceError`. ``asked`` keeps every question in order.
    """

    def __init__(self, script: Mapping[str, Sequence[Reading | Exception]]) -> None:
        self._script = {metric: list(answers) for metric, answers in script.items()}
        self.asked: list[Question] = []

    async def read(self, question: Question) -> Reading:
        """The next answer of the question's metric.

        Raises:
            SourceError: the script has nothing for the metric, or says so.
        """
        self.asked.append(question)
        answers = self._script.get(question.gate.metric)
        if not answers:
            raise SourceError(f"the script has no answer for {question.gate.metric}")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def arm_of(values: Iterable[Sequence[float]]) -> ArmStats:
    """The statistics of single values, one sequence a unit: ``arm_of([[1, 1, 0], [1]])`` is two users of four outcomes.

    A unit without values is no unit.
    """
    units = [[float(value) for value in unit] for unit in values if unit]
    counts, sums = [len(unit) for unit in units], [sum(unit) for unit in units]
    return ArmStats(
        units=len(units),
        samples=sum(counts),
        total=sum(sums),
        squares=sum(value * value for unit in units for value in unit),
        nn=float(sum(count * count for count in counts)),
        yy=sum(total * total for total in sums),
        ny=sum(count * total for count, total in zip(counts, sums, strict=True)),
    )
