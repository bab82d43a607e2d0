"""Joining a federation: from an invitation to a work folder that a node can run from.

Each step leaves its result in the folder and is skipped when it is there, so that a join
that was cut short, or that waits for its approval, goes on when it is run again. The
registry that the hub hands out is replayed from the pinned genesis entry, and counts only
if the member in it has the keys that were made here. The rule: nothing that the hub says
is believed without that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import grpc

from mithaq.certs.acts import ReceiptKeys
from mithaq.certs.authority import IssuedCertificate, check_path
from mithaq.certs.invitation import Invitation
from mithaq.certs.keystore import Keystore
from mithaq.certs.offline import COST_DEFAULT, Passphrase
from mithaq.certs.registry import Registry
from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    fingerprint,
    identity,
    load_certificate,
    tls_key_from_pem,
    to_der,
)
from mithaq.node.config import CONFIG_FILE, NodeConfig
from mithaq.node.enrolling import Agency, Asking, prepare
from mithaq.node.folder import NodeFolder
from mithaq.node.founding import Approval, found_node
from mithaq.node.keyring import HELD, LOG, OPENED, RECEIPT_MLDSA
from mithaq.node.opening import Clockwork
from mithaq.service.channel import UNARY_DEADLINE, open_channel
from mithaq.service.errors import MithaqError, from_rpc_error
from mithaq.service.tls import channel_credentials_without_certificate
from mithaq.store.audit_export import size_of
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

WAIT_DEFAULT: Final = timedelta(hours=24)
POLL_SECONDS: Final = 0.5
ENTRY_POLLS_MAX: Final = 60
# Longer than one call may take: one that was not answered in time is made once more.
PATIENCE_SECONDS: Final = 12.0
AGAIN_SECONDS: Final = 1.0
_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
REGISTRY_BYTES_MAX: Final = 256 * 1024 * 1024
T = TypeVar("T")


class JoinPendingError(MithaqError):
    """The trust administrators have not decided in the time that was to be waited."""

    code = "MQ-JOIN-PENDING"
    public_message = "The trust administrators have not decided yet."
    fix = "Run the same command again later: it goes on where it was."
    grpc_status = grpc.StatusCode.UNAVAILABLE


class JoinRefusedError(MithaqError):
    """The registrar refused the request."""

    code = "MQ-JOIN-REFUSED"
    public_message = "The request to join was refused."
    fix = "Ask the trust administrators for a new invitation, and join with an empty folder."
    grpc_status = grpc.StatusCode.PERMISSION_DENIED


class JoinProofError(MithaqError):
    """What the hub handed out does not make this agency a member."""

    code = "MQ-TRUST-JOIN-PROOF"
    public_message = "What the hub handed out does not prove the enrolment."
    fix = "Ask the trust administrators; do not use this hub until it is explained."
    grpc_status = grpc.StatusCode.DATA_LOSS


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What somebody joins with."""

    folder: Path
    # The invitation's text: it holds a secret.
    invitation: str
    display_name: str
    country: str
    signatories: tuple[str, ...] = ("signatory-1", "signatory-2")
    administrator: str = "administrator"
    local_listen: str = "127.0.0.1:7450"
    metrics_port: int = 7451
    database_url: str = ""
    wait_for: timedelta = WAIT_DEFAULT
    # What scrypt takes to open the keys of its people, as a power of two.
    key_cost: int = COST_DEFAULT


@dataclass(frozen=True, slots=True)
class Joined:
    """How far a join has come; `fingerprint` is what to compare with the administrators."""

    member: str
    federation: str
    approved: bool
    fingerprint: str
    profile: Path
    offline: Path


def join_federation(
    request: JoinRequest,
    *,
    passphrase: Passphrase,
    wait: bool = True,
    clockwork: Clockwork | None = None,
) -> Joined:
    """Join, or go on joining; return at the approval, or at once without `wait`.

    Raises:
        InvitationMistypedError, InvitationExpiredError: ask for a new one.
        JoinConflictError: the folder was begun with another invitation.
        JoinPendingError: not decided within `wait_for`.
        JoinRefusedError: refused.
        TrustError, JoinProofError: the hub's registry is not the federation's.
        RemoteError: the hub does not answer.

    """
    return asyncio.run(join(request, passphrase=passphrase, wait=wait, clockwork=clockwork))


