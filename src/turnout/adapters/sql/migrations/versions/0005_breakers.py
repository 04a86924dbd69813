"""Where the breakers of a flag's variants are."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("flags", sa.Column("breakers", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("flags", "breakers")
