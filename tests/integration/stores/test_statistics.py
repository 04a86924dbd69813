"""Random batches, with duplicates and strangers among them, give exactly the sums that a plain program gets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.direct import Direct, direct, documents
from tests.integration.stores.builders import NOW, a_flag, a_move, a_plan, a_rollout, applied, later
from turnout.domain.histogram import Histogram
from turnout.domain.outcomes import ANY_METRIC, Outcome, exceedance
from turnout.domain.plan import Bounds, Gate
from turnout.ports.stores import Stores

_METRICS = (ANY_METRIC, "success_rate", "error_rate", "response_time", "quality_score", "cost", "tokens")
_BOUNDS = {"quality_score": Bounds(min=0, max=500), "tokens": Bounds(max=9e5)}
_START = int(NOW.timestamp()) + 60
_RECEIVED = NOW + timedelta(minutes=10)
_batches = st.lists(st.lists(documents(["old", "new", "stranger"], _START, ids=25), max_size=12), max_size=5)

# One database serves all examples; each has a flag of its own.
_shared = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def _begun(stores: Stores) -> str:
    """A flag in the first stage of a rollout whose plan has bounds and a threshold; the key."""
    key = f"f-{uuid4().hex}"
    await applied(stores, a_flag(key))
    plan = a_plan(key, gates=(Gate(metric="response_time", quantile=0.9, max=700),))
    await stores.rollouts.open(a_rollout(key, key, plan=plan.model_copy(update={"bounds": _BOUNDS})))
    await stores.rollouts.commit(a_move(1, 2, rollout_id=key, flag=key, at=NOW))
    return key


def _outcomes(key: str, found: list[dict[str, Any]]) -> list[Outcome]:
    return [Outcome.model_validate(d | {"flag": key, "id": f"{key}-{d['id']}", "generation": 2}) for d in found]


async def _assert_same(stores: Stores, key: str, expected: Direct) -> None:
    for metric in (*_METRICS, exceedance("response_time", 700.0)):
        stats = await stores.outcomes.stats(key, 2, metric)
        assert set(stats) == {variant for name, variant in expected.stats if name == metric}
        minutes = await stores.outcomes.minutes(key, 2, metric)
        histogram = await stores.outcomes.histogram(key, 2, metric)
        for variant, arm in stats.items():
            assert arm.model_dump() == pytest.approx(expected.stats[metric, variant].model_dump(), rel=1e-12)
            for found, wanted in zip(minutes[variant], expected.minutes[metric, variant], strict=True):
                assert found.model_dump() == pytest.approx(wanted.model_dump(), rel=1e-12)
            bins = expected.bins.get((metric, variant))
            assert histogram.get(variant) == (None if bins is None else Histogram(counts=bins))
    assert await stores.outcomes.units(key, 2) == expected.units
    assert await stores.outcomes.rejected(key, 2) == expected.rejected


@_shared
@given(found=_batches)
async def test_statistics_are_those_of_the_outcomes_that_count(
    stores: Stores, found: list[list[dict[str, object]]]
) -> None:
    """Whatever is sent, in whatever batches and however often, every outcome counts once and all sums are right."""
    key = await _begun(stores)
    batches = [_outcomes(key, batch) for batch in found]
    receipts = [await stores.outcomes.record(batch, _RECEIVED) for batch in batches]
    first: dict[str, Outcome] = {}
    for outcome in (outcome for batch in batches for outcome in batch if outcome.variant != "stranger"):
        first.setdefault(outcome.id, outcome)
    assert sum(receipt.accepted for receipt in receipts) == len(first)
    for receipt, batch in zip(receipts, batches, strict=True):
        assert receipt.accepted + receipt.duplicates + receipt.unknown == len(batch)
        assert receipt.unknown == sum(outcome.variant == "stranger" for outcome in batch)
    expected = direct(first.values(), _BOUNDS, {"response_time": 700.0})
    for metric, count in expected.rejected.items():
        assert sum(receipt.rejected.get(metric, 0) for receipt in receipts) == count
    await _assert_same(stores, key, expected)
    replayed = [outcome async for outcome in stores.outcomes.replay(key, 2)]
    assert replayed == sorted(first.values(), key=lambda outcome: (outcome.at or later(0), outcome.id))


@_shared
@given(data=st.data(), found=st.lists(documents(["old", "new"], _START), max_size=25, unique_by=lambda d: d["id"]))
async def test_neither_order_nor_batches_matter(
    stores: Stores, data: st.DataObject, found: list[dict[str, object]]
) -> None:
    """Any partition of the outcomes into batches, in any order and with repetitions, gives the same statistics."""
    key = await _begun(stores)
    outcomes = _outcomes(key, found)
    waiting = data.draw(st.permutations(outcomes + data.draw(st.lists(st.sampled_from(outcomes or [None])))))
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        await stores.outcomes.record([outcome for outcome in waiting[:size] if outcome], _RECEIVED)
        waiting = waiting[size:]
    await _assert_same(stores, key, direct(outcomes, _BOUNDS, {"response_time": 700.0}))
