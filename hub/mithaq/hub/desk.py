"""What waits for the registrar: submitted entries and requests to be enrolled.

The hub keeps them until the registrar says that it has them in its own store; it judges
neither. The rules: what waits is bounded, for all and for each member; a decision is kept
for whoever asked; and the hub can answer but never decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa

from mithaq.hub.config import HubLimits
from mithaq.hub.errors import EnrolmentUnknownError, OverloadedError
from mithaq.hub.journal import Journal
from mithaq.hub.news import News
from mithaq.hub.tables import ENROLMENT, SUBMISSION, VERIFIED
from mithaq.hub.upsert import insert_into, replacing
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.store.engine import Database
from mithaq.v1 import exchange_pb2

SUBMISSIONS_PER_ANSWER_MAX = 256
ANSWER_BYTES_MAX = 2 * 1024 * 1024
DECISIONS_KEPT = timedelta(days=30)
# One number for two tables: entries are even, enrolments odd.
_KINDS = 2


@dataclass(slots=True)
class RegistrarDesk:
    """Keeps what nodes and newcomers hand in, and what the registrar answers."""

    database: Database
    journal: Journal
    limits: HubLimits
    # Rung when something new waits, or a node has verified more.
    news: News = field(default_factory=News)
    verified: dict[str, int] = field(default_factory=dict[str, int])

    def load(self, connection: sa.Connection) -> None:
        """Learn who has verified how much, from the database."""
        rows = connection.execute(sa.select(VERIFIED.c.member, VERIFIED.c.size))
        self.verified.update((row.member, row.size) for row in rows)

    async def submit(
        self, entry: bytes, *, body_hash: bytes, member: str, audited: AuditEntry
    ) -> None:
        """Keep a registry entry for the registrar; the same body is kept once.

        Raise OverloadedError if too much waits.
        """

        def keep(connection: sa.Connection) -> None:
            known = sa.select(SUBMISSION.c.serial).where(SUBMISSION.c.body_hash == body_hash)
            row = {
                "body_hash": body_hash,
                "submitter": member,
                "entry": entry,
                "received_at": int(self.journal.clock().timestamp()),
            }
            if connection.scalar(known) is not None:
                # With more signatures, perhaps: the newest one counts.
                connection.execute(
                    sa.update(SUBMISSION).where(SUBMISSION.c.body_hash == body_hash).values(row)
                )
                return
            self._check_room(connection, member)
            connection.execute(sa.insert(SUBMISSION).values(row))
            self.journal.write(connection, [audited])

        await self.database.write(keep)
        self.news.ring()

    async def request_enrolment(self, request: bytes, *, request_hash: bytes, member: str) -> None:
        """Keep a request to be enrolled, or for a certificate; the same one is kept once.

        `member` is empty where the hub asks for itself.

        Raise OverloadedError if too many wait for the registrar to take them.
        """

        def keep(connection: sa.Connection) -> None:
            known = sa.select(ENROLMENT.c.serial).where(ENROLMENT.c.request_hash == request_hash)
            if connection.scalar(known) is not None:
                return
            # What it has taken waits for administrators, who may take weeks; there it is
            # bounded by invitations and members.
            waiting = sa.select(sa.func.count()).where(ENROLMENT.c.taken.is_(False))
            if (connection.scalar(waiting) or 0) >= self.limits.enrolments_max:
                raise OverloadedError("too many requests to be enrolled wait")
            connection.execute(
                sa.insert(ENROLMENT).values(
                    request_hash=request_hash,
                    request=request,
                    received_at=int(self.journal.clock().timestamp()),
                    taken=False,
                    decision=b"",
                )
            )
            entry = self.journal.entry(
                Operation.ADMINISTER,
                subject="enrolment requested",
                counterparts=[member] if member else [],
            )
            self.journal.write(connection, [entry])

        await self.database.write(keep)
        self.news.ring()

    async def knows(self, request_hash: bytes) -> bool:
        """Tell whether this request waits here or was decided."""
        wanted = sa.select(ENROLMENT.c.serial).where(ENROLMENT.c.request_hash == request_hash)
        return await self.database.read(lambda each: each.scalar(wanted)) is not None

    async def decision(self, request_hash: bytes) -> exchange_pb2.EnrolmentDecision | None:
        """Return what became of a request, None while it waits; raise EnrolmentUnknownError."""
        wanted = sa.select(ENROLMENT.c.decision).where(ENROLMENT.c.request_hash == request_hash)
        decision = await self.database.read(lambda each: each.scalar(wanted))
        if decision is None:
            raise EnrolmentUnknownError("nobody asked with this hash")
        return exchange_pb2.EnrolmentDecision.FromString(decision) if decision else None

    async def waiting(self) -> list[exchange_pb2.Submission]:
        """Return what waits for the registrar, oldest first, as much as fits one answer."""

        def look(connection: sa.Connection) -> list[exchange_pb2.Submission]:
            entries = connection.execute(
                sa.select(SUBMISSION.c.serial, SUBMISSION.c.entry)
                .order_by(SUBMISSION.c.serial)
                .limit(SUBMISSIONS_PER_ANSWER_MAX)
            )
            found = [
                exchange_pb2.Submission(number=_KINDS * row.serial, entry=row.entry)
                for row in entries
            ]
            enrolments = connection.execute(
                sa.select(ENROLMENT.c.serial, ENROLMENT.c.request)
                .where(ENROLMENT.c.taken.is_(False))
                .order_by(ENROLMENT.c.serial)
                .limit(SUBMISSIONS_PER_ANSWER_MAX)
            )
            found += [
                exchange_pb2.Submission(number=_KINDS * row.serial + 1, enrolment=row.request)
                for row in enrolments
            ]
            return _fitting(found)

        return await self.database.read(look)

    async def settle(
        self, taken: Sequence[int], decisions: Sequence[exchange_pb2.EnrolmentDecision]
    ) -> None:
        """Note what the registrar has taken over and what it has decided."""
        if not taken and not decisions:
            return

        def settle(connection: sa.Connection) -> None:
            entries = [number // _KINDS for number in taken if number % _KINDS == 0]
            enrolments = [number // _KINDS for number in taken if number % _KINDS]
            if entries:
                connection.execute(sa.delete(SUBMISSION).where(SUBMISSION.c.serial.in_(entries)))
            if enrolments:
                connection.execute(
                    sa.update(ENROLMENT)
                    .where(ENROLMENT.c.serial.in_(enrolments))
                    .values(taken=True)
                )
            for decision in decisions:
                connection.execute(
                    sa.update(ENROLMENT)
                    .where(ENROLMENT.c.request_hash == decision.request_hash)
                    .values(decision=decision.SerializeToString(deterministic=True), taken=True)
                )
            if decisions:
                self.journal.write(connection, [self._decided(each) for each in decisions])

        await self.database.write(settle)

    async def note_verified(self, member: str, size: int) -> None:
        """Keep how far a node says that it has verified; a smaller size changes nothing.

        More than the hub has is not ours to confirm.
        """
        size = min(size, self.journal.registry_size())
        if size <= self.verified.get(member, 0):
            return
        self.verified[member] = size

        def keep(connection: sa.Connection) -> None:
            insert = replacing(insert_into(connection, VERIFIED), VERIFIED)
            connection.execute(insert, {"member": member, "size": size})

        await self.database.write(keep)
        self.news.ring()

    def forget_decided(self, connection: sa.Connection) -> None:
        """Delete requests that were decided long ago."""
        before = int((self.journal.clock() - DECISIONS_KEPT).timestamp())
        connection.execute(
            sa.delete(ENROLMENT).where(
                sa.func.length(ENROLMENT.c.decision) > 0, ENROLMENT.c.received_at < before
            )
        )

    def _check_room(self, connection: sa.Connection, member: str) -> None:
        count = sa.select(sa.func.count()).select_from(SUBMISSION)
        own = count.where(SUBMISSION.c.submitter == member)
        if (connection.scalar(count) or 0) >= self.limits.submissions_max or (
            connection.scalar(own) or 0
        ) >= self.limits.submissions_per_member_max:
            raise OverloadedError("too many submissions wait for the registrar")

    def _decided(self, decision: exchange_pb2.EnrolmentDecision) -> AuditEntry:
        return self.journal.entry(
            Operation.ADMINISTER,
            outcome="done" if decision.approved else decision.reason or "MQ-ENROL-REFUSED",
            subject="enrolment decided",
        )


def _fitting(found: Sequence[exchange_pb2.Submission]) -> list[exchange_pb2.Submission]:
    """Return the first submissions that fit one answer."""
    weight = 0
    for count, each in enumerate(found[:SUBMISSIONS_PER_ANSWER_MAX]):
        weight += each.ByteSize()
        if weight > ANSWER_BYTES_MAX and count:
            return list(found[:count])
    return list(found[:SUBMISSIONS_PER_ANSWER_MAX])
