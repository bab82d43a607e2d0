"""At rest: each stored thing under a key of its own, so that it can be destroyed alone.

The storage key wraps a fresh AES-256 key for each record; erasing the wrapped key makes
the record unreadable in every copy of the page that may survive (DESIGN 5). What is
sealed is bound to a name given by the caller, so that rows cannot be exchanged. The one
rule: a record's key is used for exactly one encryption.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mithaq.node.sealing.errors import AtRestError, ErasedError

STORAGE_KEY_SIZE_BYTES: Final = 32
_NONCE_SIZE_BYTES: Final = 12
_RECORD_KEY_SIZE_BYTES: Final = 32
# Safe because a record's key seals once: the pair of key and nonce never comes again.
_ONLY_NONCE: Final = bytes(_NONCE_SIZE_BYTES)

Randomness = Callable[[int], bytes]


class AtRest(NamedTuple):
    """What a row keeps: the record's own key, wrapped, and the record under it."""

    wrapped_key: bytes
    body: bytes


class StorageKey:
    """The node's AES-256 storage key, which wraps every other key that is stored."""

    __slots__ = ("_aead", "_tombstones")

    def __init__(self, key: bytes) -> None:
        if len(key) != STORAGE_KEY_SIZE_BYTES:
            raise AtRestError(f"a storage key has {STORAGE_KEY_SIZE_BYTES} bytes")
        # One key, one purpose: wrapping and naming tombstones each have their own.
        self._aead = AESGCM(_derived(key, b"mithaq/storage/wrap/v1"))
        self._tombstones = HMAC(_derived(key, b"mithaq/storage/tombstone/v1"), SHA256())

    def seal(self, record: bytes, *, name: bytes, random: Randomness) -> AtRest:
        """Seal a record under a fresh key; `name` binds it to its row."""
        entropy = random(_RECORD_KEY_SIZE_BYTES + _NONCE_SIZE_BYTES)
        key, nonce = entropy[:_RECORD_KEY_SIZE_BYTES], entropy[_RECORD_KEY_SIZE_BYTES:]
        wrapped = nonce + self._aead.encrypt(nonce, key, name)
        return AtRest(wrapped, AESGCM(key).encrypt(_ONLY_NONCE, record, name))

    def open(self, *, wrapped_key: bytes | None, body: bytes | None, name: bytes) -> bytes:
        """Return the record of a row.

        Raises:
            ErasedError: its key or its body is gone.
            AtRestError: damaged, of another row, or under another storage key.

        """
        if not wrapped_key or not body:
            raise ErasedError("the record's key was destroyed")
        nonce, wrapped = wrapped_key[:_NONCE_SIZE_BYTES], wrapped_key[_NONCE_SIZE_BYTES:]
        try:
            key = self._aead.decrypt(nonce, wrapped, name)
            return AESGCM(key).decrypt(_ONLY_NONCE, body, name)
        except (InvalidTag, ValueError):
            raise AtRestError("a stored record does not open under this storage key") from None

    def wrap(self, secret: bytes, *, name: bytes, random: Randomness) -> bytes:
        """Wrap a short secret, such as an epoch's or a reception key, bound to its name."""
        nonce = random(_NONCE_SIZE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, name)

    def unwrap(self, wrapped: bytes, *, name: bytes) -> bytes:
        """Return a wrapped secret.

        Raises:
            AtRestError: damaged, of another name, or under another storage key.

        """
        try:
            return self._aead.decrypt(
                wrapped[:_NONCE_SIZE_BYTES], wrapped[_NONCE_SIZE_BYTES:], name
            )
        except (InvalidTag, ValueError):
            raise AtRestError("a stored secret does not open under this storage key") from None

    def tombstone(self, alert_id: str) -> bytes:
        """Return the keyed hash under which a withdrawn alert is remembered (PROTOCOL 3.6)."""
        mac = self._tombstones.copy()
        mac.update(alert_id.encode())
        return mac.finalize()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), length=STORAGE_KEY_SIZE_BYTES, salt=None, info=purpose).derive(key)
