"""INSERT … ON CONFLICT, which SQLAlchemy words per database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert


def insert_into(dialect: str, table: Table) -> Insert:
    """An INSERT that can say what to do on a conflict; ``dialect`` is ``sqlite`` or ``postgresql``."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def upsert(dialect: str, table: Table, replaced: Sequence[str]) -> Insert:
    """Insert a row, or replace the columns ``replaced`` of the one with its primary key."""
    statement = insert_into(dialect, table)
    values = {name: statement.excluded[name] for name in replaced}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def accumulate(dialect: str, table: Table, added: Sequence[str]) -> Insert:
    """Insert a row, or add its columns ``added`` to those of the one with its primary key."""
    statement = insert_into(dialect, table)
    values = {name: table.c[name] + statement.excluded[name] for name in added}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def keep_first(dialect: str, table: Table) -> Insert:
    """Insert a row unless there is one with its primary key."""
    return insert_into(dialect, table).on_conflict_do_nothing(index_elements=list(table.primary_key))
