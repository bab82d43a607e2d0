"""Who judges within one transaction: registry, agreement, quota and clock, taken once.

All batches of a transaction are judged by the same registry at the same instant. What a
clause's daily quota has left is read when it is first asked for and written once at the
end. The rule: the bench decides and counts, and touches no stream.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from mithaq.agreements.reason import Reason
from mithaq.certs.registry import Registry
from mithaq.hub.admission import Verdict, check_opening, check_registry_size, judge
from mithaq.hub.batch import PublishedBatch
from mithaq.hub.directory import HeldStream
from mithaq.hub.tables import QUOTA
from mithaq.hub.upsert import insert_into, replacing
from mithaq.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from mithaq.ledger.kinds import EntryKind, StreamRole
from mithaq.ledger.terms import Opening, Terms

DAYS_KEPT = 7
_DAY_S = 86_400
_Row = tuple[str, str, str, int]


class QuotaBook:
    """How many records each sender has disclosed today, by agreement and clause."""

    def __init__(self, connection: sa.Connection, *, at: datetime) -> None:
        self._connection = connection
        self._day = int(at.timestamp()) // _DAY_S
        self._counts: dict[_Row, int] = {}
        self._changed: set[_Row] = set()

    def left(self, agreement_id: str, clause_id: str, sender: str, *, quota: int) -> int:
        """Return how many more records the clause lets this sender disclose today."""
        return max(0, quota - self._count((agreement_id, clause_id, sender, self._day)))

    def use(self, agreement_id: str, clause_id: str, sender: str, *, records: int) -> None:
        """Count records under a clause."""
        row = (agreement_id, clause_id, sender, self._day)
        self._counts[row] = self._count(row) + records
        self._changed.add(row)

    def write(self) -> None:
        """Keep the counts, within the transaction that admits the records."""
        for row in self._changed:
            agreement_id, clause_id, sender, day = row
            values = {
                "agreement_id": agreement_id,
                "clause_id": clause_id,
                "sender": sender,
                "day": day,
                "count": self._counts[row],
            }
            insert = replacing(insert_into(self._connection, QUOTA), QUOTA)
            self._connection.execute(insert, values)

    def _count(self, row: _Row) -> int:
        if row not in self._counts:
            agreement_id, clause_id, sender, day = row
            self._counts[row] = (
                self._connection.scalar(
                    sa.select(QUOTA.c.count).where(
                        QUOTA.c.agreement_id == agreement_id,
                        QUOTA.c.clause_id == clause_id,
                        QUOTA.c.sender == sender,
                        QUOTA.c.day == day,
                    )
                )
                or 0
            )
        return self._counts[row]


def forget_old_quotas(connection: sa.Connection, *, at: datetime) -> None:
    """Delete the counts of days that are long over."""
    day = int(at.timestamp()) // _DAY_S
    connection.execute(sa.delete(QUOTA).where(QUOTA.c.day < day - DAYS_KEPT))


class RegistryBench:
    """The judge of one transaction; see ``append.Bench``."""

    def __init__(self, registry: Registry, quotas: QuotaBook, *, at: datetime) -> None:
        self.registry = registry
        self.at = at
        self._quotas = quotas
        # By terms, stream and readers: registry and clock are the transaction's own.
        self._verdicts: dict[tuple[int, bytes, tuple[str, ...]], tuple[Terms, Verdict]] = {}

    def check_opening(self, terms: Terms, opening: Opening, *, sender: str) -> None:
        """Raise OpeningRefusedError unless this stream may be opened."""
        check_registry_size(terms, self.registry)
        check_opening(terms, opening, sender=sender, registry=self.registry, at=self.at)

    def check_registry(self, terms: Terms) -> None:
        """Raise RegistryBehindError if the sender has seen more of the registry than we have."""
        check_registry_size(terms, self.registry)

    def judge(
        self, terms: Terms, sequences: Sequence[int], *, stream: HeldStream
    ) -> dict[int, str]:
        """Return the refused among entries of these terms: a stable reason by sequence."""
        opening = stream.state.opening
        verdict = self._verdict(terms, stream)
        if verdict.reason is not None:
            return dict.fromkeys(sequences, str(verdict.reason))
        # A clause's quota counts disclosures; answers to them are never held back.
        if terms.kind is not EntryKind.PUT or stream.role is StreamRole.RETURN:
            return {}
        allowed = self._within_quota(verdict.clause_ids, opening.agreement_id, stream, sequences)
        return dict.fromkeys(sequences[allowed:], str(Reason.QUOTA_USED_UP))

    def _verdict(self, terms: Terms, stream: HeldStream) -> Verdict:
        """Judge terms, once for all entries of this transaction that have them (PROTOCOL 3.4)."""
        key = id(terms), stream.state.stream_id, stream.readers
        known = self._verdicts.get(key)
        if known is None:
            opening, readers = stream.state.opening, stream.readers
            verdict = judge(
                terms, opening=opening, readers=readers, registry=self.registry, at=self.at
            )
            # With the terms themselves, which are this object for as long as they are here.
            known = self._verdicts[key] = terms, verdict
        return known[1]

    def open_note(self, batch: PublishedBatch, *, origin: str) -> SignedCheckpoint:
        """Return the batch's checkpoint once both of its sender's signatures have verified."""
        member = self.registry.member(batch.sender)
        return open_checkpoint(
            batch.checkpoint,
            origin=origin,
            ed25519_public=member.log.ed25519,
            mldsa_public=member.log.mldsa44,
        )

    def _within_quota(
        self,
        clause_ids: Sequence[str],
        agreement_id: str,
        stream: HeldStream,
        sequences: Sequence[int],
    ) -> int:
        """Count records under the clauses that permit them; return how many are admitted."""
        agreement = self.registry.agreement(agreement_id).in_force(at=self.at)
        quotas = {clause.id: clause.quota_per_day for clause in agreement.clauses}
        granting = [clause_id for clause_id in clause_ids if clause_id in quotas]
        # A clause without a quota permits without counting.
        if not all(quotas[clause_id] for clause_id in granting):
            return len(sequences)
        roomiest = max(
            granting,
            key=lambda each: self._quotas.left(
                agreement_id, each, stream.sender, quota=quotas[each]
            ),
        )
        left = self._quotas.left(agreement_id, roomiest, stream.sender, quota=quotas[roomiest])
        admitted = min(left, len(sequences))
        if admitted:
            self._quotas.use(agreement_id, roomiest, stream.sender, records=admitted)
        return admitted
