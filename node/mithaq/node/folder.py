"""A node's work folder: what lies where, and that one process at a time uses it.

The folder is the node: keys, database, certificates, evidence. It is its owner's
only. The rule: nothing outside this module spells a file name of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grpc import StatusCode

from mithaq.certs.keystore import Keystore
from mithaq.certs.renewal_folder import RenewalFolder
from mithaq.service.config import ConfigError
from mithaq.service.errors import MithaqError
from mithaq.service.tls import TlsFiles

# Raised when an older program could not use the folder; the database has its own.
LAYOUT: Final = 1
_LAYOUT_FILE: Final = "mithaq-node"
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"


class FolderVersionError(MithaqError):
    """The work folder was made by another version, or is not a node's."""

    code = "MQ-CONFIG-FOLDER-VERSION"
    public_message = "The work folder belongs to another version of Mithaq."
    fix = "Run the version that made it, or a newer one; it migrates older work folders itself."
    grpc_status = StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """The files below a node's work folder."""

    path: Path

    def prepare(self) -> None:
        """Make the folder, closed to others, and mark it as a node's; raise FolderVersionError."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        if (self.path / _LAYOUT_FILE).exists():
            self.check_layout()
        else:
            (self.path / _LAYOUT_FILE).write_text(f"{LAYOUT}\n", encoding="ascii")
        for each in (self.evidence, self.incoming, self.profiles):
            each.mkdir(mode=0o700, exist_ok=True)

    def check_layout(self) -> None:
        """Raise ConfigError where no node lives, FolderVersionError for another version's."""
        try:
            found = (self.path / _LAYOUT_FILE).read_text(encoding="ascii").strip()
        except OSError:
            raise ConfigError(
                f"{self.path} is no node's work folder",
                public_message="There is no node in this folder.",
                fix="Name the folder that `mithaq node join` made.",
            ) from None
        if found != str(LAYOUT):
            raise FolderVersionError(f"layout {found[:20]!r}, wanted {LAYOUT}")

    @property
    def keys(self) -> Keystore:
        """The node's own keys."""
        return Keystore(self.path / "keys")

    @property
    def credentials(self) -> Keystore | None:
        """Keys that systemd hands to this process ($CREDENTIALS_DIRECTORY), if it does."""
        handed = os.environ.get(_CREDENTIALS)
        return Keystore(Path(handed), credentials=True) if handed else None

    @property
    def offline(self) -> Path:
        """Keys of people, under a passphrase, for their owners to carry away."""
        return self.path / "offline"

    @property
    def profiles(self) -> Path:
        """How the node's own people reach it, a folder for each."""
        return self.path / "profiles"

    @property
    def local(self) -> Path:
        """The local API's authority."""
        return self.path / "local"

    @property
    def evidence(self) -> Path:
        """What proves an alarm to a third party."""
        return self.path / "evidence"

    @property
    def incoming(self) -> Path:
        """List files while they are imported."""
        return self.path / "incoming"

    @property
    def joining(self) -> Path:
        """What a join that is under way has to remember; removed when it is done."""
        return self.path / "joining"

    @property
    def renewing(self) -> RenewalFolder:
        """What a renewal of the certificate has to remember while it is on its way."""
        return RenewalFolder(self.path / "renewing")

    @property
    def genesis(self) -> Path:
        """The leaf hash of the federation's first entry, in hex: the root pin."""
        return self.path / "genesis.pin"

    @property
    def tls(self) -> TlsFiles:
        """What the node shows the hub."""
        return TlsFiles(
            private_key=self.path / "node.key.pem",
            chain=self.path / "node.pem",
            roots=self.path / "federation-ca.pem",
        )
