"""The registry of sources, the outcome source, and the panel that asks them all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from turnout.adapters.sources import read, sources
from turnout.adapters.sources.outcomes import OutcomesSource
from turnout.adapters.sources.panel import Panel
from turnout.analysis.checks import remembered
from turnout.domain.errors import SourceError, Unavailable
from turnout.domain.outcomes import Outcome
from turnout.domain.plan import Gate, JsonSource, PrometheusSource, Stage
from turnout.domain.rollout import Clock, WatchRequest
from turnout.domain.stats import ArmStats, Minute
from turnout.domain.verdicts import Verdict
from turnout.ports import ArmReading, PointReading, Question, Reading, Receipt
from turnout.testing.sources import ScriptedSource, arm_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = arm_of([[1.0]] * 200)


class Store:
    """An outcome store that holds one set of statistics, or fails, and notes what it was asked."""

    def __init__(self, arms: Mapping[str, ArmStats], error: Exception | None = None) -> None:
        self.arms, self.error, self.asked = arms, error, list[tuple[str, int, str]]()

    async def record(self, outcomes: list[Outcome], received: datetime) -> Receipt:
        raise AssertionError("a source never records")

    async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
        self.asked.append((flag, generation, metric))
        if self.error is not None:
            raise self.error
        return self.arms

    async def minutes(self, flag: str, generation: int, metric: str) -> Mapping[str, list[Minute]]:
        return {}


def question(gate: Gate) -> Question:
    return Question(gate, "flag", "old", "new", 7, NOW - timedelta(minutes=2), NOW)


def request(gates: tuple[Gate, ...], guardrails: tuple[Gate, ...] = ()) -> WatchRequest:
    stage = Stage(
        name="5 %",
        weights={"new": 5_000, "old": 95_000},
        hold=timedelta(hours=1),
        deadline=timedelta(hours=1),
        check_every=timedelta(seconds=30),
        gates=gates,
        guardrails=guardrails,
    )
    return WatchRequest(
        rollout_id="r1",
        flag="flag",
        stable="old",
        candidate="new",
        index=0,
        stage=stage,
        generation=7,
        since=NOW - timedelta(minutes=2),
        clock=Clock(),
        counting=True,
    )


async def test_outcomes_store_down() -> None:
    """A store that is unavailable is a source error with its reason."""
    source = OutcomesSource(Store({}, Unavailable("database is locked")))
    with pytest.raises(SourceError, match="the outcome store did not answer: database is locked"):
        await source.read(question(Gate(metric="success_rate", min=0.95)))


async def test_outcomes_store_hangs() -> None:
    """A store that never answers is a source error once the timeout is over."""

    class Hanging(Store):
        async def stats(self, flag: str, generation: int, metric: str) -> Mapping[str, ArmStats]:
            await asyncio.Event().wait()
            raise AssertionError

    source = OutcomesSource(Hanging({}), timeout=timedelta(milliseconds=20))
    with pytest.raises(SourceError, match="did not answer within"):
        await source.read(question(Gate(metric="success_rate", min=0.95)))


async def test_registry() -> None:
    """Every kind of source a gate can name has an adapter, and each refuses a gate of another kind."""
    async with httpx.AsyncClient() as http:
        known = sources(Store({"new": GOOD}), http, {})
        assert set(known) == {"outcomes", "prometheus", "json", "http", "router"}
        gate = Gate(metric="success_rate", min=0.95)
        assert isinstance(await read(known, question(gate)), ArmReading)
        for kind in ("prometheus", "json"):
            with pytest.raises(TypeError, match="cannot answer a gate on a outcomes source"):
                await known[kind].read(question(gate))


async def test_unknown_kind() -> None:
    """A kind nobody set up is a source error that names the known ones."""
    gate = Gate(metric="queue", max=1, source=PrometheusSource(kind="prometheus", url="http://p", query="q"))
    with pytest.raises(SourceError, match="no source of kind prometheus is set up here; known are outcomes"):
        await read({"outcomes": ScriptedSource({})}, question(gate))


async def test_panel_asks_everything() -> None:
    """Gates and guardrails are read with the stage's generation and time, and judged in order."""
    source = ScriptedSource(
        {
            "success_rate": [ArmReading(GOOD, ArmStats(), True)],
            "quality_score": [SourceError("down")],
            "error_rate": [ArmReading(GOOD, ArmStats(), True)],
        }
    )
    gates = (Gate(metric="success_rate", min=0.95), Gate(metric="quality_score", min=0.8))
    panel = Panel({"outcomes": source})
    checks = await panel.ask(request(gates, (Gate(metric="error_rate", max=0.05),)), NOW, {})
    assert [(check.role, check.verdict) for check in checks] == [
        ("gate", Verdict.PASS),
        ("gate", Verdict.SOURCE_ERROR),
        ("guardrail", Verdict.FAIL),
    ]
    assert [check.key for check in checks] == ["gate:0", "gate:1", "guardrail:0"]
    assert {(asked.generation, asked.candidate, asked.now) for asked in source.asked} == {(7, "new", NOW)}
    assert {(asked.hold, asked.weights["new"]) for asked in source.asked} == {(timedelta(hours=1), 5_000)}


