"""Flags: applying files, keeping moved traffic, publishing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.stores.builders import (
    FLAG,
    NOW,
    a_flag,
    a_move,
    a_rollout,
    applied,
    begun,
    completed,
    later,
)
from turnout.domain.errors import Conflict, InvalidInput, NotFound, RolloutOpen
from turnout.domain.flags import Traffic
from turnout.ports.stores import Delivery, Stores


async def test_a_new_flag_publishes_what_the_file_serves(stores: Stores) -> None:
    """A flag applied first is created with the file's split under generation 1, in the order of the file."""
    flag = a_flag(split={"new": 2.5, "old": 97.5})
    (change,) = await applied(stores, flag)
    record = await stores.flags.get(FLAG)
    assert (change.action, change.kept) == ("created", False)
    assert record.flag == flag
    assert record.traffic == Traffic(stable="old", weights={"new": 2_500, "old": 97_500}, generation=1)
    assert list(record.traffic.weights) == ["new", "old"]
    assert (record.updated_by, record.updated_at, record.stopped) == ("ann", NOW, False)


async def test_key_order_of_variants_and_split_survives(stores: Stores) -> None:
    """The order of variants and arms is kept as written, whatever the alphabet says."""
    variants = {"zebra": "1", "ant": "2", "mole": "3"}
    await applied(stores, a_flag(variants=variants, stable="ant", split={"zebra": 1, "mole": 2, "ant": 97}))
    flag = (await stores.flags.get(FLAG)).flag
    assert list(flag.variants) == ["zebra", "ant", "mole"]
    assert list(flag.split or {}) == ["zebra", "mole", "ant"]


async def test_variant_values_survive_unchanged(stores: Stores) -> None:
    """Nested values, numbers and characters of any script come back as they were applied."""
    value = {"n": 1, "f": 0.1, "t": "Zürich 🚆\u0000", "l": [None, True, {"x": "y"}]}
    await applied(stores, a_flag(variants={"old": value, "new": {}}))
    kept = (await stores.flags.get(FLAG)).flag.variants["old"]
    assert kept == value
    assert isinstance(kept, dict)
    assert type(kept["n"]) is int


async def test_applying_the_same_again_changes_nothing(stores: Stores) -> None:
    """An identical file is unchanged: no new revision, generation or audit entry."""
    await applied(stores, a_flag())
    before = await stores.flags.revision(), await stores.rollouts.audit_log()
    (change,) = await applied(stores, a_flag())
    assert change.action == "unchanged"
    assert (await stores.flags.revision(), await stores.rollouts.audit_log()) == before


async def test_a_changed_order_of_arms_is_a_change(stores: Stores) -> None:
    """The order of a split decides who gets which arm, so another order publishes a new generation."""
    await applied(stores, a_flag(split={"new": 50, "old": 50}))
    (change,) = await applied(stores, a_flag(split={"old": 50, "new": 50}))
    assert (change.action, change.traffic.generation) == ("updated", 2)
    assert list((await stores.flags.get(FLAG)).traffic.weights) == ["old", "new"]


async def test_one_revision_for_one_apply(stores: Stores) -> None:
    """All flags of one file are published together."""
    before = await stores.flags.revision()
    await applied(stores, a_flag("a"), a_flag("b"), a_flag("c"))
    assert await stores.flags.revision() == before + 1


async def test_a_flag_given_twice_is_refused(stores: Stores) -> None:
    """Two definitions of one key in one batch are an error that names the key."""
    with pytest.raises(InvalidInput, match=r"flags\.answer-engine: is given more than once"):
        await applied(stores, a_flag(), a_flag(description="other"))


async def test_another_serve_publishes_a_new_generation(stores: Stores) -> None:
    """Changing what the file serves publishes it under the next generation."""
    await applied(stores, a_flag())
    (change,) = await applied(stores, a_flag(serve="new"))
    assert change.action == "updated"
    assert change.traffic == Traffic(stable="old", weights={"new": 100_000}, generation=2)


