"""Where Alembic begins: runs the migrations on the connection, and in the transaction, that `migrate` opened."""

from __future__ import annotations

from alembic import context

from turnout.adapters.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
