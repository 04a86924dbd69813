"""Freezes are kept, listed and lifted, and the audit log tells so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.stores.builders import NOW, later
from turnout.domain.errors import NotFound
from turnout.domain.freezes import Freeze
from turnout.ports.stores import Stores

DAY = timedelta(days=1)


def a_freeze(id: str = "f1", **more: Any) -> Freeze:
    """A freeze of everything, from tomorrow for a day."""
    fields: dict[str, Any] = {"by": "carol", "at": NOW, "start": NOW + DAY, "end": NOW + 2 * DAY, "reason": "year-end"}
    return Freeze(id=id, **(fields | more))


async def test_a_freeze_comes_back_as_it_was(stores: Stores) -> None:
    """With its flags, or without an end; the one that begins first comes first."""
    named = a_freeze("f2", start=NOW, end=None, flags=("a", "b"), reason="audit\n…")
    for freeze in (a_freeze(), named, a_freeze(reason="the same id again")):
        await stores.freezes.add(freeze)
    assert list(await stores.freezes.list()) == [named, a_freeze()]


async def test_what_is_over_is_left_out(stores: Stores) -> None:
    """A freeze that has ended is listed only when asked for."""
    await stores.freezes.add(a_freeze())
    await stores.freezes.add(a_freeze("f2", end=None))
    ids = [freeze.id for freeze in await stores.freezes.list(after=NOW + 2 * DAY)]
    assert ids == ["f2"]
    assert len(await stores.freezes.list(after=NOW)) == 2


async def test_lifting_a_freeze(stores: Stores) -> None:
    """It is gone, and comes back once; a second time there is nothing to lift."""
    await stores.freezes.add(a_freeze())
    assert await stores.freezes.remove("f1", "dave", "all done", later(1)) == a_freeze()
    assert list(await stores.freezes.list()) == []
    with pytest.raises(NotFound, match="no freeze f1; turnout freezes list"):
        await stores.freezes.remove("f1", "dave", "", later(2))


async def test_freezes_are_audited(stores: Stores) -> None:
    """Who froze what, until when and why, and who lifted it."""
    await stores.freezes.add(a_freeze(flags=("checkout",)))
    await stores.freezes.add(a_freeze(flags=("checkout",)))
    await stores.freezes.remove("f1", "dave", "all done", later(1))
    removed, added = await stores.rollouts.audit_log(subject="f1")
    assert (added.actor, added.action, removed.actor, removed.action) == (
        "carol",
        "freeze.added",
        "dave",
        "freeze.removed",
    )
    assert added.detail.startswith("checkout from ")
    assert added.detail.endswith("UTC: year-end")
    assert removed.detail.endswith("year-end (all done)")
