"""Where this node stands: what the registry says of it when the hub turns it away.

A hub's refusal proves nothing: it may be mistaken, or lie. So the node reads the registry
at the enrolment listener, which asks for no certificate, and believes what administrators
have signed there. The rule: a node that was revoked says so and dials no more; one that
was only suspended, or turned away without a reason, comes back later.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import grpc

from mithaq.certs.errors import TrustError, UnknownMemberError
from mithaq.certs.participants import MemberState
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.registry_follow import RegistryFollow
from mithaq.service.channel import UNARY_DEADLINE
from mithaq.service.errors import RemoteError, from_rpc_error
from mithaq.service.logging import declare, logger
from mithaq.store.errors import StoreError
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

# What a hub says to somebody whom its registry doesn't let in.
TURNED_AWAY: Final = frozenset(
    {"MQ-TRUST-INACTIVE", "MQ-TRUST-UNKNOWN", "MQ-IDENTITY-REVOKED", "MQ-IDENTITY-UNKNOWN"}
)
REGISTRY_BYTES_MAX: Final = 256 * 1024 * 1024
AWAY: Final = declare("turned away by the hub", "code", "standing", "registry_size")
REVOKED: Final = declare("membership revoked so the hub is dialled no more", "registry_size")
UNLEARNED: Final = declare("registry not learnt", "code")
# The node's own word beside the states of a member: the registry has another certificate.
CERTIFICATE_UNKNOWN: Final = "certificate-unknown"


@dataclass(slots=True)
class Standing:
    """What the registry says of this node, and with what code the hub last turned it away.

    `open_enrolment` opens a channel to the hub's enrolment listener.
    """

    home: Home
    follow: RegistryFollow
    open_enrolment: Callable[[], grpc.aio.Channel]
    own_certificate: Callable[[], bytes]
    refusal: str = ""
    # Rung when the registry was asked, for whoever acts upon what it says.
    learnt: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """Return active, suspended, revoked, or `certificate-unknown`."""
        try:
            member = self.home.registry.member(self.home.member)
        except UnknownMemberError:
            # Only the first entry came so far.
            return MemberState.ACTIVE.value
        if member.state is MemberState.ACTIVE and (
            self.own_certificate() not in member.tls_fingerprints
        ):
            return CERTIFICATE_UNKNOWN
        return member.state.value

    async def refused(self, error: RemoteError) -> None:
        """Learn why the hub turned us away; return when it may be dialled again, if ever."""
        if error.code not in TURNED_AWAY:
            return
        self.refusal = error.code
        await self.learn()
        self.learnt.set()
        size = self.home.registry.size
        logger().error(AWAY, code=error.code, standing=self.name, registry_size=size)
        if self.name == MemberState.REVOKED:
            logger().error(REVOKED, registry_size=size)
            # A revoked id is never used again, so nothing can bring the connection back.
            await asyncio.Event().wait()

    async def learn(self) -> None:
        """Bring the registry up to date without a certificate; what fails is tried later."""
        try:
            await self._learn()
        except grpc.RpcError as error:
            logger().warning(UNLEARNED, code=from_rpc_error(error).code)
        except (TrustError, StoreError) as fault:
            logger().warning(UNLEARNED, code=fault.code)

    async def _learn(self) -> None:
        first, size_bytes = self.home.registry.size, 0
        leaves: list[bytes] = []
        async with self.open_enrolment() as channel:
            stub = exchange_pb2_grpc.EnrolmentServiceStub(channel)
            while size_bytes <= REGISTRY_BYTES_MAX:
                request = exchange_pb2.FetchRegistryRequest(first_index=first + len(leaves))
                answer = await stub.FetchRegistry(request, timeout=UNARY_DEADLINE.total_seconds())
                piece = answer.registry
                leaves += piece.entries
                size_bytes += sum(map(len, piece.entries))
                if piece.checkpoint:
                    await self.follow.take(first, leaves, piece.checkpoint)
                    return
                if not piece.entries:
                    # No end and nothing more: a hub that keeps something back.
                    return
