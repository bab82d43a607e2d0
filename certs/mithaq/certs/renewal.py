"""The next TLS certificate: who asks for it, and what makes the registrar believe it.

A node, the hub or the registrar makes a new TLS key and signs the request for it with its
own signing pair, so that whoever has stolen a TLS key alone gets no other. The request
names the certificate that it replaces: answered once, it is worth nothing any more. That
the new certificate counts takes a TlsRenewed entry, which is not this module's.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from mithaq.certs.acts import TlsRenewed, TlsSubject
from mithaq.certs.authority import Authority, IssuedCertificate
from mithaq.certs.enrolment import AHEAD_MAX, EnrolmentRequest, parse_enrolment_request
from mithaq.certs.errors import (
    EnrolmentError,
    ImplausibleTimeError,
    KeyReusedError,
    RenewalOutdatedError,
    SignatureInvalidError,
    TrustFormatError,
    WrongFederationError,
)
from mithaq.certs.keys import PairPublic, PairSignature, SigningPair, verify_pair
from mithaq.certs.registry import Registry
from mithaq.certs.tls import IdentityKind, SpiffeId, load_certificate, open_csr
from mithaq.certs.wire import encode_exact, instant, parse_exact, seconds
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2 as pb
from mithaq.v1 import registry_pb2

REQUEST_SIZE_BYTES_MAX: Final = 16 * 1024
# As long as an entry may wait for its signatures: an older request would not outlive it.
REQUEST_AGE_MAX: Final = timedelta(days=30)
_LABEL: Final = b"mithaq/tls-renewal/v1"
_KINDS: Final[Mapping[TlsSubject, IdentityKind]] = {
    TlsSubject.NODE: IdentityKind.NODE,
    TlsSubject.HUB: IdentityKind.HUB,
    TlsSubject.REGISTRAR: IdentityKind.REGISTRAR,
}


@dataclass(frozen=True, slots=True)
class TlsHolder:
    """Whose certificate it is; ``member`` is empty for the hub and the registrar."""

    subject: TlsSubject
    member: str = ""

    def __post_init__(self) -> None:
        """Refuse a node without a member, and anybody else with one."""
        if bool(self.member) != (self.subject is TlsSubject.NODE):
            raise TrustFormatError("a TLS renewal names a member if it is a node's, and only then")

    @property
    def name(self) -> str:
        """The member's id, ``hub`` or ``registrar``."""
        return self.member or self.subject.name.lower()

    def identity(self, federation: str) -> SpiffeId:
        """Return whom the certificate names."""
        return SpiffeId(federation, _KINDS[self.subject], self.member)

    def certificates(self, registry: Registry) -> tuple[bytes, ...]:
        """Return the SHA-256 of the certificates in use, newest last; may be none.

        Raises:
            UnknownMemberError, MemberInactiveError: nobody who may be given another.

        """
        if self.subject is TlsSubject.NODE:
            return registry.active_member(self.member).tls_fingerprints
        if self.subject is TlsSubject.HUB:
            return registry.hub.tls_fingerprints
        return registry.registrar.tls_fingerprints

    def signing_key(self, registry: Registry) -> PairPublic:
        """Return the pair that has to sign; raises as ``certificates``."""
        if self.subject is TlsSubject.NODE:
            return registry.active_member(self.member).log
        return registry.hub.cosigning if self.subject is TlsSubject.HUB else registry.registrar.key


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """A request as it was sent: its parts, and the exact bytes that were signed."""

    federation: str
    holder: TlsHolder
    certificate_request: bytes = field(repr=False)
    # SHA-256 of the certificate that it replaces; empty if none is left.
    replaces: bytes
    made_at: datetime
    message: pb.RenewalRequest = field(repr=False)

    @property
    def hash(self) -> bytes:
        """SHA-256 of the whole request, by which its fate is asked for."""
        return hash_of(self.message.SerializeToString(deterministic=True))

    def act(self, *, tls_fingerprint: bytes) -> TlsRenewed:
        """Return the act that makes the certificate count which it was issued."""
        return TlsRenewed(self.holder.subject, tls_fingerprint, self.holder.member)


HolderRequest: TypeAlias = EnrolmentRequest | RenewalRequest


def make_renewal_request(
    holder: TlsHolder, registry: Registry, *, keys: SigningPair, csr: bytes, at: datetime
) -> bytes:
    """Return the exact bytes of a request for the certificate after the registry's newest.

    Raises:
        UnknownMemberError, MemberInactiveError: nobody who may be given another.
        TrustFormatError: a field breaks its rule.

    """
    newest = holder.certificates(registry)[-1:]
    body = encode_exact(
        pb.RenewalBody(
            federation=registry.federation,
            subject=registry_pb2.TlsSubject.ValueType(holder.subject),
            member=holder.member,
            certificate_request=csr,
            replaces=b"".join(newest),
            made_at=seconds(at),
        )
    )
    proof = keys.sign(_message(registry.federation, body))
    return encode_exact(
        pb.RenewalRequest(body=body, ed25519_proof=proof.ed25519, mldsa44_proof=proof.mldsa44)
    )


