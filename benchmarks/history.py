"""How many events a rollout's history takes: per stage, per check, per command."""

from __future__ import annotations

import asyncio

import httpx
from temporalio.client import Client

from benchmarks.report import Section
from benchmarks.stack import FLAG, FLAGS, HALF, Addresses

# Long enough for a command's effects, the change of the watch among them, to be in the history.
_SETTLED = 5
_CHECKS = 20


def measure(at: Addresses) -> Section:
    """Count the events of a start, of many checks, and of commands."""
    return Section(
        "Events in the workflow's history",
        "Counted on the embedded server. The watch of a stage is one heartbeating activity, so checks add none: a "
        "24-hour stage with `check_every: 30s` (2,880 checks) takes as many events as one of a minute. Temporal "
        "suggests to continue as new at 4,096 events; the workflow does so at 4,000.",
        ("what", "events"),
        asyncio.run(_rows(at)),
    )


async def _rows(at: Addresses) -> list[tuple[str, str]]:
    client = await Client.connect(at.temporal)
    handle = client.get_workflow_handle(f"rollout:{FLAG}")

    async def events() -> int:
        return (await handle.describe()).history_length

    rows: list[tuple[str, str]] = []
    async with httpx.AsyncClient(base_url=at.url, timeout=30, trust_env=False) as http:
        (await http.post("/v1/flags", json=FLAGS)).raise_for_status()
        (await http.post("/v1/rollouts", json={"spec": HALF | {"check_every": "1s"}})).raise_for_status()
        await asyncio.sleep(_SETTLED)
        before = await events()
        rows.append(("start, to the watch of the first stage", str(before)))
        await asyncio.sleep(_CHECKS)
        rows.append((f"{_CHECKS} checks", str(await events() - before)))
        for command, what in (
            ("pause", ""),
            ("resume", ""),
            ("promote", ", into the next stage"),
            ("abort", ", to the end"),
        ):
            before = await events()
            (await http.post(f"/v1/rollouts/{FLAG}/{command}", json={})).raise_for_status()
            await asyncio.sleep(_SETTLED)
            rows.append((f"`{command}`{what}", str(await events() - before)))
    return rows
