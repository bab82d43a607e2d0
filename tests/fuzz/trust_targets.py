"""Requests, certificates, registry entries, cards: what decides who takes part.

The enrolment port is the one that strangers reach. What a request must prove is proven
anew after a change, so that what stands behind the proofs is reached: a stranger with an
invitation, a member with its own keys, administrators that sign what they were shown.
"""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mithaq.certs import acts
from mithaq.certs.cards import KeyCard
from mithaq.certs.enrolment import (
    EnrolmentRequest,
    InvitationRecord,
    NodeKeys,
    check_enrolment_request,
    make_enrolment_request,
    parse_enrolment_request,
)
from mithaq.certs.entries import (
    Body,
    draw_up,
    encode_body,
    parse_body,
    sign_entry,
)
from mithaq.certs.errors import TrustError
from mithaq.certs.invitation import PREFIX, Invitation, mac
from mithaq.certs.renewal import (
    RenewalRequest,
    TlsHolder,
    check_renewal_proof,
    check_renewal_request,
    hash_of,
    make_renewal_request,
    parse_holder_request,
    parse_renewal_request,
)
from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    csr,
    identity,
    load_certificate,
    open_csr,
    to_der,
)
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2
from tests.federation import FEDERATION
from tests.fuzz.cast import (
    AT,
    CAIRO,
    ROME,
    agency,
    authority,
    federation,
    invitation,
    tls_key,
)
from tests.fuzz.target import Exposure, Target, same, text_of

NODE = SpiffeId(FEDERATION, IdentityKind.NODE, CAIRO)


# --- what strangers send --------------------------------------------------------------


def enrolment_port(data: bytes) -> None:
    """What the hub does with a request before it keeps it."""
    try:
        request = parse_holder_request(data)
        same(request.hash, hash_of(data), "a request is kept under another hash than its bytes'")
        if isinstance(request, RenewalRequest):
            check_renewal_proof(request, federation().registry)
            check_renewal_request(request, federation().registry, at=AT)
    except TrustError:
        return


def enrolment(data: bytes) -> None:
    """A newcomer's request, proven anew with the invitation and the keys that it names."""
    try:
        request = parse_enrolment_request(_proven(data))
    except TrustError:
        return
    record = InvitationRecord.of(invitation())
    try:
        check_enrolment_request(
            request,
            record,
            federation=FEDERATION,
            genesis_hash=federation().pin,
            at=AT,
        )
    except TrustError:
        return
    same((request.member, request.federation), (ROME, FEDERATION), "another was invited")
    _enrolled(request)


def _enrolled(request: EnrolmentRequest) -> None:
    """What a registrar does with a request that proves all: it must fit into an entry."""
    act = request.act(tls_fingerprint=bytes(32))
    try:
        body = draw_up(act, federation=FEDERATION, at=AT)
        same(parse_body(body).act, act, "a request is entered as another")
        leaf = sign_entry(body, federation().by_administrators()).to_bytes()
        federation().registry.copy().apply(leaf)
    except TrustError:
        return


def _proven(data: bytes) -> bytes:
    """Return a request over a body with the proofs of Rome's own keys, whatever it says."""
    keys = agency(ROME)
    message = b"mithaq/enrolment/v1" + lp(_federation_of(data).encode()) + data
    log = keys.log.sign(message)
    return enrolment_pb2.EnrolmentRequest(
        body=data,
        log_ed25519_proof=log.ed25519,
        log_mldsa44_proof=log.mldsa44,
        held_proof=keys.held.sign(message),
        opened_proof=keys.opened.sign(message),
        receipt_mldsa44_proof=keys.receipt_mldsa.sign(message),
        mac=mac(invitation().mac_key, message),
    ).SerializeToString(deterministic=True)


def _federation_of(body: bytes) -> str:
    try:
        return enrolment_pb2.EnrolmentBody.FromString(body).federation
    except Exception:  # noqa: BLE001 - the harness' own reading; the parser's comes after it
        return FEDERATION


def renewal(data: bytes) -> None:
    """A request for the next certificate, signed by the holder whatever it says."""
    keys = agency(CAIRO).log
    proof = keys.sign(b"mithaq/tls-renewal/v1" + lp(FEDERATION.encode()) + data)
    whole = enrolment_pb2.RenewalRequest(
        body=data, ed25519_proof=proof.ed25519, mldsa44_proof=proof.mldsa44
    ).SerializeToString(deterministic=True)
    try:
        request = parse_renewal_request(whole)
        check_renewal_request(request, federation().registry, at=AT)
    except TrustError:
        return
    same(request.holder, TlsHolder(acts.TlsSubject.NODE, CAIRO), "another's certificate is renewed")
    encoded = encode_body(Body(FEDERATION, bytes(16), AT, request.act(tls_fingerprint=bytes(32))))
    same(parse_body(encoded).act, request.act(tls_fingerprint=bytes(32)), "another act is entered")


