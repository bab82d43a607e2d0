"""One's own federation certificate: renewed in time, and switched when the registry has it.

The same for node, hub and registrar; only the way to the registrar differs, and that is
the caller's. The rules: a new key for each certificate; a certificate is taken up only if
it is ours by key, name, CA and registry, whoever handed it out; and whatever was begun is
found again after a crash.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from mithaq.certs.authority import IssuedCertificate, check_path
from mithaq.certs.errors import CertificateIdentityError, UnknownMemberError
from mithaq.certs.keys import SigningPair
from mithaq.certs.registry import Registry
from mithaq.certs.renewal import TlsHolder, make_renewal_request
from mithaq.certs.renewal_folder import RenewalFolder
from mithaq.certs.tls import csr, fingerprint, identity, load_certificate, new_tls_key, to_der

# A certificate is renewed when less than one part in so many of its life is left.
LIFE_PARTS: Final = 3


def is_due(certificate: bytes, *, at: datetime) -> bool:
    """Tell whether less than a third of a certificate's life is left (PEM or DER)."""
    parsed = load_certificate(certificate)
    life = parsed.not_valid_after_utc - parsed.not_valid_before_utc
    return LIFE_PARTS * (parsed.not_valid_after_utc - at) < life


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """Where a holder's key and certificate lie, and by what it asks for the next."""

    holder: TlsHolder
    keys: SigningPair = field(repr=False)
    private_key: Path
    chain: Path
    renewing: RenewalFolder

    def take_up(self) -> bool:
        """Install what was issued before the last end of the process; return whether it was."""
        return self.renewing.install(private_key=self.private_key, chain=self.chain)

    def wanted(self, registry: Registry, *, at: datetime) -> bytes | None:
        """Return the request to ask with now, begun anew if it is time; None if it is not.

        Raises:
            UnknownMemberError, MemberInactiveError: the registry gives us no other one.
            OSError, CertificateError: the present certificate can't be read.

        """
        begun = self.renewing.request()
        if begun is not None:
            return begun
        current = self.chain.read_bytes()
        in_use = self.holder.certificates(registry)
        known = fingerprint(to_der(load_certificate(current))) in in_use
        if known and not is_due(current, at=at):
            return None
        key = new_tls_key()
        asked = csr(key, self.holder.identity(registry.federation))
        request = make_renewal_request(self.holder, registry, keys=self.keys, csr=asked, at=at)
        self.renewing.begin(key, request)
        return request

    def forget_request(self) -> None:
        """Give up what was asked for: it was refused, or can't be answered any more."""
        self.renewing.drop()

    def receive(self, certificate: bytes, registry: Registry, *, at: datetime) -> None:
        """Take up the certificate (PEM or DER) that answers the request.

        Raises:
            CertificateIdentityError: for another key or name than ours.
            CertificatePathError: of another CA, or not in force.
            UnknownMemberError: the registry doesn't have it, or not yet.

        """
        der = to_der(load_certificate(certificate))
        expected = self.holder.identity(registry.federation)
        ours = self.renewing.key().public_key()
        if identity(der) != expected or load_certificate(der).public_key() != ours:
            raise CertificateIdentityError("the new certificate is not for our key and name")
        check_path(der, authorities=registry.ca_certificates, at=at)
        if fingerprint(der) not in self.holder.certificates(registry):
            raise UnknownMemberError("the registry does not have the new certificate yet")
        self.renewing.put_down(IssuedCertificate(der).pem)
        self.take_up()


def pem_of(certificates: Iterable[bytes]) -> bytes:
    """Return certificates in DER as one PEM file."""
    return b"".join(IssuedCertificate(each).pem for each in certificates)
