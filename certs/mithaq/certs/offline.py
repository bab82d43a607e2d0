"""Keys of people, kept in files that open with a passphrase only.

For administrators', signatories' and duty keys, which never stand on a node in the
clear (DESIGN 3). scrypt (RFC 7914) makes a guess expensive, AES-256-GCM notices a
wrong one. This module enciphers, so nothing that the hub imports may import it.
"""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mithaq.certs.errors import KeyFormatError, KeystoreModeError, PassphraseError
from mithaq.certs.keystore import KEY_FILE_SIZE_BYTES_MAX, Keystore

PASSPHRASE_LENGTH_MIN: Final = 12
PASSPHRASE_SIZE_BYTES_MAX: Final = 1024
# scrypt's cost as a power of two: 17 takes 128 MiB and a third of a second.
COST_DEFAULT: Final = 17
COST_MIN: Final = 14
COST_MAX: Final = 20

_MAGIC: Final = b"mithaq-offline-key-1\n"
_SALT_SIZE_BYTES: Final = 16
_NONCE_SIZE_BYTES: Final = 12
_HEAD_SIZE_BYTES: Final = len(_MAGIC) + 1 + _SALT_SIZE_BYTES + _NONCE_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What a person types; at least 12 characters, and never shown."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse one that is too short to protect a key, or too long to be one."""
        if len(self.text) < PASSPHRASE_LENGTH_MIN:
            raise PassphraseError(f"a passphrase has at least {PASSPHRASE_LENGTH_MIN} characters")
        if len(self.text.encode()) > PASSPHRASE_SIZE_BYTES_MAX:
            raise PassphraseError(f"a passphrase has at most {PASSPHRASE_SIZE_BYTES_MAX} bytes")

    @classmethod
    def read(cls, path: Path) -> "Passphrase":
        """Read the first line of a file that only its owner can read.

        Raises:
            KeystoreModeError: others can read the file, or it can't be read.
            PassphraseError: too short, too long, or not text.

        """
        try:
            with path.open("rb") as file:
                if path.stat().st_mode & 0o077:
                    raise KeystoreModeError("the passphrase file can be read by others", path=path)
                content = file.read(PASSPHRASE_SIZE_BYTES_MAX + 2)
        except OSError:
            raise KeystoreModeError("the passphrase file cannot be read", path=path) from None
        try:
            return cls(content.decode().split("\n")[0].removesuffix("\r"))
        except UnicodeDecodeError:
            raise PassphraseError("the passphrase file is not text") from None


@dataclass(frozen=True, slots=True)
class OfflineKeystore(Keystore):
    """A key store whose files open with one passphrase."""

    passphrase: Passphrase = field(kw_only=True)
    cost: int = COST_DEFAULT

    def _to_file(self, content: bytes) -> bytes:
        return lock(content, self.passphrase, cost=self.cost)

    def _from_file(self, content: bytes) -> bytes:
        return unlock(content, self.passphrase)


def lock(content: bytes, passphrase: Passphrase, *, cost: int = COST_DEFAULT) -> bytes:
    """Return the content enciphered: magic, cost, salt, nonce, then AES-256-GCM."""
    salt, nonce = secrets.token_bytes(_SALT_SIZE_BYTES), secrets.token_bytes(_NONCE_SIZE_BYTES)
    head = _MAGIC + bytes((cost,)) + salt + nonce
    return head + AESGCM(_key(passphrase, salt, cost)).encrypt(nonce, content, head)


def unlock(locked: bytes, passphrase: Passphrase) -> bytes:
    """Return what ``lock`` enciphered.

    Raises:
        KeyFormatError: not a locked key file, or a cost outside what is allowed.
        PassphraseError: another passphrase, or the file was altered.

    """
    if (
        not locked.startswith(_MAGIC)
        or not _HEAD_SIZE_BYTES < len(locked) <= KEY_FILE_SIZE_BYTES_MAX
    ):
        raise KeyFormatError("this file is not a key under a passphrase")
    head, sealed = locked[:_HEAD_SIZE_BYTES], locked[_HEAD_SIZE_BYTES:]
    cost, salt = head[len(_MAGIC)], head[len(_MAGIC) + 1 : -_NONCE_SIZE_BYTES]
    key = _key(passphrase, salt, cost)
    try:
        return AESGCM(key).decrypt(head[-_NONCE_SIZE_BYTES:], sealed, head)
    except InvalidTag:
        raise PassphraseError("the passphrase does not open this key file") from None


def _key(passphrase: Passphrase, salt: bytes, cost: int) -> bytes:
    # A hostile file must not make us allocate gigabytes, a careless caller not weaken it.
    if not COST_MIN <= cost <= COST_MAX:
        raise KeyFormatError(f"a key file's cost is {COST_MIN} to {COST_MAX}, not {cost}")
    return Scrypt(salt=salt, length=32, n=1 << cost, r=8, p=1).derive(passphrase.text.encode())
