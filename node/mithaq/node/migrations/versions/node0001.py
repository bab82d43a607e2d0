"""The node's tables, as of their first version.

Revision ID: node0001
"""

import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations

from mithaq.store.migrations import SERIAL, shared_tables_v1

revision = "node0001"
down_revision = None


def upgrade() -> None:
    """Create the tables that hub and node share, then the node's own."""
    shared_tables_v1(Operations(op.get_context()))
    _create_streams()
    _create_records()
    _create_index()
    _create_proofs()
    _create_witnesses()
    _create_erasures()
    _create_desk()
    if op.get_context().dialect.name == "postgresql":
        # Sealed bodies don't compress; the attempt costs more than the write.
        op.execute("ALTER TABLE node_out_body ALTER COLUMN body SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE node_record ALTER COLUMN body SET STORAGE EXTERNAL")


def serial(name: str) -> sa.Column[int]:
    """Return the key of a table whose rows are numbered."""
    return sa.Column(name, SERIAL, primary_key=True)


def number(name: str, *, key: bool = False, nullable: bool = False) -> sa.Column[int]:
    """Return a column for a whole number up to 2^63 - 1."""
    return sa.Column(name, sa.BigInteger(), primary_key=key, autoincrement=False, nullable=nullable)


def whole(name: str) -> sa.Column[int]:
    """Return a column for a small code."""
    return sa.Column(name, sa.Integer(), nullable=False)


def small(name: str) -> sa.Column[int]:
    """Return a column for a number of few bits."""
    return sa.Column(name, sa.SmallInteger(), nullable=False)


def flag(name: str) -> sa.Column[bool]:
    """Return a column for yes or no."""
    return sa.Column(name, sa.Boolean(), nullable=False)


def text(name: str, *, key: bool = False, nullable: bool = False) -> sa.Column[str]:
    """Return a column for text."""
    return sa.Column(name, sa.Text(), primary_key=key, nullable=nullable)


def octets(
    name: str, *, key: bool = False, nullable: bool = False, unique: bool | None = None
) -> sa.Column[bytes]:
    """Return a column for bytes."""
    return sa.Column(name, sa.LargeBinary(), primary_key=key, nullable=nullable, unique=unique)


