"""What a node keeps, beside the logs, registry and audit that `store` keeps for it.

A stream is known here by the number of its log; its entries are rows of
`store.log_store`. Contents (records, secrets, keys) stand here only wrapped: each record
under a key of its own, so that one can be destroyed and the rest stay whole. The one
rule: every state of the exchange follows from these rows, so that a node killed at any
moment goes on where it was. Hot paths insert through Core; admin and tests read models.

Times ending in `_ms` are milliseconds since 1970, others seconds since 1970.
"""

from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel

# An autoincrement key has to be SQLite's INTEGER, and PostgreSQL's BIGINT.
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")
# Rows that are only found by their whole key or its beginning need no second tree.
_CLUSTERED = {"sqlite_with_rowid": False}


class RecordStatus(StrEnum):
    """What has become of a record at this node."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"
    RETAINED = "retained"
    REFUSED = "refused"


def _number(*, key: bool = False, nullable: bool = False, index: bool = False) -> Column[int]:
    return Column(BigInteger, primary_key=key, autoincrement=False, nullable=nullable, index=index)


def _bytes(
    *, key: bool = False, nullable: bool = False, unique: bool | None = None
) -> Column[bytes]:
    return Column(LargeBinary, primary_key=key, nullable=nullable, unique=unique)


def _text(*, key: bool = False, nullable: bool = False, index: bool = False) -> Column[str]:
    return Column(Text, primary_key=key, nullable=nullable, index=index)


def _serial() -> Column[int]:
    return Column(_SERIAL, primary_key=True)


class StreamRow(SQLModel, table=True):
    """A stream, own or received. Members and purposes are sorted and separated by blanks."""

    __tablename__ = "node_stream"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=_number(key=True))
    stream_id: bytes = Field(sa_column=_bytes(unique=True))
    sender: str = Field(sa_column=_text())
    agreement_id: str = Field(sa_column=_text(index=True))
    role: int
    ordinal: int = Field(sa_column=_number())
    audience: str = Field(sa_column=_text())
    purposes: str = Field(sa_column=_text())
    own: bool
    predecessor: bytes | None = Field(default=None, sa_column=_bytes(nullable=True))
    # Own: the hub has cosigned up to here.
    accepted_size: int = Field(default=0, sa_column=_number())
    # Received: every body below is stored, refused or left out with proof.
    opened_size: int = Field(default=0, sa_column=_number())
    # Received: the hash of our newest list of refusals, empty without one.
    refusals_head: bytes = Field(default=b"", sa_column=_bytes())
    closed: bool = False


class EpochRow(SQLModel, table=True):
    """An epoch of a stream. The secret is wrapped, and null once it was destroyed."""

    __tablename__ = "node_epoch"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    epoch: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number())
    began_at_ms: int = Field(sa_column=_number())
    # Members whom it was wrapped for, sorted and separated by blanks.
    readers: str = Field(sa_column=_text())
    secret: bytes | None = Field(default=None, sa_column=_bytes(nullable=True))


class RecordRow(SQLModel, table=True):
    """A version of an alert, a hit report or a form; content only under its wrapped key.

    `item_id` is the record's own id (of an alert, the alert's); `alert_id` the alert that
    it is or is about. `log_no` and `sequence` say where it was received; null for own.
    """

    __tablename__ = "node_record"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("node_record_item", "item_id", "version", "own", unique=True),)

    record_no: int | None = Field(default=None, sa_column=_serial())
    # alert, hit, form or erasure (an own receipt of one).
    kind: str = Field(sa_column=_text())
    item_id: str = Field(sa_column=_text())
    alert_id: str = Field(sa_column=_text())
    version: int = Field(sa_column=_number())
    own: bool
    issuer: str = Field(sa_column=_text())
    agreement_id: str = Field(sa_column=_text())
    category: str = Field(sa_column=_text())
    subject_type: str = Field(sa_column=_text())
    status: str = Field(sa_column=_text())
    log_no: int | None = Field(default=None, sa_column=_number(nullable=True))
    sequence: int | None = Field(default=None, sa_column=_number(nullable=True))
    registry_size: int = Field(sa_column=_number())
    created_at: int = Field(sa_column=_number())
    expires_at: int = Field(sa_column=_number(index=True))
    stored_at_ms: int = Field(sa_column=_number())
    # Set by an officer where the law lets the bureau keep what it acted on.
    retain_ground: str | None = Field(default=None, sa_column=_text(nullable=True))
    retain_until: int | None = Field(default=None, sa_column=_number(nullable=True))
    wrapped_key: bytes | None = Field(default=None, sa_column=_bytes(nullable=True))
    body: bytes | None = Field(default=None, sa_column=_bytes(nullable=True))


class DisclosureRow(SQLModel, table=True):
    """Where a record stands in a log, own or received (PROTOCOL 3.3).

    `first_sequence` is the sequence of the first PUT of the record in that stream.
    """

    __tablename__ = "node_disclosure"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    first_sequence: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number(key=True))
    record_no: int = Field(sa_column=_number(index=True))
    epoch: int = Field(sa_column=_number())


class OutBodyRow(SQLModel, table=True):
    """An own sealed body, until every entitled reader has opened it."""

    __tablename__ = "node_out_body"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number(key=True))
    body: bytes = Field(sa_column=_bytes())


class OwnCheckpointRow(SQLModel, table=True):
    """A signed size of an own stream that the hub has not accepted yet."""

    __tablename__ = "node_own_checkpoint"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    size: int = Field(sa_column=_number(key=True))
    note: bytes = Field(sa_column=_bytes())


class AcceptanceRow(SQLModel, table=True):
    """The hub's cosignature over an own stream's size (PROTOCOL 5.3); append-only."""

    __tablename__ = "node_acceptance"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    size: int = Field(sa_column=_number(key=True))
    at_ms: int = Field(sa_column=_number())
    cosignature: str = Field(sa_column=_text())


class ReceiptRow(SQLModel, table=True):
    """A reader's verified receipt (PROTOCOL 5.4, 5.5), own ones too; append-only."""

    __tablename__ = "node_receipt"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    reader: str = Field(sa_column=_text(key=True))
    # held or opened.
    role: str = Field(sa_column=_text(key=True))
    size: int = Field(sa_column=_number(key=True))
    root: bytes = Field(sa_column=_bytes())
    at_ms: int = Field(sa_column=_number())
    cosignature: str = Field(sa_column=_text())
    cosignature_mldsa: str = Field(sa_column=_text())
    # Of an opened: the hash of its reader's newest list of refusals, empty without one.
    refusals_head: bytes = Field(default=b"", sa_column=_bytes())


