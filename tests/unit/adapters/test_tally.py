"""What a batch adds to the statistics, and how these are packed, without a store."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.direct import direct, documents
from turnout.adapters.intake import CAP_QUANTILE, FlagFacts, Measuring, attributed, counted_at, measuring_of
from turnout.adapters.sql.packing import pack_bins, pack_clusters, unpack_bins, unpack_clusters
from turnout.adapters.tally import Series, Window, WindowKey, gathered
from turnout.domain.bucketing import cluster
from turnout.domain.outcomes import ANY_METRIC, Outcome, beyond_stable, capped, exceedance
from turnout.domain.plan import Bounds, Gate, JsonSource, Plan, Stage
from turnout.strategies import compile_plan, parse_spec

_NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_FACTS = {"f": FlagFacts(1, frozenset({"old", "new"}), "old", measuring_of(None))}


def _outcomes(found: list[dict[str, Any]]) -> list[Outcome]:
    return [Outcome.model_validate(d | {"flag": "f"}) for d in found]


def _added(window: Window, outcomes: list[Outcome]) -> None:
    kept, _ = attributed(outcomes, _FACTS, _NOW + timedelta(hours=1))
    for arrivals in gathered(kept.values(), _FACTS).values():
        window.add(arrivals)


@given(
    data=st.data(),
    found=st.lists(documents(["old", "new"], int(_NOW.timestamp())), max_size=30, unique_by=lambda d: d["id"]),
)
def test_neither_order_nor_batches_matter(data: st.DataObject, found: list[dict[str, Any]]) -> None:
    """Any partition of outcomes into batches, in any order, gives what follows directly from the outcomes."""
    outcomes = _outcomes(found)
    waiting, window = data.draw(st.permutations(outcomes)), Window("old")
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        _added(window, waiting[:size])
        waiting = waiting[size:]
    expected = direct(outcomes)
    series = {(m, arm): s for arm, tally in window.arms.items() for m, s in tally.series.items() if "^" not in m}
    assert set(series) == set(expected.stats)
    for key, found_here in series.items():
        assert found_here.stats().model_dump() == pytest.approx(expected.stats[key].model_dump(), rel=1e-12)
        assert dict(found_here.bins) == expected.bins[key]
        units = series[ANY_METRIC, key[1]].minutes
        assert [(m, s.samples, units[m].units, s.hits) for m, s in sorted(found_here.minutes.items())] == [
            (m.minute, m.samples, m.units, m.hits) for m in expected.minutes[key]
        ]


def test_clusters_give_the_sums_of_products_by_hand() -> None:
    """Two units in one cluster are summed as one, a third apart: n = (3, 1), y = (14, 5)."""
    names = (f"unit-{i}" for i in range(10**6))
    one = next(names)
    same = next(name for name in names if cluster(name, 1024) == cluster(one, 1024))
    other = next(name for name in names if cluster(name, 1024) != cluster(one, 1024))
    window = Window("old")
    values = [(one, 2.0), (one, 4.0), (same, 8.0), (other, 5.0)]
    _added(
        window,
        _outcomes([{"id": str(i), "variant": "old", "unit": u, "latency_ms": v} for i, (u, v) in enumerate(values)]),
    )
    stats = window.arms["old"].series["response_time"].stats()
    assert (stats.units, stats.clusters, stats.samples) == (3, 2, 4)
    assert (stats.total, stats.squares) == (19, 4 + 16 + 64 + 25)
    assert (stats.nn, stats.yy, stats.ny) == (9 + 1, 196 + 25, 3 * 14 + 5)


def test_a_first_error_learnt_late_moves_to_its_minute() -> None:
    """Units and their first errors count in the earliest minute, although a later one arrived before it."""
    window, start = Window("old"), int(_NOW.timestamp()) // 60
    for id, minute, ok in (("1", 5, False), ("2", 3, True), ("3", 4, False), ("4", 9, False)):
        at = _NOW + timedelta(minutes=minute)
        _added(window, _outcomes([{"id": id, "variant": "old", "unit": "u", "ok": ok, "at": at}]))
    arm = window.arms["old"].series
    assert {m - start: s.hits for m, s in arm["error_rate"].minutes.items()} == {5: 0, 3: 0, 4: 1, 9: 0}
    assert {m - start: s.units for m, s in arm[ANY_METRIC].minutes.items()} == {5: 0, 3: 1, 4: 0, 9: 0}
    assert arm["error_rate"].stats().hits == 1


def test_windows_are_in_the_order_of_their_keys() -> None:
    """However a batch is ordered, its windows are locked in one order."""
    facts = {key: FlagFacts(9, frozenset({"v"}), "v", {}) for key in "ab"}
    batch = [
        Outcome(id=f"{flag}{g}", flag=flag, variant="v", unit="u", generation=g) for flag in "ba" for g in (7, 2, 5)
    ]
    kept, _ = attributed(batch, facts, _NOW)
    expected = [WindowKey(flag, g) for flag in "ab" for g in (2, 5, 7)]
    assert list(gathered(kept.values(), facts)) == expected


@pytest.mark.parametrize(
    ("reported", "counted"),
    [(None, 0), (0, 0), (60, 60), (61, 0), (-600, -600), (-601, 0), (10**9, 0)],
)
def test_a_time_counts_if_it_can_be(reported: int | None, counted: int) -> None:
    """From the start of the generation, here ten minutes ago, to a minute ahead; else the time of the receipt."""
    at = None if reported is None else _NOW + timedelta(seconds=reported)
    assert counted_at(at, _NOW, _NOW - timedelta(minutes=10)) == _NOW + timedelta(seconds=counted)


def test_a_plan_asks_for_bounds_thresholds_and_limits() -> None:
    """Every bound of a number, every maximum of a quantile and every quantile held against stable, each once."""
    slow = Gate(metric="response_time", quantile=0.95, max=100)
    against = Gate(metric="response_time", quantile=0.9, versus="stable", ratio=2)
    elsewhere = Gate(metric="tokens", quantile=0.9, max=1, source=JsonSource(kind="json", url="http://x", pointer="a"))
    hour = timedelta(hours=1)
    stage = Stage(
        name="s",
        weights={"new": 100_000},
        hold=hour,
        deadline=hour,
        check_every=hour,
        gates=(slow, against, elsewhere, Gate(metric="cost", max=9)),
        guardrails=(slow, against),
    )
    bounds = {"quality_score": Bounds(min=0), "success_rate": Bounds(max=0.5)}
    plan = Plan(flag="f", stable="old", candidate="new", strategy="canary", stages=(stage,), bounds=bounds)
    assert measuring_of(plan) == {
        "cost": Measuring(frozen=((capped("cost"), CAP_QUANTILE),)),
        "quality_score": Measuring(low=0),
        "response_time": Measuring(
            exceedances=((exceedance("response_time", 100.0), 100.0),),
            frozen=((beyond_stable("response_time", 0.9), 0.9),),
        ),
    }


def test_agreement_is_between_nothing_and_all() -> None:
    """Where a gate asks for it, so that what is tested of rates holds for it."""
    plan = compile_plan(
        parse_spec(
            {
                "flag": "f",
                "candidate": "new",
                "strategy": {"kind": "shadow"},
                "gates": [{"metric": "agreement", "min": 0.5}],
            }
        ),
        "old",
    )
    assert measuring_of(plan)["agreement"] == Measuring(low=0, high=1)


@pytest.mark.parametrize("used", [0, 1, 599, 600, 1024])
def test_clusters_are_packed_without_loss(used: int) -> None:
    """Few and many clusters come back as they were, and never take more than 16 kB."""
    series = Series()
    for index in range(used):
        series.counts[1023 - index] = index + 2**40
        series.totals[1023 - index] = -index / 3
    packed = pack_clusters(series)
    assert unpack_clusters(packed) == (series.counts, series.totals)
    assert len(packed) <= 16 * 1024


@given(st.dictionaries(st.integers(-1_000_000, 20_000), st.integers(1, 2**60)))
def test_bins_are_packed_without_loss(bins: dict[int, int]) -> None:
    """Bins come back as they were, also the one of all values that are none."""
    assert unpack_bins(pack_bins(Counter(bins))) == bins
