"""The operator's view of the hub: sizes, receipts, alarms, and roots computed anew.

For the loopback interface alone, behind certificates of the hub's own authority. It tells
nothing that the hub couldn't read in its own tables, for it can read no more.
"""

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.certs.participants import Member
from mithaq.hub.context import Context, HubContext
from mithaq.hub.directory import HeldStream
from mithaq.hub.errors import StreamUnknownError
from mithaq.hub.receipts import HELD, OPENED
from mithaq.hub.tables import ENROLMENT, EVIDENCE, SUBMISSION
from mithaq.store.log_store import recompute_root
from mithaq.v1 import hub_pb2, hub_pb2_grpc

ALARMS_SHOWN_MAX = 256
STREAMS_SHOWN_MAX = 4096
REGISTRAR = "registrar"


class HubServicer(hub_pb2_grpc.HubServiceServicer):
    """Serves HubService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub
        self._started_at = hub.clock()

    async def GetHubStatus(  # noqa: N802 - gRPC's name
        self, request: hub_pb2.GetHubStatusRequest, context: Context
    ) -> hub_pb2.GetHubStatusResponse:
        """Tell how the hub is."""
        del request, context
        registry = self._hub.registry
        waiting, alarms = await self._hub.database.read(
            lambda each: (_waiting(each), _alarms(each))
        )
        return hub_pb2.GetHubStatusResponse(
            federation=self._hub.federation,
            registry_size=registry.size,
            registry_time_ms=int(registry.time.timestamp() * 1000) if registry.time else 0,
            registry_fresh=self._is_fresh(),
            streams=[self._stream(each) for each in list(self._hub.directory)[:STREAMS_SHOWN_MAX]],
            peers=[self._peer(each) for each in registry.members()],
            alarms=alarms,
            entries_admitted=self._hub.metrics.admitted_total,
            entries_refused=self._hub.metrics.refused_total,
            waiting_for_registrar=waiting,
            started_at_ms=int(self._started_at.timestamp() * 1000),
        )

    async def GetHubRoots(  # noqa: N802 - gRPC's name
        self, request: hub_pb2.GetHubRootsRequest, context: Context
    ) -> hub_pb2.GetHubRootsResponse:
        """Recompute the roots of streams from the stored entries."""
        del context
        streams = list(self._hub.directory)
        if request.stream_ids:
            found = [self._hub.directory.find(each) for each in request.stream_ids]
            if None in found:
                raise StreamUnknownError("the hub has no such stream")
            streams = [each for each in found if each is not None]
        return hub_pb2.GetHubRootsResponse(roots=[await self._root(each) for each in streams])

    async def _root(self, stream: HeldStream) -> hub_pb2.RecomputedRoot:
        root = await self._hub.database.read(lambda each: recompute_root(each, stream.log_no))
        # The directory may have moved on meanwhile; the one read first is compared.
        return hub_pb2.RecomputedRoot(
            stream_id=stream.state.stream_id,
            size=stream.state.size,
            recomputed_root=root,
            signed_root=self._hub.directory.stream(stream.log_no).state.frontier.root(),
        )

    def _is_fresh(self) -> bool:
        try:
            self._hub.registry.check_fresh(self._hub.clock())
        except TrustError:
            return False
        return True

    def _stream(self, stream: HeldStream) -> hub_pb2.HubStreamStatus:
        directory = self._hub.directory
        return hub_pb2.HubStreamStatus(
            stream_id=stream.state.stream_id,
            sender=stream.sender,
            agreement_id=stream.state.opening.agreement_id,
            audience=stream.audience,
            size=stream.state.size,
            closed=stream.closed_at is not None,
            stored_bytes=directory.stored_bytes(stream.log_no),
            readers=[
                hub_pb2.HubReaderStatus(
                    member=member,
                    held_size=directory.signed_size(stream.log_no, member, HELD),
                    opened_size=directory.signed_size(stream.log_no, member, OPENED),
                )
                for member in stream.audience
            ],
        )

    def _peer(self, member: Member) -> hub_pb2.HubPeerStatus:
        subscribed, publishing = self._hub.directory.listening(member.id)
        return hub_pb2.HubPeerStatus(
            member=member.id,
            state=member.state,
            publishing=publishing,
            subscribed=subscribed,
            following=member.id in self._hub.following,
            verified_registry_size=self._hub.desk.verified.get(member.id, 0),
        )


def _waiting(connection: sa.Connection) -> int:
    entries = connection.scalar(sa.select(sa.func.count()).select_from(SUBMISSION))
    enrolments = connection.scalar(
        sa.select(sa.func.count()).where(sa.func.length(ENROLMENT.c.decision) == 0)
    )
    return (entries or 0) + (enrolments or 0)


def _alarms(connection: sa.Connection) -> list[hub_pb2.HubAlarm]:
    rows = connection.execute(
        sa.select(EVIDENCE).order_by(EVIDENCE.c.serial.desc()).limit(ALARMS_SHOWN_MAX)
    )
    return [
        hub_pb2.HubAlarm(
            number=row.serial,
            alarm=row.alarm,
            accused=row.accused,
            stream_id=row.stream_id,
            at_ms=row.at * 1000,
            file=row.file,
        )
        for row in rows
    ]
