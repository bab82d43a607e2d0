"""What an agency without a certificate calls: read the registry, ask to join, ask again.

A member asks here for its next certificate too: it may have none left that counts.

The one service that strangers reach, on a listener of its own, so everything is bounded:
calls by a rate for all strangers together, requests by their size and number. What a member
has signed, or what names a request that is known here, is no stranger's. The hub passes
a request on and decides nothing; it can't even forge one, for it lacks the invitation's secret.
"""

from mithaq.certs.enrolment import EnrolmentRequest
from mithaq.certs.errors import TrustError
from mithaq.certs.renewal import (
    HolderRequest,
    RenewalRequest,
    check_renewal_proof,
    check_renewal_request,
    is_renewal,
    parse_holder_request,
    parse_renewal_request,
)
from mithaq.hub.context import Context, HubContext
from mithaq.hub.errors import EnrolmentRefusedError, EnrolmentUnknownError, OverloadedError
from mithaq.hub.rate import Rate
from mithaq.hub.registry_service import follow_message
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc


class EnrolmentServicer(exchange_pb2_grpc.EnrolmentServiceServicer):
    """Serves EnrolmentService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub
        self._requests = Rate(per_minute=hub.limits.enrolments_per_minute_max)
        # Apart, so that strangers who ask to join keep no member from its certificate.
        self._renewals = Rate(per_minute=hub.limits.renewals_per_minute_max)
        self._by_member: dict[str, Rate] = {}
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
        """Ask to join, or for the next certificate."""
        del context
        parsed = self._parsed(request.request)
        if parsed.federation != self._hub.federation:
            raise EnrolmentRefusedError("a request for another federation")
        if not await self._hub.desk.knows(parsed.hash):
            self._check_renewal(parsed)
            await self._hub.desk.request_enrolment(
                request.request, request_hash=parsed.hash, member=_asker(parsed)
            )
        return exchange_pb2.RequestEnrolmentResponse(request_hash=parsed.hash)

    async def GetEnrolment(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.GetEnrolmentRequest, context: Context
    ) -> exchange_pb2.GetEnrolmentResponse:
        """Ask what became of it."""
        del context
        try:
            decision = await self._hub.desk.decision(request.request_hash)
        except EnrolmentUnknownError:
            # Only who made a request knows its hash: to look it up uses up nobody's turn.
            self._check(self._reads)
            raise
        return exchange_pb2.GetEnrolmentResponse(decision=decision)

    def _parsed(self, data: bytes) -> HolderRequest:
        """Return a request; one that no member has signed counts as a stranger's call.

        To verify a signature costs less than the call that brought it.
        """
        if not is_renewal(data):
            self._check(self._requests)
            return parse_holder_request(data)
        try:
            request = parse_renewal_request(data)
            check_renewal_proof(request, self._hub.registry)
        except TrustError:
            self._check(self._renewals)
            raise
        return request

    def _check_renewal(self, request: HolderRequest) -> None:
        """Let no stranger fill the box in a member's name; the registrar checks again."""
        if not isinstance(request, RenewalRequest):
            return
        if not request.holder.member:
            raise EnrolmentRefusedError("hub and registrar don't ask by this way")
        check_renewal_request(request, self._hub.registry, at=self._hub.clock())
        # After the proof: nobody uses up another's turn.
        self._check(self._by_member.setdefault(request.holder.member, Rate(per_minute=1)))

    def _check(self, rate: Rate) -> None:
        if not rate.take(at=self._hub.clock()):
            raise OverloadedError("strangers call too often")


def _asker(request: HolderRequest) -> str:
    return request.member if isinstance(request, EnrolmentRequest) else request.holder.member
