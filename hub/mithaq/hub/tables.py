"""What the hub keeps, beside the logs that `store` keeps for it.

A stream's entries, tiles and last checkpoint are rows of `store.log_store`; a stream is
known here by the number of its log. Bodies stand apart from headers, so that one can be
erased and the other stay whole. The one rule: whatever a reader or a sender may still be
told has a row here, and whatever has none was never admitted. Rows are written in bulk
through Core; admin and tests read them as models.
"""

from sqlalchemy import Column, LargeBinary, Text
from sqlmodel import Field, SQLModel

from mithaq.store.tables import SERIAL, number, octets, table_of


class HubStream(SQLModel, table=True):
    """A stream: who discloses under which agreement; its readers are rows of HubAudience."""

    __tablename__ = "hub_stream"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    stream_id: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    sender: str = Field(index=True)
    agreement_id: str = Field(index=True)
    role: int
    predecessor: bytes | None = Field(default=None, sa_column=octets(nullable=True))
    closed: bool = False
    # Bodies that are kept for readers; what back-pressure is computed from.
    stored_bytes: int = Field(default=0, sa_column=number())
    opened_at: int = Field(sa_column=number())


class HubAudience(SQLModel, table=True):
    """One member of a stream's audience."""

    __tablename__ = "hub_audience"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    member: str = Field(primary_key=True, index=True)


class HubBatch(SQLModel, table=True):
    """A size at which the sender signed and the hub cosigned: where readers can sign, too."""

    __tablename__ = "hub_batch"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    size: int = Field(sa_column=number(key=True))
    first_sequence: int = Field(sa_column=number())
    # What headers and bodies weigh: a piece for a reader joins batches up to a limit.
    header_bytes: int
    body_bytes: int
    root: bytes = Field(sa_column=octets())
    checkpoint: bytes = Field(sa_column=octets())
    acceptance: str = Field(sa_column=Column(Text, nullable=False))
    # A signed RefusalList, empty where nothing was refused.
    refusals: bytes = Field(sa_column=octets())
    # The registry by which the hub judged (PROTOCOL 2.5).
    registry_size: int = Field(sa_column=number())
    accepted_at: int = Field(sa_column=number())


class HubBody(SQLModel, table=True):
    """A sealed body, until every entitled reader has opened it or it is withdrawn."""

    __tablename__ = "hub_body"  # pyright: ignore[reportAssignmentType]
    __table_args__ = ({"sqlite_with_rowid": False},)

    log_no: int = Field(sa_column=number(key=True))
    sequence: int = Field(sa_column=number(key=True))
    body: bytes = Field(sa_column=octets())


class HubBodyRun(SQLModel, table=True):
    """Consecutive entries of one epoch and expiry that have bodies."""

    __tablename__ = "hub_body_run"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    first_sequence: int = Field(sa_column=number(key=True))
    count: int
    kind: int
    epoch: int = Field(sa_column=number())
    # Seconds since 1970; 0 for what doesn't expire by itself, below zero once it is erased.
    expires_at: int = Field(sa_column=number(index=True))


class HubEpoch(SQLModel, table=True):
    """The readers of an epoch, sorted and separated by blanks; empty for a refused EPOCH."""

    __tablename__ = "hub_epoch"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    epoch: int = Field(sa_column=number(key=True))
    sequence: int = Field(sa_column=number())
    readers: str = Field(sa_column=Column(Text, nullable=False))


class HubVersion(SQLModel, table=True):
    """A PUT that is the next version of an earlier one."""

    __tablename__ = "hub_version"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    target: int = Field(sa_column=number(key=True))
    sequence: int = Field(sa_column=number(key=True))


class HubOmission(SQLModel, table=True):
    """A body that no reader will get, and why (PROTOCOL 5.4)."""

    __tablename__ = "hub_omission"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    sequence: int = Field(sa_column=number(key=True))
    reason: int
    withdrawn_by: int = Field(default=0, sa_column=number())


