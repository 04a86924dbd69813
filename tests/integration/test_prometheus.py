"""Prometheus itself as a source: a real server that scrapes a real exporter."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from turnout.adapters.sources.panel import Panel
from turnout.adapters.sources.prometheus import PrometheusSource
from turnout.domain import plan
from turnout.domain.errors import SourceError
from turnout.domain.plan import Gate, Stage
from turnout.domain.rollout import Clock, WatchRequest
from turnout.domain.verdicts import Verdict
from turnout.ports import FractionReading, PointReading, Question

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.environ.get("TURNOUT_TEST_PROMETHEUS") == "skip", reason="TURNOUT_TEST_PROMETHEUS=skip"),
]

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: app
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass
class Prometheus:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def exporter() -> Iterator[int]:
    """An application with 40 errors in 1000 requests of the candidate, and a gauge that is not a number."""
    registry = CollectorRegistry()
    requests = Counter("app_requests", "Requests", ["variant", "result"], registry=registry)
    requests.labels('say "new"', "ok").inc(960)
    requests.labels('say "new"', "error").inc(40)
    requests.labels("old", "ok").inc(500)
    Gauge("app_score", "No number", registry=registry).set(float("nan"))
    Gauge("app_queue", "Queue", ["node"], registry=registry).labels("a").set(7)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def prometheus(exporter: int, tmp_path: Path) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail(
            "the prometheus program is missing: install the Debian package prometheus, "
            "or set TURNOUT_TEST_PROMETHEUS=skip"
        )
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(port=exporter))
    port = free_port()
    arguments = [
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    server = Prometheus(f"http://127.0.0.1:{port}", subprocess.Popen([program, *arguments]))
    yield server
    server.kill()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def question(url: str, **queries: str) -> Question:
    source = plan.PrometheusSource(kind="prometheus", url=url, **queries)
    now = datetime.now(UTC)
    gate = Gate(metric="error_rate", max=0.05, source=source)
    return Question(gate, "flag", "old", 'say "new"', 1, now - timedelta(minutes=1), now)


async def scraped(source: PrometheusSource, url: str) -> None:
    """Wait until the exporter's numbers are there."""
    async with asyncio.timeout(60):
        while True:
            try:
                if await source.read(question(url, query="sum(app_requests_total)")) == PointReading(1500.0):
                    return
            except SourceError:
                pass  # the server is still starting
            await asyncio.sleep(0.2)


async def test_prometheus(prometheus: Prometheus, http: httpx.AsyncClient) -> None:
    """Queries, fractions, empty and NaN results, refusals, and the server's death, all against the real thing."""
    source, url = PrometheusSource(http), prometheus.url
    await scraped(source, url)

    errors = 'sum(app_requests_total{variant="{candidate}",result="error"})'
    every = "sum(app_requests_total{variant='{candidate}'})"
    assert await source.read(question(url, query=f"{errors} / {every}")) == PointReading(0.04)
    assert await source.read(question(url, query=f"scalar({every})")) == PointReading(1000.0)
    counts = await source.read(question(url, numerator=errors, denominator=every))
    assert counts == FractionReading(40.0, 1000.0)

    never = 'sum(app_requests_total{variant="{candidate}",result="timeout"})'
    absent = 'sum(app_requests_total{variant="nobody"})'
    assert await source.read(question(url, numerator=never, denominator=every)) == FractionReading(0.0, 1000.0)
    assert await source.read(question(url, numerator=never, denominator=absent)) == FractionReading(0.0, 0.0)
    assert await source.read(question(url, query=absent)) == PointReading(None)
    assert await source.read(question(url, query="app_score")) == PointReading(None)
    assert await source.read(question(url, query="vector(0) / vector(0)")) == PointReading(None)
    assert await source.read(question(url, query="vector(1) / vector(0)")) == PointReading(None)

    with pytest.raises(SourceError, match=r"gives 3 series; aggregate"):
        await source.read(question(url, query="app_requests_total"))
    with pytest.raises(SourceError, match=r"gives a matrix"):
        await source.read(question(url, query="app_queue[{window}]"))
    with pytest.raises(SourceError, match=r"refuses the query sum\(\(\) \(bad_data: .*parse error"):
        await source.read(question(url, query="sum(()"))

    prometheus.kill()
    with pytest.raises(SourceError, match="gave no complete answer"):
        await source.read(question(url, query="up"))


async def test_panel_on_prometheus(prometheus: Prometheus, http: httpx.AsyncClient) -> None:
    """Gates on counts pass and fail by their interval, and a dead server makes them neither."""
    source, url = PrometheusSource(http), prometheus.url
    await scraped(source, url)
    counts = plan.PrometheusSource(
        kind="prometheus",
        url=url,
        numerator='sum(app_requests_total{variant="{candidate}",result="error"})',
        denominator='sum(app_requests_total{variant="{candidate}"})',
    )
    limits = (0.01, 0.04, 0.1)
    stage = Stage(
        name="5 %",
        weights={"new": 5_000, "old": 95_000},
        hold=timedelta(hours=1),
        deadline=timedelta(hours=1),
        check_every=timedelta(seconds=30),
        gates=tuple(Gate(metric="error_rate", max=limit, source=counts) for limit in limits),
    )
    now = datetime.now(UTC)
    request = WatchRequest(
        rollout_id="r",
        flag="flag",
        stable="old",
        candidate='say "new"',
        index=0,
        stage=stage,
        generation=1,
        since=now - timedelta(minutes=1),
        clock=Clock(),
        counting=True,
    )
    panel = Panel({"prometheus": source})
    checks = await panel.ask(request, now, {})
    assert [check.verdict for check in checks] == [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]

    prometheus.kill()
    checks = await panel.ask(request, now, {})
    assert {check.verdict for check in checks} == {Verdict.SOURCE_ERROR}
