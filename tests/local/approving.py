"""The registrar of a test: takes requests from a real hub, and approves or refuses them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mithaq.certs.enrolment import (
    InvitationRecord,
    check_enrolment_request,
    parse_enrolment_request,
)
from mithaq.certs.invitation import Invitation, new_secret
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation, now
from tests.hub.running import Pump, RunningHub


@dataclass
class Approver:
    """Whoever decides about requests to join, over the hub's Ordering service."""

    hub: RunningHub
    invitations: dict[bytes, Invitation] = field(default_factory=dict[bytes, Invitation])

    @property
    def federation(self) -> Federation:
        return self.hub.federation

    def invite(
        self,
        member: str,
        *,
        expires_at: datetime | None = None,
        genesis_hash: bytes = b"",
    ) -> Invitation:
        """Return an invitation to the federation by this hub."""
        invitation = Invitation(
            federation=self.federation.name,
            member=member,
            hub_enrolment_address=f"127.0.0.1:{self.hub.hub.ports.enrolment}",
            genesis_hash=genesis_hash or self.federation.pin,
            ca_certificate_der=self.federation.authority.certificate.der,
            secret=new_secret(),
            expires_at=expires_at or now() + timedelta(days=1),
        )
        self.invitations[invitation.id] = invitation
        return invitation

    async def decide(self, *, approve: bool = True, enrol: bool = True) -> None:
        """Take the one request that waits, and answer it.

        Without `enrol` the certificate is handed out but no entry is made.
        """
        pump = Pump(exchange_pb2_grpc.OrderingServiceStub(self.hub.registrar()).Order())
        await pump.call.write(exchange_pb2.OrderRequest())
        response: exchange_pb2.OrderResponse = await pump.next()
        while not response.submissions:
            response = await pump.next()
        (submission,) = response.submissions
        request = parse_enrolment_request(submission.enrolment)
        check_enrolment_request(
            request,
            InvitationRecord.of(self.invitations[request.invitation_id]),
            federation=self.federation.name,
            genesis_hash=self.federation.pin,
            at=now(),
        )
        decision = exchange_pb2.EnrolmentDecision(
            request_hash=request.hash, approved=approve, reason="" if approve else "MQ-TRUST-NO"
        )
        first = self.federation.registry.size
        if approve:
            issued = self.federation.authority.issue_node(
                request.certificate_request, request.member, at=now()
            )
            decision.certificate_chain = issued.pem.decode()
            if enrol:
                self.federation.enter(request.act(tls_fingerprint=issued.fingerprint))
        await pump.call.write(
            exchange_pb2.OrderRequest(
                registry=exchange_pb2.FollowResponse(
                    first_index=first,
                    entries=self.federation.leaves[first:],
                    checkpoint=self.federation.checkpoint(),
                ),
                taken=[submission.number],
                decisions=[decision],
            )
        )
        await pump.next()
        await pump.call.done_writing()
