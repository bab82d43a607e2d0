"""TLS material for servers and channels: read from files, and read again when they change.

A server asks for it at each handshake, so a renewed certificate is in use without a
restart; connections that exist live on until their age ends them (LIMITS). A channel
can't be changed: open a new one and drain the old. TLS names a peer; whether it may
call is the registry's to say.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc

from mithaq.service.errors import MithaqError
from mithaq.service.logging import declare, logger

MATERIAL_KEPT = declare("tls material unreadable so the old one stays", "file")
PRIVATE_KEY_MODE_MASK = 0o077


class TlsFileError(MithaqError):
    """A file of TLS material is missing, unreadable or open to others."""

    code = "MQ-CERT-FILE"
    public_message = "A certificate or key file can't be used."
    fix = "Check that the file exists, is PEM, and that a key file has mode 0600."
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """A private key, its certificate chain and the CA certificates of peers, all PEM."""

    private_key: bytes
    chain: bytes
    roots: bytes

    def __repr__(self) -> str:
        return "TlsMaterial(…)"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where TLS material lies; the key file must be closed to group and others."""

    private_key: Path
    chain: Path
    roots: Path

    def read(self) -> TlsMaterial:
        """Return the material; raise TlsFileError naming the file that can't be used."""
        return TlsMaterial(
            private_key=pem(self.private_key, b"PRIVATE KEY", secret=True),
            chain=pem(self.chain, b"CERTIFICATE", secret=False),
            roots=pem(self.roots, b"CERTIFICATE", secret=False),
        )

    def changed_at(self) -> tuple[int, ...]:
        """Return what changes whenever a file does: nanoseconds and inode of each."""
        stats = [path.stat() for path in (self.private_key, self.chain, self.roots)]
        return tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_ino))


def pem(path: Path, kind: bytes, *, secret: bool) -> bytes:
    """Return a PEM file's bytes; raise TlsFileError."""
    try:
        if secret and path.stat().st_mode & PRIVATE_KEY_MODE_MASK:
            raise TlsFileError(f"{path} is open to group or others")
        text = path.read_bytes()
    except OSError as error:
        raise TlsFileError(f"{path}: {error.strerror}") from None
    if b"-----BEGIN " not in text or kind not in text:
        raise TlsFileError(f"{path} holds no PEM {kind.decode().lower()}")
    return text


class ReloadedFiles:
    """Material that follows its files: called at each handshake, read when they changed."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files for the first time; raise TlsFileError."""
        self._files = files
        self._seen = files.changed_at() if files_exist(files) else ()
        self._material = files.read()

    def __call__(self) -> TlsMaterial:
        """Return the newest material that could be read as a whole."""
        try:
            seen = self._files.changed_at()
            if seen != self._seen:
                self._material, self._seen = self._files.read(), seen
        except (OSError, TlsFileError) as error:
            # A file may be half written; the next handshake looks again.
            logger().warning(MATERIAL_KEPT, file=self._files.chain.name, exc_info=error)
        return self._material


def files_exist(files: TlsFiles) -> bool:
    """Return whether all files are there, so that reading them can name what is wrong."""
    return all(path.exists() for path in (files.private_key, files.chain, files.roots))


def server_credentials(
    material: Callable[[], TlsMaterial], *, client_certificates: bool = True
) -> grpc.ServerCredentials:
    """Return credentials that ask `material` at every handshake.

    With `client_certificates` a peer without a certificate of one of the roots is
    turned away by TLS; without (enrolment only) nobody is asked for one.
    """
    changes = Changes(material)
    # None says "as before" (grpc's documentation); the published types forget it.
    since = cast("Callable[[], grpc.ServerCertificateConfiguration]", changes.since)
    return grpc.dynamic_ssl_server_credentials(
        changes.first, since, require_client_authentication=client_certificates
    )


class Changes:
    """What handshakes are to use, told only when it is new.

    grpcio 1.85 replaces what other handshakes are using at that moment whenever it is
    given a configuration: told anew at each handshake, a hub with 32 nodes that came back
    together and a node crashed in it (freed memory, a reference count below zero).
    """

    def __init__(self, material: Callable[[], TlsMaterial]) -> None:
        """Ask for the first material."""
        self._material = material
        self._told = material()
        self._lock = threading.Lock()

    @property
    def first(self) -> grpc.ServerCertificateConfiguration:
        """The configuration to begin with."""
        return _configuration(self._told)

    def since(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the configuration, or None where it is as it was told before."""
        with self._lock:
            now = self._material()
            if now == self._told:
                return None
            self._told = now
        return _configuration(now)


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.private_key, material.chain)], root_certificates=material.roots
    )


def channel_credentials(material: TlsMaterial) -> grpc.ChannelCredentials:
    """Return credentials of a client that shows its certificate and trusts only the roots."""
    return grpc.ssl_channel_credentials(
        root_certificates=material.roots,
        private_key=material.private_key,
        certificate_chain=material.chain,
    )


def channel_credentials_without_certificate(roots: bytes) -> grpc.ChannelCredentials:
    """Return credentials of a client that has no certificate yet: for enrolment."""
    return grpc.ssl_channel_credentials(root_certificates=roots)
