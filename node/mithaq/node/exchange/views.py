"""Views compared: what other readers signed, and what senders say that there is.

PROTOCOL 5.6, 5.7. A reader's receipt with another root at a size that is held here, or a
freeze list with another root or with more than ever came, accuses somebody. The one rule:
nothing is compared before its signature has verified under the registry's keys.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.names import stream_origin
from mithaq.node.exchange.accepting import accuse_receipt
from mithaq.node.exchange.alarms import (
    ALARM,
    CLOCK_SKEW,
    FORK,
    STALE,
    Evidence,
    raise_alarm,
)
from mithaq.node.exchange.errors import ExchangeError
from mithaq.node.exchange.freeze import (
    OVERDUE_AFTER,
    AwaitedHead,
    FreezeList,
    Head,
    check_freeze_list,
    pack_awaited,
    parse_awaited,
)
from mithaq.node.exchange.home import Home, instant, milliseconds, seconds
from mithaq.node.exchange.inbox import save_receipts
from mithaq.node.exchange.judge import member_of
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.receipts import Receipt, verify_receipt
from mithaq.node.tables import FreezeRow
from mithaq.store.audit import root_at
from mithaq.store.tables import LOG, table_of
from mithaq.v1 import exchange_pb2

FREEZE: Final = table_of(FreezeRow)
_HELD: Final = sa.select(LOG.c.log_no, LOG.c.origin, LOG.c.size, LOG.c.root).where(
    LOG.c.origin == sa.bindparam("origin")
)
_REFUSED = (LedgerError, ExchangeError, TrustError)
# A list names what the hub has accepted; so long may it take to arrive here.
DELIVERY_GRACE: Final = timedelta(seconds=120)
# Of one name about one sender's lists: it names in them what it likes, each time anew, and
# each alarm has a file with its list.
LIST_ALARMS_PER_DAY_MAX: Final = 16
DAY: Final = timedelta(days=1)


def compare_views(
    connection: sa.Connection, home: Home, views: exchange_pb2.Receipts
) -> list[Exception]:
    """Compare other readers' receipts with the roots that are held here; keep those that agree."""
    faults: list[Exception] = []
    agreeing: list[tuple[int, Receipt]] = []
    held = _HeldLogs(connection, home.federation)
    for message in views.receipts:
        try:
            log = None if message.reader == home.member else held.log(message.stream_id)
            if log is None or message.size > log.size:
                # What is not held here yet can't be compared; it comes again in a minute.
                continue
            receipt = verify_receipt(
                message,
                federation=home.federation,
                origin=log.origin,
                member=member_of(home.registry, message.reader),
            )
        except _REFUSED as fault:
            faults.append(fault)
            continue
        if receipt.root == held.root(log, receipt.size):
            agreeing.append((log.log_no, receipt))
        else:
            accuse_receipt(connection, home, receipt, message=message)
    save_receipts(connection, agreeing)
    return faults


class _HeldLog(NamedTuple):
    log_no: int
    origin: str
    size: int
    root: bytes


class _HeldLogs:
    """The streams held here that receipts and lists speak of, each row and root read once.

    In an audience of n, n readers sign for the same few sizes, and all see all of it.
    """

    def __init__(self, connection: sa.Connection, federation: str) -> None:
        self._connection = connection
        self._federation = federation
        self._logs: dict[bytes, _HeldLog | None] = {}
        self._roots: dict[tuple[int, int], bytes] = {}

    def log(self, stream_id: bytes) -> _HeldLog | None:
        """Return a stream's log, or None where none is held."""
        if stream_id not in self._logs:
            origin = stream_origin(self._federation, stream_id)
            row = self._connection.execute(_HELD, {"origin": origin}).one_or_none()
            self._logs[stream_id] = None if row is None else _HeldLog(*row)
        return self._logs[stream_id]

    def root(self, log: _HeldLog, size: int) -> bytes:
        """Return the root that a log had at a size that it has reached."""
        if size == log.size:
            return log.root
        key = log.log_no, size
        if key not in self._roots:
            self._roots[key] = root_at(self._connection, log.log_no, size)
        return self._roots[key]


def take_freeze_list(
    connection: sa.Connection, home: Home, message: exchange_pb2.FreezeList, *, at: datetime
) -> None:
    """Keep a sender's newest list and compare it with what is held here.

    Raises:
        ExchangeError, TrustError, LedgerError: not a list of that sender for this member.

    """
    sender = member_of(home.registry, message.sender)
    freeze_list = check_freeze_list(
        message, federation=home.federation, reader=home.member, keys=sender.log
    )
    if freeze_list.at - at > home.registry.policy.clock_skew_limit:
        # PROTOCOL 5.8: an alarm, never acted on.
        _accuse(connection, home, CLOCK_SKEW, freeze_list, subject=freeze_list.sender)
        return
    last = connection.execute(
        sa.select(FREEZE.c.at, FREEZE.c.awaited).where(FREEZE.c.sender == freeze_list.sender)
    ).one_or_none()
    if last is not None and last.at >= seconds(freeze_list.at):
        return
    held = _HeldLogs(connection, home.federation)
    before = {} if last is None else parse_awaited(last.awaited)
    awaited: dict[bytes, AwaitedHead] = {}
    for head in freeze_list.heads:
        log, size, alarm = held.log(head.stream_id), head.size, None
        if log is None or size > log.size:
            waits = _waits(log, head, before.get(head.stream_id), listed_at=freeze_list.at)
            awaited[head.stream_id] = waits
            late = max(waits.waited, at - freeze_list.at)
            size, alarm = waits.size, STALE if late > DELIVERY_GRACE else None
        elif held.root(log, size) != head.root:
            alarm = FORK
        if alarm is not None:
            subject = f"{freeze_list.sender}/{head.stream_id.hex()[:16]}/{size}"
            _accuse(connection, home, alarm, freeze_list, subject=subject)
    row = {
        "at": seconds(freeze_list.at),
        "message": freeze_list.message_bytes,
        "awaited": pack_awaited(awaited),
    }
    if last is None:
        connection.execute(sa.insert(FREEZE), {"sender": freeze_list.sender, **row})
    else:
        connection.execute(
            sa.update(FREEZE).where(FREEZE.c.sender == freeze_list.sender).values(row)
        )