class RefusalRow(SQLModel, table=True):
    """A header whose body hub or reader would not take, and the signed list that says so."""

    __tablename__ = "node_refusal"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number(key=True))
    signer: str = Field(sa_column=_text(key=True))
    reason: str = Field(sa_column=_text())
    registry_size: int = Field(sa_column=_number())
    at_ms: int = Field(sa_column=_number())
    list_no: int = Field(sa_column=_number())
    # Own streams: what was refused by a newer registry only has been said again.
    settled: bool = False


class RefusalListRow(SQLModel, table=True):
    """The exact bytes of a signed RefusalList, and their SHA-256."""

    __tablename__ = "node_refusal_list"  # pyright: ignore[reportAssignmentType]

    list_no: int | None = Field(default=None, sa_column=_serial())
    log_no: int = Field(sa_column=_number(index=True))
    signer: str = Field(sa_column=_text())
    list_hash: bytes = Field(sa_column=_bytes(unique=True))
    message: bytes = Field(sa_column=_bytes())


class WithdrawalRow(SQLModel, table=True):
    """A WITHDRAW of a stream, by the first PUT that it takes back."""

    __tablename__ = "node_withdrawal"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("node_withdrawal_sequence", "log_no", "sequence"), _CLUSTERED)

    log_no: int = Field(sa_column=_number(key=True))
    target: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number(key=True))
    scope: int
    reason: int
    at_ms: int = Field(sa_column=_number())


class TombstoneRow(SQLModel, table=True):
    """A keyed hash of a withdrawn alert's id: versions up to this one are refused (3.6).

    One for each stream that took it back: `sequence` is that of the first WITHDRAW there
    that reached this version. What follows it in that stream was sent after it; of other
    streams nobody can tell.
    """

    __tablename__ = "node_tombstone"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    key: bytes = Field(sa_column=_bytes(key=True))
    log_no: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number())
    version: int = Field(sa_column=_number())
    until: int = Field(sa_column=_number())


class ErasureRow(SQLModel, table=True):
    """What a reader answered to a withdrawal of ours; `asked` until it has (PROTOCOL 5.9)."""

    __tablename__ = "node_erasure"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    # The first PUT of the record in that stream.
    sequence: int = Field(sa_column=_number(key=True))
    reader: str = Field(sa_column=_text(key=True))
    # asked, ERASED or RETAINED_IN_CASE_FILE.
    state: str = Field(sa_column=_text())
    asked_at_ms: int = Field(sa_column=_number())
    due_at_ms: int = Field(sa_column=_number(index=True))
    done_at: int | None = Field(default=None, sa_column=_number(nullable=True))
    ground: str = Field(default="", sa_column=_text())
    until: int | None = Field(default=None, sa_column=_number(nullable=True))


class ErasureTaskRow(SQLModel, table=True):
    """An erasure done here whose receipt has not been put into the return stream yet."""

    __tablename__ = "node_erasure_task"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    log_no: int = Field(sa_column=_number(key=True))
    sequence: int = Field(sa_column=_number(key=True))
    outcome: int
    done_at: int = Field(sa_column=_number())
    ground: str = Field(default="", sa_column=_text())
    until: int = Field(default=0, sa_column=_number())


class ReceptionKeyRow(SQLModel, table=True):
    """An own reception key, wrapped (PROTOCOL 4.7)."""

    __tablename__ = "node_reception_key"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    key_id: bytes = Field(sa_column=_bytes(key=True))
    secret: bytes = Field(sa_column=_bytes())
    made_at_ms: int = Field(sa_column=_number())
    # Handed to the hub for the registrar; null until then.
    submitted_at_ms: int | None = Field(default=None, sa_column=_number(nullable=True))
    # Seen in the registry; null until then.
    announced_at_ms: int | None = Field(default=None, sa_column=_number(nullable=True))


