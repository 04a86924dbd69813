"""A flag file that the API keeps applied."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

import pytest

from api.flagfile import FlagFile
from api.services import utc_now
from tests.integration.stores.builders import a_decision, a_flag, a_rollout, applied
from turnout.domain.errors import NotFound
from turnout.domain.rollout import State
from turnout.ports import Stores

ONE = "flags: {one: {variants: {a: 1, b: 2}, stable: a, serve: %s}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the flag file is."""
    return tmp_path / "flags.yaml"


async def served(stores: Stores, key: str) -> str | None:
    """What the definition in the store serves."""
    return (await stores.flags.get(key)).flag.serve


async def test_every_change_of_the_file_is_applied_once(stores: Stores, file: Path) -> None:
    """At the start and after a change; looking again changes nothing, and the audit log names the file."""
    watched = FlagFile(file, stores.flags, utc_now)
    for serve in ("b", "a"):
        file.write_text(ONE % serve)
        await watched.look()
        await watched.look()
        assert await served(stores, "one") == serve
    entries = await stores.rollouts.audit_log()
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("flag.updated", "file:flags.yaml"),
        ("flag.created", "file:flags.yaml"),
    ]


async def test_a_file_with_a_fault_changes_nothing_and_is_told_once(
    stores: Stores, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All its flags stay as they were until it is mended, and so they do when it is gone."""
    watched = FlagFile(file, stores.flags, utc_now)
    with caplog.at_level(logging.WARNING):
        for content in (b"flags: {bad: {variants: {}, stable: x}}", b"\xff", b"flags: ["):
            file.write_bytes(content)
            caplog.clear()
            await watched.look()
            await watched.look()
            assert len(caplog.records) == 1
            assert "is not applied" in caplog.text
        file.unlink()
        caplog.clear()
        await watched.look()
        assert "cannot be read" in caplog.text
    assert await stores.flags.list() == []
    file.write_text(ONE % "b")
    await watched.look()
    assert await served(stores, "one") == "b"


async def test_an_open_rollout_is_waited_for(stores: Stores, file: Path) -> None:
    """What a rollout stands in the way of is applied once it has ended, without another change of the file."""
    await applied(stores, a_flag(key="one", variants={"old": 1, "new": 2}))
    record = await stores.rollouts.open(a_rollout(flag="one"))
    watched = FlagFile(file, stores.flags, utc_now)
    file.write_text("flags: {one: {variants: {old: 1, new: 2}, stable: old, description: changed}}")
    await watched.look()
    assert (await stores.flags.get("one")).flag.description == ""
    await stores.rollouts.commit(
        a_decision(1, record.id, "one", kind="ended", state=State.ABORTED, generation=record.generation)
    )
    await watched.look()
    assert (await stores.flags.get("one")).flag.description == "changed"


async def test_a_change_does_not_wait_for_the_next_try(stores: Stores, file: Path) -> None:
    """What an open rollout keeps from being applied is tried now and then; an edit of the file meanwhile, at once."""
    await applied(stores, a_flag(key="busy", variants={"old": 1, "new": 2}))
    await stores.rollouts.open(a_rollout(flag="busy"))
    watched = FlagFile(file, stores.flags, utc_now)
    file.write_text("flags: {busy: {variants: {old: 1, new: 2}, stable: old, description: changed}}")
    await watched.look()
    file.write_text(ONE % "b")
    await watched.look(again=False)
    assert await served(stores, "one") == "b"


async def test_it_goes_on_looking(stores: Stores, file: Path) -> None:
    """Run as a task it applies what appears later, and ends when it is cancelled."""
    task = asyncio.create_task(FlagFile(file, stores.flags, utc_now, interval=0.005).run())
    await asyncio.sleep(0)
    file.write_text(ONE % "b")
    async with asyncio.timeout(20):
        while True:
            with suppress(NotFound):
                if await served(stores, "one") == "b":
                    break
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
