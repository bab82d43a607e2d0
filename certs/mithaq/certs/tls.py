"""TLS identities: P-256 keys, requests for certificates, and whom a certificate names.

A certificate names its holder by one SPIFFE URI and by nothing else. It opens a
connection; it makes no member: whom the registry doesn't know by the certificate's
SHA-256 takes part in nothing (DESIGN 3).
"""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mithaq.certs.errors import (
    CertificateCurveError,
    CertificateError,
    CertificateIdentityError,
    KeyFormatError,
)
from mithaq.ledger.errors import NameFormatError
from mithaq.ledger.names import check_federation, check_member

TlsKey = ec.EllipticCurvePrivateKey
CERTIFICATE_SIZE_BYTES_MAX: Final = 4096
_USER: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PEM: Final = b"-----BEGIN "
# All that `cryptography` raises over hostile bytes, a named curve it doesn't know among them.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)


class IdentityKind(StrEnum):
    """What a certificate's holder is, as its URI says."""

    HUB = "hub"
    REGISTRAR = "registrar"
    NODE = "node"
    # The server certificate of a node's local API.
    LOCAL = "local"
    OFFICER = "officer"


_PARTS: Final = {
    IdentityKind.HUB: 0,
    IdentityKind.REGISTRAR: 0,
    IdentityKind.NODE: 1,
    IdentityKind.LOCAL: 1,
    IdentityKind.OFFICER: 2,
}


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """``spiffe://<federation>/<kind>[/<member>[/<user>]]``; absent parts are empty."""

    federation: str
    kind: IdentityKind
    member: str = ""
    user: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that its kind doesn't have."""
        try:
            check_federation(self.federation)
            if self.member:
                check_member(self.member)
        except NameFormatError as fault:
            raise CertificateIdentityError(str(fault)) from fault
        given = [bool(self.member), bool(self.user)]
        if given != [_PARTS[self.kind] >= each for each in (1, 2)]:
            raise CertificateIdentityError(f"an identity of kind {self.kind} has other parts")
        if self.user and not _USER.fullmatch(self.user):
            raise CertificateIdentityError("a user id is 1 to 64 of a-z, 0-9, dot, _ and hyphen")

    def __str__(self) -> str:
        """Return the URI."""
        parts = [self.federation, self.kind.value, self.member, self.user]
        return "spiffe://" + "/".join(each for each in parts if each)

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a URI in its one spelling; raises CertificateIdentityError."""
        scheme, _, rest = uri.partition("://")
        parts = rest.split("/")
        if scheme != "spiffe" or not 2 <= len(parts) <= 4:  # noqa: PLR2004 - federation to user
            raise CertificateIdentityError("a certificate's URI is not one of this project's")
        if parts[1] not in {each.value for each in IdentityKind} or "" in parts:
            raise CertificateIdentityError("a certificate's URI names no known kind of identity")
        return cls(parts[0], IdentityKind(parts[1]), *parts[2:])


def new_tls_key() -> TlsKey:
    """Return a fresh ECDSA P-256 key, the kind that gRPC and the path verifier both take."""
    return ec.generate_private_key(ec.SECP256R1())


def tls_key_to_pem(key: TlsKey) -> bytes:
    """Return the private key as PKCS #8 PEM: the secret itself, as gRPC wants it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def tls_key_from_pem(pem: bytes) -> TlsKey:
    """Return the private key of a PEM file.

    Raises:
        KeyFormatError: not an unencrypted private key in PEM.
        CertificateCurveError: a key, but not on P-256.

    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFormatError("this file is not an unencrypted private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateCurveError("this TLS key is not an elliptic curve key")
    _check_curve(key.curve)
    return key


def csr(key: TlsKey, spiffe_uri: str | SpiffeId) -> bytes:
    """Return a PKCS #10 request in DER that asks for this identity and names nothing else."""
    uri = str(spiffe_uri)
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name(SpiffeId.parse(uri)))]),
        [],
        [],
    ).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def common_name(identity: SpiffeId) -> str:
    """Return a short name for people's eyes; nothing decides by it. At most 64 letters."""
    return "/".join(each for each in (identity.kind.value, identity.member, identity.user) if each)[
        :64
    ]


def open_csr(request: bytes, *, expected: SpiffeId) -> ec.EllipticCurvePublicKey:
    """Return the key of a request that asks for exactly the expected identity.

    Raises:
        CertificateError: not a PKCS #10 request in DER, or not signed by its own key.
        CertificateCurveError: its key is not on P-256.
        CertificateIdentityError: it asks for another identity, or for more than one.

    """
    try:
        parsed = x509.load_der_x509_csr(request)
        key, signed = parsed.public_key(), parsed.is_signature_valid
        names = _alternative_names(parsed.extensions)
    except _UNREADABLE as fault:
        raise CertificateError("this is not a certificate request in DER") from fault
    public = _p256(key)
    if not signed:
        raise CertificateError("a certificate request is not signed by its own key")
    if [str(expected)] != names:
        raise CertificateIdentityError("a certificate request asks for another identity")
    return public


def fingerprint(der: bytes) -> bytes:
    """Return the SHA-256 of a certificate's DER, by which the registry knows it."""
    return hashlib.sha256(der).digest()


def load_certificate(certificate: bytes) -> x509.Certificate:
    """Return the certificate of PEM or DER bytes.

    Raises:
        CertificateError: too large, or neither PEM nor DER of a certificate.
        CertificateCurveError: its key is not on P-256.

    """
    pem = certificate.lstrip().startswith(_PEM)
    # A PEM file may hold a chain; its first certificate is the holder's own.
    if not pem and len(certificate) > CERTIFICATE_SIZE_BYTES_MAX:
        raise CertificateError(f"a certificate has at most {CERTIFICATE_SIZE_BYTES_MAX} bytes")
    try:
        load = x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate
        parsed = load(certificate)
        key = parsed.public_key()
    except _UNREADABLE as fault:
        raise CertificateError("these bytes are not a certificate in PEM or DER") from fault
    _p256(key)
    return parsed


def to_der(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def identity(certificate: bytes) -> SpiffeId:
    """Return whom a certificate (PEM or DER) names.

    Raises:
        CertificateError: not a certificate, or extensions that can't be read.
        CertificateCurveError: its key is not on P-256.
        CertificateIdentityError: no URI, more than one, or none of this project's.

    """
    parsed = load_certificate(certificate)
    try:
        names = _uris(parsed.extensions)
    except _UNREADABLE as fault:
        raise CertificateError("a certificate's extensions cannot be read") from fault
    if len(names) != 1:
        raise CertificateIdentityError(f"a certificate names one identity, not {len(names)}")
    return SpiffeId.parse(names[0])


def _p256(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CertificateCurveError("this certificate's key is not an elliptic curve key")
    _check_curve(key.curve)
    return key


def _check_curve(curve: ec.EllipticCurve) -> None:
    # LIMITS: P-521 and Ed25519 end in a bare UNAVAILABLE, so it is said here in plain words.
    if not isinstance(curve, ec.SECP256R1):
        raise CertificateCurveError(f"TLS keys are on P-256, this one is on {curve.name}")


def _uris(extensions: x509.Extensions) -> list[str]:
    return [
        each.value
        for each in _general_names(extensions)
        if isinstance(each, x509.UniformResourceIdentifier)
    ]


def _alternative_names(extensions: x509.Extensions) -> list[str]:
    """Return every alternative name, of whatever type, as text."""
    return [str(each.value) for each in _general_names(extensions)]


def _general_names(extensions: x509.Extensions) -> list[x509.GeneralName]:
    try:
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(found.value)
