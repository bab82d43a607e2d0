"""What time alone brings: freeze lists, missed deadlines, and what needn't be kept.

PROTOCOL 4.7, 5.5, 5.7, 5.9. Each is one function over one transaction, so that a test can
call it at any instant. The one rule: a missed deadline is an alarm, never a decision.
"""

from datetime import datetime

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.entry import StreamRole
from mithaq.node.exchange.alarms import ERASURE_OVERDUE, RECEIPT_OVERDUE, raise_alarm
from mithaq.node.exchange.epochs import EPOCH, entitled_readers
from mithaq.node.exchange.freeze import Head, sign_freeze_list
from mithaq.node.exchange.home import Home, instant, milliseconds
from mithaq.node.exchange.inbox import ACCEPTANCE, RECEIPT
from mithaq.node.exchange.out_stream import OUT_BODY, STREAM, OwnStream, list_own
from mithaq.node.exchange.receipts import OPENED
from mithaq.node.exchange.withdrawing import ASKED, ERASURE
from mithaq.store.audit import root_at
from mithaq.store.tables import LOG
from mithaq.v1 import exchange_pb2


def freeze_lists(
    connection: sa.Connection, home: Home, *, at: datetime
) -> list[exchange_pb2.FreezeList]:
    """Return one signed list for each reader of own streams (PROTOCOL 5.7)."""
    heads: dict[str, list[Head]] = {}
    for row in connection.execute(
        sa.select(STREAM).where(STREAM.c.own.is_(True), STREAM.c.accepted_size > 0)
    ):
        root = root_at(connection, row.log_no, row.accepted_size)
        for reader in row.audience.split():
            heads.setdefault(reader, []).append(Head(row.stream_id, row.accepted_size, root))
    return [
        sign_freeze_list(
            each,
            federation=home.federation,
            sender=home.member,
            reader=reader,
            keys=home.log,
            at=at,
        )
        for reader, each in sorted(heads.items())
    ]


def check_receipts(connection: sa.Connection, home: Home, *, at: datetime) -> None:
    """Raise `receipt overdue` where a reader has not opened in time (PROTOCOL 5.5)."""
    for stream in list_own(connection):
        standing = home.registry.agreement(stream.key.agreement_id)
        limit = standing.agreement.deadlines.delivery_receipt
        for reader in entitled_readers(
            home.registry,
            audience=stream.key.audience,
            role=stream.key.role,
            status=standing.status,
            at=at,
        ):
            opened_size = opened_by(connection, stream.log_no, reader.member)
            waiting = connection.execute(
                sa.select(ACCEPTANCE)
                .where(ACCEPTANCE.c.log_no == stream.log_no, ACCEPTANCE.c.size > opened_size)
                .order_by(ACCEPTANCE.c.size)
                .limit(1)
            ).one_or_none()
            if waiting is not None and at - instant(waiting.at_ms) > limit:
                raise_alarm(
                    connection,
                    home,
                    RECEIPT_OVERDUE,
                    subject=f"{stream.stream_id.hex()[:16]}/{waiting.size}/{reader.member}",
                    evidence={
                        "sender": home.member,
                        "size": waiting.size,
                        "root": root_at(connection, stream.log_no, waiting.size).hex(),
                        "acceptance": waiting.cosignature.encode(),
                        "opened_size": opened_size,
                    },
                    stream_id=stream.stream_id,
                    accused=reader.member,
                )


def opened_by(connection: sa.Connection, log_no: int, reader: str) -> int:
    """Return up to which size a reader has signed that it opened a stream; 0 for none."""
    size = connection.execute(
        sa.select(sa.func.max(RECEIPT.c.size)).where(
            RECEIPT.c.log_no == log_no,
            RECEIPT.c.reader == reader,
            RECEIPT.c.role == str(OPENED),
        )
    ).scalar()
    return size or 0


def check_erasures(connection: sa.Connection, home: Home, *, at: datetime) -> None:
    """Raise `erasure overdue` where a reader has not answered in time (PROTOCOL 5.9)."""
    rows = connection.execute(
        sa.select(ERASURE, STREAM.c.stream_id)
        .join(STREAM, STREAM.c.log_no == ERASURE.c.log_no)
        .where(ERASURE.c.state == ASKED, ERASURE.c.due_at_ms <= milliseconds(at))
    ).all()
    for row in rows:
        raise_alarm(
            connection,
            home,
            ERASURE_OVERDUE,
            subject=f"{row.stream_id.hex()[:16]}/{row.sequence}/{row.reader}",
            evidence={
                "sender": home.member,
                "sequence": row.sequence,
                "asked_at_ms": row.asked_at_ms,
                "due_at_ms": row.due_at_ms,
            },
            stream_id=row.stream_id,
            accused=row.reader,
        )


def drop_delivered(connection: sa.Connection, home: Home, *, at: datetime) -> None:
    """Forget own bodies and epoch secrets that every entitled reader has opened (4.7)."""
    for stream in list_own(connection):
        opened = _opened_by_all(connection, home, stream, at=at)
        if not opened:
            continue
        connection.execute(
            sa.delete(OUT_BODY).where(
                OUT_BODY.c.log_no == stream.log_no, OUT_BODY.c.sequence < opened
            )
        )
        _drop_secrets(connection, stream.log_no, opened)


def drop_opened_secrets(connection: sa.Connection) -> None:
    """Destroy received epoch secrets whose bodies are opened, once the next began (4.7)."""
    for row in connection.execute(
        sa.select(STREAM.c.log_no, STREAM.c.opened_size).where(STREAM.c.own.is_(False))
    ).all():
        _drop_secrets(connection, row.log_no, row.opened_size)


def _drop_secrets(connection: sa.Connection, log_no: int, through: int) -> None:
    """Destroy the secrets of epochs that ended below a size: those whose successor stands there."""
    newest = connection.execute(
        sa.select(sa.func.max(EPOCH.c.epoch)).where(
            EPOCH.c.log_no == log_no, EPOCH.c.sequence < through
        )
    ).scalar()
    if newest is not None:
        connection.execute(
            sa.update(EPOCH)
            .where(EPOCH.c.log_no == log_no, EPOCH.c.epoch < newest, EPOCH.c.secret.is_not(None))
            .values(secret=None)
        )


def _opened_by_all(
    connection: sa.Connection, home: Home, stream: OwnStream, *, at: datetime
) -> int:
    """Return up to which size every reader who may still open a stream has opened it."""
    try:
        standing = home.registry.agreement(stream.key.agreement_id)
    except TrustError:
        return 0
    readers = entitled_readers(
        home.registry,
        audience=stream.key.audience,
        role=StreamRole(stream.key.role),
        status=standing.status,
        at=at,
    )
    sizes = [opened_by(connection, stream.log_no, each.member) for each in readers]
    accepted = connection.execute(
        sa.select(STREAM.c.accepted_size).where(STREAM.c.log_no == stream.log_no)
    ).scalar()
    # With nobody left to wait for, what the hub has accepted needn't be kept.
    return min([*sizes, accepted or 0])


def backlog_entries(connection: sa.Connection) -> int:
    """Return how many own entries the hub has not accepted yet."""
    total = connection.execute(
        sa.select(sa.func.sum(LOG.c.size - STREAM.c.accepted_size))
        .join(LOG, LOG.c.log_no == STREAM.c.log_no)
        .where(STREAM.c.own.is_(True))
    ).scalar()
    return int(total or 0)
