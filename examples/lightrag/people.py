"""Simulated people: they ask the service over HTTP, all the time, and it is noted who answered them."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Self

import httpx

from examples.answers.queries import Query, queries

from .systems.local import notes

PEOPLE: Final = 2000
_ASKERS: Final = 16
_PAUSE_S: Final = 0.03
_PLANS: Final = ("partner", "licence", "free")
_PLACES: Final = (
    {"country": "DE"},
    {"country": "AT"},
    {"country": "US", "region": "US-CA"},
    {"country": "US", "region": "US-NY"},
    {"country": "BR"},
)


def about(number: int) -> dict[str, str]:
    """What is known of person ``number``: role, plan and place, each drawn independently of the others."""
    return {
        "role": "staff" if number % 10 == 0 else "clinician",
        "plan": _PLANS[number // 10 % len(_PLANS)],
        **_PLACES[number // 30 % len(_PLACES)],
    }


class People:
    """So many people ask ``service`` (its URL), one question after the other, until the context ends."""

    def __init__(self, service: str, people: int = PEOPLE, seed: int = 1) -> None:
        self._service: Final = service
        self._people: Final = people
        self._chance: Final = random.Random(seed)
        self._questions: Final[tuple[Query, ...]] = queries(notes(), 2000, seed)
        self._stopped: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="people", daemon=True)
        self.replies: Final[Counter[tuple[str, str]]] = Counter()
        """How many answers came, by who gave them and why."""
        self.served: Final[dict[str, set[int]]] = {}
        """Whom each variant has ever answered."""
        self.failed = 0
        """Questions without an answer."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        async with httpx.AsyncClient(base_url=self._service, timeout=30, trust_env=False) as http:
            await asyncio.gather(*(self._one(http, asker) for asker in range(_ASKERS)))

    async def _one(self, http: httpx.AsyncClient, asker: int) -> None:
        number = asker
        while not self._stopped.is_set():
            await self._ask(http, number)
            number = (number + _ASKERS) % self._people
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, http: httpx.AsyncClient, number: int) -> None:
        question = self._chance.choice(self._questions).text
        asked = {"person": f"person-{number}", "question": question, "attributes": about(number)}
        response = await http.post("/ask", json=asked)
        if not response.is_success:
            self.failed += 1
            return
        shown: Mapping[str, Any] = response.json()
        self.replies[shown["served_by"], shown["reason"]] += 1
        self.served.setdefault(shown["served_by"], set()).add(number)
