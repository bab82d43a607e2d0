"""Verifying and exporting the audit log, from what is stored.

The log is recomputed entry by entry and compared with the stored root, with the newest
checkpoint that this node signed, and with the newest that others cosigned. The rule: a
finding is a sentence that an auditor can act on; nothing is repaired here.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from mithaq.ledger.checkpoint import open_checkpoint
from mithaq.ledger.cosignature import Role
from mithaq.ledger.errors import LedgerError
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.tables import ReceiptRow, WitnessedRow
from mithaq.store.audit import AuditHead
from mithaq.store.audit_export import Signed, export_bundle, size_of, stream_evidence
from mithaq.store.audit_wire import ReceiptLine, Side, StreamEvidence
from mithaq.store.errors import StoreError
from mithaq.store.tables import table_of

WITNESSED: Final = table_of(WitnessedRow)
RECEIPT: Final = table_of(ReceiptRow)
# How long an export waits until others have cosigned what it is to hold.
COSIGNED_SECONDS_MAX: Final = 3.0
POLL_SECONDS: Final = 0.1
FINDING_LENGTH_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification saw; it is good where there are no findings."""

    size: int
    root: bytes
    witnessed_size: int
    findings: tuple[str, ...]


def verify(connection: sa.Connection, home: Home) -> Verified:
    """Recompute the log and compare it with what was signed and what witnesses saw."""
    audit = home.audit
    findings = _finding(lambda: audit.check(connection, keys=home.log.public))
    witnessed = _witnessed(connection, audit.origin)
    for row in witnessed:
        findings += _finding(partial(_check_witnessed, connection, home, row))
    head: AuditHead = audit.head(connection)
    largest = max((row.size for row in witnessed), default=0)
    return Verified(head.size, head.root, largest, tuple(findings))


def _finding(look: Callable[[], object]) -> list[str]:
    """Return what a check found wrong, in a list of one or none."""
    try:
        look()
    except (StoreError, LedgerError) as fault:
        return [f"{fault.code}: {fault}"[:FINDING_LENGTH_MAX]]
    return []


def _check_witnessed(connection: sa.Connection, home: Home, row: Any) -> None:  # noqa: ANN401 - a row of SQLAlchemy's
    keys = home.log.public
    signed = open_checkpoint(
        row.checkpoint,
        origin=home.audit.origin,
        ed25519_public=keys.ed25519,
        mldsa_public=keys.mldsa44,
    )
    home.audit.check_continues(connection, signed.checkpoint)


async def export(home: Home) -> bytes:
    """Return the signed bundle of the log up to now, cosigned if the hub can be reached."""
    database = home.database
    size = await database.read(lambda each: home.audit.head(each).size)
    for _ in range(int(COSIGNED_SECONDS_MAX / POLL_SECONDS)):
        seen = await database.read(lambda each: _newest_cosigned(each, home.audit.origin))
        if seen is not None and size_of(seen.note) >= size:
            break
        await asyncio.sleep(POLL_SECONDS)
    else:
        note = await database.write(
            lambda each: home.audit.checkpoint(each, signer=home.log, at=home.clock())
        )
        seen = Signed(note)
    return await database.read(lambda each: _bundle(each, home, seen))


def _bundle(connection: sa.Connection, home: Home, signed: Signed | None) -> bytes:
    return export_bundle(
        connection,
        home.audit,
        signer=home.log,
        at=home.clock(),
        checkpoint=signed,
        streams=list(_streams(connection)),
    )


def _newest_cosigned(connection: sa.Connection, origin: str) -> Signed | None:
    rows = _witnessed(connection, origin)
    if not rows:
        return None
    note = rows[0].checkpoint
    return Signed(note, tuple(row.cosignature for row in rows if row.checkpoint == note))


def _witnessed(connection: sa.Connection, origin: str) -> list[Any]:
    return list(
        connection.execute(
            sa.select(WITNESSED)
            .where(WITNESSED.c.origin == origin)
            .order_by(WITNESSED.c.size.desc(), WITNESSED.c.witness)
        )
    )


def _streams(connection: sa.Connection) -> Iterator[StreamEvidence]:
    for row in connection.execute(sa.select(STREAM).order_by(STREAM.c.log_no)).all():
        evidence = stream_evidence(
            connection,
            row.log_no,
            stream_id=row.stream_id,
            side=Side.SENT if row.own else Side.RECEIVED,
            sender=row.sender,
            audience=row.audience.split(),
            receipts=list(_newest_receipts(connection, row.log_no)),
        )
        if evidence is not None:
            yield evidence


def _newest_receipts(connection: sa.Connection, log_no: int) -> Iterator[ReceiptLine]:
    newest: dict[tuple[str, str], Any] = {}
    rows = connection.execute(
        sa.select(RECEIPT).where(RECEIPT.c.log_no == log_no).order_by(RECEIPT.c.size)
    )
    for row in rows:
        newest[row.reader, row.role] = row
    for row in newest.values():
        yield ReceiptLine(
            reader=row.reader,
            role=Role(row.role),
            size=row.size,
            root=row.root,
            cosignature=row.cosignature,
            cosignature_mldsa=row.cosignature_mldsa,
            refusals_head=row.refusals_head,
        )
