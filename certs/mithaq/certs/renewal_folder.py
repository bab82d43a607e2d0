"""A TLS renewal on its way, on disk: the new key, the request, then the certificate.

Each step is durable before the next, so a process that is killed anywhere goes on where
it was: what was asked for is asked for again byte for byte, and a certificate that was
put down is installed at the next start. The rule: the old key and certificate are
replaced only when the new ones are whole.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mithaq.certs.tls import TlsKey, tls_key_from_pem, tls_key_to_pem

_KEY: Final = "key.pem"
_REQUEST: Final = "request"
_CERTIFICATE: Final = "certificate.pem"


@dataclass(frozen=True, slots=True)
class RenewalFolder:
    """A folder of its owner's only, which exists while a renewal is on its way."""

    path: Path

    def begin(self, key: TlsKey, request: bytes) -> None:
        """Keep a new key and the request for it, in place of what was begun before."""
        self.drop()
        self.path.mkdir(mode=0o700, parents=True)
        write_whole(self.path / _KEY, tls_key_to_pem(key))
        # Last: a request without its key would be asked in vain.
        write_whole(self.path / _REQUEST, request)

    def request(self) -> bytes | None:
        """Return the request that was begun, or None."""
        try:
            return (self.path / _REQUEST).read_bytes()
        except FileNotFoundError:
            return None

    def key(self) -> TlsKey:
        """Return the new key; raises KeyFormatError."""
        return tls_key_from_pem((self.path / _KEY).read_bytes())

    def put_down(self, certificate: bytes) -> None:
        """Keep the certificate (PEM) that was issued and checked; it will be installed."""
        write_whole(self.path / _CERTIFICATE, certificate)

    def install(self, *, private_key: Path, chain: Path) -> bool:
        """Put a certificate that was put down, and its key, in the place of those before.

        Returns whether there was one. To be called at each start too.
        """
        if not (self.path / _CERTIFICATE).exists():
            return False
        write_whole(private_key, (self.path / _KEY).read_bytes())
        write_whole(chain, (self.path / _CERTIFICATE).read_bytes())
        self.drop()
        return True

    def drop(self) -> None:
        """Forget the renewal; a later one begins with another key."""
        # First what makes it count, so that half a folder is none.
        for name in (_CERTIFICATE, _REQUEST):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a whole file that only its owner can read, or leave the one before."""
    draft = path.with_name(f".{path.name}.next")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    draft.replace(path)