class HubReceipt(SQLModel, table=True):
    """A reader's newest receipt of each role; receipts are cumulative."""

    __tablename__ = "hub_receipt"  # pyright: ignore[reportAssignmentType]

    log_no: int = Field(sa_column=number(key=True))
    reader: str = Field(primary_key=True)
    role: int = Field(primary_key=True)
    size: int = Field(sa_column=number())
    root: bytes = Field(sa_column=octets())
    cosignature: str = Field(sa_column=Column(Text, nullable=False))
    # The newest one of type 0x06, which comes once a day: its own size and root.
    mldsa_receipt: bytes = Field(sa_column=octets())
    # Of an opened: the hash of its reader's newest list of refusals, empty without one.
    refusals_head: bytes = Field(default=b"", sa_column=octets())
    received_at: int = Field(sa_column=number())


class HubReaderRefusal(SQLModel, table=True):
    """A reader's signed list of what it refused; goes back to the sender."""

    __tablename__ = "hub_reader_refusal"  # pyright: ignore[reportAssignmentType]

    serial: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True))
    log_no: int = Field(sa_column=number(index=True))
    reader: str
    # The list's own bytes; their hash keeps one list from being stored twice.
    list_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    refusals: bytes = Field(sa_column=octets())


class HubFreeze(SQLModel, table=True):
    """A sender's newest timed list of what it keeps for a reader (PROTOCOL 5.7)."""

    __tablename__ = "hub_freeze"  # pyright: ignore[reportAssignmentType]

    sender: str = Field(primary_key=True)
    reader: str = Field(primary_key=True, index=True)
    at: int = Field(sa_column=number())
    message: bytes = Field(sa_column=octets())


class HubQuota(SQLModel, table=True):
    """How many records a sender has disclosed under a clause on a day (UTC)."""

    __tablename__ = "hub_quota"  # pyright: ignore[reportAssignmentType]

    agreement_id: str = Field(primary_key=True)
    clause_id: str = Field(primary_key=True)
    sender: str = Field(primary_key=True)
    # Days since 1970.
    day: int = Field(primary_key=True)
    count: int


class HubSubmission(SQLModel, table=True):
    """A registry entry that waits for the registrar."""

    __tablename__ = "hub_submission"  # pyright: ignore[reportAssignmentType]

    serial: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True))
    body_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    submitter: str
    entry: bytes = Field(sa_column=octets())
    received_at: int = Field(sa_column=number())


class HubEnrolment(SQLModel, table=True):
    """A request to be enrolled, and what became of it."""

    __tablename__ = "hub_enrolment"  # pyright: ignore[reportAssignmentType]

    serial: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True))
    request_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    request: bytes = Field(sa_column=octets())
    received_at: int = Field(sa_column=number())
    # Whether the registrar has it in its own store.
    taken: bool = False
    # An EnrolmentDecision, empty while it waits.
    decision: bytes = Field(sa_column=octets())


class HubVerified(SQLModel, table=True):
    """How far a principal says that it has verified the registry."""

    __tablename__ = "hub_verified"  # pyright: ignore[reportAssignmentType]

    member: str = Field(primary_key=True)
    size: int = Field(sa_column=number())


class HubEvidence(SQLModel, table=True):
    """An alarm and the file of signed messages that proves it (PROTOCOL 6)."""

    __tablename__ = "hub_evidence"  # pyright: ignore[reportAssignmentType]

    serial: int | None = Field(default=None, sa_column=Column(SERIAL, primary_key=True))
    # SHA-256 of the evidence: the same one is kept once, however often it comes.
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    alarm: str
    accused: str
    stream_id: bytes = Field(sa_column=octets())
    at: int = Field(sa_column=number())
    # Its file in the evidence folder.
    file: str
    evidence: bytes = Field(sa_column=octets())


STREAM = table_of(HubStream)
AUDIENCE = table_of(HubAudience)
BATCH = table_of(HubBatch)
BODY = table_of(HubBody)
BODY_RUN = table_of(HubBodyRun)
EPOCH = table_of(HubEpoch)
VERSION = table_of(HubVersion)
OMISSION = table_of(HubOmission)
RECEIPT = table_of(HubReceipt)
READER_REFUSAL = table_of(HubReaderRefusal)
FREEZE = table_of(HubFreeze)
QUOTA = table_of(HubQuota)
SUBMISSION = table_of(HubSubmission)
ENROLMENT = table_of(HubEnrolment)
VERIFIED = table_of(HubVerified)
EVIDENCE = table_of(HubEvidence)
