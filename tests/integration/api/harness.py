"""The API as tests run it: the real application over real HTTP, on SQLite, with an engine of choice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.app import create_app
from api.engine import Engine, Pending, Reply
from api.feed import Hub
from api.metrics import Metrics
from api.server import serving
from api.services import Services, utc_now
from api.whereabouts import Whereabouts
from turnout.adapters.settings import Token
from turnout.domain.channels import Channel
from turnout.domain.errors import TurnoutError, Unavailable
from turnout.domain.notices import Notice
from turnout.domain.rollout import CommandKind, RolloutStatus, State
from turnout.ports import RolloutRecord, Stores
from turnout.strategies import compile_plan, parse_spec
from workflows.messages import BreakerSignal, CloseBreaker, CommandRequest, CommandResult, RolloutInput

FLAG = "answer-engine"
FLAGS: dict[str, Any] = {
    FLAG: {
        "variants": {"perplexity": {"mode": "web"}, "lightrag": {"mode": "hybrid"}},
        "stable": "perplexity",
        "rules": [{"name": "staff", "if": {"ends_with": [{"var": "email"}, "@example.org"]}, "serve": "lightrag"}],
    },
    "threshold": {"variants": {"low": 0.5, "high": 2}, "stable": "high"},
    "limit": {"variants": {"few": 2, "many": 10}, "stable": "few"},
    "banner": {"variants": {"on": True, "off": False}, "stable": "off", "enabled": False},
    "half": {"variants": {"a": "left", "b": "right"}, "stable": "a", "split": {"b": 50, "a": 50}},
}
SPEC: dict[str, Any] = {
    "flag": FLAG,
    "candidate": "lightrag",
    "strategy": {"kind": "gradual", "stages": [10, 100], "stage_duration": "1h"},
    "gates": [{"metric": "success_rate", "min": 0.9}],
}
PATIENCE = 30.0


@dataclass
class ScriptedEngine:
    """An engine that does what the test says and remembers what it was asked."""

    error: TurnoutError | None = None
    reply: Reply | None = None
    open: Pending | None = None
    own_word: RolloutStatus | None = None
    commands: list[tuple[str, str, CommandRequest]] = field(default_factory=list[tuple[str, str, CommandRequest]])
    told: list[Notice] = field(default_factory=list[Notice])
    reports: list[tuple[str, str, BreakerSignal | CloseBreaker]] = field(
        default_factory=list[tuple[str, str, BreakerSignal | CloseBreaker]]
    )

    async def start(self, flag: str, request: RolloutInput, memo: Mapping[str, str]) -> str:
        """See `Engine`."""
        self._maybe_fail()
        return "run-1"

    async def failure(self, flag: str, rollout_id: str) -> TurnoutError | None:
        """See `Engine`."""
        return None

    async def command(self, flag: str, kind: CommandKind, request: CommandRequest) -> Reply:
        """See `Engine`."""
        self._maybe_fail()
        self.commands.append((flag, kind, request))
        done = CommandResult(id=request.id, applied=True, state=State.PAUSED, text=f"{kind} done")
        return self.reply or Reply(done.text, done)

    async def signal(self, flag: str, kind: CommandKind, request: CommandRequest) -> None:
        """See `Engine`."""
        self._maybe_fail()
        self.commands.append((flag, kind, request))

    async def status(self, flag: str) -> RolloutStatus | None:
        """See `Engine`."""
        return self.own_word

    async def pending(self, flag: str) -> Pending | None:
        """See `Engine`."""
        return self.open

    async def report(self, flag: str, variant: str, signal: BreakerSignal | CloseBreaker) -> None:
        """See `Engine`."""
        self._maybe_fail()
        self.reports.append((flag, variant, signal))

    async def tell(self, notice: Notice, channels: Sequence[Channel]) -> None:
        """See `Engine`."""
        self._maybe_fail()
        self.told.append(notice)

    def _maybe_fail(self) -> None:
        if self.error is not None:
            raise self.error


def no_engine() -> ScriptedEngine:
    """An engine that cannot be reached."""
    return ScriptedEngine(error=Unavailable("the workflow engine cannot be reached"))


@dataclass
class Api:
    """A running API, what is behind it, and a client that reached it."""

    url: str
    http: httpx.AsyncClient
    services: Services

    async def apply(self, flags: dict[str, Any] | None = None) -> None:
        """Apply flags and wait until they are served."""
        answer = await self.http.post("/v1/flags", json={"flags": FLAGS if flags is None else flags})
        assert answer.status_code == 200, answer.text
        await self.served()

    async def served(self) -> None:
        """Wait until what is published is served."""
        revision = await self.services.flags.revision()
        await eventually(lambda: self.services.hub.revision, lambda seen: seen == revision)

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncGenerator[AsyncIterator[dict[str, str]]]:
        """The events of a stream, as they come."""
        async with self.http.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _events(answer)


@asynccontextmanager
async def running(
    stores: Stores,
    engine: Engine | None = None,
    tokens: Sequence[Token] = (),
    patience: float = 5.0,
    whereabouts: Whereabouts | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncGenerator[Api]:
    """The API over ``stores`` on a free port."""
    services = Services(
        flags=stores.flags,
        rollouts=stores.rollouts,
        outcomes=stores.outcomes,
        freezes=stores.freezes,
        budgets=stores.budgets,
        engine=engine or no_engine(),
        hub=Hub(stores.flags, 0.02, utc_now, environ),
        metrics=Metrics(),
        patience=patience,
        whereabouts=whereabouts or Whereabouts(),
    )
    async with (
        serving(create_app(services, tokens)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as http,
    ):
        yield Api(url, http, services)


async def eventually(look: Callable[[], Any], wanted: Callable[[Any], bool], patience: float = PATIENCE) -> Any:
    """What ``look`` gives (or what it gives is awaited to give) once it is ``wanted``."""
    async with asyncio.timeout(patience):
        while True:
            seen = look()
            value = await seen if isinstance(seen, Awaitable) else seen
            if wanted(value):
                return value
            await asyncio.sleep(0.02)


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line and fields:
            yield fields
            fields = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def data(event: Mapping[str, str]) -> Any:
    """The JSON of an event."""
    return json.loads(event["data"])


async def open_rollout(api: Api, spec: dict[str, Any] = SPEC) -> RolloutRecord:
    """Open a rollout in the store as a worker does."""
    plan = compile_plan(parse_spec(spec), "perplexity")
    record = RolloutRecord(
        id="run-1",
        flag=FLAG,
        strategy=plan.strategy,
        candidate=plan.candidate,
        stable=plan.stable,
        state=State.SCHEDULED,
        stage=0,
        share=0.0,
        generation=1,
        started_by="alice",
        started_at=utc_now(),
        spec=spec,
        plan=plan,
    )
    return await api.services.rollouts.open(record)
