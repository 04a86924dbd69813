"""The tables. Times are kept in UTC, documents as JSON text, because the order of their keys matters.

``store`` has one row: the revision of what is published, and the id of this database. Whoever changes flags or
traffic holds its lock, so that such changes happen one after the other.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An aware time; SQLite, which knows no zones, keeps it as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Raises ValueError for a time without a zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The time, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text from outside; characters that PostgreSQL cannot keep, nor compare with, are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text without NUL and unpaired surrogates."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

store = Table(
    "store",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("store_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

flags = Table(
    "flags",
    metadata,
    Column("key", CleanText, primary_key=True),
    Column("definition", JSON, nullable=False),
    Column("traffic", JSON, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Column("stopped_reason", CleanText, nullable=False),
    Column("breakers", JSON(none_as_null=True)),
    Column("updated_at", UtcTime, nullable=False),
    Column("updated_by", CleanText, nullable=False),
)

# The last generation of a deleted flag: one applied again goes on from there, or old outcomes would count for it.
retired_flags = Table(
    "retired_flags",
    metadata,
    Column("key", CleanText, primary_key=True),
    Column("generation", Integer, nullable=False),
)

feeds = Table(
    "feeds",
    metadata,
    Column("feed", CleanText, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("flag", CleanText, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("stable", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("share", Double, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("started_by", CleanText, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("spec", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("checked_at", UtcTime),
    Column("checked_generation", Integer),
    Column("counted_us", BigInteger, nullable=False),
    Column("summary", CleanText, nullable=False),
    Index("ix_rollouts_flag_number", "flag", "number"),
    Index(
        "uq_rollouts_open_flag",
        "flag",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

decisions = Table(
    "decisions",
    metadata,
    Column("rollout_id", CleanText, ForeignKey("rollouts.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("decision", JSON, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("rollout_id", CleanText, ForeignKey("rollouts.id"), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("evidence", JSON, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", CleanText, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", CleanText, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", CleanText, nullable=False),
    Index("ix_audit_subject_id", "subject", "id"),
)

freezes = Table(
    "freezes",
    metadata,
    Column("id", CleanText, primary_key=True),
    Column("starts_at", UtcTime, nullable=False),
    Column("ends_at", UtcTime),
    Column("reason", CleanText, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("added_by", CleanText, nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("flag", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("received", UtcTime, nullable=False),
    Column("ok", Boolean),
    Column("latency_ms", Double),
    Column("quality", Double),
    Column("satisfaction", Double),
    Column("cost", Double),
    Column("values", JSON(none_as_null=True)),
    Column("decided_by", Text),
    Column("mode", Text),
    Index("ix_outcomes_flag_generation_at_id", "flag", "generation", "at", "id"),
)

# The statistics of one generation of a flag's traffic, kept up with every batch. Whoever adds to them holds the lock of
# this row first. `metrics` numbers the bits of the marks in `units`; `frozen` are limits that never change.
windows = Table(
    "windows",
    metadata,
    Column("flag", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("stable", Text, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("rejected", JSON, nullable=False),
    Column("frozen", JSON, nullable=False),
)

# One metric on one arm. The sums by cluster and the counts by histogram bin are packed (see `packing`), because a batch
# touches nearly all of them: as rows of their own they would be a thousand to write instead of one.
series = Table(
    "series",
    metadata,
    Column("flag", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("metric", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("units", BigInteger, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("total", Double, nullable=False),
    Column("squares", Double, nullable=False),
    Column("clusters", LargeBinary, nullable=False),
    Column("bins", LargeBinary, nullable=False),
)

minutes = Table(
    "minutes",
    metadata,
    Column("flag", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("metric", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False),
    Column("samples", BigInteger, nullable=False),
    Column("total", Double, nullable=False),
    Column("squares", Double, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("hits", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What has been counted of each unit: bit i of `metrics` (little-endian) says that it had a value of the window's i-th
# metric; `seen` and `failed` are the minutes of its first outcome and of its first error.
units = Table(
    "units",
    metadata,
    Column("flag", Text, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("variant", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("metrics", LargeBinary, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("failed", Integer),
    sqlite_with_rowid=False,
)

# What a day's budget has come to, in millionths. Whoever leases or settles holds the lock of the row. ``daily`` and
# ``alert_at`` are those of the environment of whoever leased last, null where it gives none.
budget_accounts = Table(
    "budget_accounts",
    metadata,
    Column("flag", CleanText, primary_key=True),
    Column("variant", CleanText, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("spent", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("alerted", Boolean, nullable=False),
    Column("exhausted", Boolean, nullable=False),
    Column("daily", BigInteger),
    Column("alert_at", Double),
)

# One that is not settled, ``spent`` being null, counts as spent, even when it is over.
budget_leases = Table(
    "budget_leases",
    metadata,
    Column("flag", CleanText, primary_key=True),
    Column("variant", CleanText, primary_key=True),
    Column("id", CleanText, primary_key=True),
    Column("day", Date, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires", UtcTime, nullable=False),
    Column("spent", BigInteger),
)
