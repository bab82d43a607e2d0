"""When a request was decided, so that old refusals can be forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "registrar_0002"
down_revision = "registrar_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the instant; decisions from before count as old, and are told no more."""
    op.add_column(
        "registrar_decision",
        sa.Column("decided_at", sa.BigInteger(), nullable=False, server_default="0"),
    )
