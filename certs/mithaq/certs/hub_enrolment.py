"""How the relay comes in: its request, carried by hand, and what it gets back.

The hub operator has no invitation and no secret: its request is public, and the
administrators compare its fingerprint before they sign.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from mithaq.certs.act_codec import pair_from_pb, pair_to_pb
from mithaq.certs.acts import HubEnrolled
from mithaq.certs.errors import (
    CertificatePathError,
    EnrolmentError,
    SignatureInvalidError,
    WrongFederationError,
)
from mithaq.certs.keys import PairPublic, PairSignature, SigningPair, verify_pair
from mithaq.certs.participants import hosts_of
from mithaq.certs.registry import Registry
from mithaq.certs.tls import IdentityKind, SpiffeId, fingerprint, open_csr
from mithaq.certs.wire import encode_exact, instant, parse_exact, seconds
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2 as pb

REQUEST_SIZE_BYTES_MAX: Final = 16 * 1024
APPROVAL_SIZE_BYTES_MAX: Final = 4 << 20
_LABEL: Final = b"mithaq/hub-request/v1"


@dataclass(frozen=True, slots=True)
class HubRequest:
    """A hub's request as it was made, and the SHA-256 of its exact bytes."""

    federation: str
    cosigning: PairPublic = field(repr=False)
    exchange_address: str
    enrolment_address: str
    certificate_request: bytes = field(repr=False)
    made_at: datetime
    hash: bytes

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names or addresses that its certificate has to be good for."""
        return hosts_of(self.exchange_address, self.enrolment_address)

    def act(self, *, tls_fingerprint: bytes) -> HubEnrolled:
        """Return the act that enrols the hub, with the certificate that it was issued."""
        return HubEnrolled(
            self.cosigning, tls_fingerprint, self.exchange_address, self.enrolment_address
        )


def make_hub_request(
    federation: str,
    *,
    cosigning: SigningPair,
    exchange_address: str,
    enrolment_address: str,
    csr: bytes,
    at: datetime,
) -> bytes:
    """Return the exact bytes of a hub's request, proven by its cosigning keys.

    Raises:
        TrustFormatError: a field breaks its rule, such as an address that is not host:port.

    """
    body = encode_exact(
        pb.HubRequestBody(
            federation=federation,
            cosigning=pair_to_pb(cosigning.public),
            exchange_address=exchange_address,
            enrolment_address=enrolment_address,
            certificate_request=csr,
            made_at=seconds(at),
        )
    )
    proof = cosigning.sign(_message(federation, body))
    return encode_exact(
        pb.HubRequest(body=body, ed25519_proof=proof.ed25519, mldsa44_proof=proof.mldsa44)
    )


def check_hub_request(data: bytes, *, federation: str) -> HubRequest:
    """Read a hub's request and check what it proves.

    Raises:
        TrustFormatError: not a request in its one spelling.
        WrongFederationError, EnrolmentError, CertificateError: for elsewhere, or unproven.

    """
    message = parse_exact(pb.HubRequest, data, size_bytes_max=REQUEST_SIZE_BYTES_MAX)
    body = parse_exact(pb.HubRequestBody, message.body)
    if body.federation != federation:
        raise WrongFederationError(f"the hub's request is for {body.federation}")
    cosigning = pair_from_pb(body.cosigning)
    proof = PairSignature(message.ed25519_proof, message.mldsa44_proof)
    try:
        verify_pair(cosigning, _message(federation, message.body), proof)
    except SignatureInvalidError as fault:
        raise EnrolmentError("the hub's request does not prove that its keys are held") from fault
    open_csr(body.certificate_request, expected=SpiffeId(federation, IdentityKind.HUB))
    return HubRequest(
        federation,
        cosigning,
        body.exchange_address,
        body.enrolment_address,
        body.certificate_request,
        instant(body.made_at),
        hashlib.sha256(data).digest(),
    )


@dataclass(frozen=True, slots=True)
class HubApproval:
    """What the administrators hand back: the certificate (DER) and the registry so far."""

    certificate: bytes = field(repr=False)
    entries: tuple[bytes, ...] = field(repr=False)
    checkpoint: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Return the approval's bytes; raises TrustFormatError."""
        return encode_exact(
            pb.HubApproval(
                certificate=self.certificate, entries=self.entries, checkpoint=self.checkpoint
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read an approval, which is believed only after ``open``; raises TrustFormatError."""
        message = parse_exact(pb.HubApproval, data, size_bytes_max=APPROVAL_SIZE_BYTES_MAX)
        return cls(message.certificate, tuple(message.entries), message.checkpoint)

    def open(self, *, pinned_root_hash: bytes, cosigning: PairPublic) -> Registry:
        """Return the registry so far, in which this hub is enrolled with its own keys.

        Raises:
            CertificatePathError: the certificate or keys aren't those that were enrolled.
            And what ``Registry.start`` and ``extend`` raise.

        """
        registry = Registry.start(self.entries[0], pinned_root_hash)
        registry.extend(self.entries[1:], self.checkpoint)
        hub = registry.hub
        if hub.cosigning != cosigning or fingerprint(self.certificate) not in hub.tls_fingerprints:
            raise CertificatePathError("the approval is for other keys than this hub's")
        return registry


def _message(federation: str, body: bytes) -> bytes:
    return _LABEL + lp(federation.encode()) + body
