"""What every service of the local API works with, and what every call passes first.

A call is let in by who holds the certificate and by what that role may do, and leaves
a line in the audit log before its answer: also when it found nothing, and also when it
was refused. The rule: a service returns only what `logged` or an act of the outbox has
made durable.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

import sqlalchemy as sa

from mithaq.node.config import NodeConfig
from mithaq.node.exchange.alarms import raise_alarm
from mithaq.node.exchange.home import Actor, Home
from mithaq.node.exchange.outbox import Outbox
from mithaq.node.local.access import Caller, RoleError, check_allowed
from mithaq.node.local.acting import Act, Acts, Outcome
from mithaq.node.local.bulk import BulkReadError, BulkWatch, Look
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.officers import OfficerBook
from mithaq.service.identity import HasPeer, LiveCalls, peer_principal
from mithaq.service.local_api import LocalApi
from mithaq.store.audit_entry import DONE, AuditEntry, Operation

T = TypeVar("T")
BULK_READS: Final = "bulk reads"
SUBJECT_LENGTH_MAX: Final = 200
REFUSED_CALL: Final = "MQ-IDENTITY-ROLE"
# Hands the exact bytes of a signed entry to the hub and returns the hash of its body.
SubmitEntry = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Desk:
    """One node's own side of the local API."""

    home: Home
    config: NodeConfig
    outbox: Outbox
    acts: Acts
    submit_entry: SubmitEntry
    # Whether the exchange with the hub runs now.
    is_connected: Callable[[], bool]
    authority: LocalApi
    officers: OfficerBook
    watch: BulkWatch
    # Calls that last, to be cut when their caller's access is taken away.
    live: LiveCalls
    # Keys the hashes of search terms in the audit log.
    terms_key: bytes = field(repr=False)

    def now(self) -> datetime:
        """Return the instant by this node's clock."""
        return self.home.clock()

    async def admit(self, context: HasPeer, method: str) -> Caller:
        """Return who is calling `Service/Method`.

        Raises:
            PeerUnknownError: a certificate of nobody who has access now.
            RoleError: the role may not call it; the attempt is in the audit log.

        """
        caller = peer_principal(context, self.officers.lookup)
        try:
            check_allowed(method, caller)
        except RoleError:
            await self.log(
                entry_of(
                    actor_of(caller),
                    Operation.REFUSE,
                    at=self.now(),
                    certificate=caller.tls_fingerprint,
                    outcome=REFUSED_CALL,
                    subject=method,
                )
            )
            raise
        return caller

    async def count(self, caller: Caller, look: Look, *, actor: Actor) -> None:
        """Count a look; raise BulkReadError, with an alarm and the attempt in the audit log."""
        try:
            self.watch.count(caller, look, at=self.now())
        except BulkReadError as refusal:
            entry = entry_of(
                actor,
                Operation.REFUSE,
                at=self.now(),
                certificate=caller.tls_fingerprint,
                outcome=refusal.code,
                subject=look.value,
            )
            await self.home.database.write(lambda each: self._sound(each, caller, look, entry))
            raise

    def _sound(
        self, connection: sa.Connection, caller: Caller, look: Look, entry: AuditEntry
    ) -> None:
        """Raise the alarm once an hour for a certificate, and log the refused look."""
        self.home.audit.append(connection, [entry])
        # The subject stands in logs as well, so it is the certificate and not the name.
        mark = caller.tls_fingerprint.hex()[:16]
        subject = f"{mark}/{look}/{entry.at:%Y-%m-%dT%H}"
        raise_alarm(
            connection,
            self.home,
            BULK_READS,
            subject=subject[:SUBJECT_LENGTH_MAX],
            evidence={"refusal": entry.to_bytes()},
        )

    async def log(self, entry: AuditEntry) -> None:
        """Write the audit entry of an act that changes nothing else."""
        await self.acts.run(lambda _connection: (Outcome(entry), None))

    async def act(self, act: Act[T]) -> T:
        """Run an act and its audit entry in one transaction; then return what it found.

        A refusal is logged as well: it is raised after the commit, never inside it.
        """
        return await self.acts.run(act)


def entry_of(
    actor: Actor,
    operation: Operation,
    *,
    at: datetime,
    certificate: bytes = b"",
    outcome: str = DONE,
    subject: str = "",
    result_count: int = 0,
    registry_size: int = 0,
) -> AuditEntry:
    """Return the audit entry of an act that is about no single record."""
    return AuditEntry(
        at=at,
        actor=actor.user,
        role=actor.role,
        operation=operation,
        outcome=outcome,
        purpose=actor.purpose,
        legal_basis=actor.legal_basis,
        case_reference=actor.case_reference,
        justification=actor.justification,
        certificate=certificate,
        subject=subject[:SUBJECT_LENGTH_MAX],
        result_count=result_count,
        registry_size=registry_size,
    )