def _waits(
    log: _HeldLog | None, head: Head, before: AwaitedHead | None, *, listed_at: datetime
) -> AwaitedHead:
    """Return since when a head that has not come is named, with this list counted in."""
    held_size = 0 if log is None else log.size
    if before is None:
        return AwaitedHead(head.size, held_size, listed_at)
    return before.named_again(head, held_size=held_size, listed_at=listed_at)


def expected_senders(connection: sa.Connection) -> set[str]:
    """Return those who have a stream to this node, or have sent a list."""
    streams = sa.select(STREAM.c.sender).where(STREAM.c.own.is_(False))
    return {
        *connection.scalars(streams.distinct()),
        *connection.scalars(sa.select(FREEZE.c.sender)),
    }


def check_overdue_lists(
    connection: sa.Connection, home: Home, *, since: Mapping[str, datetime], at: datetime
) -> None:
    """Raise `stale: sender or hub` for every sender whose newest list is missing or too old.

    What an older list named and never came shows here as well. `since` says from when on
    each sender is expected to be heard, and names no other: not before this node was
    connected, for one that was cut off itself is told nothing by silence, and not before
    the sender's first stream was seen.
    """
    newest = {row.sender: row for row in connection.execute(sa.select(FREEZE))}
    held = _HeldLogs(connection, home.federation)
    for sender, expected_at in sorted(since.items()):
        row = newest.get(sender)
        if row is None:
            if at - expected_at > OVERDUE_AFTER:
                _accuse_silent(connection, home, sender, since=expected_at, at=at)
            continue
        listed_at = instant(row.at * 1000)
        if at - max(listed_at, expected_at) > OVERDUE_AFTER:
            own: Evidence = {"freeze_list": row.message, "checked_at_ms": milliseconds(at)}
            _raise_some(connection, home, STALE, subject=f"{sender}/{row.at}", evidence=own)
        elif at - listed_at > DELIVERY_GRACE:
            _check_delivered(connection, home, held, row)


def _accuse_silent(
    connection: sa.Connection, home: Home, sender: str, *, since: datetime, at: datetime
) -> None:
    evidence: Evidence = {"since_ms": milliseconds(since), "checked_at_ms": milliseconds(at)}
    raise_alarm(connection, home, STALE, subject=f"{sender}/none", evidence=evidence)


def is_caught_up(connection: sa.Connection) -> bool:
    """Tell whether every stream of the newest freeze lists is held and opened so far."""
    lists = [
        exchange_pb2.FreezeList.FromString(message)
        for message in connection.scalars(sa.select(FREEZE.c.message))
    ]
    listed = {head.stream_id: head.size for each in lists for head in each.streams}
    opened = {
        row.stream_id: row.opened_size
        for row in connection.execute(
            sa.select(STREAM.c.stream_id, STREAM.c.opened_size).where(STREAM.c.own.is_(False))
        )
    }
    return all(opened.get(stream_id, 0) >= size for stream_id, size in listed.items())


def _check_delivered(
    connection: sa.Connection,
    home: Home,
    held: _HeldLogs,
    row: Any,  # noqa: ANN401 - a row of FREEZE
) -> None:
    awaited = parse_awaited(row.awaited)
    for head in exchange_pb2.FreezeList.FromString(row.message).streams:
        log = held.log(head.stream_id)
        if log is None or log.size < head.size:
            waits = awaited.get(head.stream_id)
            size = head.size if waits is None else waits.size
            subject = f"{row.sender}/{head.stream_id.hex()[:16]}/{size}"
            own: Evidence = {"freeze_list": row.message}
            _raise_some(connection, home, STALE, subject=subject, evidence=own)


def _accuse(
    connection: sa.Connection, home: Home, alarm: str, freeze_list: FreezeList, *, subject: str
) -> None:
    own: Evidence = {
        "freeze_list": freeze_list.message_bytes,
        "listed_at": freeze_list.at.isoformat(),
    }
    _raise_some(connection, home, alarm, subject=subject, evidence=own)


def _raise_some(
    connection: sa.Connection, home: Home, name: str, *, subject: str, evidence: Evidence
) -> None:
    """Raise an alarm about a sender's list, unless it has had its share of the day."""
    sender = subject.partition("/")[0]
    since = milliseconds(home.clock() - DAY)
    raised = sa.select(sa.func.count()).where(
        ALARM.c.name == name,
        ALARM.c.at_ms > since,
        ALARM.c.subject.startswith(f"{sender}/", autoescape=True),
    )
    if (connection.execute(raised).scalar() or 0) < LIST_ALARMS_PER_DAY_MAX:
        raise_alarm(connection, home, name, subject=subject, evidence=evidence)