def parse_renewal_request(data: bytes) -> RenewalRequest:
    """Read a request, which is believed only after ``check_renewal_request``.

    Raises:
        TrustFormatError: not a request in its one spelling.

    """
    message = parse_exact(pb.RenewalRequest, data, size_bytes_max=REQUEST_SIZE_BYTES_MAX)
    body = parse_exact(pb.RenewalBody, message.body)
    return RenewalRequest(
        federation=body.federation,
        holder=TlsHolder(TlsSubject(body.subject), body.member),
        certificate_request=body.certificate_request,
        replaces=body.replaces,
        made_at=instant(body.made_at),
        message=message,
    )


def parse_holder_request(data: bytes) -> HolderRequest:
    """Read what came to be decided upon: a newcomer's request or one for a certificate.

    The first byte tells them apart, for their field numbers differ.

    Raises:
        TrustFormatError, EnrolmentError: as the parser of its kind.

    """
    return parse_renewal_request(data) if is_renewal(data) else parse_enrolment_request(data)


def is_renewal(data: bytes) -> bool:
    """Tell whether these bytes claim to be a RenewalRequest."""
    # Tag of field 21 of wire type 2 (length-delimited), as a varint; one spelling, sorted.
    return data[:2] == b"\xaa\x01"


def hash_of(request: bytes) -> bytes:
    """Return by what the fate of a request is asked for, of its exact bytes: SHA-256."""
    return hashlib.sha256(request).digest()


def check_renewal_request(request: RenewalRequest, registry: Registry, *, at: datetime) -> None:
    """Check that the holder itself asks, now, for the certificate after its newest.

    Raises:
        WrongFederationError: for elsewhere.
        UnknownMemberError, MemberInactiveError: nobody who may be given another.
        RenewalOutdatedError: what it replaces is not the newest certificate.
        ImplausibleTimeError: made too long ago, or in the future.
        EnrolmentError: not signed by the holder's own pair.
        CertificateError and its kin: not for a new P-256 key of the holder.

    """
    if request.federation != registry.federation:
        raise WrongFederationError(f"the request is for {request.federation}")
    newest = b"".join(request.holder.certificates(registry)[-1:])
    if request.replaces != newest:
        raise RenewalOutdatedError(f"{request.holder.name} has another newest certificate")
    if not at - REQUEST_AGE_MAX <= request.made_at <= at + AHEAD_MAX:
        raise ImplausibleTimeError(f"the request was made at {request.made_at.isoformat()}")
    check_renewal_proof(request, registry)
    expected = request.holder.identity(request.federation)
    open_csr(request.certificate_request, expected=expected)


def check_renewal_proof(request: RenewalRequest, registry: Registry) -> None:
    """Check that the holder itself made a request, at whatever time and for whatever key.

    Raises:
        WrongFederationError: for elsewhere.
        UnknownMemberError, MemberInactiveError: nobody who may be given another.
        EnrolmentError: not signed by the holder's own pair.

    """
    if request.federation != registry.federation:
        raise WrongFederationError(f"the request is for {request.federation}")
    proof = PairSignature(request.message.ed25519_proof, request.message.mldsa44_proof)
    message = _message(request.federation, request.message.body)
    try:
        verify_pair(request.holder.signing_key(registry), message, proof)
    except SignatureInvalidError as fault:
        raise EnrolmentError(f"{request.holder.name} did not sign this itself") from fault


def check_new_key(request: RenewalRequest, *, known: Mapping[bytes, bytes]) -> None:
    """Raise KeyReusedError if the request is for the key of the certificate it replaces.

    ``known`` holds certificates (DER) by their SHA-256, as far as they are known.
    """
    before = known.get(request.replaces)
    if before is None:
        return
    expected = request.holder.identity(request.federation)
    key = open_csr(request.certificate_request, expected=expected)
    if load_certificate(before).public_key() == key:
        raise KeyReusedError("a renewal brings a new TLS key, not the one before")


def issue_renewal(
    request: RenewalRequest, registry: Registry, authority: Authority, *, at: datetime
) -> IssuedCertificate:
    """Return the certificate for a checked request; it counts once the registry has it."""
    csr = request.certificate_request
    if request.holder.subject is TlsSubject.NODE:
        return authority.issue_node(csr, request.holder.member, at=at)
    if request.holder.subject is TlsSubject.REGISTRAR:
        return authority.issue_registrar(csr, at=at)
    return authority.issue_hub(csr, registry.hub.hosts, at=at)


def _message(federation: str, body: bytes) -> bytes:
    return _LABEL + lp(federation.encode()) + body
