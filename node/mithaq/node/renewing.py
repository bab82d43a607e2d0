"""The node's federation certificate, renewed before it ends, and the CAs it trusts.

The request is signed by the log pair and goes through the enrolment listener, so that a
node whose certificate has ended or was revoked still gets its next one. The rules: one
request at a time, asked for again byte for byte until it is decided; and the connection
with the old certificate is drained only when the new one is on disk.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from mithaq.certs.acts import TlsSubject
from mithaq.certs.errors import TrustError, UnknownMemberError
from mithaq.certs.own_certificate import OwnCertificate, pem_of
from mithaq.certs.renewal import TlsHolder, hash_of
from mithaq.certs.renewal_folder import write_whole
from mithaq.certs.tls import fingerprint, load_certificate, to_der
from mithaq.node.exchange.home import SYSTEM
from mithaq.node.folder import NodeFolder
from mithaq.node.local.desk import entry_of
from mithaq.node.local.node_status import CertificateStatus
from mithaq.node.standing import Standing
from mithaq.service.channel import UNARY_DEADLINE
from mithaq.service.errors import from_rpc_error
from mithaq.service.logging import declare, logger
from mithaq.store.audit_entry import Operation
from mithaq.store.errors import StoreError
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

POLL_S: Final = 300.0
ASKED: Final = declare("certificate asked for")
RENEWED: Final = declare("certificate renewed")
RENEWAL_FAILED: Final = declare("certificate not renewed", "code")
_DEADLINE_S: Final = UNARY_DEADLINE.total_seconds()


def own_certificate(folder: NodeFolder, standing: Standing) -> OwnCertificate:
    """Return where the node's certificate lies and what asks for the next."""
    home = standing.home
    return OwnCertificate(
        holder=TlsHolder(TlsSubject.NODE, home.member),
        keys=home.log,
        private_key=folder.tls.private_key,
        chain=folder.tls.chain,
        renewing=folder.renewing,
    )


def fingerprint_of(chain: Path) -> bytes:
    """Return by what the registry knows the certificate in a PEM file."""
    return fingerprint(to_der(load_certificate(chain.read_bytes())))


@dataclass(slots=True)
class Renewal:
    """Renews the certificate, one step at a time; `switch` begins the connection anew."""

    own: OwnCertificate
    standing: Standing
    roots: Path
    switch: Callable[[], None]

    def status(self) -> CertificateStatus:
        """Return how this node stands with the hub; raise OSError."""
        certificate = load_certificate(self.own.chain.read_bytes())
        return CertificateStatus(
            standing=self.standing.name,
            turned_away=self.standing.refusal,
            expires_at=certificate.not_valid_after_utc,
            renewing=self.own.renewing.request() is not None,
        )

    async def run(self) -> None:
        """Do what is due, again and again until cancelled."""
        while True:
            await self.step()
            try:
                async with asyncio.timeout(POLL_S):
                    await self.standing.learnt.wait()
            except TimeoutError:
                continue
            self.standing.learnt.clear()

    async def step(self) -> None:
        """Do what is to be done now: begin, ask, or take up what was approved."""
        try:
            await self._step()
        except UnknownMemberError:
            # Approved, and the entry is still on its way to us; or we are not enrolled yet.
            return
        except grpc.RpcError as error:
            logger().warning(RENEWAL_FAILED, code=from_rpc_error(error).code)
        except (TrustError, StoreError, OSError) as fault:
            logger().warning(RENEWAL_FAILED, code=getattr(fault, "code", "MQ-CERT-FILE"))

    async def _step(self) -> None:
        home = self.standing.home
        self._keep_roots()
        begun = self.own.renewing.request() is not None
        request = self.own.wanted(home.registry, at=home.clock())
        if request is None:
            return
        if not begun:
            logger().info(ASKED)
        decision = await self._asked(request)
        if decision is None:
            return
        if not decision.approved:
            logger().warning(RENEWAL_FAILED, code=decision.reason)
            self.own.forget_request()
            return
        # The entry may not have come by the connection, if we have none.
        await self.standing.learn()
        self.own.receive(decision.certificate_chain.encode(), home.registry, at=home.clock())
        await self._noted()
        self.switch()

    async def _asked(self, request: bytes) -> exchange_pb2.EnrolmentDecision | None:
        """Ask, and return the decision, or None while it waits."""
        async with self.standing.open_enrolment() as channel:
            stub = exchange_pb2_grpc.EnrolmentServiceStub(channel)
            try:
                asked = exchange_pb2.RequestEnrolmentRequest(request=request)
                await stub.RequestEnrolment(asked, timeout=_DEADLINE_S)
                wanted = exchange_pb2.GetEnrolmentRequest(request_hash=hash_of(request))
                answer = await stub.GetEnrolment(wanted, timeout=_DEADLINE_S)
            except grpc.RpcError as error:
                if not from_rpc_error(error).retryable:
                    # Outdated, perhaps because our registry is: learn, and begin another.
                    self.own.forget_request()
                    await self.standing.learn()
                raise
        return answer.decision if answer.HasField("decision") else None

    async def _noted(self) -> None:
        home = self.standing.home
        entry = entry_of(
            SYSTEM, Operation.ADMINISTER, at=home.clock(), subject="federation certificate renewed"
        )
        await home.database.write(lambda each: home.audit.append(each, [entry]))
        logger().info(RENEWED)

    def _keep_roots(self) -> None:
        """Trust the CAs that the registry names, from the next connection on."""
        pem = pem_of(self.standing.home.registry.ca_certificates)
        if self.roots.read_bytes() != pem:
            write_whole(self.roots, pem)
