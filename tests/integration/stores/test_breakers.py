"""Shared breakers in stores: what is published for a blocked variant, and that old words change nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.stores.builders import FLAG, NOW, a_flag, later
from turnout.domain.breaking import BreakerPolicy, BreakerReport, closed, opened, probing
from turnout.domain.errors import NotFound
from turnout.domain.outcomes import Outcome
from turnout.domain.snapshot import document
from turnout.ports import Stores
from turnout.resolver import compile_document

POLICY = BreakerPolicy(probe_share=10)
OPEN = opened(POLICY, None, BreakerReport(circuit="open", why="5 failures in a row", reporter="api-1"), NOW)
PROBING = probing(POLICY, OPEN, later(30))
SPLIT = {"new": 50, "old": 50}


async def shares(stores: Stores) -> dict[tuple[str | None, object], int]:
    """How many of a thousand users get which variant, by what."""
    published = await stores.flags.published()
    snapshot = compile_document(document(published.flags, published.revision, published.store_id))
    found: dict[tuple[str | None, object], int] = {}
    for number in range(1000):
        seen = snapshot.resolve(FLAG, f"user-{number}")
        decided = (seen.variant, seen.metadata["decidedBy"])
        found[decided] = found.get(decided, 0) + 1
    return found


async def test_a_blocked_variant_is_served_to_nobody_but_its_probes(stores: Stores) -> None:
    """Whom it was taken from gets stable by the breaker; a tenth probes; everybody has it again when it has closed."""
    await stores.flags.apply([a_flag(split=SPLIT)], "ann", NOW)
    before = await shares(stores)
    new, old = before["new", "traffic"], before["old", "traffic"]
    _, revision = await stores.flags.switch(FLAG, "new", OPEN)
    assert revision == await stores.flags.revision()
    assert await shares(stores) == {("old", "traffic"): old, ("old", "breaker"): new}
    await stores.flags.switch(FLAG, "new", PROBING)
    probes = await shares(stores)
    assert 0 < probes["new", "traffic"] < new / 4
    assert probes["old", "traffic"] == old
    await stores.flags.switch(FLAG, "new", closed(PROBING, later(40), "the probes went well", "turnout"))
    assert await shares(stores) == before
    log = await stores.rollouts.audit_log(f"{FLAG}/new")
    assert [entry.action for entry in reversed(log)] == ["breaker.open", "breaker.half_open", "breaker.closed"]
    assert log[-1].detail == "5 failures in a row"


async def test_an_older_word_changes_nothing(stores: Stores) -> None:
    """Nor does the same word again."""
    await stores.flags.apply([a_flag(split=SPLIT)], "ann", NOW)
    await stores.flags.switch(FLAG, "new", PROBING)
    kept = await stores.flags.switch(FLAG, "new", PROBING)
    assert await stores.flags.switch(FLAG, "new", OPEN) == kept
    assert kept[0].breakers == {"new": PROBING}
    with pytest.raises(NotFound):
        await stores.flags.switch(FLAG, "newer", OPEN)


async def test_the_stable_variant_is_never_blocked(stores: Stores) -> None:
    """There is nothing to serve in its place."""
    await stores.flags.apply([a_flag(split=SPLIT)], "ann", NOW)
    before = await stores.flags.revision()
    record, revision = await stores.flags.switch(FLAG, "old", OPEN)
    assert record.published.blocked == {}
    assert revision == before


async def test_what_was_served_since_is_counted(stores: Stores) -> None:
    """By variant, without shadows and what says nothing of success."""
    await stores.flags.apply([a_flag(split=SPLIT)], "ann", NOW)
    rows = [
        ("new", True, 5),
        ("new", True, 6),
        ("new", False, 7),
        ("new", True, -5),
        ("old", False, 8),
        ("new", None, 9),
    ]
    outcomes = [
        Outcome(id=f"o{n}", flag=FLAG, variant=variant, unit="u", ok=ok, at=NOW + timedelta(seconds=after))
        for n, (variant, ok, after) in enumerate(rows)
    ]
    shadow = outcomes[0].model_copy(update={"id": "s", "mode": "shadow"})
    await stores.outcomes.record([*outcomes, shadow], later(20))
    assert await stores.outcomes.served(FLAG, "new", NOW) == (2, 1)
    assert await stores.outcomes.served(FLAG, "new", later(10)) == (0, 0)
