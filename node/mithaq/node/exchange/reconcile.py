"""Own streams as the registry now wants them: opened, continued, closed; who has joined.

PROTOCOL 3.2, 4.8. Run in the transaction after the registry has grown, and now and then,
since readers lapse by the clock alone. Streams follow from agreements and never from a
single case. The one rule: running it again changes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from mithaq.agreements.grant import not_in_force
from mithaq.agreements.streams import streams_from
from mithaq.agreements.terms import Agreement
from mithaq.certs.errors import TrustError
from mithaq.certs.participants import AgreementRecord
from mithaq.ledger.entry import StreamRole
from mithaq.node.exchange.epochs import entitled_readers
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.late_joiner import ABSENT, JOINING, PRESENT, STANDING
from mithaq.node.exchange.out_stream import (
    Batch,
    OwnStream,
    Posting,
    StreamKey,
    list_own,
    open_stream,
    post,
)

NOBODY: Final[frozenset[str]] = frozenset()


def reconcile(connection: sa.Connection, home: Home, *, at: datetime) -> list[Batch]:
    """Open, continue and close own streams; return the batches that tell the hub."""
    batches: list[Batch] = []
    for standing in home.registry.agreements():
        agreement = standing.in_force(at=at)
        if home.member not in agreement.members or home.member in standing.status.left:
            continue
        in_force = not_in_force(agreement, standing.status, at) is None
        if in_force:
            batches += _reconcile_streams(connection, home, standing, agreement, at=at)
        able = _able_readers(home, standing, agreement, at=at) if in_force else NOBODY
        _reconcile_readers(connection, home, agreement, able=able)
    return batches


def _reconcile_streams(
    connection: sa.Connection,
    home: Home,
    standing: AgreementRecord,
    agreement: Agreement,
    *,
    at: datetime,
) -> list[Batch]:
    wanted = [
        StreamKey(agreement.id, StreamRole(plan.role), plan.audience, plan.purposes)
        for plan in streams_from(agreement, sender=home.member)
    ]
    mine = list_own(connection, agreement_id=agreement.id)
    standing_open = {each.key: each for each in mine if not each.closed}
    outdated = [each for key, each in standing_open.items() if key not in set(wanted)]
    batches: list[Batch] = []
    for key in wanted:
        if key in standing_open or not _may_open(home, key):
            continue
        predecessor = _predecessor(key, outdated)
        ordinal = sum(
            (each.key.role, each.key.audience) == (key.role, key.audience) for each in mine
        )
        stream, batch = open_stream(
            connection,
            home,
            key,
            ordinal=ordinal,
            predecessor=predecessor.stream_id if predecessor else None,
            at=at,
        )
        if predecessor is not None:
            outdated.remove(predecessor)
            # Said first: readers apply a successor after its predecessor's CLOSE (3.5).
            batches += _close(
                connection, home, predecessor, standing, successor=stream.stream_id, at=at
            )
        batches.append(batch)
    for each in outdated:
        batches += _close(connection, home, each, standing, successor=None, at=at)
    return batches


def _may_open(home: Home, key: StreamKey) -> bool:
    """Tell whether everybody of an audience takes part now: the hub refuses others outright."""
    try:
        for member in key.audience:
            home.registry.active_member(member)
    except TrustError:
        return False
    return True


def _predecessor(key: StreamKey, outdated: Iterable[OwnStream]) -> OwnStream | None:
    """Return the stream that a new one continues: the largest whose readers it includes."""
    fitting = [
        each
        for each in outdated
        if each.key.role is key.role and set(each.key.audience) <= set(key.audience)
    ]
    return max(fitting, key=lambda each: len(each.key.audience), default=None)


def _close(
    connection: sa.Connection,
    home: Home,
    stream: OwnStream,
    standing: AgreementRecord,
    *,
    successor: bytes | None,
    at: datetime,
) -> Sequence[Batch]:
    posting = Posting(stream, closing=True, successor=successor)
    return post(connection, home, posting, status=standing.status, at=at).batches


def _able_readers(
    home: Home, standing: AgreementRecord, agreement: Agreement, *, at: datetime
) -> frozenset[str]:
    """Return who may read what is disclosed under an agreement in force."""
    readers = entitled_readers(
        home.registry,
        audience=agreement.members - {home.member},
        role=StreamRole.DISCLOSURE,
        status=standing.status,
        at=at,
    )
    return frozenset(each.member for each in readers)


def _reconcile_readers(
    connection: sa.Connection, home: Home, agreement: Agreement, *, able: frozenset[str]
) -> None:
    """Note who reads now, so that whoever comes or comes back is told what is still valid.

    What was sealed before a suspension is refused after it (PROTOCOL 2.5), so its end is a
    coming back, too.
    """
    known = {
        row.member: row.state
        for row in connection.execute(
            sa.select(STANDING.c.member, STANDING.c.state).where(
                STANDING.c.agreement_id == agreement.id
            )
        )
    }
    for member in sorted(agreement.members - {home.member}):
        state = _next_state(known.get(member), able=member in able, is_first=not known)
        if state == known.get(member):
            continue
        row = {"state": state, "through_record_no": 0}
        if member in known:
            connection.execute(
                sa.update(STANDING)
                .where(STANDING.c.agreement_id == agreement.id, STANDING.c.member == member)
                .values(row)
            )
        else:
            named = {"agreement_id": agreement.id, "member": member}
            connection.execute(sa.insert(STANDING), {**named, **row})


def _next_state(state: str | None, *, able: bool, is_first: bool) -> str:
    if not able:
        return ABSENT
    if state in {PRESENT, JOINING}:
        return state
    # Nothing was disclosed before the agreement stood, so nobody is late for that.
    return PRESENT if is_first else JOINING
