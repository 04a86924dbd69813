"""Whether a router does as the stage says, as a source: it is read, and set right."""

from __future__ import annotations

from turnout.adapters.steering import Kept, Steering
from turnout.domain import plan
from turnout.domain.errors import SourceError, TurnoutError
from turnout.ports import PointReading, Question


class RouterObedience:
    """Reads the router of a stage; what it does otherwise is repaired by applying the stage's split again."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    async def read(self, question: Question) -> PointReading:
        """1 if the router does as the stage says, 0 if it did otherwise; the note says what was found.

        Raises:
            SourceError: the router does not answer, refuses, or follows a newer generation.
        """
        source = question.gate.source
        if not isinstance(source, plan.RouterSource) or question.split is None:
            raise TypeError(f"a router cannot answer a gate on a {source.kind} source, nor without a split")
        try:
            kept = await self._steering.keep(source.router, question.split)
        except TurnoutError as error:
            raise SourceError(str(error)) from error
        return PointReading(1.0 if kept.obeyed else 0.0, _told(kept))


def _told(kept: Kept) -> str:
    if not kept.found:
        return ""
    if kept.late and not kept.left:
        return "it has been given the stage's traffic only now"
    found = "; ".join(map(str, kept.found))
    if not kept.left:
        return f"{found}; set right"
    left = "" if kept.left == kept.found else f"; set right but for {'; '.join(map(str, kept.left))}"
    return found + left