def certificate_request(data: bytes) -> None:
    try:
        key = open_csr(data, expected=NODE)
    except TrustError:
        return
    issued = authority().issue_node(data, CAIRO, at=AT)
    named = (identity(issued.der), load_certificate(issued.der).public_key())
    same(named, (NODE, key), "a certificate names another than was asked for")


def certificate(data: bytes) -> None:
    try:
        named = identity(data)
    except TrustError:
        return
    same(SpiffeId.parse(str(named)), named, "an identity has two spellings")
    if not data.lstrip().startswith(b"-----BEGIN "):
        same(to_der(load_certificate(data)), data, "a certificate has two spellings")


def invitation_text(data: bytes) -> None:
    """The text itself, and what stands behind a checksum that fits."""
    text = text_of(data)
    if text is not None:
        _invitation(text)
    checksum = hashlib.sha256(b"mithaq/invitation/v1" + data).digest()[:5]
    _invitation(PREFIX + _base32(data + checksum))


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _invitation(text: str) -> None:
    try:
        parsed = Invitation.parse(text)
    except TrustError:
        return
    same(Invitation.parse(str(parsed)), parsed, "an invitation has two readings")
    try:
        parsed.check(at=AT, federation=FEDERATION)
    except TrustError:
        return


# --- seeds ----------------------------------------------------------------------------


def _node_csr(member: str) -> bytes:
    return csr(tls_key(f"{member} tls"), SpiffeId(FEDERATION, IdentityKind.NODE, member))


def _enrolment_request() -> bytes:
    rome = agency(ROME)
    keys = NodeKeys(rome.log, rome.held, rome.opened, rome.receipt_mldsa, rome.reception.public)
    return make_enrolment_request(
        invitation(),
        keys=keys,
        display_name=acts.LocalizedName("Ministry", "Ministère", "وزارة"),
        country="ITA",
        duty=KeyCard.duty(FEDERATION, ROME, rome.duty),
        signatories=[
            KeyCard.signatory(FEDERATION, ROME, *each) for each in rome.signatories.items()
        ],
        csr=_node_csr(ROME),
        at=AT,
    )


def _renewal_request() -> bytes:
    return make_renewal_request(
        TlsHolder(acts.TlsSubject.NODE, CAIRO),
        federation().registry,
        keys=agency(CAIRO).log,
        csr=_node_csr(CAIRO),
        at=AT,
    )


def _renewal_bodies() -> list[bytes]:
    return [enrolment_pb2.RenewalRequest.FromString(_renewal_request()).body]


def _certificate_requests() -> list[bytes]:
    key = tls_key("other tls")
    plain = x509.CertificateSigningRequestBuilder(x509.Name([]))
    named = plain.add_extension(
        x509.SubjectAlternativeName(
            [x509.DNSName("example.org"), x509.UniformResourceIdentifier(str(NODE))]
        ),
        critical=True,
    )
    others = [
        plain.sign(key, hashes.SHA256()),
        named.sign(key, hashes.SHA256()),
        named.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
        named.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
    ]
    der = serialization.Encoding.DER
    return [_node_csr(CAIRO), _node_csr(ROME), *(each.public_bytes(der) for each in others)]


def _certificates() -> list[bytes]:
    issued = authority().issue_node(_node_csr(CAIRO), CAIRO, at=AT)
    return [issued.der, issued.pem, authority().certificate.der]


def _invitations() -> list[bytes]:
    text = str(invitation())
    data = text.encode()
    letters = text.removeprefix(PREFIX).upper()
    payload = base64.b32decode(letters + "=" * (-len(letters) % 8))[:-5]
    return [data, payload]


LARGE = 64 * 1024
TARGETS = (
    Target(
        "enrolment_port",
        Exposure.STRANGER,
        enrolment_port,
        lambda: [_enrolment_request(), _renewal_request()],
        message=enrolment_pb2.EnrolmentRequest,
        size_bytes_max=LARGE,
    ),
    Target(
        "enrolment",
        Exposure.STRANGER,
        enrolment,
        lambda: [enrolment_pb2.EnrolmentRequest.FromString(_enrolment_request()).body],
        message=enrolment_pb2.EnrolmentBody,
        size_bytes_max=LARGE,
    ),
    Target(
        "renewal",
        Exposure.STRANGER,
        renewal,
        _renewal_bodies,
        message=enrolment_pb2.RenewalBody,
        size_bytes_max=8192,
    ),
    Target("certificate_request", Exposure.STRANGER, certificate_request, _certificate_requests),
    Target("certificate", Exposure.STRANGER, certificate, _certificates),
    Target("invitation", Exposure.FILE, invitation_text, _invitations),
)
