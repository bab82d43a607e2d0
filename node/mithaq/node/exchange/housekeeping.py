"""What time alone brings: freeze lists, missed deadlines, and what needn't be kept.

PROTOCOL 4.7, 5.5, 5.7, 5.9. Each is one function over one transaction, so that a test can
call it at any instant. The one rule: a missed deadline is an alarm, never a decision.
"""

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.node.exchange.alarms import (
    ERASURE_OVERDUE,
    RECEIPT_OVERDUE,
    lift_settled,
    raise_alarm,
)
from mithaq.node.exchange.epochs import EPOCH, entitled_readers
from mithaq.node.exchange.freeze import Head, sign_freeze_list
from mithaq.node.exchange.home import Home, instant, milliseconds
from mithaq.node.exchange.inbox import ACCEPTANCE, RECEIPT
from mithaq.node.exchange.out_stream import OUT_BODY, STREAM, OwnStream, list_own
from mithaq.node.exchange.receipts import OPENED
from mithaq.node.exchange.withdrawing import ASKED, ERASURE
from mithaq.store.audit import root_at
from mithaq.v1 import exchange_pb2

_FIRST_WAITING: Final = (
    sa.select(ACCEPTANCE)
    .where(ACCEPTANCE.c.log_no == sa.bindparam("log"), ACCEPTANCE.c.size > sa.bindparam("opened"))
    .order_by(ACCEPTANCE.c.size)
    .limit(1)
)
_OPENED_SIZES: Final = (
    sa.select(RECEIPT.c.log_no, RECEIPT.c.reader, sa.func.max(RECEIPT.c.size).label("size"))
    .join(STREAM, STREAM.c.log_no == RECEIPT.c.log_no)
    .where(STREAM.c.own.is_(True), RECEIPT.c.role == sa.bindparam("role"))
    .group_by(RECEIPT.c.log_no, RECEIPT.c.reader)
)
_ACCEPTED_SIZES: Final = sa.select(STREAM.c.log_no, STREAM.c.accepted_size).where(
    STREAM.c.own.is_(True)
)
_WITH_BODIES: Final = sa.select(OUT_BODY.c.log_no).distinct()
# The newest epoch's secret stays in any case.
_WITH_OLD_SECRETS: Final = (
    sa.select(EPOCH.c.log_no)
    .where(EPOCH.c.secret.is_not(None))
    .group_by(EPOCH.c.log_no)
    .having(sa.func.count() > 1)
)


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
    """Raise `receipt overdue` where a reader has not opened in time (PROTOCOL 5.5).

    Once for each stream and reader, however much it owes; lifted when it owes nothing that
    is overdue. One that was never online since it was enrolled owes from the first day.
    """
    overdue: set[str] = set()
    opened = opened_sizes(connection)
    accepted = _accepted_sizes(connection)
    for stream in list_own(connection):
        size = accepted[stream.log_no]
        behind = {
            member
            for member in stream.key.audience
            if opened.get((stream.log_no, member), 0) < size
        }
        if not behind:
            continue
        standing = home.registry.agreement(stream.key.agreement_id)
        limit = standing.agreement.deadlines.delivery_receipt
        for reader in _entitled(home, stream, at=at) & behind:
            opened_size = opened.get((stream.log_no, reader), 0)
            waiting = connection.execute(
                _FIRST_WAITING, {"log": stream.log_no, "opened": opened_size}
            ).one_or_none()
            if waiting is not None and at - instant(waiting.at_ms) > limit:
                overdue.add(_overdue_subject(stream, reader))
                _accuse_overdue(connection, home, stream, waiting, reader, opened_size=opened_size)
    lift_settled(connection, RECEIPT_OVERDUE, standing=overdue, at=at)


def _overdue_subject(stream: OwnStream, reader: str) -> str:
    return f"{stream.stream_id.hex()[:16]}/{reader}"


