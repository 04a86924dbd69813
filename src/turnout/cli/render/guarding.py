"""Budgets and breakers, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pydantic import AwareDatetime
from rich.console import RenderableType
from rich.text import Text

from turnout.cli.render.words import minute, moment, percent, table
from turnout.domain.breaking import SharedBreaker
from turnout.domain.bucketing import TOTAL
from turnout.domain.budget import money
from turnout.domain.model import Frozen


class BudgetView(Frozen):
    """A budget as GET /v1/budgets answers it. Amounts are millionths of ``currency``."""

    flag: str
    variant: str
    currency: str
    timezone: str
    day: date
    ends: AwareDatetime
    daily: int
    spent: int
    leased: int
    left: int
    alert_at: float
    source: str = "flag"


class BreakerView(SharedBreaker):
    """A breaker as GET /v1/breakers answers it."""

    flag: str
    variant: str
    blocking: bool


def breakers_table(breakers: Sequence[BreakerView]) -> RenderableType:
    """One row a breaker."""
    if not breakers:
        return Text("no breaker has ever opened")
    grid = table("flag", "variant", "breaker", "serves", "since", "until", "by", "why")
    for one in breakers:
        style = {"open": "bold red", "half_open": "yellow"}.get(one.circuit, "green")
        probes = f"probes, {percent(one.probe / TOTAL)} of its share" if one.probe else "nobody"
        grid.add_row(
            one.flag,
            one.variant,
            Text(one.circuit.replace("_", " "), style=style),
            probes if one.blocking else "as its traffic says",
            moment(one.at),
            moment(one.until) if one.until else "",
            one.actor,
            one.why,
        )
    return grid


def budgets_table(budgets: Sequence[BudgetView]) -> RenderableType:
    """One row a budget."""
    if not budgets:
        return Text("no budgets; write budgets: {variant: {daily: 25}} below a flag and apply it")
    columns = ("flag", "variant", "day", "daily", "spent", "", "leased", "left", "resets")
    grid = table(*columns, right=("daily", "spent", "", "leased", "left"))
    for one in budgets:
        used = one.spent / one.daily if one.daily else 1.0
        given = f"{money(one.daily)} {one.currency}"
        style = "bold red" if not one.left else "yellow" if used >= one.alert_at else ""
        grid.add_row(
            one.flag,
            one.variant,
            f"{one.day} {one.timezone}",
            given if one.source == "flag" else f"{given} ({one.source})",
            money(one.spent),
            Text(percent(used), style=style),
            money(one.leased),
            money(one.left),
            minute(one.ends),
        )
    return grid
