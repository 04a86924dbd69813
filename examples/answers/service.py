"""How a service uses Turnout: ask which system serves a user, call it, report how it went.

Let the candidate answer in shadow too while the rollout wants that. There is no more to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from turnout.client import Served, Turnout

from .queries import Query, reciprocal_rank

FLAG: Final = "answer-engine"
TRUSTED: Final = "keyword"

Search = Callable[[str], list[str]]
"""A system: the ids of the documents that answer a question, best first."""


class AnswerService:
    """Answers questions with whichever of ``systems`` the flag names for the user."""

    def __init__(self, turnout: Turnout, systems: Mapping[str, Search]) -> None:
        """``systems`` needs one entry for every value that the flag's variants have, and ``TRUSTED``."""
        self._turnout = turnout
        self._systems = systems

    def ask(self, user: str, query: Query) -> list[str]:
        """The ids of at most ten documents, best first; raises what the system raises.

        Here the right answer is known, so quality is measured at once. Where it is not, report the opinion of a judge
        or of the user, later if need be: keep the assignment until then.
        """
        assignment = self._turnout.resolve(FLAG, user, default=TRUSTED)
        search = self._systems[assignment.value]
        begun = time.perf_counter()
        try:
            answer = search(query.text)
        except Exception:
            self._turnout.report(assignment, ok=False, latency_ms=_since(begun), quality=0.0)
            raise
        latency = _since(begun)
        quality = reciprocal_rank(answer, query.relevant)
        self._turnout.report(assignment, ok=quality > 0, latency_ms=latency, quality=quality)
        self._turnout.shadow(
            assignment,
            {name: partial(system, query.text) for name, system in self._systems.items()},
            Served(answer, latency_ms=latency, quality=quality),
            compare=in_common,
            score=lambda other: reciprocal_rank(other, query.relevant),
        )
        return answer


def in_common(one: Sequence[str], other: Sequence[str]) -> float:
    """The share of the documents of two answers that both have (P. Jaccard, 1901): 1 for none in either."""
    ours, theirs = set(one), set(other)
    return len(ours & theirs) / len(ours | theirs) if ours or theirs else 1.0


def _since(begun: float) -> float:
    """Milliseconds since ``begun``, a reading of the performance counter."""
    return 1000 * (time.perf_counter() - begun)