async def test_moved_traffic_is_kept_when_something_else_changes(stores: Stores) -> None:
    """After a completed rollout, a new description keeps the candidate stable and the generation."""
    await completed(stores)
    moved = (await stores.flags.get(FLAG)).traffic
    (change,) = await applied(stores, a_flag(description="new words"))
    assert (change.action, change.kept, change.traffic) == ("updated", True, moved)
    record = await stores.flags.get(FLAG)
    assert (record.flag.description, record.traffic.stable) == ("new words", "new")


async def test_unmoved_traffic_is_not_called_kept(stores: Stores) -> None:
    """Without a rollout there is no moved traffic to keep, and the change says so."""
    await applied(stores, a_flag())
    (change,) = await applied(stores, a_flag(description="new words"))
    assert (change.action, change.kept, change.traffic.generation) == ("updated", False, 1)


async def test_the_same_file_after_a_rollout_keeps_its_traffic(stores: Stores) -> None:
    """Applying an unchanged file after a rollout does not take the candidate away."""
    await completed(stores)
    (change,) = await applied(stores, a_flag())
    assert (change.action, change.kept, change.traffic.stable) == ("unchanged", True, "new")


@pytest.mark.parametrize("fields", [{"stable": "new"}, {"serve": "new"}, {"split": {"new": 10, "old": 90}}])
async def test_changing_what_is_served_overrules_a_rollout(stores: Stores, fields: dict[str, Any]) -> None:
    """Changing stable, serve or split publishes the file's traffic over a moved one, under a newer generation."""
    await completed(stores)
    before = (await stores.flags.get(FLAG)).traffic
    (change,) = await applied(stores, a_flag(**fields))
    assert change.traffic.generation == before.generation + 1
    assert change.traffic.stable == fields.get("stable", "old")
    assert (change.traffic.rollout_id, change.kept) == (None, False)


async def test_a_flag_cannot_change_under_its_rollout(stores: Stores) -> None:
    """A change is refused with the rollout, its state and what to do; an identical file is not."""
    await begun(stores)
    with pytest.raises(RolloutOpen, match=r"r1 \(running\).*turnout abort answer-engine"):
        await applied(stores, a_flag(description="other"))
    (change,) = await applied(stores, a_flag())
    assert change.action == "unchanged"
    assert (await stores.flags.get(FLAG)).flag.description == ""


async def test_apply_is_all_or_none(stores: Stores) -> None:
    """One refused flag keeps all others of the batch from changing, with their revision and audit entries."""
    await begun(stores)
    revision, log = await stores.flags.revision(), await stores.rollouts.audit_log()
    with pytest.raises(RolloutOpen):
        await applied(stores, a_flag("another"), a_flag(description="other"))
    with pytest.raises(NotFound):
        await stores.flags.get("another")
    assert (await stores.flags.revision(), await stores.rollouts.audit_log()) == (revision, log)


async def test_a_variant_in_use_cannot_be_removed(stores: Stores) -> None:
    """Removing the variant a rollout has made stable is refused and names it."""
    await completed(stores)
    with pytest.raises(InvalidInput, match=r"variants\.new: is gone, but is the stable variant now \(rollout r1"):
        await applied(stores, a_flag(variants={"old": {"v": 1}}))
    assert set((await stores.flags.get(FLAG)).flag.variants) == {"old", "new"}


async def test_a_variant_without_traffic_can_be_removed(stores: Stores) -> None:
    """A variant that a rollout took all traffic from may go, and what is published does not name it any more."""
    await applied(stores, a_flag(variants={"old": {}, "new": {}, "third": {}}))
    record = await stores.rollouts.open(a_rollout(candidate="third", plan=a_rollout().plan))
    everybody_back = {"third": 0, "old": 100_000}
    await stores.rollouts.commit(a_move(1, record.generation + 1, weights=everybody_back, state="rolled_back"))
    (change,) = await applied(stores, a_flag(variants={"old": {}, "new": {}}))
    assert change.traffic.weights == {"old": 100_000}
    assert (await stores.flags.published()).flags[0].traffic.weights == {"old": 100_000}


