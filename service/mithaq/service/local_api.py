"""A local API's own authority: its CA, its server certificate, and its users' profiles.

Hub, node and registrar each serve their own people on one machine or within one
agency, under a CA of their own that nobody else trusts. What a user may do is not
in the certificate. The rule: the CA's key stays in the part's key folder.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from mithaq.certs.authority import IssuedCertificate, LocalAuthority
from mithaq.certs.keystore import Keystore
from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    csr,
    load_certificate,
    new_tls_key,
    tls_key_to_pem,
    to_der,
)
from mithaq.service.profile import Profile, write_private, write_profile
from mithaq.service.tls import TlsFiles

SERVER_NAME = "localhost"
# A certificate of 90 days is renewed when a third of its life is left.
RENEWED_BEFORE = timedelta(days=30)
_HOSTS = (SERVER_NAME, "127.0.0.1", "::1")
_CA_KEY = "local-ca"


def ends_soon(certificate: bytes, *, at: datetime) -> bool:
    """Return whether a certificate (PEM or DER) is to be renewed now."""
    return load_certificate(certificate).not_valid_after_utc - at < RENEWED_BEFORE


@dataclass(frozen=True, slots=True)
class LocalApi:
    """The files of a local API below a part's folder."""

    folder: Path
    federation: str
    # A member's id; the hub and the registrar are named like one: `int-hub`, `int-registrar`.
    owner: str

    @classmethod
    def create(cls, folder: Path, *, federation: str, owner: str, at: datetime) -> Self:
        """Make the CA and the server certificate; raises KeyExistsError where there is one."""
        api = cls(folder, federation, owner)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = LocalAuthority.create(federation, owner, at=at)
        api._keys().create(_CA_KEY, authority.key)
        write_private(api._ca_file(), authority.certificate.pem)
        api.make_server_certificate(authority, at=at)
        return api

    def renew_server(self, *, at: datetime) -> bool:
        """Renew the server's certificate if it ends soon; return whether it was renewed.

        Servers that ask their files at each handshake use it from the next one on.
        """
        if not ends_soon(self.tls_files().chain.read_bytes(), at=at):
            return False
        self.make_server_certificate(self.authority(), at=at)
        return True

    def make_server_certificate(self, authority: LocalAuthority, *, at: datetime) -> None:
        """Give the server a fresh key and certificate."""
        key = new_tls_key()
        request = csr(key, SpiffeId(self.federation, IdentityKind.LOCAL, self.owner))
        issued = authority.issue_server(request, _HOSTS, at=at)
        files = self.tls_files()
        write_private(files.private_key, tls_key_to_pem(key))
        write_private(files.chain, issued.pem)

    def tls_files(self) -> TlsFiles:
        """Return where the server's TLS material lies."""
        return TlsFiles(
            private_key=self.folder / "local-server.key.pem",
            chain=self.folder / "local-server.pem",
            roots=self._ca_file(),
        )

    def issue_user(self, request: bytes, user: str, *, at: datetime) -> IssuedCertificate:
        """Return a user's certificate for a request in DER."""
        return self.authority().issue_officer(request, user, at=at)

    def authority(self) -> LocalAuthority:
        """Return the CA, its key read from the key folder."""
        key = self._keys().load_tls(_CA_KEY)
        return LocalAuthority(self.federation, key, self.ca_der(), self.owner)

    def ca_pem(self) -> bytes:
        """Return the CA's certificate in PEM: what users trust the server by."""
        return self._ca_file().read_bytes()

    def ca_der(self) -> bytes:
        """Return the CA's certificate in DER."""
        return to_der(load_certificate(self.ca_pem()))

    def new_profile(self, into: Path, *, user: str, address: str, at: datetime) -> bytes:
        """Make a user's key, certificate and profile; return the certificate's fingerprint."""
        key = new_tls_key()
        identity = SpiffeId(self.federation, IdentityKind.OFFICER, self.owner, user)
        issued = self.issue_user(csr(key, identity), user, at=at)
        write_profile(
            into,
            Profile(address, SERVER_NAME, self.ca_pem(), issued.pem, tls_key_to_pem(key)),
        )
        return issued.fingerprint

    def _keys(self) -> Keystore:
        return Keystore(self.folder / "keys")

    def _ca_file(self) -> Path:
        return self.folder / "local-ca.pem"
