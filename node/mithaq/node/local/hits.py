"""HitService: matches and hits, for people only."""

from typing import Any

from mithaq.node.local.confirming import HitDesk
from mithaq.node.local.desk import Desk
from mithaq.node.local.showing import show_hit
from mithaq.v1 import local_pb2, local_pb2_grpc

# gRPC's context has no type that says more.
Context = Any


class HitService(local_pb2_grpc.HitServiceServicer):
    """What officers call about matches and hits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._hits = HitDesk(desk)

    async def ConfirmHit(  # noqa: N802 (named by the service)
        self, request: local_pb2.ConfirmHitRequest, context: Context
    ) -> local_pb2.ConfirmHitResponse:
        """Report a hit to the alert's issuer."""
        caller = await self._desk.admit(context, "HitService/ConfirmHit")
        return await self._hits.confirm(caller, request)

    async def RejectHit(  # noqa: N802
        self, request: local_pb2.RejectHitRequest, context: Context
    ) -> local_pb2.RejectHitResponse:
        """Note that the match is somebody or something else."""
        caller = await self._desk.admit(context, "HitService/RejectHit")
        await self._hits.reject(caller, request)
        return local_pb2.RejectHitResponse()

    async def ListHits(  # noqa: N802
        self, request: local_pb2.ListHitsRequest, context: Context
    ) -> local_pb2.ListHitsResponse:
        """List hits and matches."""
        caller = await self._desk.admit(context, "HitService/ListHits")
        return await self._hits.listed(caller, request)

    async def ShowHit(  # noqa: N802
        self, request: local_pb2.ShowHitRequest, context: Context
    ) -> local_pb2.ShowHitResponse:
        """Show one hit report."""
        caller = await self._desk.admit(context, "HitService/ShowHit")
        return await show_hit(self._desk, caller, request)