async def test_list_is_by_key(stores: Stores) -> None:
    """Flags are listed by key, capitals first, on every database."""
    await applied(stores, a_flag("b"), a_flag("B"), a_flag("a-1"), a_flag("a"))
    assert [record.flag.key for record in await stores.flags.list()] == ["B", "a", "a-1", "b"]


@pytest.mark.parametrize("key", ["absent", "a\0b", "ä'; --"])
async def test_unknown_flags_are_not_found(stores: Stores, key: str) -> None:
    """Asking for, deleting or stopping a flag that is not there says so, however odd the key."""
    with pytest.raises(NotFound, match="there is no flag"):
        await stores.flags.get(key)
    with pytest.raises(NotFound):
        await stores.flags.delete(key, "ann", NOW)
    with pytest.raises(NotFound):
        await stores.flags.stop(key, True, "ann", "", NOW)


async def test_a_deleted_flag_is_gone_and_its_generations_are_not_used_again(stores: Stores) -> None:
    """Deleting publishes without the flag; applied again it continues the generations, so old outcomes stay apart."""
    await completed(stores)
    last = (await stores.flags.get(FLAG)).traffic.generation
    before = await stores.flags.revision()
    await stores.flags.delete(FLAG, "bob", NOW)
    assert await stores.flags.revision() == before + 1
    assert (await stores.flags.published()).flags == ()
    (change,) = await applied(stores, a_flag())
    assert (change.action, change.traffic.generation) == ("created", last + 1)


async def test_a_flag_with_an_open_rollout_cannot_be_deleted(stores: Stores) -> None:
    """Deleting is refused while a rollout is open, naming it."""
    await begun(stores)
    with pytest.raises(RolloutOpen, match="r1"):
        await stores.flags.delete(FLAG, "bob", NOW)


async def test_an_emergency_stop_is_published_and_can_be_ended(stores: Stores) -> None:
    """Stopping raises the revision and is what resolvers get, also under an open rollout; restoring ends it."""
    await begun(stores)
    before = await stores.flags.revision()
    record = await stores.flags.stop(FLAG, True, "bob", "on fire", later(5))
    assert (record.stopped, record.stopped_reason, record.updated_by) == (True, "on fire", "bob")
    published = await stores.flags.published()
    assert (published.revision, published.flags[0].stopped) == (before + 1, True)
    restored = await stores.flags.stop(FLAG, False, "bob", "put out", later(6))
    assert (restored.stopped, restored.stopped_reason) == (False, "")
    assert (await stores.flags.get(FLAG)) == restored


async def test_stopping_a_stopped_flag_changes_nothing(stores: Stores) -> None:
    """A second stop keeps the first one's reason and publishes nothing."""
    await applied(stores, a_flag())
    first = await stores.flags.stop(FLAG, True, "bob", "on fire", NOW)
    before = await stores.flags.revision()
    assert await stores.flags.stop(FLAG, True, "eve", "me too", later(9)) == first
    assert await stores.flags.revision() == before


async def test_an_apply_keeps_an_emergency_stop(stores: Stores) -> None:
    """A new file does not end an emergency stop."""
    await applied(stores, a_flag())
    await stores.flags.stop(FLAG, True, "bob", "on fire", NOW)
    await applied(stores, a_flag(serve="new"))
    assert (await stores.flags.get(FLAG)).stopped


async def test_published_is_everything_at_one_revision(stores: Stores) -> None:
    """What resolvers get are all flags by key with their traffic, the revision and the store's id, which stays."""
    empty = await stores.flags.published()
    await applied(stores, a_flag("b"), a_flag("a", serve="new"))
    published = await stores.flags.published()
    assert empty.flags == ()
    assert published.store_id == empty.store_id
    assert len(published.store_id) == 36
    assert published.revision == await stores.flags.revision() > empty.revision
    assert [(f.definition.key, f.traffic.weights) for f in published.flags] == [
        ("a", {"new": 100_000}),
        ("b", {"old": 100_000}),
    ]


