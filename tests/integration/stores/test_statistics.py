"""Random batches, with duplicates and strangers among them, give exactly the sums that a plain program gets."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.stores.builders import NOW, a_flag, applied
from turnout.domain.outcomes import Outcome
from turnout.domain.stats import ArmStats
from turnout.ports.stores import Stores

_METRICS = ("success_rate", "error_rate", "response_time", "quality_score", "cost", "tokens")
_numbers = st.none() | st.integers(0, 1000).map(float) | st.floats(0, 1e6)
_outcomes: st.SearchStrategy[dict[str, object]] = st.builds(
    dict,
    id=st.integers(0, 25).map(str),
    variant=st.sampled_from(["old", "new", "stranger"]),
    unit=st.sampled_from(["u1", "u2", "u3", "ü"]),
    ok=st.none() | st.booleans(),
    latency_ms=_numbers,
    quality=_numbers,
    cost=_numbers,
    values=st.just({}) | _numbers.map(lambda n: {} if n is None else {"tokens": n}),
)
_batches = st.lists(st.lists(_outcomes, max_size=12), max_size=5)


def _expected(batches: list[list[Outcome]]) -> tuple[int, dict[tuple[str, str], ArmStats]]:
    """What an independent program computes, in exact arithmetic: how many count, and the sums by metric and arm."""
    first: dict[str, Outcome] = {}
    for outcome in (outcome for batch in batches for outcome in batch):
        if outcome.variant != "stranger":
            first.setdefault(outcome.id, outcome)
    values: defaultdict[tuple[str, str], defaultdict[str, list[Fraction]]] = defaultdict(lambda: defaultdict(list))
    for outcome in first.values():
        for metric, value in outcome.measurements().items():
            values[metric, outcome.variant][outcome.unit].append(Fraction(value))
    return len(first), {key: _arm(list(units.values())) for key, units in values.items()}


def _arm(units: list[list[Fraction]]) -> ArmStats:
    return ArmStats(
        units=len(units),
        samples=sum(map(len, units)),
        total=float(sum(sum(unit) for unit in units)),
        squares=float(sum(value * value for unit in units for value in unit)),
        nn=float(sum(len(unit) ** 2 for unit in units)),
        yy=float(sum(sum(unit) ** 2 for unit in units)),
        ny=float(sum(len(unit) * sum(unit) for unit in units)),
    )


# One database serves all examples; each has a flag of its own.
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=_batches)
async def test_statistics_are_those_of_the_outcomes_that_count(
    stores: Stores, documents: list[list[dict[str, object]]]
) -> None:
    """Whatever is sent, in whatever batches and however often, every outcome counts once and all sums are right."""
    key = f"f-{uuid4().hex}"
    await applied(stores, a_flag(key))
    batches = [
        [Outcome.model_validate(d | {"flag": key, "id": f"{key}-{d['id']}"}) for d in batch] for batch in documents
    ]
    receipts = [await stores.outcomes.record(batch, NOW) for batch in batches]
    accepted, expected = _expected(batches)
    assert sum(receipt.accepted for receipt in receipts) == accepted
    for receipt, batch in zip(receipts, batches, strict=True):
        assert receipt.accepted + receipt.duplicates + receipt.unknown == len(batch)
        assert receipt.unknown == sum(outcome.variant == "stranger" for outcome in batch)
    for metric in _METRICS:
        found = await stores.outcomes.stats(key, 1, metric)
        assert set(found) == {variant for name, variant in expected if name == metric}
        for variant, arm in found.items():
            assert arm.model_dump() == pytest.approx(expected[metric, variant].model_dump(), rel=1e-12)
