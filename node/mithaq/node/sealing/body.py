"""Bodies: a record sealed under its epoch's content key, bound to its place.

PROTOCOL 4.2 to 4.5. AES-GCM commits to no key, so one ciphertext can be made to open to
two texts under two keys (LIMITS, "Pitfalls in the cryptography"); what holds a sender to
one text is the salted commitment in the signed header. The one rule: nothing is returned
before hash, tag, padding and commitment have all been checked. The hash is checked where
a body arrives, whether or not it is opened then; that it was is said by its type.
"""

import hashlib
from typing import Final, NamedTuple, NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mithaq.ledger.commitment import (
    NONCE_SIZE_BYTES,
    Padded,
    body_aad,
    check_record_commitment,
    content_info,
    pad,
    record_commitment,
    unpad,
)
from mithaq.node.sealing.errors import BodyMismatchError, BodyUnopenableError

_CONTENT_KEY_SIZE_BYTES: Final = 32
_SALT: Final = hashlib.sha256(b"mithaq/salt/v1")


def sha256(data: bytes) -> bytes:
    """Return the hash that a header names a body by."""
    return hashlib.sha256(data).digest()


# A body whose hash is the one that its header names; only `true_body` makes one.
TrueBody = NewType("TrueBody", bytes)


def true_body(body: bytes, *, body_hash: bytes) -> TrueBody:
    """Return the body that a header names (PROTOCOL 4.5), or raise BodyMismatchError."""
    if hashlib.sha256(body).digest() != body_hash:
        raise BodyMismatchError("a body has not the hash that its header names")
    return TrueBody(body)


class SealedBody(NamedTuple):
    """A body and the two 32-byte hashes that its header carries."""

    body: bytes
    body_hash: bytes
    commitment: bytes


def salt_for(seed: bytes, *, stream_id: bytes, sequence: int) -> bytes:
    """Return the 32-byte salt of one disclosure, from its record's 32-byte random seed.

    A sender can so prove each of a record's commitments as long as it keeps the seed,
    and none once the seed is erased. Another place has another salt: equal commitments
    would show the hub that two streams carry one record.
    """
    state = _SALT.copy()
    state.update(seed + body_aad(stream_id, sequence))
    return state.digest()


class ContentKey:
    """The key that one epoch's bodies are sealed under (PROTOCOL 4.2)."""

    __slots__ = ("_aead", "_stream_id")

    def __init__(self, *, stream_id: bytes, epoch: int, secret: bytes) -> None:
        info = content_info(stream_id, epoch)
        key = HKDF(SHA256(), length=_CONTENT_KEY_SIZE_BYTES, salt=None, info=info).derive(secret)
        self._aead = AESGCM(key)
        self._stream_id = stream_id

    def seal(self, sequence: int, record: bytes, *, salt: bytes, nonce: bytes) -> SealedBody:
        """Seal a record for a place; the nonce is 12 random bytes, used for nothing else.

        Raises:
            PaddingError: the salt has not 32 bytes, or the record is too large.

        """
        plaintext = pad(salt, record)
        body = nonce + self._aead.encrypt(nonce, plaintext, body_aad(self._stream_id, sequence))
        return SealedBody(body, sha256(body), record_commitment(plaintext))

    def open(self, sequence: int, body: TrueBody, *, commitment: bytes) -> Padded:
        """Return salt and record of the body that the header at this place names.

        Raises:
            BodyUnopenableError: sealed under another key or for another place.
            PaddingError: the plaintext is not padded as PROTOCOL 4.3 says.
            CommitmentMismatchError: not the plaintext that the header commits to.

        """
        nonce, sealed = body[:NONCE_SIZE_BYTES], body[NONCE_SIZE_BYTES:]
        try:
            plaintext = self._aead.decrypt(nonce, sealed, body_aad(self._stream_id, sequence))
        except (InvalidTag, ValueError):
            raise BodyUnopenableError("a body does not open under its epoch's key") from None
        check_record_commitment(plaintext, commitment=commitment)
        return unpad(plaintext)
