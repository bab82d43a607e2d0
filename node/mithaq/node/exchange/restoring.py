"""What this node signed in the time that a backup lost, carried out on what the backup holds.

PROTOCOL 1.5, 3.6, 5.9. A completed tail brings back headers and no bodies: what was issued
in the lost time stays unknown here, what was taken back in it is taken back again. A
backup holds nothing that is newer than such a WITHDRAW, so one of scope RECORD reaches
every version of the alert that stands here, as it did when it was signed. The one rule:
nothing is signed here; what has still to be said in other streams goes by the outbox, once
the heads of all of them are compared.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from mithaq.ledger.entry import WithdrawReason, WithdrawScope
from mithaq.ledger.stream import Run, StreamState
from mithaq.node.exchange.acts import WithdrawItem
from mithaq.node.exchange.disclosures import LiveDisclosure, live_disclosures
from mithaq.node.exchange.epochs import EPOCH
from mithaq.node.exchange.erasing import erase_content
from mithaq.node.exchange.home import SYSTEM, Home, milliseconds
from mithaq.node.exchange.in_stream import Withdrawn, withdrawals
from mithaq.node.exchange.out_stream import (
    DISCLOSURE,
    OUT_BODY,
    STREAM,
    WITHDRAWAL,
    own_stream,
)
from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.exchange.taking_back import entries_of_erased
from mithaq.node.exchange.withdrawing import ERASURE, OVER, ask_for_receipts
from mithaq.node.tables import RecordStatus
from mithaq.store.audit_entry import AuditEntry, Operation, RecordRef, cut_in_entries
from mithaq.store.engine import bulk_insert
from mithaq.store.parts import in_parts

# Why it is done: the outcome in the audit log, and what the outbox's own entry says.
RESTORED: Final = "restored"
_ACTOR: Final = SYSTEM._replace(justification="withdrawn in the time that a backup lost")
OWED_AT_ONCE_MAX: Final = 256


class _Place(NamedTuple):
    """Where a record of the backup stands under a first PUT that was taken back."""

    target: int
    sequence: int
    item_id: str
    alert_id: str
    version: int


def carry_out(
    connection: sa.Connection,
    home: Home,
    log_no: int,
    runs: Iterable[Run],
    state: StreamState,
    *,
    at: datetime,
) -> bool:
    """Do here what a completed tail says was done; return whether anything was erased.

    `runs` are the tail, `state` is the stream after it.
    """
    _forget_secrets(connection, log_no, before=state.epoch)
    withdrawn = list(withdrawals(runs))
    if not withdrawn:
        return False
    carried = _carried(connection, log_no, {each.target for each in withdrawn})
    _note(connection, log_no, withdrawn)
    _forget_bodies(connection, log_no, [each.sequence for each in carried])
    targets = {
        each.target for each in withdrawn if each.terms.scope is WithdrawScope.RECORD
    }.intersection(each.target for each in carried)
    _ask(connection, home, log_no, targets, at=at)
    items = {each.item_id for each in carried if each.target in targets}
    gone = _standing(connection, items)
    erase_content(connection, home, [row.record_no for row in gone], status=RecordStatus.WITHDRAWN)
    _supersede(connection, {each.item_id for each in carried} - items)
    entries = _entries(home, state.stream_id, withdrawn, carried, at=at)
    if gone:
        size = home.registry.size
        entries += entries_of_erased(gone, size, outcome=RESTORED, at=at)
    home.audit.append(connection, entries)
    return bool(carried)


def _forget_secrets(connection: sa.Connection, log_no: int, *, before: int) -> None:
    """Destroy the secrets of epochs that ended in the lost time (PROTOCOL 4.7).

    Nothing more is sealed under them, and the one that followed is not in the backup.
    """
    connection.execute(
        sa.update(EPOCH)
        .where(EPOCH.c.log_no == log_no, EPOCH.c.epoch < before, EPOCH.c.secret.is_not(None))
        .values(secret=None)
    )


def _carried(connection: sa.Connection, log_no: int, targets: Iterable[int]) -> list[_Place]:
    """Return what the backup has under these first PUTs; of what it never had, nothing."""
    columns = (
        DISCLOSURE.c.first_sequence,
        DISCLOSURE.c.sequence,
        RECORD.c.item_id,
        RECORD.c.alert_id,
        RECORD.c.version,
    )
    return [
        _Place(*row)
        for part in in_parts(sorted(targets))
        for row in connection.execute(
            sa.select(*columns)
            .join(RECORD, RECORD.c.record_no == DISCLOSURE.c.record_no)
            .where(DISCLOSURE.c.log_no == log_no, DISCLOSURE.c.first_sequence.in_(part))
            .order_by(DISCLOSURE.c.sequence)
        )
    ]


def _note(connection: sa.Connection, log_no: int, withdrawn: Sequence[Withdrawn]) -> None:
    """Remember that these disclosures are no longer live, even where they are unknown here."""
    bulk_insert(
        connection,
        WITHDRAWAL,
        [
            {
                "log_no": log_no,
                "target": each.target,
                "sequence": each.sequence,
                "scope": int(each.terms.scope or WithdrawScope.DISCLOSURE),
                "reason": int(each.terms.reason or 0),
                # The minute in which it was signed.
                "at_ms": milliseconds(each.terms.created_at),
            }
            for each in withdrawn
        ],
    )


def _forget_bodies(connection: sa.Connection, log_no: int, sequences: Sequence[int]) -> None:
    # The hub has what stands below a head that it shows (PROTOCOL 5.9).
    for part in in_parts(sequences):
        connection.execute(
            sa.delete(OUT_BODY).where(OUT_BODY.c.log_no == log_no, OUT_BODY.c.sequence.in_(part))
        )


def _ask(
    connection: sa.Connection, home: Home, log_no: int, targets: Iterable[int], *, at: datetime
) -> None:
    """Note who owes a receipt of erasure; the time runs anew.

    Receipts that had come were lost with their stream's tail, and are sent again (ADR 0018).
    """
    row = connection.execute(sa.select(STREAM).where(STREAM.c.log_no == log_no)).one()
    stream = own_stream(row)
    asked = set(
        connection.scalars(
            sa.select(ERASURE.c.sequence).where(ERASURE.c.log_no == log_no).distinct()
        )
    )
    for target in sorted(set(targets) - asked):
        ask_for_receipts(connection, home, LiveDisclosure(stream, target), at=at)


def _standing(connection: sa.Connection, items: Iterable[str]) -> list[Any]:
    """Return the rows of own alerts that are not over yet, all versions."""
    return [
        row
        for part in in_parts(sorted(items))
        for row in connection.execute(
            sa.select(RECORD.c.record_no, RECORD.c.alert_id, RECORD.c.version)
            .where(RECORD.c.item_id.in_(part), RECORD.c.own.is_(True))
            .where(RECORD.c.status.not_in([str(each) for each in sorted(OVER)]))
            .order_by(RECORD.c.record_no)
        )
    ]


def _supersede(connection: sa.Connection, items: Iterable[str]) -> None:
    """Note that a version which is not here took the place of what stands nowhere any more.

    A WITHDRAW of scope DISCLOSURE is signed with a next version alone. Where that went is not
    known, nor whether it was taken back: what the backup has is told to nobody any more.
    """
    own = sa.select(RECORD.c.item_id, RECORD.c.record_no).where(
        RECORD.c.own.is_(True), RECORD.c.kind == ALERT
    )
    versions: dict[str, list[int]] = {}
    for part in in_parts(sorted(items)):
        for item_id, record_no in connection.execute(own.where(RECORD.c.item_id.in_(part))):
            versions.setdefault(item_id, []).append(record_no)
    for numbers in versions.values():
        if not live_disclosures(connection, numbers):
            connection.execute(
                sa.update(RECORD)
                .where(RECORD.c.record_no.in_(numbers))
                .where(RECORD.c.status == str(RecordStatus.LIVE))
                .values(status=str(RecordStatus.SUPERSEDED))
            )


def _entries(
    home: Home,
    stream_id: bytes,
    withdrawn: Sequence[Withdrawn],
    carried: Iterable[_Place],
    *,
    at: datetime,
) -> list[AuditEntry]:
    """Return the entries that name each WITHDRAW, with its alert where the backup has it."""
    # The highest version comes last and stands.
    known = {each.target: (each.alert_id, each.version) for each in carried}
    records = [
        RecordRef(*known.get(each.target, ("", 0)), stream_id, each.sequence) for each in withdrawn
    ]
    return [
        AuditEntry(
            at,
            "node",
            "system",
            Operation.ALTER,
            outcome=RESTORED,
            registry_size=home.registry.size,
            records=tuple(each),
            result_count=len(each),
        )
        for each in cut_in_entries(records)
    ]


def owed_withdrawals(connection: sa.Connection) -> list[WithdrawItem]:
    """Return acts for alerts that one stream has taken back and others carry still.

    Issuers withdraw every live disclosure of a record in one transaction (PROTOCOL 3.6):
    only where the hub had not accepted all of it does a backup come back with a part.
    """
    taken, standing = RECORD.alias("taken"), RECORD.alias("standing")
    elsewhere, named = DISCLOSURE.alias("elsewhere"), WITHDRAWAL.alias("named")
    rows = connection.execute(
        sa.select(standing.c.alert_id, sa.func.min(WITHDRAWAL.c.reason).label("reason"))
        .select_from(WITHDRAWAL)
        .join(STREAM, sa.and_(STREAM.c.log_no == WITHDRAWAL.c.log_no, STREAM.c.own.is_(True)))
        .join(
            DISCLOSURE,
            sa.and_(
                DISCLOSURE.c.log_no == WITHDRAWAL.c.log_no,
                DISCLOSURE.c.first_sequence == WITHDRAWAL.c.target,
            ),
        )
        .join(taken, taken.c.record_no == DISCLOSURE.c.record_no)
        .join(standing, sa.and_(standing.c.item_id == taken.c.item_id, standing.c.own.is_(True)))
        .join(elsewhere, elsewhere.c.record_no == standing.c.record_no)
        .where(WITHDRAWAL.c.scope == int(WithdrawScope.RECORD), standing.c.kind == ALERT)
        .where(standing.c.status == str(RecordStatus.WITHDRAWN))
        .where(
            ~sa.exists().where(
                named.c.log_no == elsewhere.c.log_no, named.c.target == elsewhere.c.first_sequence
            )
        )
        .group_by(standing.c.alert_id)
        .order_by(standing.c.alert_id)
        .limit(OWED_AT_ONCE_MAX)
    )
    return [WithdrawItem(row.alert_id, WithdrawReason(row.reason), _ACTOR) for row in rows]