def _create_streams() -> None:
    op.create_table(
        "node_stream",
        number("log_no", key=True),
        octets("stream_id", unique=True),
        text("sender"),
        text("agreement_id"),
        whole("role"),
        number("ordinal"),
        text("audience"),
        text("purposes"),
        flag("own"),
        octets("predecessor", nullable=True),
        number("accepted_size"),
        number("opened_size"),
        octets("refusals_head"),
        flag("closed"),
    )
    op.create_index("ix_node_stream_agreement_id", "node_stream", ["agreement_id"])
    op.create_table(
        "node_epoch",
        number("log_no", key=True),
        number("epoch", key=True),
        number("sequence"),
        number("began_at_ms"),
        text("readers"),
        octets("secret", nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_own_checkpoint",
        number("log_no", key=True),
        number("size", key=True),
        octets("note"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_out_body",
        number("log_no", key=True),
        number("sequence", key=True),
        octets("body"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_reception_key",
        octets("key_id", key=True),
        octets("secret"),
        number("made_at_ms"),
        number("submitted_at_ms", nullable=True),
        number("announced_at_ms", nullable=True),
        sqlite_with_rowid=False,
    )


def _create_records() -> None:
    op.create_table(
        "node_record",
        serial("record_no"),
        text("kind"),
        text("item_id"),
        text("alert_id"),
        number("version"),
        flag("own"),
        text("issuer"),
        text("agreement_id"),
        text("category"),
        text("subject_type"),
        text("status"),
        number("log_no", nullable=True),
        number("sequence", nullable=True),
        number("registry_size"),
        number("created_at"),
        number("expires_at"),
        number("stored_at_ms"),
        text("retain_ground", nullable=True),
        number("retain_until", nullable=True),
        octets("wrapped_key", nullable=True),
        octets("body", nullable=True),
    )
    op.create_index("ix_node_record_expires_at", "node_record", ["expires_at"])
    op.create_index("node_record_item", "node_record", ["item_id", "version", "own"], unique=True)
    op.create_table(
        "node_disclosure",
        number("log_no", key=True),
        number("first_sequence", key=True),
        number("sequence", key=True),
        number("record_no"),
        number("epoch"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_node_disclosure_record_no", "node_disclosure", ["record_no"])
    op.create_table(
        "node_withdrawal",
        number("log_no", key=True),
        number("target", key=True),
        number("sequence", key=True),
        whole("scope"),
        whole("reason"),
        number("at_ms"),
        sqlite_with_rowid=False,
    )
    op.create_index("node_withdrawal_sequence", "node_withdrawal", ["log_no", "sequence"])
    op.create_table(
        "node_tombstone",
        octets("key", key=True),
        number("log_no", key=True),
        number("sequence"),
        number("version"),
        number("until"),
        sqlite_with_rowid=False,
    )


def _create_index() -> None:
    op.create_table(
        "node_lookup_run",
        serial("run_no"),
        small("level"),
        number("drains_into", nullable=True),
    )
    op.create_table(
        "node_lookup_page",
        number("run_no", key=True),
        number("page_no", key=True),
        octets("first_key"),
        octets("last_key"),
        whole("entry_count"),
        octets("entries"),
    )
    op.create_index(
        "node_lookup_page_first", "node_lookup_page", ["run_no", "first_key", "page_no"]
    )


def _create_proofs() -> None:
    op.create_table(
        "node_acceptance",
        number("log_no", key=True),
        number("size", key=True),
        number("at_ms"),
        text("cosignature"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_receipt",
        number("log_no", key=True),
        text("reader", key=True),
        text("role", key=True),
        number("size", key=True),
        octets("root"),
        number("at_ms"),
        text("cosignature"),
        text("cosignature_mldsa"),
        octets("refusals_head"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_refusal",
        number("log_no", key=True),
        number("sequence", key=True),
        text("signer", key=True),
        text("reason"),
        number("registry_size"),
        number("at_ms"),
        number("list_no"),
        flag("settled"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_refusal_list",
        serial("list_no"),
        number("log_no"),
        text("signer"),
        octets("list_hash", unique=True),
        octets("message"),
    )
    op.create_index("ix_node_refusal_list_log_no", "node_refusal_list", ["log_no"])


def _create_witnesses() -> None:
    op.create_table(
        "node_witnessed",
        text("origin", key=True),
        text("witness", key=True),
        number("size"),
        number("at_ms"),
        octets("checkpoint"),
        text("cosignature"),
    )
    op.create_table(
        "node_freeze",
        text("sender", key=True),
        number("at"),
        octets("message"),
        octets("awaited"),
    )
    op.create_table(
        "node_alarm",
        serial("alarm_no"),
        text("name"),
        text("subject"),
        number("at_ms"),
        text("evidence"),
        number("lifted_at_ms", nullable=True),
    )
    op.create_index("node_alarm_subject", "node_alarm", ["name", "subject"], unique=True)


def _create_erasures() -> None:
    op.create_table(
        "node_erasure",
        number("log_no", key=True),
        number("sequence", key=True),
        text("reader", key=True),
        text("state"),
        number("asked_at_ms"),
        number("due_at_ms"),
        number("done_at", nullable=True),
        text("ground"),
        number("until", nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_node_erasure_due_at_ms", "node_erasure", ["due_at_ms"])
    op.create_table(
        "node_erasure_task",
        number("log_no", key=True),
        number("sequence", key=True),
        whole("outcome"),
        number("done_at"),
        text("ground"),
        number("until"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_standing",
        text("agreement_id", key=True),
        text("member", key=True),
        text("state"),
        number("through_record_no"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_quota",
        text("agreement_id", key=True),
        text("category", key=True),
        text("recipient", key=True),
        number("day", key=True),
        number("sent"),
        sqlite_with_rowid=False,
    )


def _create_desk() -> None:
    op.create_table(
        "node_match",
        text("match_id", key=True),
        number("record_no"),
        text("user"),
        text("purpose"),
        text("case_reference"),
        text("status"),
        number("at_ms"),
    )
    op.create_index("ix_node_match_record_no", "node_match", ["record_no"])
    op.create_table(
        "node_hit",
        text("hit_id", key=True),
        number("record_no"),
        text("alert_id"),
        number("alert_version"),
        text("reporter"),
        text("issuer"),
        whole("outcome"),
        text("status"),
        text("match_id"),
        number("at_ms"),
    )
    op.create_index("ix_node_hit_alert_id", "node_hit", ["alert_id"])
    op.create_table(
        "node_officer",
        text("user", key=True),
        text("role"),
        octets("tls_fingerprint", unique=True),
        flag("active"),
        number("added_at_ms"),
    )
    op.create_table(
        "node_import_entry",
        text("format", key=True),
        text("reference", key=True),
        octets("content_hash"),
        text("alert_id"),
        number("version"),
    )
