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
from mithaq.service.errors import fault_of
from mithaq.store.audit import AuditLog
from mithaq.store.audit_entry import DONE, AuditEntry, Decision, Operation, RecordRef

ACTOR = "hub"
ROLE = "relay"
WAITING_MAX = 4096


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

    def write(self, connection: sa.Connection, entries: Sequence[AuditEntry] = ()) -> None:
        """Append entries, and what waits, in the caller's transaction."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self.log.append(connection, [*waiting, *entries])
        except BaseException:
            self._waiting.extendleft(reversed(waiting))
            raise

    @property
    def has_waiting(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    def sign_if_grown(self, connection: sa.Connection, *, keys: SigningPair) -> bool:
        """Sign the log in a transaction of its own if it has grown; return whether it had."""
        head = self.log.head(connection)
        if head.checkpoint is not None and _size_of(head.checkpoint) == head.size:
            return False
        self.log.checkpoint(connection, signer=keys, at=self.clock())
        return True


def refused_records(stream_id: bytes, refused: Sequence[tuple[int, str]]) -> tuple[RecordRef, ...]:
    """Return refused entries as an audit entry names them."""
    return tuple(
        RecordRef(
            stream_id=stream_id,
            sequence=sequence,
            decision=Decision(allowed=False, reason=reason),
        )
        for sequence, reason in refused
    )


def _size_of(checkpoint: bytes) -> int:
    # Our own note, as we wrote it: origin, size, root.
    return int(checkpoint.split(b"\n", 2)[1])
