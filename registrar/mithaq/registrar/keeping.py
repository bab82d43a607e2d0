"""The registrar's state on disk: a step is one transaction, and is read back whole.

The leaf, the rows and what was settled stand or fall together; nothing is signed
before this has committed (PROTOCOL 1.5).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from mithaq.certs.enrolment import InvitationRecord
from mithaq.certs.entries import SignedEntry
from mithaq.certs.registrar_state import (
    Decision,
    PendingItem,
    PendingKind,
    RegistrarState,
    Step,
)
from mithaq.certs.registry import Registry
from mithaq.ledger.tree import leaf_hash
from mithaq.registrar.tables import DECISION, INVITATION, NOTE, PENDING
from mithaq.store import log_store


def start_log(connection: sa.Connection, *, origin: str, genesis: bytes) -> None:
    """Write the first entry, where the log is not there yet."""
    if log_store.find_log(connection, origin) is None:
        log = log_store.create_log(connection, origin)
        append_leaf(connection, log, genesis)


def append_leaf(connection: sa.Connection, log: int, leaf: bytes) -> None:
    """Append one entry to the registry's log."""
    head = log_store.head(connection, log)
    log_store.append(connection, log, [leaf], [leaf_hash(leaf)], head.frontier)


def load_registry(connection: sa.Connection, *, origin: str, pin: bytes) -> Registry:
    """Replay the registry from the stored entries and the last signed note."""
    log = log_store.log_no(connection, origin)
    head = log_store.head(connection, log)
    leaves = log_store.read_leaves(connection, log, 0, head.size)
    registry = Registry.start(leaves[0], pin)
    for leaf in leaves[1:]:
        registry.apply(leaf)
    if head.checkpoint is not None:
        registry.observe_checkpoint(head.checkpoint)
    return registry


def read_leaves(connection: sa.Connection, *, origin: str, start: int, end: int) -> list[bytes]:
    """Return entries of the registry."""
    return log_store.read_leaves(connection, log_store.log_no(connection, origin), start, end)


def write_note(connection: sa.Connection, *, origin: str, size: int, note: bytes) -> None:
    """Keep the newest signed note, and the newest at its size."""
    log_store.set_checkpoint(connection, log_store.log_no(connection, origin), note)
    connection.execute(NOTE.delete().where(NOTE.c.size == size))
    connection.execute(NOTE.insert().values(size=size, note=note))


def next_note(connection: sa.Connection, *, after: int, entries_max: int) -> tuple[int, bytes]:
    """Return a signed size beyond `after` and its note: the largest within reach.

    Where a crash left a gap wider than `entries_max`, the first size beyond it.
    """
    beyond = sa.select(NOTE.c.size, NOTE.c.note).where(NOTE.c.size > after)
    within = beyond.where(NOTE.c.size <= after + entries_max).order_by(NOTE.c.size.desc())
    row = connection.execute(within.limit(1)).first()
    if row is None:
        row = connection.execute(beyond.order_by(NOTE.c.size).limit(1)).one()
    return row.size, row.note


def write_step(connection: sa.Connection, step: Step, *, origin: str) -> None:
    """Make one act durable."""
    if step.leaf is not None:
        append_leaf(connection, log_store.log_no(connection, origin), step.leaf)
    if step.invitation is not None:
        _write_invitation(connection, step.invitation)
    if step.pending is not None:
        _write_pending(connection, step.pending)
    if step.settled is not None:
        connection.execute(PENDING.delete().where(PENDING.c.item_id == step.settled))
    if step.decision is not None:
        _write_decision(connection, step.decision)


def _write_invitation(connection: sa.Connection, record: InvitationRecord) -> None:
    connection.execute(INVITATION.delete().where(INVITATION.c.id == record.id))
    connection.execute(
        INVITATION.insert().values(
            id=record.id,
            mac_key=record.mac_key,
            member=record.member,
            expires_at=int(record.expires_at.timestamp()),
            used_by=record.used_by,
        )
    )


def _write_pending(connection: sa.Connection, item: PendingItem) -> None:
    connection.execute(PENDING.delete().where(PENDING.c.item_id == item.id))
    connection.execute(
        PENDING.insert().values(
            item_id=item.id,
            body=item.entry.body,
            signed=item.entry.to_bytes() if item.entry.signatures else b"",
            kind=item.kind.value,
            subject=item.subject,
            received_at=int(item.received_at.timestamp()),
            request_hash=item.request_hash,
            certificate=item.certificate,
        )
    )


def _write_decision(connection: sa.Connection, decision: Decision) -> None:
    connection.execute(DECISION.delete().where(DECISION.c.request_hash == decision.request_hash))
    connection.execute(
        DECISION.insert().values(
            request_hash=decision.request_hash,
            approved=decision.approved,
            decided_at=int(decision.decided_at.timestamp()),
            certificate=decision.certificate,
            reason=decision.reason,
        )
    )


def drop_decisions(connection: sa.Connection, request_hashes: Sequence[bytes]) -> None:
    """Forget what became of some requests."""
    connection.execute(DECISION.delete().where(DECISION.c.request_hash.in_(request_hashes)))


def load_state(connection: sa.Connection) -> RegistrarState:
    """Return the rows as the registrar's state."""
    state = RegistrarState()
    for row in connection.execute(sa.select(INVITATION)):
        state.invitations[row.id] = InvitationRecord(
            row.id, row.mac_key, row.member, _instant(row.expires_at), row.used_by
        )
    for row in connection.execute(sa.select(PENDING)):
        state.pending[row.item_id] = PendingItem(
            SignedEntry.from_bytes(row.signed) if row.signed else SignedEntry(row.body, ()),
            PendingKind(row.kind),
            row.subject,
            _instant(row.received_at),
            row.request_hash,
            row.certificate,
        )
    for row in connection.execute(sa.select(DECISION)):
        state.decisions[row.request_hash] = Decision(
            row.request_hash,
            row.approved,
            _instant(row.decided_at),
            row.certificate,
            row.reason,
        )
    return state


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
