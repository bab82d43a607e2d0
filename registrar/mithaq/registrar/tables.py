"""What the registrar keeps beside the registry's log: invitations, what waits, decisions."""

from sqlalchemy import Boolean, Column, LargeBinary, Text
from sqlmodel import Field, SQLModel

from mithaq.store.tables import number, octets, table_of


class InvitationRow(SQLModel, table=True):
    """An invitation: hashes of its secret, for whom, until when, and its use."""

    __tablename__ = "registrar_invitation"  # pyright: ignore[reportAssignmentType]

    id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    mac_key: bytes = Field(sa_column=octets())
    member: str = Field(sa_column=Column(Text, nullable=False))
    # Seconds since 1970.
    expires_at: int = Field(sa_column=number())
    used_by: bytes | None = Field(default=None, sa_column=octets(nullable=True))


class PendingRow(SQLModel, table=True):
    """An entry that waits for signatures."""

    __tablename__ = "registrar_pending"  # pyright: ignore[reportAssignmentType]

    item_id: str = Field(sa_column=Column(Text, primary_key=True))
    body: bytes = Field(sa_column=octets())
    # SignedEntry bytes once somebody has signed; until then empty.
    signed: bytes = Field(sa_column=octets())
    kind: str = Field(sa_column=Column(Text, nullable=False))
    subject: str = Field(sa_column=Column(Text, nullable=False))
    received_at: int = Field(sa_column=number())
    request_hash: bytes = Field(sa_column=octets())
    certificate: bytes = Field(sa_column=octets())


class DecisionRow(SQLModel, table=True):
    """What became of a request, and when (seconds since 1970)."""

    __tablename__ = "registrar_decision"  # pyright: ignore[reportAssignmentType]

    request_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    approved: bool = Field(sa_column=Column(Boolean, nullable=False))
    certificate: bytes = Field(sa_column=octets())
    reason: str = Field(sa_column=Column(Text, nullable=False))
    decided_at: int = Field(sa_column=number())


class NoteRow(SQLModel, table=True):
    """The newest note that was signed at each size, for a hub that is far behind."""

    __tablename__ = "registrar_note"  # pyright: ignore[reportAssignmentType]

    size: int = Field(sa_column=number(key=True))
    note: bytes = Field(sa_column=octets())


INVITATION = table_of(InvitationRow)
PENDING = table_of(PendingRow)
DECISION = table_of(DecisionRow)
NOTE = table_of(NoteRow)
OWN_TABLES = (INVITATION, PENDING, DECISION, NOTE)
