"""The registrar's first tables."""

import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations

from mithaq.store.migrations import shared_tables_v1

revision = "registrar_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the store and the registrar's own."""
    shared_tables_v1(Operations(op.get_context()))
    op.create_table(
        "registrar_invitation",
        sa.Column("id", sa.LargeBinary(), primary_key=True),
        sa.Column("mac_key", sa.LargeBinary(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_by", sa.LargeBinary(), nullable=True),
    )
    op.create_table(
        "registrar_pending",
        sa.Column("item_id", sa.Text(), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "registrar_decision",
        sa.Column("request_hash", sa.LargeBinary(), primary_key=True),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_table(
        "registrar_note",
        sa.Column("size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
    )
