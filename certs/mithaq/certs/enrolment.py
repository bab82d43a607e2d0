"""Asking to be enrolled: what a node sends, and what makes the registrar believe it.

A request is believed to come from the invited agency because it is authenticated under
the invitation's secret, which the hub that carries it doesn't have. It is believed to
hold its keys because each signs the request, or (keys of people) has its own card.
Whether the agency is to become a member, k administrators decide, not this module.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Self

from mithaq.certs.act_codec import (
    check_sorted,
    name_from_pb,
    name_to_pb,
    pair_from_pb,
    pair_to_pb,
    receipt_from_pb,
    receipt_to_pb,
)
from mithaq.certs.acts import LocalizedName, MemberEnrolled, ReceiptKeys
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import SignerRole
from mithaq.certs.errors import (
    EnrolmentError,
    ImplausibleTimeError,
    InvitationExpiredError,
    InvitationFederationError,
    InvitationUnknownError,
    SignatureInvalidError,
)
from mithaq.certs.invitation import Invitation, mac
from mithaq.certs.keys import (
    Ed25519Key,
    MlDsa44Key,
    PairPublic,
    PairSignature,
    ReceptionPublic,
    SigningPair,
    verify_ed25519,
    verify_mldsa44,
    verify_pair,
)
from mithaq.certs.tls import IdentityKind, SpiffeId, open_csr
from mithaq.certs.wire import encode_exact, instant, parse_exact, seconds
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2 as pb

REQUEST_SIZE_BYTES_MAX: Final = 128 * 1024
# How far a requester's clock may run ahead of the registrar's.
AHEAD_MAX: Final = timedelta(minutes=5)
_LABEL: Final = b"mithaq/enrolment/v1"


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The private keys that a node itself holds and proves; the public reception key."""

    log: SigningPair
    held: Ed25519Key
    opened: Ed25519Key
    receipt_mldsa: MlDsa44Key
    reception: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InvitationRecord:
    """What the registrar keeps of an invitation: hashes of its secret, and its use."""

    id: bytes
    mac_key: bytes = field(repr=False)
    member: str
    expires_at: datetime
    # SHA-256 of the request that used it, or None.
    used_by: bytes | None = None

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        """Return the record of a new invitation."""
        return cls(invitation.id, invitation.mac_key, invitation.member, invitation.expires_at)

    def is_open(self, *, at: datetime) -> bool:
        """Tell whether it could still be used: neither used nor expired."""
        return self.used_by is None and at < self.expires_at


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A request as it was sent: its parts, and the exact bytes that were signed."""

    federation: str
    member: str
    display_name: LocalizedName
    country: str
    log: PairPublic = field(repr=False)
    receipt: ReceiptKeys = field(repr=False)
    reception: bytes = field(repr=False)
    duty: KeyCard
    signatories: tuple[KeyCard, ...]
    certificate_request: bytes = field(repr=False)
    invitation_id: bytes = field(repr=False)
    genesis_hash: bytes
    made_at: datetime
    message: pb.EnrolmentRequest = field(repr=False)

    @property
    def hash(self) -> bytes:
        """SHA-256 of the whole request, by which its fate is asked for."""
        return hashlib.sha256(self.message.SerializeToString(deterministic=True)).digest()

    def act(self, *, tls_fingerprint: bytes) -> MemberEnrolled:
        """Return the act that enrols the agency, with the certificate that it was issued."""
        return MemberEnrolled(
            member=self.member,
            display_name=self.display_name,
            country=self.country,
            log=self.log,
            receipt=self.receipt,
            reception=self.reception,
            duty=self.duty.ed25519,
            signatories=tuple(each.named_pair for each in self.signatories),
            tls_fingerprint=tls_fingerprint,
        )


def make_enrolment_request(
    invitation: Invitation,
    *,
    keys: NodeKeys,
    display_name: LocalizedName,
    country: str,
    duty: KeyCard,
    signatories: Sequence[KeyCard],
    csr: bytes,
    at: datetime,
) -> bytes:
    """Return the exact bytes of a request, with all its proofs.

    Raises:
        InvitationExpiredError: too late.
        EnrolmentError, CertificateError: a card or the certificate request isn't this
            member's, which the registrar would refuse.
        TrustFormatError: a field breaks its rule.

    """
    invitation.check(at=at)
    body = pb.EnrolmentBody(
        federation=invitation.federation,
        member=invitation.member,
        display_name=name_to_pb(display_name),
        country=country,
        log=pair_to_pb(keys.log.public),
        receipt=receipt_to_pb(
            ReceiptKeys(keys.held.public, keys.opened.public, keys.receipt_mldsa.public)
        ),
        reception=keys.reception,
        duty=duty.to_pb(),
        signatories=[each.to_pb() for each in sorted(signatories, key=lambda card: card.name)],
        certificate_request=csr,
        invitation_id=invitation.id,
        genesis_hash=invitation.genesis_hash,
        made_at=seconds(at),
    )
    data = encode_exact(body)
    message = _message(invitation.federation, data)
    log = keys.log.sign(message)
    request = encode_exact(
        pb.EnrolmentRequest(
            body=data,
            log_ed25519_proof=log.ed25519,
            log_mldsa44_proof=log.mldsa44,
            held_proof=keys.held.sign(message),
            opened_proof=keys.opened.sign(message),
            receipt_mldsa44_proof=keys.receipt_mldsa.sign(message),
            mac=mac(invitation.mac_key, message),
        )
    )
    _check_parts(parse_enrolment_request(request))
    return request


def parse_enrolment_request(data: bytes) -> EnrolmentRequest:
    """Read a request, which is believed only after ``check_enrolment_request``.

    Raises:
        TrustFormatError: not a request in its one spelling.
        EnrolmentError: a card has parts that its role doesn't have.

    """
    message = parse_exact(pb.EnrolmentRequest, data, size_bytes_max=REQUEST_SIZE_BYTES_MAX)
    body = parse_exact(pb.EnrolmentBody, message.body)
    check_sorted(((each.name,) for each in body.signatories), "signatories")
    return EnrolmentRequest(
        federation=body.federation,
        member=body.member,
        display_name=name_from_pb(body.display_name),
        country=body.country,
        log=pair_from_pb(body.log),
        receipt=receipt_from_pb(body.receipt),
        reception=body.reception,
        duty=KeyCard.from_pb(body.duty),
        signatories=tuple(KeyCard.from_pb(each) for each in body.signatories),
        certificate_request=body.certificate_request,
        invitation_id=body.invitation_id,
        genesis_hash=body.genesis_hash,
        made_at=instant(body.made_at),
        message=message,
    )


def check_enrolment_request(
    request: EnrolmentRequest,
    record: InvitationRecord,
    *,
    federation: str,
    genesis_hash: bytes,
    at: datetime,
) -> None:
    """Check that the invited agency sent this, now, and holds all the keys in it.

    Whether the invitation was used before is the caller's to check, with its state.

    Raises:
        InvitationUnknownError: not made with this invitation's secret, or for another member.
        InvitationExpiredError, InvitationFederationError: too late, or for elsewhere.
        ImplausibleTimeError: made in the future.
        EnrolmentError, CertificateError, KeyFormatError: a proof or a part doesn't hold.

    """
    message = _message(request.federation, request.message.body)
    # First of all: what doesn't know the secret costs no signature check.
    if not hmac.compare_digest(mac(record.mac_key, message), request.message.mac):
        raise InvitationUnknownError("the request was not made with the invitation's secret")
    if (request.invitation_id, request.member) != (record.id, record.member):
        raise InvitationUnknownError("the invitation is for another member")
    if (request.federation, request.genesis_hash) != (federation, genesis_hash):
        raise InvitationFederationError("the request is for another federation")
    if at >= record.expires_at:
        raise InvitationExpiredError(f"it expired at {record.expires_at.isoformat()}")
    if request.made_at > at + AHEAD_MAX:
        raise ImplausibleTimeError("the request was made in the future")
    _check_proofs(request, message)
    _check_parts(request)


def _check_proofs(request: EnrolmentRequest, message: bytes) -> None:
    proofs, receipt = request.message, request.receipt
    log = PairSignature(proofs.log_ed25519_proof, proofs.log_mldsa44_proof)
    try:
        verify_pair(request.log, message, log)
        verify_ed25519(receipt.held, message, proofs.held_proof)
        verify_ed25519(receipt.opened, message, proofs.opened_proof)
        verify_mldsa44(receipt.mldsa44, message, proofs.receipt_mldsa44_proof)
    except SignatureInvalidError as fault:
        raise EnrolmentError("the request does not prove that its keys are held") from fault


def _check_parts(request: EnrolmentRequest) -> None:
    federation, member = request.federation, request.member
    request.duty.check(federation=federation, role=SignerRole.DUTY, member=member)
    for each in request.signatories:
        each.check(federation=federation, role=SignerRole.SIGNATORY, member=member)
    ReceptionPublic.from_bytes(request.reception)
    expected = SpiffeId(federation, IdentityKind.NODE, member)
    open_csr(request.certificate_request, expected=expected)


def _message(federation: str, body: bytes) -> bytes:
    return _LABEL + lp(federation.encode()) + body
