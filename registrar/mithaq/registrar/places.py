"""Where a registrar's files lie, and what its own keys are called.

The rule: nothing outside this module spells a file name of the folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mithaq.certs.keystore import Keystore
from mithaq.certs.renewal_folder import RenewalFolder
from mithaq.service.tls import TlsFiles

CA_KEY: Final = "issuing-ca"
REGISTRAR_KEY: Final = "registrar"
OWNER: Final = "int-registrar"


@dataclass(frozen=True, slots=True)
class Places:
    """The files below a registrar's folder."""

    folder: Path

    @property
    def genesis(self) -> Path:
        """The first entry's exact bytes."""
        return self.folder / "genesis.entry"

    @property
    def ca(self) -> Path:
        """The issuing CA's certificate, PEM."""
        return self.folder / "issuing-ca.pem"

    @property
    def local(self) -> Path:
        """The local API's authority."""
        return self.folder / "local"

    @property
    def users(self) -> Path:
        """SHA-256 of each certificate that may call the local API, in hex, one a line."""
        return self.folder / "local-users"

    @property
    def keys(self) -> Keystore:
        """The registrar's own keys."""
        return Keystore(self.folder / "keys")

    @property
    def tls(self) -> TlsFiles:
        """What the registrar shows the hub."""
        return TlsFiles(
            private_key=self.folder / "registrar.key.pem",
            chain=self.folder / "registrar.pem",
            roots=self.ca,
        )

    @property
    def renewing(self) -> RenewalFolder:
        """What a renewal of that has to remember while it is on its way."""
        return RenewalFolder(self.folder / "renewing")

    @property
    def profiles(self) -> Path:
        """How administrators on this machine reach the local API, a folder for each."""
        return self.folder / "profiles"

    @property
    def draft(self) -> Path:
        """The first entry while its administrators sign it."""
        return self.folder / "genesis.draft"
