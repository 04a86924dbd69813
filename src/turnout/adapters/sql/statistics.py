"""The statistics of outcomes in SQL: a batch locks the windows it adds to, reads them, and writes them back."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from turnout.adapters.sql import tables
from turnout.adapters.sql.packing import pack_bins, pack_clusters, unpack_bins, unpack_clusters
from turnout.adapters.sql.upserts import accumulate, each_of, keep_first, upsert
from turnout.adapters.tally import ENOUGH_TO_FREEZE, Arrivals, Mark, Series, Window, WindowKey

_WINDOWS, _SERIES, _MINUTES, _UNITS = tables.windows, tables.series, tables.minutes, tables.units
_SUMS = ("samples", "total", "squares", "units", "hits")
_SERIES_VALUES = ("units", "hits", "samples", "total", "squares", "clusters", "bins")
_MARK_VALUES = ("metrics", "seen", "failed")


async def add(connection: AsyncConnection, batch: Mapping[WindowKey, Arrivals]) -> None:
    """Count ``batch``, whose keys are in order; the transaction holds their windows from here on."""
    for key, window in (await _locked(connection, batch)).items():
        arrivals = batch[key]
        metrics, rejected, frozen = len(window.metrics), window.rejected.total(), len(window.frozen)
        await _load_series(connection, key, window, arrivals)
        for metric, limits in window.thawed(arrivals).items():
            window.freeze(metric, limits, await _earlier(connection, key, metric, window.stable))
        for variant in arrivals.arms:
            await _load_marks(connection, key, window, variant, arrivals.units(variant))
        window.add(arrivals)
        if (metrics, rejected, frozen) != (len(window.metrics), window.rejected.total(), len(window.frozen)):
            values = {"metrics": window.metrics, "rejected": window.rejected, "frozen": window.frozen}
            await connection.execute(update(_WINDOWS).where(in_window(_WINDOWS, key)).values(values))
        await _save(connection, key, window)


def in_window(table: Table, key: WindowKey) -> ColumnElement[bool]:
    """Whether a row of ``table`` belongs to the window."""
    return (table.c.flag == key.flag) & (table.c.generation == key.generation)


def series_of(row: Any) -> Series:
    """The series of a row, without its minutes."""
    sums = row.units, row.hits, row.samples, row.total, row.squares
    return Series(*sums, *unpack_clusters(row.clusters), unpack_bins(row.bins))


async def _locked(connection: AsyncConnection, batch: Mapping[WindowKey, Arrivals]) -> dict[WindowKey, Window]:
    """The windows of ``batch``, in order, locked until the end of the transaction, and created where they are new.

    Everybody locks them in this order, and after all outcomes are inserted: so nobody waits for somebody who waits.
    """
    new: list[dict[str, Any]] = [
        {**key._asdict(), "stable": arrivals.facts.stable, "metrics": [], "rejected": {}, "frozen": {}}
        for key, arrivals in batch.items()
    ]
    if new:
        await connection.execute(keep_first(connection.dialect.name, _WINDOWS), new)
    windows: dict[WindowKey, Window] = {}
    for key in batch:
        row = (await connection.execute(select(_WINDOWS).where(in_window(_WINDOWS, key)).with_for_update())).one()
        windows[key] = Window(row.stable, list(row.metrics))
        windows[key].rejected.update(row.rejected)
        windows[key].frozen.update(row.frozen)
    return windows


async def _load_series(connection: AsyncConnection, key: WindowKey, window: Window, arrivals: Arrivals) -> None:
    here = _SERIES.c.metric.in_(sorted(arrivals.series())) & _SERIES.c.variant.in_({*arrivals.arms, window.stable})
    for row in (await connection.execute(select(_SERIES).where(in_window(_SERIES, key) & here))).all():
        window.arms[row.variant].series[row.metric] = series_of(row)


async def _load_marks(
    connection: AsyncConnection, key: WindowKey, window: Window, variant: str, units: Collection[str]
) -> None:
    marks = window.arms[variant].marks
    among = _UNITS.c.unit.in_(each_of(connection.dialect.name))
    query = select(_UNITS.c.unit, _UNITS.c.seen, _UNITS.c.metrics, _UNITS.c.failed)
    its = query.where(in_window(_UNITS, key), _UNITS.c.variant == variant, among)
    for unit, seen, metrics, failed in (await connection.execute(its, {"texts": json.dumps(sorted(units))})).all():
        marks[unit] = Mark(seen, int.from_bytes(metrics, "little"), failed)


async def _earlier(connection: AsyncConnection, key: WindowKey, metric: str, stable: str) -> Mapping[int, int] | None:
    """The bins of ``stable`` in the nearest earlier generation in which it has enough values of ``metric``."""
    same = (_SERIES.c.flag == key.flag) & (_SERIES.c.metric == metric) & (_SERIES.c.variant == stable)
    enough = (_SERIES.c.generation < key.generation) & (_SERIES.c.samples >= ENOUGH_TO_FREEZE)
    nearest = select(_SERIES.c.bins).where(same & enough).order_by(_SERIES.c.generation.desc()).limit(1)
    bins = await connection.scalar(nearest)
    return None if bins is None else unpack_bins(bins)


async def _save(connection: AsyncConnection, key: WindowKey, window: Window) -> None:
    """Write what the batch changed: the series it added to, their minutes, and the marks of their units."""
    of = key._asdict()
    changed = [
        (of | {"metric": metric, "variant": variant}, series)
        for variant, arm in sorted(window.arms.items())
        for metric, series in sorted(arm.series.items())
        if series.minutes
    ]
    await _write(connection, _SERIES, _SERIES_VALUES, [place | _series_values(series) for place, series in changed])
    rows = [
        place | {"minute": minute} | {name: getattr(sums, name) for name in _SUMS}
        for place, series in changed
        for minute, sums in sorted(series.minutes.items())
    ]
    await connection.execute(accumulate(connection.dialect.name, _MINUTES, _SUMS), rows)
    marks = [
        of | {"variant": variant, "unit": unit} | _mark_values(arm.marks[unit])
        for variant, arm in sorted(window.arms.items())
        for unit in sorted(arm.changed)
    ]
    await _write(connection, _UNITS, _MARK_VALUES, marks)


async def _write(
    connection: AsyncConnection, table: Table, replaced: tuple[str, ...], rows: list[dict[str, Any]]
) -> None:
    if rows:
        await connection.execute(upsert(connection.dialect.name, table, replaced), rows)


def _series_values(series: Series) -> dict[str, Any]:
    sums = {name: getattr(series, name) for name in ("units", "hits", "samples", "total", "squares")}
    return sums | {"clusters": pack_clusters(series), "bins": pack_bins(series.bins)}


def _mark_values(mark: Mark) -> dict[str, Any]:
    packed = mark.metrics.to_bytes((mark.metrics.bit_length() + 7) // 8, "little")
    return {"metrics": packed, "seen": mark.seen, "failed": mark.failed}