async def test_changes_of_flags_are_audited(stores: Stores) -> None:
    """Created, updated, stopped, restored and deleted: each leaves one entry with actor and time."""
    await applied(stores, a_flag())
    await stores.flags.apply([a_flag(serve="new")], "bob", later(1))
    await stores.flags.stop(FLAG, True, "eve", "on fire", later(2))
    await stores.flags.stop(FLAG, False, "eve", "put out", later(3))
    await stores.flags.delete(FLAG, "ann", later(4))
    log = await stores.rollouts.audit_log(FLAG)
    assert [(entry.at, entry.actor, entry.action) for entry in log] == [
        (later(4), "ann", "flag.deleted"),
        (later(3), "eve", "flag.restored"),
        (later(2), "eve", "flag.stopped"),
        (later(1), "bob", "flag.updated"),
        (NOW, "ann", "flag.created"),
    ]
    assert log[2].detail == "on fire"


async def test_delivery_counts_the_feeds_that_are_alive(stores: Stores) -> None:
    """A feed that has sent less than asked lags; one that fell silent does not count."""
    await stores.flags.beat("dead", 1, NOW)
    await stores.flags.beat("slow", 6, later(10))
    await stores.flags.beat("fast", 7, later(10))
    assert await stores.flags.delivery(7, alive_since=later(5)) == Delivery(revision=7, feeds=2, lagging=1)
    await stores.flags.beat("slow", 8, later(11))
    assert await stores.flags.delivery(7, alive_since=later(10)) == Delivery(revision=7, feeds=2, lagging=0)


async def test_feeds_silent_for_long_are_forgotten_without_harm(stores: Stores) -> None:
    """A new feed two days on counts, the silent one does not even when asked about that far back."""
    await stores.flags.beat("old", 1, NOW)
    await stores.flags.beat("new", 9, later(2 * 86_400))
    assert (await stores.flags.delivery(9, alive_since=later(86_400))).feeds == 1


async def test_what_a_flag_requires_has_to_be_there(stores: Stores) -> None:
    """Unknown flags, cycles and variants that go are refused with nothing changed; so is deleting what is required."""
    child = a_flag(key="child", requires={FLAG: "new"})
    with pytest.raises(InvalidInput, match=f"there is no flag '{FLAG}'"):
        await applied(stores, child)
    await applied(stores, child, a_flag())
    revision = await stores.flags.revision()
    with pytest.raises(InvalidInput, match="require each other"):
        await applied(stores, a_flag(requires={"child": "new"}))
    with pytest.raises(InvalidInput, match="has no variant 'new'"):
        await applied(stores, a_flag(variants={"old": "1", "newer": "2"}))
    with pytest.raises(Conflict, match="required by child"):
        await stores.flags.delete(FLAG, "ann", NOW)
    assert await stores.flags.revision() == revision
    await stores.flags.delete("child", "ann", NOW)
    await stores.flags.delete(FLAG, "ann", NOW)


async def test_a_dry_run_tells_and_keeps_nothing(stores: Stores) -> None:
    """What would be created or updated is told, what would be refused is refused, and nothing is written."""
    await applied(stores, a_flag())
    before = await stores.flags.revision(), await stores.flags.list(), await stores.rollouts.audit_log()
    tried = a_flag(serve="new"), a_flag(key="child", requires={FLAG: "new"})
    changes = await stores.flags.apply(tried, "ann", NOW, dry_run=True)
    assert [(change.key, change.action) for change in changes] == [(FLAG, "updated"), ("child", "created")]
    with pytest.raises(InvalidInput, match="there is no flag 'gone'"):
        await stores.flags.apply([a_flag(requires={"gone": "new"})], "ann", NOW, dry_run=True)
    after = await stores.flags.revision(), await stores.flags.list(), await stores.rollouts.audit_log()
    assert after == before
    assert [change.action for change in await applied(stores, *tried)] == ["updated", "created"]
