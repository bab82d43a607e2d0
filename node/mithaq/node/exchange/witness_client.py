"""The audit log, shown to a log witness as soon as it grew.

PROTOCOL 1.5, DESIGN 8. Each checkpoint goes to the hub at most a second after the log
grew, with the proof that it continues the last one that the hub cosigned. The one rule: a
log that is shorter than it was witnessed is never continued under its old name.
"""

from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.names import HUB
from mithaq.ledger.proof import consistency_proof
from mithaq.node.exchange.alarms import (
    AUDIT_SHORTER,
    CLOCK_SKEW,
    WITNESS_CONFLICT,
    raise_alarm,
)
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.tables import WitnessedRow
from mithaq.service.logging import declare, logger
from mithaq.store import log_store
from mithaq.store.audit import AuditLog
from mithaq.store.errors import AuditShortenedError
from mithaq.store.tables import table_of
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

WITNESSED: Final = table_of(WitnessedRow)
DEADLINE_S: Final = 30.0
REFUSED: Final = declare("witness cosignature refused", "code")


@dataclass(slots=True)
class WitnessClient:
    """Shows this node's audit log to the hub, and keeps what it cosigns."""

    home: Home
    # What the hub cosigned last, as far as this process knows.
    known_size: int = 0
    _origin: str = field(default="")

    async def begin(self, stub: "exchange_pb2_grpc.WitnessServiceAsyncStub") -> None:
        """Learn what was witnessed last; continue under the next name after a loss."""
        origin = self.home.audit.origin
        request = exchange_pb2.GetCheckpointRequest(origin=origin)
        answer = await stub.GetCheckpoint(request, timeout=DEADLINE_S)
        self._origin, self.known_size = origin, 0
        if not answer.checkpoint:
            return
        try:
            seen = open_checkpoint(
                answer.checkpoint,
                origin=origin,
                ed25519_public=self.home.log.ed25519.public,
                mldsa_public=self.home.log.mldsa.public,
            ).checkpoint
        except LedgerError as fault:
            # Not signed by us: the witness's word alone is nothing.
            logger().warning(REFUSED, code=fault.code)
            return
        self.known_size = seen.size
        self.home.audit = await self.home.database.write(
            lambda each: self._continued(each, seen, answer.checkpoint)
        )
        if self.home.audit.origin != origin:
            await self.begin(stub)

    def _continued(self, connection: sa.Connection, seen: Checkpoint, note: bytes) -> AuditLog:
        """Return the log to go on with: this one, or the next if it was cut short."""
        log = self.home.audit
        try:
            log.check_continues(connection, seen)
        except AuditShortenedError:
            following = log.continue_after_loss(
                connection, seen, at=self.home.clock(), actor="node"
            )
            self.home.audit = following
            raise_alarm(
                connection,
                self.home,
                AUDIT_SHORTER,
                subject=log.origin,
                evidence={"witnessed_checkpoint": note, "kept_size": log.head(connection).size},
            )
            return following
        return log

    async def show(self, stub: "exchange_pb2_grpc.WitnessServiceAsyncStub") -> bool:
        """Show the log if it has grown; return whether it had."""
        # Signed in a transaction of its own: only what is durable is signed.
        grown = await self.home.database.read(self._has_grown)
        if not grown:
            return False
        request = await self.home.database.write(self._request)
        answer = await stub.AddCheckpoint(request, timeout=DEADLINE_S)
        if answer.cosignature:
            await self.home.database.write(lambda each: self._keep(each, request, answer))
        elif answer.known_size != self.known_size:
            # It has seen more, or less, than we remember: compare anew.
            await self.begin(stub)
        return True

    def _has_grown(self, connection: sa.Connection) -> bool:
        audit = self.home.audit
        size = audit.head(connection).size
        return size > (self.known_size if audit.origin == self._origin else 0)

    def _request(self, connection: sa.Connection) -> exchange_pb2.AddCheckpointRequest:
        audit = self.home.audit
        if audit.origin != self._origin:
            self._origin, self.known_size = audit.origin, 0
        note = audit.checkpoint(connection, signer=self.home.log, at=self.home.clock())
        size = audit.head(connection).size
        tiles = log_store.StoredTiles(connection, audit.log)
        proof = consistency_proof(tiles, self.known_size, size) if self.known_size else []
        return exchange_pb2.AddCheckpointRequest(
            old_size=self.known_size, proof=proof, checkpoint=note
        )

    def _keep(
        self,
        connection: sa.Connection,
        request: exchange_pb2.AddCheckpointRequest,
        answer: exchange_pb2.AddCheckpointResponse,
    ) -> None:
        home, origin = self.home, self._origin
        checkpoint = open_checkpoint(
            request.checkpoint,
            origin=origin,
            ed25519_public=home.log.ed25519.public,
            mldsa_public=home.log.mldsa.public,
        ).checkpoint
        try:
            cosignature = Cosignature.parse(answer.cosignature)
            verify_cosignature(
                cosignature,
                checkpoint,
                name=cosigner_name(home.federation, Role.HUB, HUB),
                public_key=home.registry.hub.cosign_ed25519,
                algorithm=KeyType.ED25519_COSIGNATURE,
            )
        except LedgerError as fault:
            raise_alarm(
                connection,
                home,
                WITNESS_CONFLICT,
                subject=f"{origin}/{checkpoint.size}",
                evidence={"checkpoint": request.checkpoint, "answer": answer.cosignature},
                accused=HUB,
            )
            logger().warning(REFUSED, code=fault.code)
            return
        self.known_size = checkpoint.size
        self._check_clock(connection, request.checkpoint, cosignature)
        row = {
            "size": checkpoint.size,
            "at_ms": milliseconds(cosignature.at),
            "checkpoint": request.checkpoint,
            "cosignature": answer.cosignature,
        }
        changed = connection.execute(
            sa.update(WITNESSED)
            .where(WITNESSED.c.origin == origin, WITNESSED.c.witness == HUB)
            .values(row)
        ).rowcount
        if not changed:
            connection.execute(sa.insert(WITNESSED), {"origin": origin, "witness": HUB, **row})

    def _check_clock(
        self, connection: sa.Connection, checkpoint: bytes, cosignature: Cosignature
    ) -> None:
        """Raise `clock skew` where our clock and the hub's lie apart, whichever is ahead (5.8).

        What was shown was signed a moment ago, and cosigned after it.
        """
        home = self.home
        if abs(cosignature.at - home.clock()) > home.registry.policy.clock_skew_limit:
            raise_alarm(
                connection,
                home,
                CLOCK_SKEW,
                subject=cosignature.name,
                evidence={
                    "checkpoint": checkpoint,
                    "cosignature": cosignature.line(),
                    "own_clock": home.clock().isoformat(),
                },
            )
