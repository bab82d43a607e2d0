"""The hub's own audit log: what the hub refused, relayed of the registry, cut, was told to do.

Disclosures aren't in it: the streams prove them at both ends. What belongs to a transaction
is written in it; what doesn't (a refused call, a cut connection) waits here, bounded, and is
written within a second. The rule: members, streams, codes and sizes, and nothing else.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from mithaq.certs.keys import SigningPair
from mithaq.hub.refusals import Refusal
from mithaq.ledger.stream import StreamState
from mithaq.service.errors import fault_of
from mithaq.store.audit import AuditLog
from mithaq.store.audit_entry import (
    DONE,
    RECORDS_PER_ENTRY_MAX,
    AuditEntry,
    Decision,
    Operation,
    RecordRef,
)
from mithaq.store.engine import after_commit

ACTOR = "hub"
ROLE = "relay"
WAITING_MAX = 4096
REFUSED = "MQ-HUB-REFUSED"


@dataclass(slots=True)
class Journal:
    """Writes the hub's audit log and signs it."""

    log: AuditLog
    clock: Callable[[], datetime]
    registry_size: Callable[[], int]
    _waiting: deque[AuditEntry] = field(default_factory=lambda: deque(maxlen=WAITING_MAX))

    def entry(
        self,
        operation: Operation,
        *,
        outcome: str = DONE,
        subject: str = "",
        counterparts: Sequence[str] = (),
        records: Sequence[RecordRef] = (),
        agreement_id: str = "",
    ) -> AuditEntry:
        """Return an entry of the hub's own doing, now."""
        return AuditEntry(
            at=self.clock(),
            actor=ACTOR,
            role=ROLE,
            operation=operation,
            outcome=outcome,
            subject=subject,
            counterparts=tuple(counterparts),
            records=tuple(records),
            agreement_id=agreement_id,
            registry_size=self.registry_size(),
        )

    def note(self, entry: AuditEntry) -> None:
        """Keep an entry for the next writing; to be used where no transaction is open.

        Raise AuditFormatError here, where its maker is, and not when it is written.
        """
        entry.to_bytes()
        self._waiting.append(entry)

    def refused(self, error: BaseException, *, member: str) -> None:
        """Keep that a member was refused something outright."""
        alarm = getattr(error, "alarm", None)
        self.note(
            self.entry(
                Operation.ALARM if isinstance(alarm, str) else Operation.REFUSE,
                outcome=fault_of(error).code,
                subject=alarm if isinstance(alarm, str) else "",
                counterparts=[member],
            )
        )

    def refusal(self, stream: StreamState, refused: Sequence[Refusal]) -> AuditEntry:
        """Return the entry for the refused among a batch's entries."""
        return self.entry(
            Operation.REFUSE,
            outcome=REFUSED,
            counterparts=[stream.opening.sender],
            agreement_id=stream.opening.agreement_id,
            records=[
                RecordRef(
                    stream_id=stream.stream_id,
                    sequence=each.sequence,
                    decision=Decision(allowed=False, reason=each.reason),
                )
                for each in refused
            ],
        )

    def erasures(self, stream: StreamState, sequences: Sequence[int]) -> list[AuditEntry]:
        """Return the entries for bodies that withdrawals erased."""
        return [
            self.entry(
                Operation.ERASE,
                counterparts=[stream.opening.sender],
                agreement_id=stream.opening.agreement_id,
                records=[
                    RecordRef(stream_id=stream.stream_id, sequence=each)
                    for each in sequences[start : start + RECORDS_PER_ENTRY_MAX]
                ],
            )
            for start in range(0, len(sequences), RECORDS_PER_ENTRY_MAX)
        ]

    def write(self, connection: sa.Connection, entries: Sequence[AuditEntry] = ()) -> None:
        """Append entries, and what waits, in the caller's transaction."""
        waiting = list(self._waiting)
        self.log.append(connection, [*waiting, *entries])

        def forget() -> None:
            for entry in waiting:
                if self._waiting and self._waiting[0] is entry:
                    self._waiting.popleft()

        # Not before: a transaction that fails has written nothing.
        after_commit(connection, forget)

    @property
    def has_waiting(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    def has_grown(self, connection: sa.Connection) -> bool:
        """Tell whether the log is longer than its newest checkpoint."""
        head = self.log.head(connection)
        return head.checkpoint is None or _size_of(head.checkpoint) != head.size

    def sign(self, connection: sa.Connection, *, keys: SigningPair) -> None:
        """Sign the log, in a transaction of its own: only what is durable (PROTOCOL 1.5)."""
        self.log.checkpoint(connection, signer=keys, at=self.clock())


def _size_of(checkpoint: bytes) -> int:
    # Our own note, as we wrote it: origin, size, root.
    return int(checkpoint.split(b"\n", 2)[1])
