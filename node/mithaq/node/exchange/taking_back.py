"""A withdrawal that has come: what it takes back here, at once and for good.

PROTOCOL 3.6, 5.9. Scope RECORD reaches the alert up to that version in all streams and
leaves a keyed tombstone; scope DISCLOSURE what this stream alone carried. What the law
lets the bureau keep is kept sealed and off the index. The one rule: the sender is owed an
answer for every withdrawal, and the answer is a row until it is in the return stream.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from mithaq.ledger.entry import WithdrawScope
from mithaq.node.exchange.answering import ERASURE_TASK
from mithaq.node.exchange.erasing import erase_content, forget
from mithaq.node.exchange.home import Home, milliseconds, seconds
from mithaq.node.exchange.in_stream import Withdrawn
from mithaq.node.exchange.out_stream import DISCLOSURE, WITHDRAWAL
from mithaq.node.exchange.stored import RECORD, set_status
from mithaq.node.tables import RecordStatus, TombstoneRow
from mithaq.store.audit_entry import DONE, AuditEntry, Operation, RecordRef, cut_in_entries
from mithaq.store.tables import table_of
from mithaq.v1 import record_pb2

TOMBSTONE: Final = table_of(TombstoneRow)
# Without their content: a sender may have sent any number of versions.
_VERSIONS: Final = sa.select(
    RECORD.c.record_no,
    RECORD.c.item_id,
    RECORD.c.alert_id,
    RECORD.c.version,
    RECORD.c.expires_at,
    RECORD.c.retain_ground,
    RECORD.c.retain_until,
    RECORD.c.body.is_not(None).label("has_content"),
)
ERASED: Final = int(record_pb2.ERASURE_OUTCOME_ERASED)
RETAINED: Final = int(record_pb2.ERASURE_OUTCOME_RETAINED_IN_CASE_FILE)


def take_back_all(
    connection: sa.Connection,
    home: Home,
    log_no: int,
    withdrawn: Sequence[Withdrawn],
    *,
    at: datetime,
) -> None:
    """Carry out WITHDRAWs whose headers are held."""
    gone: list[Any] = []
    for each in withdrawn:
        gone += _take_back(connection, home, log_no, each, at=at)
    home.audit.append(connection, entries_of_erased(gone, home.registry.size, at=at))


def entries_of_erased(
    gone: Sequence[Any], registry_size: int, *, outcome: str = DONE, at: datetime
) -> list[AuditEntry]:
    """Return the audit entries that name erased rows: one WITHDRAW may erase many versions."""
    records = [RecordRef(row.alert_id, row.version) for row in gone]
    return [
        AuditEntry(
            at,
            "node",
            "system",
            Operation.ERASE,
            outcome=outcome,
            registry_size=registry_size,
            records=tuple(each),
            result_count=len(each),
        )
        # That nothing stood here any more is an entry, too.
        for each in list(cut_in_entries(records)) or [()]
    ]


def _take_back(
    connection: sa.Connection, home: Home, log_no: int, withdrawn: Withdrawn, *, at: datetime
) -> list[Any]:
    """Carry out one WITHDRAW; return the rows whose content was erased."""
    scope = withdrawn.terms.scope or WithdrawScope.DISCLOSURE
    connection.execute(
        sa.insert(WITHDRAWAL),
        {
            "log_no": log_no,
            "target": withdrawn.target,
            "sequence": withdrawn.sequence,
            "scope": int(scope),
            "reason": int(withdrawn.terms.reason or 0),
            "at_ms": milliseconds(at),
        },
    )
    carried = _carried(connection, log_no, withdrawn.target)
    if scope is WithdrawScope.RECORD:
        # One alert, unless its sender put others under its target: then each of them.
        highest: dict[str, int] = {}
        for each in carried:
            highest[each.item_id] = max(each.version, highest.get(each.item_id, 0))
        by_item = [_all_streams(connection, *each) for each in highest.items()]
        for rows in by_item:
            _bury(connection, home, rows, place=(log_no, withdrawn.sequence))
        reached = [row for rows in by_item for row in rows]
    else:
        reached = [each for each in carried if not _stands_elsewhere(connection, each, log_no)]
    live = [each for each in reached if each.has_content]
    kept = [each for each in live if _may_be_kept(each, at=at)]
    gone = [each for each in live if not _may_be_kept(each, at=at)]
    erase_content(connection, home, [each.record_no for each in gone], status=RecordStatus.ERASED)
    forget(connection, home, [each.record_no for each in kept])
    set_status(connection, [each.record_no for each in kept], status=RecordStatus.RETAINED)
    _owe_answer(connection, log_no, withdrawn.target, kept, at=at)
    return gone


def _carried(connection: sa.Connection, log_no: int, target: int) -> Sequence[Any]:
    return connection.execute(
        _VERSIONS.join(DISCLOSURE, DISCLOSURE.c.record_no == RECORD.c.record_no).where(
            DISCLOSURE.c.log_no == log_no, DISCLOSURE.c.first_sequence == target
        )
    ).all()


def _all_streams(connection: sa.Connection, item: str, highest: int) -> Sequence[Any]:
    """Return every received version of an item up to the highest that was taken back."""
    return connection.execute(
        _VERSIONS.where(
            RECORD.c.item_id == item,
            RECORD.c.own.is_(False),
            RECORD.c.version <= highest,
        )
    ).all()


def _stands_elsewhere(connection: sa.Connection, row: Any, log_no: int) -> bool:  # noqa: ANN401 - a row of SQLAlchemy's
    """Tell whether another stream carries the version, and has not taken it back."""
    taken = sa.exists().where(
        WITHDRAWAL.c.log_no == DISCLOSURE.c.log_no,
        WITHDRAWAL.c.target == DISCLOSURE.c.first_sequence,
    )
    other = connection.execute(
        sa.select(DISCLOSURE.c.log_no)
        .where(DISCLOSURE.c.record_no == row.record_no, DISCLOSURE.c.log_no != log_no, ~taken)
        .limit(1)
    ).scalar()
    return other is not None


def _may_be_kept(row: Any, *, at: datetime) -> bool:  # noqa: ANN401 - a row of RECORD
    return row.retain_until is not None and row.retain_until > seconds(at)


def _bury(
    connection: sa.Connection, home: Home, rows: Sequence[Any], *, place: tuple[int, int]
) -> None:
    """Remember by a keyed hash which versions are refused from now on."""
    if rows:
        bury(
            connection,
            home,
            rows[0].item_id,
            place=place,
            version=max(each.version for each in rows),
            until=max(each.expires_at for each in rows),
        )


def bury(
    connection: sa.Connection,
    home: Home,
    alert_id: str,
    *,
    place: tuple[int, int],
    version: int,
    until: int,
) -> None:
    """Leave a tombstone of a stream, or raise the one that stands (PROTOCOL 3.6).

    `place` is the WITHDRAW's: log number and sequence.
    """
    log_no, sequence = place
    one = {"key": home.storage.tombstone(alert_id), "log_no": log_no}
    ours = sa.and_(*(TOMBSTONE.c[name] == each for name, each in one.items()))
    stands = connection.execute(sa.select(TOMBSTONE).where(ours)).one_or_none()
    values = {"sequence": sequence, "version": version, "until": until}
    if stands is None:
        connection.execute(sa.insert(TOMBSTONE), {**one, **values})
        return
    if version <= stands.version:
        # This version was taken back by the earlier one already.
        values |= {"sequence": stands.sequence, "version": stands.version}
    values["until"] = max(until, stands.until)
    connection.execute(sa.update(TOMBSTONE).where(ours).values(values))


def _owe_answer(
    connection: sa.Connection, log_no: int, target: int, kept: Sequence[Any], *, at: datetime
) -> None:
    owed = connection.execute(
        sa.select(ERASURE_TASK.c.sequence).where(
            ERASURE_TASK.c.log_no == log_no, ERASURE_TASK.c.sequence == target
        )
    ).scalar()
    if owed is not None:
        return
    longest = max(kept, key=lambda each: each.retain_until, default=None)
    connection.execute(
        sa.insert(ERASURE_TASK),
        {
            "log_no": log_no,
            "sequence": target,
            "outcome": RETAINED if longest is not None else ERASED,
            "done_at": seconds(at),
            "ground": longest.retain_ground or "" if longest is not None else "",
            "until": longest.retain_until if longest is not None else 0,
        },
    )
