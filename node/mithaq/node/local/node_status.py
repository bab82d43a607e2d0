"""NodeService: how the node is, its roots recomputed, and who has access to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mithaq.node.exchange.home import milliseconds
from mithaq.node.local import administering
from mithaq.node.local.access import Caller
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.readmodel import recomputed, status_of
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2, local_pb2_grpc

# gRPC's context has no type that says more.
Context = Any


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """How this node stands with the hub: standing, refusal code, certificate."""

    standing: str
    turned_away: str
    expires_at: datetime
    renewing: bool


class NodeService(local_pb2_grpc.NodeServiceServicer):
    """What administrators call, and everybody who asks how the node is."""

    def __init__(self, desk: Desk, certificate: Callable[[], CertificateStatus]) -> None:
        self._desk = desk
        self._certificate = certificate

    async def GetNodeStatus(  # noqa: N802 (named by the service)
        self, request: local_pb2.GetNodeStatusRequest, context: Context
    ) -> local_pb2.GetNodeStatusResponse:
        """Return the node's status."""
        del request
        desk = self._desk
        caller = await desk.admit(context, "NodeService/GetNodeStatus")
        status = await desk.home.database.read(status_of)
        status.member = desk.home.member
        status.federation = desk.home.federation
        status.connected = desk.is_connected()
        certificate = await asyncio.to_thread(self._certificate)
        status.standing = certificate.standing
        status.turned_away = "" if status.connected else certificate.turned_away
        status.certificate_expires_at = int(certificate.expires_at.timestamp())
        status.renewing = certificate.renewing
        registry = desk.home.registry
        status.registry_size = registry.size
        status.registry_time_ms = milliseconds(registry.time) if registry.time else 0
        await self._log(caller, "node status")
        return status

    async def RecomputeRoots(  # noqa: N802
        self, request: local_pb2.RecomputeRootsRequest, context: Context
    ) -> local_pb2.RecomputeRootsResponse:
        """Recompute all streams' roots from their stored entries."""
        del request
        caller = await self._desk.admit(context, "NodeService/RecomputeRoots")
        rows = await self._desk.home.database.read(recomputed)
        await self._log(caller, "roots recomputed", len(rows))
        return local_pb2.RecomputeRootsResponse(streams=rows)

    async def AddOfficer(  # noqa: N802
        self, request: local_pb2.AddOfficerRequest, context: Context
    ) -> local_pb2.AddOfficerResponse:
        """Give a person or a system access."""
        caller = await self._desk.admit(context, "NodeService/AddOfficer")
        return await administering.add_officer(self._desk, caller, request)

    async def ListOfficers(  # noqa: N802
        self, request: local_pb2.ListOfficersRequest, context: Context
    ) -> local_pb2.ListOfficersResponse:
        """List who has or had access."""
        del request
        caller = await self._desk.admit(context, "NodeService/ListOfficers")
        return await administering.list_officers(self._desk, caller)

    async def RemoveOfficer(  # noqa: N802
        self, request: local_pb2.RemoveOfficerRequest, context: Context
    ) -> local_pb2.RemoveOfficerResponse:
        """Take access away."""
        caller = await self._desk.admit(context, "NodeService/RemoveOfficer")
        await administering.remove_officer(self._desk, caller, request.user)
        return local_pb2.RemoveOfficerResponse()

    async def _log(self, caller: Caller, subject: str, count: int = 0) -> None:
        await self._desk.log(
            entry_of(
                actor_of(caller),
                Operation.CONSULT,
                at=self._desk.now(),
                certificate=caller.tls_fingerprint,
                subject=subject,
                result_count=count,
            )
        )
