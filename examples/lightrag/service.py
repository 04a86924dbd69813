"""The integration: one guarded call for the answer, and toggles for what is shown of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import uuid4

from turnout import Answer, ErrorBreaker, Policy, QualityBreaker, Turnout

from . import drills
from .drills import drilled
from .judging import support
from .settings import Settings
from .systems import Ask, Reply

FLAG: Final = "answer-engine"
STABLE: Final = "perplexity"
KEPT: Final = 10_000
"""Answers that people may still rate."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person sees, and who answered: see `turnout.Answer`."""

    id: str
    text: str
    sources: tuple[str, ...]
    notice: str
    served_by: str
    reason: str


class Clinic:
    """Answers clinical questions with whichever system the flag names for the person, under protection."""

    def __init__(self, turnout: Turnout, systems: Mapping[str, Ask], settings: Settings) -> None:
        """``systems`` has one by every variant of the flag."""
        self._turnout: Final = turnout
        self._rateable: OrderedDict[str, Answer[Reply]] = OrderedDict()
        drill = partial(turnout.string, drills.FLAG, None, "none")
        self._systems: Final = {
            variant: ask if variant == STABLE else drilled(ask, drill) for variant, ask in systems.items()
        }
        turnout.guard(
            FLAG,
            Policy(
                timeout=settings.timeout,
                errors=ErrorBreaker(failure_threshold=5, recovery_timeout="30s"),
                quality=QualityBreaker(threshold=0.6, window=50, minimum=20, recovery_timeout="1m"),
                estimate="0.01",
                stable=STABLE,
            ),
            accept=_says_something,
            score={"quality": support},
        )

    async def ask(self, person: str, question: str, attributes: Mapping[str, str] | None = None) -> Shown:
        """The answer for ``person``, of whom ``attributes`` tells what cohorts and regions ask for.

        Raises what Perplexity raises, where nobody else could answer.
        """
        about = dict(attributes or {})
        answer = await self._turnout.call_async(FLAG, person, self._systems, attributes=about, question=question)
        return self._shown(person, about, answer)

    def rate(self, id: str, satisfaction: float) -> bool:
        """Report how satisfied a person was with an answer; tells whether it could be counted."""
        answer = self._rateable.pop(id, None)
        # What stable said in LightRAG's place tells nothing about LightRAG.
        if answer is None or answer.reason != "assigned":
            return False
        return self._turnout.report(answer.assignment, satisfaction=satisfaction)

    def _shown(self, person: str, about: Mapping[str, str], answer: Answer[Reply]) -> Shown:
        id = uuid4().hex
        self._rateable[id] = answer
        if len(self._rateable) > KEPT:
            self._rateable.popitem(last=False)
        toggles, reply = self._turnout, answer.value
        words = reply.text.split()
        most = int(toggles.number("answer-words", person, len(words), **about))
        cited = toggles.boolean("citations", person, False, **about)
        notice = toggles.string("notice", person, "", **about)
        return Shown(
            id, " ".join(words[:most]), reply.sources if cited else (), notice, answer.served_by, answer.reason
        )


def _says_something(reply: Reply) -> bool:
    return bool(reply.text.strip())