async def test_panel_counts_rows() -> None:
    """The checks of one asking are the memory of the next: a second breach in a row fails."""
    queue = PrometheusSource(kind="prometheus", url="http://p", query="q")
    panel = Panel({"prometheus": ScriptedSource({"queue": [PointReading(30.0), PointReading(30.0)]})})
    gate = Gate(metric="queue", max=20, consecutive=2, source=queue)
    first = await panel.ask(request((gate,)), NOW, {})
    second = await panel.ask(request((gate,)), NOW, remembered(first))
    assert (first[0].verdict, second[0].verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)


async def test_panel_without_gates() -> None:
    """A stage that asks nothing has no checks."""
    assert await Panel({}).ask(request(()), NOW, {}) == ()


class Slow:
    """A source that notes how many reads run at once and lets others run in between."""

    def __init__(self) -> None:
        self.running, self.most = 0, 0

    async def read(self, question: Question) -> Reading:
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5):
            await asyncio.sleep(0)
        self.running -= 1
        return PointReading(1.0)


async def test_panel_is_bounded() -> None:
    """Reads run side by side, but no more at once than allowed."""
    source = Slow()
    gates = tuple(Gate(metric=f"m{index}", max=2) for index in range(12))
    checks = await Panel({"outcomes": source}, at_once=3).ask(request(gates), NOW, {})
    assert len(checks) == 12
    assert source.most == 3


async def test_panel_raises_mistakes() -> None:
    """A programming error is no verdict: it is raised."""
    panel = Panel({"outcomes": ScriptedSource({"queue": [KeyError("bug")]})})
    with pytest.raises(ExceptionGroup) as caught:
        await panel.ask(request((Gate(metric="queue", max=2),)), NOW, {})
    assert caught.group_contains(KeyError)


async def test_panel_can_be_cancelled() -> None:
    """Cancelling the asking cancels the reads."""

    class Endless:
        async def read(self, question: Question) -> Reading:
            await asyncio.Event().wait()
            raise AssertionError

    gate = Gate(metric="queue", max=1, source=JsonSource(kind="json", url="http://j", pointer="a"))
    task = asyncio.create_task(Panel({"json": Endless()}).ask(request((gate,)), NOW, {}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_script_repeats_its_last_answer() -> None:
    """The scripted source goes through its answers, repeats the last and keeps the questions."""
    source = ScriptedSource({"queue": [PointReading(1.0), PointReading(2.0)]})
    asked = question(Gate(metric="queue", max=1))
    values = [await source.read(asked) for _ in range(3)]
    assert values == [PointReading(1.0), PointReading(2.0), PointReading(2.0)]
    assert source.asked == [asked] * 3
    with pytest.raises(SourceError, match="no answer for lag"):
        await source.read(question(Gate(metric="lag", max=1)))
