"""The hub's tables, as of their first version.

Revision ID: hub0001
"""

import sqlalchemy as sa
from alembic import op

from mithaq.store.migrations import SERIAL, shared_tables_v1

revision = "hub0001"
down_revision = None


def upgrade() -> None:
    """Create the tables that hub and node share, then the hub's own."""
    shared_tables_v1(op)  # type: ignore[arg-type]  # alembic's proxy of Operations
    _create_streams()
    _create_epochs()
    _create_answers()
    _create_registry()
    if op.get_context().dialect.name == "postgresql":
        # Sealed bodies don't compress; the attempt costs more than the write.
        op.execute("ALTER TABLE hub_body ALTER COLUMN body SET STORAGE EXTERNAL")


def _create_streams() -> None:
    op.create_table(
        "hub_audience",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("log_no", "member"),
    )
    op.create_index(op.f("ix_hub_audience_member"), "hub_audience", ["member"], unique=False)
    op.create_table(
        "hub_batch",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("header_bytes", sa.Integer(), nullable=False),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=False),
        sa.Column("acceptance", sa.Text(), nullable=False),
        sa.Column("refusals", sa.LargeBinary(), nullable=False),
        sa.Column("registry_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log_no", "size"),
    )
    op.create_table(
        "hub_body",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_no", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hub_body_run",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log_no", "first_sequence"),
    )
    op.create_index(
        op.f("ix_hub_body_run_expires_at"), "hub_body_run", ["expires_at"], unique=False
    )


def _create_epochs() -> None:
    op.create_table(
        "hub_epoch",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("readers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log_no", "epoch"),
    )
    op.create_table(
        "hub_omission",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Integer(), nullable=False),
        sa.Column("withdrawn_by", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log_no", "sequence"),
    )
    op.create_table(
        "hub_stream",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream_id", sa.LargeBinary(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("predecessor", sa.LargeBinary(), nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log_no"),
        sa.UniqueConstraint("stream_id"),
    )
    op.create_index(
        op.f("ix_hub_stream_agreement_id"), "hub_stream", ["agreement_id"], unique=False
    )
    op.create_index(op.f("ix_hub_stream_sender"), "hub_stream", ["sender"], unique=False)
    op.create_table(
        "hub_version",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log_no", "target", "sequence"),
    )


def _create_answers() -> None:
    op.create_table(
        "hub_evidence",
        sa.Column("serial", SERIAL, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("accused", sa.String(), nullable=False),
        sa.Column("stream_id", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "hub_freeze",
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sender", "reader"),
    )
    op.create_index(op.f("ix_hub_freeze_reader"), "hub_freeze", ["reader"], unique=False)
    op.create_table(
        "hub_quota",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("clause_id", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("agreement_id", "clause_id", "sender", "day"),
    )
    op.create_table(
        "hub_reader_refusal",
        sa.Column("serial", SERIAL, nullable=False),
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("list_hash", sa.LargeBinary(), nullable=False),
        sa.Column("refusals", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
        sa.UniqueConstraint("list_hash"),
    )
    op.create_index(
        op.f("ix_hub_reader_refusal_log_no"), "hub_reader_refusal", ["log_no"], unique=False
    )
    op.create_table(
        "hub_receipt",
        sa.Column("log_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("cosignature", sa.Text(), nullable=False),
        sa.Column("mldsa_receipt", sa.LargeBinary(), nullable=False),
        sa.Column("refusals_head", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log_no", "reader", "role"),
    )


def _create_registry() -> None:
    op.create_table(
        "hub_enrolment",
        sa.Column("serial", SERIAL, nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("taken", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
        sa.UniqueConstraint("request_hash"),
    )
    op.create_table(
        "hub_submission",
        sa.Column("serial", SERIAL, nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("submitter", sa.String(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("serial"),
        sa.UniqueConstraint("body_hash"),
    )
    op.create_table(
        "hub_verified",
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("member"),
    )
