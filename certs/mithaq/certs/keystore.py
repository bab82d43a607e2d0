"""Private keys on disk, one file each, that nobody but their owner can read.

The folder has mode 0700 and a key file 0600; anything looser is refused instead of
repaired, because a key that was readable has to be thought of as read. A key is never
overwritten, and never printed. What may be lost with the machine is here in the
clear; keys of people (administrators, signatories, duty) belong in ``offline``.
"""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from mithaq.certs.errors import (
    KeyExistsError,
    KeyFormatError,
    KeyMissingError,
    KeyNameError,
    KeystoreModeError,
)
from mithaq.certs.keys import (
    Ed25519Key,
    MlDsa44Key,
    ReceptionKey,
    SecretKey,
    SigningPair,
)
from mithaq.certs.tls import TlsKey, tls_key_from_pem, tls_key_to_pem

KEY_FILE_SIZE_BYTES_MAX: Final = 16 * 1024
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_OTHERS: Final = 0o077
# systemd hands credentials over read-only, and to the unit's user through an ACL, which
# shows in the mode as the group's right to read.
_OTHERS_OF_CREDENTIALS: Final = 0o027
_KINDS: Final[dict[type, str]] = {
    Ed25519Key: "ED25519 KEY",
    MlDsa44Key: "MLDSA44 KEY",
    SigningPair: "SIGNING PAIR",
    ReceptionKey: "RECEPTION KEY",
    SecretKey: "SECRET KEY",
}


class SeedKey(Protocol):
    """A key that is all there in its bytes."""

    def to_bytes(self) -> bytes:
        """Return the secret itself."""
        ...


_K = TypeVar("_K", bound=SeedKey)


@dataclass(frozen=True, slots=True)
class Keystore:
    """A folder of private keys.

    With ``credentials`` it is the folder of $CREDENTIALS_DIRECTORY: systemd keeps it, so
    it is only read, and it may belong to root.
    """

    directory: Path
    credentials: bool = False

    def create(self, name: str, key: SeedKey | TlsKey) -> None:
        """Write a new key; the folder is made if it is missing.

        Raises:
            KeyNameError, KeyExistsError, KeystoreModeError: nothing was written.

        """
        path = self._path(name)
        content = self._to_file(_armoured(key))
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_folder()
        _write_new(path, content)

    def load_ed25519(self, name: str) -> Ed25519Key:
        """Return a key; raises KeyMissingError, KeystoreModeError, KeyFormatError."""
        return self._load(name, Ed25519Key, Ed25519Key.from_bytes)

    def load_mldsa44(self, name: str) -> MlDsa44Key:
        """Return a key; raises as load_ed25519 does."""
        return self._load(name, MlDsa44Key, MlDsa44Key.from_bytes)

    def load_pair(self, name: str) -> SigningPair:
        """Return a pair; raises as load_ed25519 does."""
        return self._load(name, SigningPair, SigningPair.from_bytes)

    def load_reception(self, name: str) -> ReceptionKey:
        """Return a reception key; raises as load_ed25519 does."""
        return self._load(name, ReceptionKey, ReceptionKey.from_bytes)

    def load_secret(self, name: str) -> SecretKey:
        """Return a symmetric key; raises as load_ed25519 does."""
        return self._load(name, SecretKey, SecretKey.from_bytes)

    def load_tls(self, name: str) -> TlsKey:
        """Return a TLS key; raises as load_ed25519 does, and CertificateCurveError."""
        return tls_key_from_pem(self._read(name))

    def exists(self, name: str) -> bool:
        """Tell whether a key of this name is there, whatever its state."""
        return os.path.lexists(self._path(name))

    def names(self) -> list[str]:
        """Return the names of all keys, sorted; none if the folder is missing."""
        if not self.directory.is_dir():
            return []
        return sorted(
            each.stem for each in self.directory.glob("*.key") if _NAME.fullmatch(each.stem)
        )

    def destroy(self, name: str) -> None:
        """Remove a key durably; raises KeyMissingError.

        What a disk keeps of overwritten or removed blocks is beyond a program's reach
        (LIMITS), so nothing is overwritten for show.
        """
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise KeyMissingError(f"there is no key {name}") from None
        _sync_folder(self.directory)

    def _load(self, name: str, kind: type[_K], loader: Callable[[bytes], _K]) -> _K:
        return loader(_unarmoured(self._read(name), _KINDS[kind]))

    def _read(self, name: str) -> bytes:
        path = self._path(name)
        self._check_folder()
        try:
            # No symbolic link: its target may lie where others can put a key of theirs.
            # And no waiting for whoever writes to a pipe of that name.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise KeyMissingError(f"there is no key {name}") from None
        except OSError:
            raise KeystoreModeError(f"the key {name} is no plain file of ours", path=path) from None
        try:
            self._check_mode(path, os.fstat(handle), f"the key {name}", plain=stat.S_ISREG)
            content = os.read(handle, KEY_FILE_SIZE_BYTES_MAX + 1)
        finally:
            os.close(handle)
        if len(content) > KEY_FILE_SIZE_BYTES_MAX:
            raise KeyFormatError(f"the key file of {name} is too large to be one")
        return self._from_file(content)

    def _to_file(self, content: bytes) -> bytes:
        return content

    def _from_file(self, content: bytes) -> bytes:
        return content

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise KeyNameError("a key's name is 1 to 64 of a-z, 0-9 and hyphen")
        return self.directory / f"{name}.key"

    def _check_folder(self) -> None:
        try:
            found = self.directory.lstat()
        except FileNotFoundError:
            raise KeyMissingError("the key folder is missing") from None
        self._check_mode(self.directory, found, "the key folder", plain=stat.S_ISDIR)

    def _check_mode(
        self, path: Path, found: os.stat_result, what: str, *, plain: Callable[[int], bool]
    ) -> None:
        if not plain(found.st_mode):
            raise KeystoreModeError(
                f"{what} is not a plain file or folder, as it should be", path=path
            )
        forbidden = _OTHERS_OF_CREDENTIALS if self.credentials else _OTHERS
        if found.st_mode & forbidden:
            mode = stat.S_IMODE(found.st_mode)
            raise KeystoreModeError(
                f"{what} has mode {mode:04o}, so others can get at it", path=path
            )
        owners = {os.geteuid(), 0} if self.credentials else {os.geteuid()}
        if found.st_uid not in owners:
            raise KeystoreModeError(f"{what} belongs to another user", path=path)


def _armoured(key: SeedKey | TlsKey) -> bytes:
    if isinstance(key, TlsKey):
        return tls_key_to_pem(key)
    label = _KINDS[type(key)]
    text = base64.b64encode(key.to_bytes()).decode("ascii")
    return f"-----BEGIN MITHAQ {label}-----\n{text}\n-----END MITHAQ {label}-----\n".encode()


def _unarmoured(content: bytes, label: str) -> bytes:
    begin, end = f"-----BEGIN MITHAQ {label}-----\n", f"-----END MITHAQ {label}-----\n"
    if not (content.startswith(begin.encode()) and content.endswith(end.encode())):
        raise KeyFormatError(f"this key file does not hold a {label.lower()}")
    try:
        return base64.b64decode(content[len(begin) : -len(end)].strip(), validate=True)
    except (binascii.Error, ValueError):
        raise KeyFormatError("this key file is damaged") from None


def _write_new(path: Path, content: bytes) -> None:
    """Write a whole file or none, and never over another: linking fails where a name exists."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.link(draft, path, follow_symlinks=False)
    except FileExistsError:
        raise KeyExistsError(f"there is a key {path.stem} already") from None
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
