"""Expiry: records whose time is over, and those of agreements that have ended.

PROTOCOL 5.8, DESIGN 5. The one rule: nothing is erased by one clock alone; the local one
and the registry's time both have to have passed. What was marked for a case file is kept
until its own end.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from mithaq.agreements.grant import wind_down_end
from mithaq.certs.participants import AgreementRecord
from mithaq.node.exchange.erasing import erase_content
from mithaq.node.exchange.home import Home, seconds
from mithaq.node.exchange.out_stream import DISCLOSURE, OUT_BODY, STREAM
from mithaq.node.exchange.stored import RECORD
from mithaq.node.exchange.taking_back import TOMBSTONE
from mithaq.node.tables import RecordStatus
from mithaq.store.audit_entry import AuditEntry, Operation, RecordRef
from mithaq.store.parts import CONDITIONS_AT_ONCE_MAX, in_parts

AT_ONCE_MAX: Final = 256


def expire(connection: sa.Connection, home: Home, *, at: datetime) -> int:
    """Erase what is over by both clocks; return how many records, at most 256 at once."""
    registry_time = home.registry.time
    if registry_time is None:
        return 0
    passed = min(at, registry_time)
    rows = _expired(connection, passed) or _kept_long_enough(connection, passed)
    outcome = "expired"
    if not rows:
        rows = _of_ended_agreements(connection, home, passed)
        outcome = "agreement ended"
    connection.execute(sa.delete(TOMBSTONE).where(TOMBSTONE.c.until <= seconds(passed)))
    if rows:
        _erase(connection, home, rows)
        home.audit.append(connection, [_entry(home, rows, outcome, at=at)])
    return len(rows)


def _erase(connection: sa.Connection, home: Home, rows: Sequence[Any]) -> None:
    numbers = [row.record_no for row in rows]
    erase_content(connection, home, numbers, status=RecordStatus.ERASED)
    # Own sealed bodies go, too, unless the hub has yet to see them once.
    places = connection.execute(
        sa.select(DISCLOSURE.c.log_no, DISCLOSURE.c.sequence)
        .join(STREAM, STREAM.c.log_no == DISCLOSURE.c.log_no)
        .where(DISCLOSURE.c.record_no.in_(numbers), STREAM.c.own.is_(True))
        .where(DISCLOSURE.c.sequence < STREAM.c.accepted_size)
    ).all()
    for log_no, sequence in places:
        connection.execute(
            sa.delete(OUT_BODY).where(OUT_BODY.c.log_no == log_no, OUT_BODY.c.sequence == sequence)
        )


def _expired(connection: sa.Connection, passed: datetime) -> Sequence[Any]:
    return connection.execute(
        sa.select(RECORD.c.record_no, RECORD.c.alert_id, RECORD.c.version)
        .where(RECORD.c.expires_at <= seconds(passed), RECORD.c.body.is_not(None))
        .where(_not_kept(passed))
        .order_by(RECORD.c.expires_at)
        .limit(AT_ONCE_MAX)
    ).all()


def _kept_long_enough(connection: sa.Connection, passed: datetime) -> Sequence[Any]:
    """Return what was withdrawn and kept for a case file, once its own end has come."""
    return connection.execute(
        sa.select(RECORD.c.record_no, RECORD.c.alert_id, RECORD.c.version)
        .where(RECORD.c.status == str(RecordStatus.RETAINED), RECORD.c.body.is_not(None))
        .where(_not_kept(passed))
        .limit(AT_ONCE_MAX)
    ).all()


def _of_ended_agreements(connection: sa.Connection, home: Home, passed: datetime) -> Sequence[Any]:
    """Return what was received where a winding down is over (PROTOCOL 3.7)."""
    over = [
        _received(each.agreement.id, home.member, members)
        for each in home.registry.agreements()
        if (members := _wound_down(each, passed))
    ]
    for part in in_parts(over, at_once=CONDITIONS_AT_ONCE_MAX):
        rows = connection.execute(
            sa.select(RECORD.c.record_no, RECORD.c.alert_id, RECORD.c.version)
            .where(RECORD.c.own.is_(False), RECORD.c.body.is_not(None), _not_kept(passed))
            .where(sa.or_(*part))
            .limit(AT_ONCE_MAX)
        ).all()
        if rows:
            return rows
    return []


def _wound_down(standing: AgreementRecord, passed: datetime) -> frozenset[str]:
    """Return the parties whose winding down is over: a leaver's ends before the others'."""
    agreement, status = standing.agreement, standing.status
    return frozenset(
        member
        for member in agreement.members.union(status.left)
        if wind_down_end(agreement, status, member=member) <= passed
    )


def _received(agreement_id: str, member: str, over: frozenset[str]) -> sa.ColumnElement[bool]:
    """Match what a member was given by those who are out, and all of it once it is out."""
    under = RECORD.c.agreement_id == agreement_id
    return under if member in over else sa.and_(under, RECORD.c.issuer.in_(sorted(over)))


def _not_kept(passed: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(RECORD.c.retain_until.is_(None), RECORD.c.retain_until <= seconds(passed))


def _entry(home: Home, rows: Sequence[Any], outcome: str, *, at: datetime) -> AuditEntry:
    return AuditEntry(
        at,
        "node",
        "system",
        Operation.ERASE,
        outcome=outcome,
        registry_size=home.registry.size,
        records=tuple(RecordRef(row.alert_id, row.version) for row in rows),
        result_count=len(rows),
    )