class StandingRow(SQLModel, table=True):
    """Whether a member reads what we disclose under an agreement (PROTOCOL 4.8)."""

    __tablename__ = "node_standing"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    agreement_id: str = Field(sa_column=_text(key=True))
    member: str = Field(sa_column=_text(key=True))
    # present, absent or joining.
    state: str = Field(sa_column=_text())
    # Joining: own records up to this number have been judged.
    through_record_no: int = Field(default=0, sa_column=_number())


class QuotaRow(SQLModel, table=True):
    """How many records of a category went to a recipient on a day (UTC); only where counted."""

    __tablename__ = "node_quota"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (_CLUSTERED,)

    agreement_id: str = Field(sa_column=_text(key=True))
    category: str = Field(sa_column=_text(key=True))
    recipient: str = Field(sa_column=_text(key=True))
    # Days since 1970.
    day: int = Field(sa_column=_number(key=True))
    sent: int = Field(sa_column=_number())


class WitnessedRow(SQLModel, table=True):
    """The newest cosignature of a log witness over one of our audit logs."""

    __tablename__ = "node_witnessed"  # pyright: ignore[reportAssignmentType]

    origin: str = Field(sa_column=_text(key=True))
    witness: str = Field(sa_column=_text(key=True))
    size: int = Field(sa_column=_number())
    at_ms: int = Field(sa_column=_number())
    checkpoint: bytes = Field(sa_column=_bytes())
    cosignature: str = Field(sa_column=_text())


class FreezeRow(SQLModel, table=True):
    """A sender's newest verified freeze list for us (PROTOCOL 5.7).

    `awaited` says since when lists name what has not come (``freeze.pack_awaited``).
    """

    __tablename__ = "node_freeze"  # pyright: ignore[reportAssignmentType]

    sender: str = Field(sa_column=_text(key=True))
    at: int = Field(sa_column=_number())
    message: bytes = Field(sa_column=_bytes())
    awaited: bytes = Field(sa_column=_bytes())


class AlarmRow(SQLModel, table=True):
    """An alarm of PROTOCOL 6, once per name and subject, and the file that proves it."""

    __tablename__ = "node_alarm"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("node_alarm_subject", "name", "subject", unique=True),)

    alarm_no: int | None = Field(default=None, sa_column=_serial())
    name: str = Field(sa_column=_text())
    subject: str = Field(sa_column=_text())
    at_ms: int = Field(sa_column=_number())
    evidence: str = Field(sa_column=_text())
    # When what was missing had come; null while the alarm stands.
    lifted_at_ms: int | None = Field(default=None, sa_column=_number(nullable=True))


class MatchRow(SQLModel, table=True):
    """What a search found, until a person confirms or rejects it."""

    __tablename__ = "node_match"  # pyright: ignore[reportAssignmentType]

    match_id: str = Field(sa_column=_text(key=True))
    record_no: int = Field(sa_column=_number(index=True))
    user: str = Field(sa_column=_text())
    purpose: str = Field(sa_column=_text())
    case_reference: str = Field(sa_column=_text())
    # open, confirmed or rejected.
    status: str = Field(sa_column=_text())
    at_ms: int = Field(sa_column=_number())


class HitRow(SQLModel, table=True):
    """A confirmed match that was reported, or a report that came in; content in its record."""

    __tablename__ = "node_hit"  # pyright: ignore[reportAssignmentType]

    hit_id: str = Field(sa_column=_text(key=True))
    record_no: int = Field(sa_column=_number())
    alert_id: str = Field(sa_column=_text(index=True))
    alert_version: int = Field(sa_column=_number())
    reporter: str = Field(sa_column=_text())
    issuer: str = Field(sa_column=_text())
    outcome: int
    # confirmed (own) or received.
    status: str = Field(sa_column=_text())
    match_id: str = Field(default="", sa_column=_text())
    at_ms: int = Field(sa_column=_number())


class OfficerRow(SQLModel, table=True):
    """A person or a system with access to this node."""

    __tablename__ = "node_officer"  # pyright: ignore[reportAssignmentType]

    user: str = Field(sa_column=_text(key=True))
    role: str = Field(sa_column=_text())
    tls_fingerprint: bytes = Field(sa_column=_bytes(unique=True))
    active: bool = Field(sa_column=Column(Boolean, nullable=False))
    added_at_ms: int = Field(sa_column=_number())


class ImportEntryRow(SQLModel, table=True):
    """An entry of an imported list, so that the next list is applied as a delta."""

    __tablename__ = "node_import_entry"  # pyright: ignore[reportAssignmentType]

    format: str = Field(sa_column=_text(key=True))
    reference: str = Field(sa_column=_text(key=True))
    # Keyed: an unsalted hash of a person's data could be reversed.
    content_hash: bytes = Field(sa_column=_bytes())
    alert_id: str = Field(sa_column=_text())
    version: int = Field(sa_column=_number())
