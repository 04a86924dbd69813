"""Users who ask, and a service that resolves and reports for them over plain HTTP; it survives outages."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from tests.e2e.stack import FLAG


@dataclass
class Traffic:
    """A thread that asks OFREP for each of ``users`` in turn and reports outcomes without a break.

    Every batch is sent until it is acknowledged, so ``acknowledged`` counts each outcome id once. Without ``resolving``
    everybody is on perplexity, and all the time goes into the intake. ``attributes`` gives those of a user.
    """

    url: str
    ok: dict[str, bool]
    users: int = 200
    batch: int = 50
    resolving: bool = True
    attributes: Callable[[str], dict[str, object]] = lambda _user: {}
    acknowledged: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Traffic:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)

    def _run(self) -> None:
        n = 0
        with httpx.Client(base_url=self.url, timeout=10, trust_env=False) as http:
            while not self._stop.is_set():
                outcomes = [self._outcome(http, f"user-{(n + i) % self.users}") for i in range(self.batch)]
                n += self.batch
                self._deliver(http, [o for o in outcomes if o])
                self._stop.wait(0.1 if self.resolving else 0)

    def _outcome(self, http: httpx.Client, user: str) -> dict[str, object]:
        if not self.resolving:
            return {"id": uuid4().hex, "flag": FLAG, "variant": "perplexity", "unit": user, "ok": True}
        try:
            context = {"context": {"targetingKey": user, **self.attributes(user)}}
            answer = http.post(f"/ofrep/v1/evaluate/flags/{FLAG}", json=context).json()
        except httpx.HTTPError:
            self._stop.wait(0.05)
            return {}
        variant = answer.get("variant")
        if not variant:
            return {}
        return {
            "id": uuid4().hex,
            "flag": FLAG,
            "variant": variant,
            "unit": user,
            "ok": self.ok[variant],
            "generation": answer["metadata"]["generation"],
            "decided_by": answer["metadata"]["decidedBy"],
        }

    def _deliver(self, http: httpx.Client, outcomes: list[dict[str, object]]) -> None:
        give_up = time.monotonic() + 60
        while outcomes and time.monotonic() < give_up:
            try:
                answer = http.post("/v1/outcomes", json={"outcomes": outcomes})
            except httpx.HTTPError:
                self.retries += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 202:
                self.acknowledged.update(str(o["id"]) for o in outcomes)
                return
            self.retries += 1
            time.sleep(0.05)
