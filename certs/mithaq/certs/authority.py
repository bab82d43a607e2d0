"""The two CAs: the federation's, for servers and nodes, and a node's own, for officers.

A CA here only makes certificates that the transport accepts. It makes no member:
the registry pins each certificate by its SHA-256 (DESIGN 11, last row). Roles of
officers are rows of the node's table, never in a certificate.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mithaq.certs.errors import CertificateError, CertificatePathError
from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    TlsKey,
    common_name,
    fingerprint,
    load_certificate,
    new_tls_key,
    open_csr,
    to_der,
)

CA_LIFE: Final = timedelta(days=3650)
TLS_LIFE: Final = timedelta(days=90)
OFFICER_LIFE: Final = timedelta(days=90)
# Clocks differ a little between the parties; a certificate begins this much earlier.
BACKDATED: Final = timedelta(minutes=5)
HOSTS_MAX: Final = 16

_CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate, in the spellings that callers need."""

    der: bytes

    @property
    def pem(self) -> bytes:
        """As gRPC wants it."""
        return x509.load_der_x509_certificate(self.der).public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> bytes:
        """As the registry knows it: the SHA-256 of the DER."""
        return fingerprint(self.der)

    @property
    def expires_at(self) -> datetime:
        """The instant after which no TLS stack takes it."""
        return x509.load_der_x509_certificate(self.der).not_valid_after_utc


