"""What the environments of processes allow a budget."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budget_accounts", sa.Column("daily", sa.BigInteger(), nullable=True))
    op.add_column("budget_accounts", sa.Column("alert_at", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("budget_accounts", "alert_at")
    op.drop_column("budget_accounts", "daily")
