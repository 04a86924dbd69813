"""The outcome store in memory, for tests: the statistics of one on a database, forgotten at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime

from turnout.adapters.intake import Attributed, FlagFacts, attributed
from turnout.adapters.ledger import Ledger
from turnout.adapters.tally import rejected_by
from turnout.domain.outcomes import Outcome
from turnout.ports.outcomes import Receipt


class MemoryOutcomeStore(Ledger):
    """A `turnout.ports.outcomes.OutcomeStore` in memory; ``facts`` gives what intake has to know of all flags."""

    def __init__(self, facts: Callable[[], Mapping[str, FlagFacts]]) -> None:
        super().__init__()
        self._facts = facts
        self._outcomes: dict[str, Attributed] = {}

    async def record(self, outcomes: Sequence[Outcome], received: datetime) -> Receipt:
        """See `OutcomeStore.record`."""
        facts = self._facts()
        kept, unknown = attributed(outcomes, facts, received)
        new = sorted(kept.keys() - self._outcomes.keys())
        self._outcomes |= {id: kept[id] for id in new}
        batch = self.add((kept[id] for id in new), facts)
        return Receipt(len(new), len(outcomes) - unknown - len(new), unknown, rejected_by(batch))

    async def served(self, flag: str, variant: str, since: datetime) -> tuple[int, int]:
        """See `OutcomeStore.served`."""
        its = [
            kept.outcome.ok
            for kept in self._outcomes.values()
            if (kept.outcome.flag, kept.outcome.variant, kept.outcome.mode) == (flag, variant, "serve")
            and kept.at >= since
        ]
        return its.count(True), its.count(False)

    async def replay(self, flag: str, generation: int) -> AsyncIterator[Outcome]:
        """See `OutcomeStore.replay`."""
        its = [kept for kept in self._outcomes.values() if (kept.outcome.flag, kept.generation) == (flag, generation)]
        for outcome, _, at in sorted(its, key=lambda kept: (kept.at, kept.outcome.id)):
            yield outcome.model_copy(update={"generation": generation, "at": at})
