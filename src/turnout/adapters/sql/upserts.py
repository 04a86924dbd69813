"""What SQLAlchemy words per database: INSERT … ON CONFLICT, and a list of any length as one parameter."""

from __future__ import annotations

from functools import cache

from sqlalchemy import JSON, Select, Table, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import Text

Insert = sqlite.Insert | postgresql.Insert


def insert_into(dialect: str, table: Table) -> Insert:
    """An INSERT that can say what to do on a conflict; ``dialect`` is ``sqlite`` or ``postgresql``."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def upsert(dialect: str, table: Table, replaced: tuple[str, ...]) -> Insert:
    """Insert a row, or replace the columns ``replaced`` of the one with its primary key."""
    statement = insert_into(dialect, table)
    values = {name: statement.excluded[name] for name in replaced}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


@cache
def accumulate(dialect: str, table: Table, added: tuple[str, ...]) -> Insert:
    """Insert a row, or add its columns ``added`` to those of the one with its primary key."""
    statement = insert_into(dialect, table)
    values = {name: table.c[name] + statement.excluded[name] for name in added}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


@cache
def keep_first(dialect: str, table: Table) -> Insert:
    """Insert a row unless there is one with its primary key."""
    return insert_into(dialect, table).on_conflict_do_nothing(index_elements=list(table.primary_key))


@cache
def each_of(dialect: str) -> Select[tuple[str]]:
    """A subselect for IN: the texts of the JSON array in the parameter ``texts``, of which there may be any number."""
    texts = bindparam("texts", type_=Text)
    if dialect == "sqlite":
        return select(func.json_each(texts).table_valued("value").c.value)
    return select(func.json_array_elements_text(cast(texts, JSON)).column_valued("value"))