@dataclass(frozen=True, slots=True)
class _Issuer:
    """A CA's key and certificate, and what both CAs have in common."""

    federation: str
    key: TlsKey
    certificate_der: bytes

    @property
    def certificate(self) -> IssuedCertificate:
        """The CA's own certificate."""
        return IssuedCertificate(self.certificate_der)

    def __repr__(self) -> str:
        """Name the CA by its certificate, never by its key."""
        return f"<{type(self).__name__} {fingerprint(self.certificate_der).hex()[:8]}>"

    def _issue(
        self,
        request: bytes,
        identity: SpiffeId,
        *,
        uses: Sequence[x509.ObjectIdentifier],
        at: datetime,
        life: timedelta,
        hosts: Sequence[str] = (),
    ) -> IssuedCertificate:
        public = open_csr(request, expected=identity)
        issuer = x509.load_der_x509_certificate(self.certificate_der)
        builder = (
            _builder(common_name(identity), issuer=issuer.subject, at=at, life=life)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
            .add_extension(_names(identity, hosts), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        return IssuedCertificate(to_der(builder.sign(self.key, hashes.SHA256())))


class Authority(_Issuer):
    """The federation's issuing CA, kept by the registrar."""

    __slots__ = ()

    @classmethod
    def create(cls, federation: str, *, at: datetime) -> Self:
        """Return a new CA with a fresh P-256 key, valid for ten years."""
        # Spells the name out once, so that a CA can't be made for an impossible one.
        SpiffeId(federation, IdentityKind.HUB)
        key = new_tls_key()
        return cls(federation, key, _self_signed(f"{federation} issuing CA", key, at=at))

    def issue_node(self, csr: bytes, member: str, *, at: datetime) -> IssuedCertificate:
        """Return a member's node certificate for its request in DER; client only, 90 days.

        Raises:
            CertificateError: the request is malformed, on another curve, or for someone else.

        """
        identity = SpiffeId(self.federation, IdentityKind.NODE, member)
        return self._issue(csr, identity, uses=[_CLIENT], at=at, life=TLS_LIFE)

    def issue_hub(self, csr: bytes, hosts: Sequence[str], *, at: datetime) -> IssuedCertificate:
        """Return the hub's server certificate for these DNS names or IP addresses; 90 days.

        Raises:
            CertificateError: the request is malformed, on another curve, or for someone else.

        """
        identity = SpiffeId(self.federation, IdentityKind.HUB)
        uses = [_SERVER, _CLIENT]
        return self._issue(csr, identity, uses=uses, at=at, life=TLS_LIFE, hosts=hosts)

    def issue_registrar(
        self, csr: bytes, hosts: Sequence[str] = (), *, at: datetime
    ) -> IssuedCertificate:
        """Return the registrar's certificate: client of the hub, server of its local API."""
        identity = SpiffeId(self.federation, IdentityKind.REGISTRAR)
        uses = [_CLIENT, _SERVER] if hosts else [_CLIENT]
        return self._issue(csr, identity, uses=uses, at=at, life=TLS_LIFE, hosts=hosts)


@dataclass(frozen=True, slots=True, repr=False)
class LocalAuthority(_Issuer):
    """A node's own CA: its officers' certificates and its local API's server certificate."""

    member: str

    @classmethod
    def create(cls, federation: str, member: str, *, at: datetime) -> Self:
        """Return a new CA with a fresh P-256 key, valid for ten years."""
        SpiffeId(federation, IdentityKind.NODE, member)
        key = new_tls_key()
        return cls(federation, key, _self_signed(f"{member} local CA", key, at=at), member)

    def issue_officer(self, csr: bytes, user: str, *, at: datetime) -> IssuedCertificate:
        """Return an officer's client certificate; it says who, never what they may do."""
        identity = SpiffeId(self.federation, IdentityKind.OFFICER, self.member, user)
        return self._issue(csr, identity, uses=[_CLIENT], at=at, life=OFFICER_LIFE)

    def issue_server(self, csr: bytes, hosts: Sequence[str], *, at: datetime) -> IssuedCertificate:
        """Return the local API's server certificate for these DNS names or IP addresses."""
        identity = SpiffeId(self.federation, IdentityKind.LOCAL, self.member)
        return self._issue(csr, identity, uses=[_SERVER], at=at, life=TLS_LIFE, hosts=hosts)


def check_path(certificate: bytes, *, authorities: Sequence[bytes], at: datetime) -> None:
    """Check that one of these CAs (DER) issued a certificate, and that it is in force.

    Raises:
        CertificateError: not a certificate at all.
        CertificatePathError: issued by none of them, or expired, or not yet valid.

    """
    leaf = load_certificate(certificate)
    try:
        store = verification.Store([load_certificate(each) for each in authorities])
        _verifier(store, at).verify(leaf, [])
    except (verification.VerificationError, ValueError) as fault:
        raise CertificatePathError("no trusted CA issued this certificate for this time") from fault


def check_authority_certificate(certificate: bytes) -> None:
    """Raise CertificateError unless this DER is a CA's certificate, signed by itself."""
    parsed = load_certificate(certificate)
    try:
        constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
        parsed.verify_directly_issued_by(parsed)
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        ValueError,
        TypeError,
        InvalidSignature,
    ) as fault:
        raise CertificateError("a CA's certificate is signed by itself and says so") from fault
    if not constraints.ca or to_der(parsed) != certificate:
        raise CertificateError("a CA's certificate says that it is one, in DER")


def _verifier(store: verification.Store, at: datetime) -> verification.ClientVerifier:
    # Node certificates have no DNS name, and clients' use is not "server": permit what we issue.
    holder = verification.ExtensionPolicy.permit_all().require_present(
        x509.SubjectAlternativeName, verification.Criticality.AGNOSTIC, None
    )
    authority = verification.ExtensionPolicy.webpki_defaults_ca()
    return (
        verification.PolicyBuilder()
        .store(store)
        .time(at)
        .max_chain_depth(1)
        .extension_policies(ca_policy=authority, ee_policy=holder)
        .build_client_verifier()
    )


def _self_signed(name: str, key: TlsKey, *, at: datetime) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(name, issuer=subject, at=at, life=CA_LIFE)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return to_der(builder.sign(key, hashes.SHA256()))


def _builder(
    name: str, *, issuer: x509.Name, at: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BACKDATED)
        .not_valid_after(at + life)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _names(identity: SpiffeId, hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    if len(hosts) > HOSTS_MAX:
        raise CertificateError(f"a certificate names at most {HOSTS_MAX} hosts")
    uri = x509.UniformResourceIdentifier(str(identity))
    return x509.SubjectAlternativeName([uri, *(_host(each) for each in hosts)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as fault:
        raise CertificateError("a host is a DNS name or an IP address") from fault
