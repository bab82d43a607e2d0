"""The hub as a log witness: it cosigns members' audit checkpoints and shows its own.

A member adds checkpoints of its own audit logs only, and reads those and the hub's. The
rule: what is cosigned continues what was cosigned before (see ``store.witness``).
"""

import re

from mithaq.hub.context import Context, HubContext
from mithaq.hub.errors import CallerRefusedError
from mithaq.ledger.errors import ForkError
from mithaq.ledger.names import HUB, audit_origin
from mithaq.store.errors import WitnessConflictError
from mithaq.store.evidence import Evidence
from mithaq.store.witness import Continuation, Witnessed
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

CONFLICT = "Two checkpoints of one audit log, both signed by its owner, of which the second does \
not continue the first."


class WitnessServicer(exchange_pb2_grpc.WitnessServiceServicer):
    """Serves WitnessService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub

    async def AddCheckpoint(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.AddCheckpointRequest, context: Context
    ) -> exchange_pb2.AddCheckpointResponse:
        """Add a newer checkpoint of the caller's own audit log."""
        member = self._hub.member(context)
        origin = request.checkpoint.partition(b"\n")[0].decode("ascii", errors="replace")
        self._check_own(origin, member)
        offered = Continuation(request.checkpoint, request.old_size, list(request.proof))
        owner, now = self._hub.registry.member(member).log, self._hub.clock()
        try:
            # Check and keep in one transaction, which others may share (LIMITS).
            cosignature = await self._hub.committer.run_errand(
                lambda each: self._hub.witness.cosign(
                    each, offered, origin=origin, owner=owner, at=now
                )
            )
        except WitnessConflictError as conflict:
            # Not yet an accusation: the caller may only have missed our last answer.
            return exchange_pb2.AddCheckpointResponse(known_size=conflict.known_size)
        except ForkError:
            await self._accuse(origin, member, request.checkpoint)
            raise
        return exchange_pb2.AddCheckpointResponse(cosignature=cosignature.line())

    async def GetCheckpoint(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.GetCheckpointRequest, context: Context
    ) -> exchange_pb2.GetCheckpointResponse:
        """Get the last one that was cosigned; of the hub's own log the last one signed."""
        member = self._hub.member(context)
        if request.origin == audit_origin(self._hub.federation, HUB):
            head = await self._hub.database.read(self._hub.journal.log.head)
            return exchange_pb2.GetCheckpointResponse(checkpoint=head.checkpoint or b"")
        self._check_own(request.origin, member)
        seen = await self._last(request.origin)
        if seen is None:
            return exchange_pb2.GetCheckpointResponse()
        return exchange_pb2.GetCheckpointResponse(
            checkpoint=seen.note, cosignature=seen.cosignature
        )

    async def _last(self, origin: str) -> Witnessed | None:
        return await self._hub.database.read(lambda each: self._hub.witness.last(each, origin))

    async def _accuse(self, origin: str, member: str, checkpoint: bytes) -> None:
        seen = await self._last(origin)
        await self._hub.keep_evidence(
            Evidence(
                alarm="witness conflict",
                accused=member,
                at=self._hub.clock(),
                explanation=CONFLICT,
                messages={
                    "checkpoint": checkpoint,
                    "known_checkpoint": seen.note if seen else b"",
                },
                registry_size=self._hub.registry.size,
            )
        )

    def _check_own(self, origin: str, member: str) -> None:
        own = re.escape(audit_origin(self._hub.federation, member))
        if not re.fullmatch(rf"{own}(/[1-9][0-9]{{0,6}})?", origin):
            raise CallerRefusedError("a member's checkpoints are of its own audit log")