async def join(
    request: JoinRequest,
    *,
    passphrase: Passphrase,
    wait: bool = True,
    clockwork: Clockwork | None = None,
) -> Joined:
    """Do what `join_federation` does, in a running event loop."""
    works = clockwork or Clockwork()
    folder = NodeFolder(request.folder)
    if (request.folder / CONFIG_FILE).exists():
        return _joined_before(request, folder)
    agency = Agency(request.display_name, request.country, request.signatories, request.key_cost)
    asking = await asyncio.to_thread(
        prepare, folder, request.invitation, agency, passphrase=passphrase, at=works.now()
    )
    ca_pem = IssuedCertificate(asking.invitation.ca_certificate_der).pem
    credentials = channel_credentials_without_certificate(ca_pem)
    async with open_channel(asking.invitation.hub_enrolment_address, credentials) as channel:
        hub = _Hub(exchange_pb2_grpc.EnrolmentServiceStub(channel), asking)
        # The pin is checked before the hub is told anything.
        await hub.fetch_registry()
        await hub.ask()
        if not wait and await hub.decision() is None:
            return _joined(request, folder, asking, approved=False)
        chain = await _approved(hub, request.wait_for)
        approval, registry = await _proven(hub, folder, chain, works)
    config = NodeConfig(
        federation=asking.invitation.federation,
        member=asking.invitation.member,
        directory=request.folder,
        hub_address=registry.hub.exchange_address,
        local_listen=request.local_listen,
        metrics_port=request.metrics_port,
        database=request.database_url,
    )
    await asyncio.to_thread(
        found_node, config, approval, administrator=request.administrator, clockwork=works
    )
    return _joined(request, folder, asking, approved=True)


async def _approved(hub: "_Hub", wait_for: timedelta) -> bytes:
    """Return the certificate chain; raise JoinPendingError, JoinRefusedError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_for.total_seconds()
    while True:
        decision = await hub.decision()
        if decision is not None:
            break
        if loop.time() >= deadline:
            raise JoinPendingError
        await asyncio.sleep(POLL_SECONDS)
    if not decision.approved:
        raise JoinRefusedError(
            f"refused: {decision.reason}",
            public_message=f"The request to join was refused: {decision.reason}.",
        )
    return decision.certificate_chain.encode()


async def _proven(
    hub: "_Hub", folder: NodeFolder, chain: bytes, works: Clockwork
) -> tuple[Approval, Registry]:
    """Return what makes this agency a member, once the registry itself says so."""
    der = to_der(load_certificate(chain))
    invitation = hub.asking.invitation
    fetched = await _fetched_with(hub, invitation.member)
    check_certificate(der, fetched.registry, folder, invitation, works)
    check_member(fetched.registry, folder.keys, invitation.member, certificate=der)
    approval = Approval(
        certificate_pem=IssuedCertificate(der).pem,
        ca_certificates=fetched.registry.ca_certificates,
        leaves=fetched.leaves,
        checkpoint=fetched.checkpoint,
        genesis_hash=invitation.genesis_hash,
    )
    return approval, fetched.registry


async def _fetched_with(hub: "_Hub", member: str) -> "_Fetched":
    """Return the registry once it holds the member: its entry may come after the decision."""
    for _ in range(ENTRY_POLLS_MAX):
        fetched = await hub.fetch_registry()
        if any(each.id == member for each in fetched.registry.members()):
            return fetched
        await asyncio.sleep(POLL_SECONDS)
    raise JoinPendingError("approved, but the entry has not come")


def check_certificate(
    der: bytes, registry: Registry, folder: NodeFolder, invitation: Invitation, works: Clockwork
) -> None:
    """Raise JoinProofError or CertificateError unless it is ours and by the federation's CA."""
    expected = SpiffeId(invitation.federation, IdentityKind.NODE, invitation.member)
    own = tls_key_from_pem(folder.tls.private_key.read_bytes()).public_key()
    if identity(der) != expected or load_certificate(der).public_key() != own:
        raise JoinProofError("the certificate is not for this node's key and name")
    check_path(der, authorities=registry.ca_certificates, at=works.now())


