"""Views compared: what other readers signed, and what senders say that there is.

PROTOCOL 5.6, 5.7. A reader's receipt with another root at a size that is held here, or a
freeze list with another root or with more than ever came, accuses somebody. The one rule:
nothing is compared before its signature has verified under the registry's keys.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.names import stream_origin
from mithaq.node.exchange.accepting import accuse_receipt
from mithaq.node.exchange.alarms import CLOCK_SKEW, FORK, STALE, Evidence, raise_alarm
from mithaq.node.exchange.errors import ExchangeError
from mithaq.node.exchange.freeze import OVERDUE_AFTER, FreezeList, Head, check_freeze_list
from mithaq.node.exchange.home import Home, instant, milliseconds, seconds
from mithaq.node.exchange.inbox import save_receipts
from mithaq.node.exchange.judge import member_of
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.receipts import Receipt, verify_receipt
from mithaq.node.tables import FreezeRow
from mithaq.store import log_store
from mithaq.store.audit import root_at
from mithaq.store.tables import table_of
from mithaq.v1 import exchange_pb2

FREEZE: Final = table_of(FreezeRow)
_REFUSED = (LedgerError, ExchangeError, TrustError)
# A list names what the hub has accepted; so long may it take to arrive here.
DELIVERY_GRACE: Final = timedelta(seconds=120)


def compare_views(
    connection: sa.Connection, home: Home, views: exchange_pb2.Views
) -> list[Exception]:
    """Compare other readers' receipts with the roots that are held here; keep those that agree."""
    faults: list[Exception] = []
    agreeing: list[tuple[int, Receipt]] = []
    roots = _Roots(connection, home.federation)
    for message in views.receipts:
        held = None if message.reader == home.member else roots.held(message)
        if held is None:
            # What is not held here yet can't be compared; it comes again in a minute.
            continue
        try:
            receipt = verify_receipt(
                message,
                federation=home.federation,
                origin=held.origin,
                member=member_of(home.registry, message.reader),
            )
        except _REFUSED as fault:
            faults.append(fault)
            continue
        if receipt.root == held.root:
            agreeing.append((held.log_no, receipt))
        else:
            accuse_receipt(connection, home, receipt, message=message)
    save_receipts(connection, agreeing)
    return faults


class _HeldRoot(NamedTuple):
    origin: str
    log_no: int
    root: bytes


class _Roots:
    """The roots held here that receipts speak of, each read once.

    In an audience of n, n readers sign for the same few sizes, and all see all of it.
    """

    def __init__(self, connection: sa.Connection, federation: str) -> None:
        self._connection = connection
        self._federation = federation
        self._sizes: dict[bytes, tuple[str, int | None, int]] = {}
        self._roots: dict[tuple[int, int], bytes] = {}

    def held(self, message: exchange_pb2.Receipt) -> _HeldRoot | None:
        """Return the root at a receipt's size, or None where the stream is not held so far."""
        origin, log, size = self._size(message.stream_id)
        if log is None or message.size > size:
            return None
        key = log, message.size
        if key not in self._roots:
            self._roots[key] = root_at(self._connection, log, message.size)
        return _HeldRoot(origin, log, self._roots[key])

    def _size(self, stream_id: bytes) -> tuple[str, int | None, int]:
        if stream_id not in self._sizes:
            origin = stream_origin(self._federation, stream_id)
            log = log_store.find_log(self._connection, origin)
            size = 0 if log is None else log_store.head(self._connection, log).size
            self._sizes[stream_id] = origin, log, size
        return self._sizes[stream_id]


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
        sa.select(FREEZE.c.at).where(FREEZE.c.sender == freeze_list.sender)
    ).scalar()
    if last is not None and last >= seconds(freeze_list.at):
        return
    for head in freeze_list.heads:
        _compare_head(connection, home, freeze_list, head, at=at)
    row = {"at": seconds(freeze_list.at), "message": freeze_list.message_bytes}
    if last is None:
        connection.execute(sa.insert(FREEZE), {"sender": freeze_list.sender, **row})
    else:
        connection.execute(
            sa.update(FREEZE).where(FREEZE.c.sender == freeze_list.sender).values(row)
        )


def _compare_head(
    connection: sa.Connection, home: Home, freeze_list: FreezeList, head: Head, *, at: datetime
) -> None:
    subject = f"{head.stream_id.hex()[:16]}/{head.size}"
    log = log_store.find_log(connection, stream_origin(home.federation, head.stream_id))
    held = 0 if log is None else log_store.head(connection, log).size
    if log is not None and head.size <= held:
        if root_at(connection, log, head.size) != head.root:
            _accuse(connection, home, FORK, freeze_list, subject=subject)
    elif at - freeze_list.at > DELIVERY_GRACE:
        _accuse(connection, home, STALE, freeze_list, subject=subject)


def check_overdue_lists(
    connection: sa.Connection, home: Home, *, since: datetime, at: datetime
) -> None:
    """Raise `stale: sender or hub` for every sender whose newest list is missing or too old.

    What an older list named and never came shows here as well. `since` is when this node
    was connected: one that was cut off itself is told nothing by that.
    """
    newest = {row.sender: row for row in connection.execute(sa.select(FREEZE))}
    senders = set(
        connection.scalars(sa.select(STREAM.c.sender).where(STREAM.c.own.is_(False)).distinct())
    )
    for sender in sorted(senders | newest.keys()):
        row = newest.get(sender)
        if row is None:
            if at - since > OVERDUE_AFTER:
                _accuse_silent(connection, home, sender, since=since, at=at)
            continue
        freeze_list = exchange_pb2.FreezeList.FromString(row.message)
        listed_at = instant(row.at * 1000)
        if at - max(listed_at, since) > OVERDUE_AFTER:
            raise_alarm(
                connection,
                home,
                STALE,
                subject=f"{sender}/{row.at}",
                evidence={"freeze_list": row.message, "checked_at_ms": milliseconds(at)},
            )
        elif at - listed_at > DELIVERY_GRACE:
            _check_delivered(connection, home, freeze_list, row.message)


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
    connection: sa.Connection, home: Home, message: exchange_pb2.FreezeList, raw: bytes
) -> None:
    for head in message.streams:
        log = log_store.find_log(connection, stream_origin(home.federation, head.stream_id))
        if log is None or log_store.head(connection, log).size < head.size:
            raise_alarm(
                connection,
                home,
                STALE,
                subject=f"{head.stream_id.hex()[:16]}/{head.size}",
                evidence={"freeze_list": raw},
            )


def _accuse(
    connection: sa.Connection, home: Home, alarm: str, freeze_list: FreezeList, *, subject: str
) -> None:
    own: Evidence = {
        "freeze_list": freeze_list.message_bytes,
        "listed_at": freeze_list.at.isoformat(),
    }
    raise_alarm(connection, home, alarm, subject=subject, evidence=own)