def _accuse_overdue(
    connection: sa.Connection,
    home: Home,
    stream: OwnStream,
    waiting: Any,  # noqa: ANN401 - a row of ACCEPTANCE
    reader: str,
    *,
    opened_size: int,
) -> None:
    raise_alarm(
        connection,
        home,
        RECEIPT_OVERDUE,
        subject=_overdue_subject(stream, reader),
        evidence={
            "sender": home.member,
            "size": waiting.size,
            "root": root_at(connection, stream.log_no, waiting.size).hex(),
            "acceptance": waiting.cosignature.encode(),
            "opened_size": opened_size,
        },
        stream_id=stream.stream_id,
        accused=reader,
    )


def opened_sizes(connection: sa.Connection) -> dict[tuple[int, str], int]:
    """Return up to which size each reader has signed that it opened each own stream."""
    rows = connection.execute(_OPENED_SIZES, {"role": str(OPENED)})
    return {(row.log_no, row.reader): row.size for row in rows}


def _accepted_sizes(connection: sa.Connection) -> dict[int, int]:
    rows = connection.execute(_ACCEPTED_SIZES)
    return {row.log_no: row.accepted_size for row in rows}


def _entitled(home: Home, stream: OwnStream, *, at: datetime) -> set[str]:
    """Return the readers who may open a stream now."""
    standing = home.registry.agreement(stream.key.agreement_id)
    readers = entitled_readers(
        home.registry,
        audience=stream.key.audience,
        role=stream.key.role,
        status=standing.status,
        at=at,
    )
    return {each.member for each in readers}


def check_erasures(connection: sa.Connection, home: Home, *, at: datetime) -> None:
    """Raise `erasure overdue` where a reader has not answered in time (PROTOCOL 5.9).

    Lifted when it has answered: an alarm stands for what is still owed.
    """
    overdue: set[str] = set()
    rows = connection.execute(
        sa.select(ERASURE, STREAM.c.stream_id)
        .join(STREAM, STREAM.c.log_no == ERASURE.c.log_no)
        .where(ERASURE.c.state == ASKED, ERASURE.c.due_at_ms <= milliseconds(at))
    ).all()
    for row in rows:
        subject = f"{row.stream_id.hex()[:16]}/{row.sequence}/{row.reader}"
        overdue.add(subject)
        raise_alarm(
            connection,
            home,
            ERASURE_OVERDUE,
            subject=subject,
            evidence={
                "sender": home.member,
                "sequence": row.sequence,
                "asked_at_ms": row.asked_at_ms,
                "due_at_ms": row.due_at_ms,
            },
            stream_id=row.stream_id,
            accused=row.reader,
        )
    lift_settled(connection, ERASURE_OVERDUE, standing=overdue, at=at)


def drop_delivered(connection: sa.Connection, home: Home, *, at: datetime) -> None:
    """Forget own bodies and epoch secrets that every entitled reader has opened (4.7)."""
    kept = {*connection.scalars(_WITH_BODIES), *connection.scalars(_WITH_OLD_SECRETS)}
    opened = opened_sizes(connection)
    accepted = _accepted_sizes(connection)
    for stream in list_own(connection):
        if stream.log_no not in kept:
            continue
        try:
            readers = _entitled(home, stream, at=at)
        except TrustError:
            continue
        # With nobody left to wait for, what the hub has accepted needn't be kept.
        sizes = [opened.get((stream.log_no, reader), 0) for reader in readers]
        through = min([*sizes, accepted[stream.log_no]])
        if through:
            connection.execute(
                sa.delete(OUT_BODY).where(
                    OUT_BODY.c.log_no == stream.log_no, OUT_BODY.c.sequence < through
                )
            )
            _drop_secrets(connection, stream.log_no, through)


def drop_opened_secrets(connection: sa.Connection) -> None:
    """Destroy received epoch secrets whose bodies are opened, once the next began (4.7)."""
    old = set(connection.scalars(_WITH_OLD_SECRETS))
    for row in connection.execute(
        sa.select(STREAM.c.log_no, STREAM.c.opened_size).where(STREAM.c.own.is_(False))
    ).all():
        if row.log_no in old:
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