def check_member(registry: Registry, keys: Keystore, member_id: str, *, certificate: bytes) -> None:
    """Raise JoinProofError or TrustError unless the registry has exactly this node's keys."""
    member = registry.active_member(member_id)
    ours = ReceiptKeys(
        keys.load_ed25519(HELD).public,
        keys.load_ed25519(OPENED).public,
        keys.load_mldsa44(RECEIPT_MLDSA).public,
    )
    if member.log != keys.load_pair(LOG).public or member.receipt != ours:
        raise JoinProofError("the registry enrols this member with other keys than ours")
    principal = registry.by_tls_fingerprint(fingerprint(certificate))
    if principal.member != member_id:
        raise JoinProofError("the registry pins the certificate for somebody else")


@dataclass(frozen=True, slots=True)
class _Fetched:
    registry: Registry
    leaves: list[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class _Hub:
    """The hub as somebody without a certificate sees it."""

    stub: "exchange_pb2_grpc.EnrolmentServiceAsyncStub"
    asking: Asking

    async def fetch_registry(self) -> _Fetched:
        """Return the whole registry, replayed from the pinned genesis entry.

        Raises:
            GenesisMismatchError and its kin: not the federation that invited.
            JoinProofError: too large, or never signed.

        """
        leaves: list[bytes] = []
        checkpoint, size = b"", 0
        while not checkpoint or size_of(checkpoint) > len(leaves):
            piece = await self._piece(len(leaves))
            if piece.first_index != len(leaves) or not (piece.entries or piece.checkpoint):
                raise JoinProofError("the hub's registry has a gap or no end")
            leaves += piece.entries
            size += sum(map(len, piece.entries))
            if size > REGISTRY_BYTES_MAX:
                raise JoinProofError(f"the hub's registry has more than {REGISTRY_BYTES_MAX} bytes")
            checkpoint = piece.checkpoint or checkpoint
            if not piece.entries and size_of(checkpoint) > len(leaves):
                raise JoinProofError("the hub keeps back a part of the registry")
        registry = Registry.start(leaves[0], self.asking.invitation.genesis_hash)
        registry.extend(leaves[1:], checkpoint)
        return _Fetched(registry, leaves, checkpoint)

    async def _piece(self, start: int) -> exchange_pb2.FollowResponse:
        request = exchange_pb2.FetchRegistryRequest(first_index=start)
        answer = await _answered(partial(self.stub.FetchRegistry, request, timeout=_DEADLINE))
        return answer.registry

    async def ask(self) -> None:
        """Hand the request in; the same bytes again are the same request."""
        request = exchange_pb2.RequestEnrolmentRequest(request=self.asking.request)
        await _answered(partial(self.stub.RequestEnrolment, request, timeout=_DEADLINE))

    async def decision(self) -> exchange_pb2.EnrolmentDecision | None:
        """Return what became of the request, or None while it waits."""
        request = exchange_pb2.GetEnrolmentRequest(request_hash=self.asking.request_hash)
        answer = await _answered(partial(self.stub.GetEnrolment, request, timeout=_DEADLINE))
        return answer.decision if answer.HasField("decision") else None


_DEADLINE: Final = UNARY_DEADLINE.total_seconds()


async def _answered(call: Callable[[], Awaitable[T]]) -> T:
    """Call until there is an answer or a refusal; raise RemoteError.

    Each call says the same however often it is made. A hub that restarts meanwhile does not
    end a join that waits for hours, and is missed for good only after `PATIENCE_SECONDS`.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        try:
            return await call()
        except grpc.RpcError as error:
            fault = from_rpc_error(error)
        if fault.grpc_status not in _AWAY or clock() - began >= PATIENCE_SECONDS:
            raise fault
        await asyncio.sleep(AGAIN_SECONDS)


def _joined(request: JoinRequest, folder: NodeFolder, asking: Asking, *, approved: bool) -> Joined:
    return Joined(
        member=asking.invitation.member,
        federation=asking.invitation.federation,
        approved=approved,
        fingerprint=_grouped(asking.request_hash),
        profile=folder.profiles / request.administrator,
        offline=folder.offline,
    )


def _grouped(digest: bytes) -> str:
    """Return a hash as the administrators' list shows it, to be read out to each other."""
    text = digest.hex()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _joined_before(request: JoinRequest, folder: NodeFolder) -> Joined:
    config = NodeConfig.read(request.folder).value
    return Joined(
        member=config.member,
        federation=config.federation,
        approved=True,
        fingerprint="",
        profile=folder.profiles / request.administrator,
        offline=folder.offline,
    )
