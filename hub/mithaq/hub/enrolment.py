"""What an agency without a certificate calls: read the registry, ask to join, ask again.

The one service that strangers reach, on a listener of its own, so everything is bounded:
calls by a rate for all strangers together, requests by their size and number. The hub passes
a request on and decides nothing; it can't even forge one, for it lacks the invitation's secret.
"""

from mithaq.certs.enrolment import parse_enrolment_request
from mithaq.hub.context import Context, HubContext
from mithaq.hub.errors import EnrolmentRefusedError, OverloadedError
from mithaq.hub.rate import Rate
from mithaq.hub.registry_service import follow_message
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc


class EnrolmentServicer(exchange_pb2_grpc.EnrolmentServiceServicer):
    """Serves EnrolmentService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub
        self._requests = Rate(per_minute=hub.limits.enrolments_per_minute_max)
        self._reads = Rate(per_minute=hub.limits.registry_reads_per_minute_max)

    async def FetchRegistry(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.FetchRegistryRequest, context: Context
    ) -> exchange_pb2.FetchRegistryResponse:
        """Fetch the registry, to check the pinned root."""
        del context
        self._check(self._reads)
        piece = await self._hub.relay.piece(request.first_index)
        return exchange_pb2.FetchRegistryResponse(registry=follow_message(piece))

    async def RequestEnrolment(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.RequestEnrolmentRequest, context: Context
    ) -> exchange_pb2.RequestEnrolmentResponse:
        """Ask to join."""
        del context
        self._check(self._requests)
        parsed = parse_enrolment_request(request.request)
        if parsed.federation != self._hub.federation:
            raise EnrolmentRefusedError("a request for another federation")
        await self._hub.desk.request_enrolment(
            request.request, request_hash=parsed.hash, member=parsed.member
        )
        return exchange_pb2.RequestEnrolmentResponse(request_hash=parsed.hash)

    async def GetEnrolment(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.GetEnrolmentRequest, context: Context
    ) -> exchange_pb2.GetEnrolmentResponse:
        """Ask what became of it."""
        del context
        self._check(self._reads)
        decision = await self._hub.desk.decision(request.request_hash)
        return exchange_pb2.GetEnrolmentResponse(decision=decision)

    def _check(self, rate: Rate) -> None:
        if not rate.take(at=self._hub.clock()):
            raise OverloadedError("strangers call too often")
