"""The health of a service as a source."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import datetime
from typing import Final

from turnout.domain import plan
from turnout.domain.health import HealthProbe, Probed
from turnout.ports import PointReading, Prober, Question

_MOMENTS: Final = 64
"""Probes that are kept, to be shared by the gates that ask for the same at the same moment."""


class HealthSource:
    """Asks a service once a check; gates that ask about it at the same moment share the answer."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._asked: OrderedDict[tuple[str, int, datetime, str], asyncio.Task[Probed]] = OrderedDict()

    async def read(self, question: Question) -> PointReading:
        """1 for an answer as expected, 0 for another and for none; the note says what is wrong with it."""
        source = question.gate.source
        if not isinstance(source, plan.HttpSource):
            raise TypeError(f"a health source cannot answer a gate on a {source.kind} source")
        probed = await asyncio.shield(self._probe(question, source.probe))
        return PointReading(1.0 if probed.ok else 0.0, probed.reason)

    def _probe(self, question: Question, probe: HealthProbe) -> asyncio.Task[Probed]:
        key = question.flag, question.generation, question.now, probe.model_dump_json()
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._prober.probe(probe))
        while len(self._asked) > _MOMENTS:
            self._asked.popitem(last=False)
        return self._asked[key]
