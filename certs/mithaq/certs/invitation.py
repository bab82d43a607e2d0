"""Invitations: one string that lets one agency ask to be enrolled, once.

It names the federation by its root pin and holds a secret, so it is handed over by a
channel that the hub operator doesn't see. Letters copied wrongly, lateness, another
federation: each is told apart. Whether it was used is the registrar's to judge, which
keeps hashes of the secret and never the secret.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from mithaq.certs.errors import (
    InvitationExpiredError,
    InvitationFederationError,
    InvitationMistypedError,
)
from mithaq.certs.wire import instant, seconds
from mithaq.ledger.commitment import lp
from mithaq.ledger.errors import NameFormatError
from mithaq.ledger.names import check_federation, check_member

PREFIX: Final = "mithaq1-"
SECRET_SIZE_BYTES: Final = 32
TEXT_LENGTH_MAX: Final = 4096
_CHECKSUM_SIZE_BYTES: Final = 5
_HASH_SIZE_BYTES: Final = 32
_LENGTH: Final = struct.Struct(">I")
_EXPIRY: Final = struct.Struct(">Q")
_FIELDS: Final = 7
_EXPIRY_END: Final = 253_402_300_800


@dataclass(frozen=True, slots=True)
class Invitation:
    """What an invited agency is told; ``secret`` proves that it was told."""

    federation: str
    member: str
    hub_enrolment_address: str
    genesis_hash: bytes
    ca_certificate_der: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    expires_at: datetime

    def __str__(self) -> str:
        """Return the string to hand over. It holds the secret: never log it."""
        parts = (
            self.federation.encode(),
            self.member.encode(),
            self.hub_enrolment_address.encode(),
            self.genesis_hash,
            self.ca_certificate_der,
            self.secret,
            _EXPIRY.pack(seconds(self.expires_at)),
        )
        payload = b"".join(lp(each) for each in parts)
        text = base64.b32encode(payload + _checksum(payload)).decode("ascii")
        return PREFIX + text.rstrip("=").lower()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an invitation; line breaks, spaces and capitals don't matter.

        Raises:
            InvitationMistypedError: not copied exactly.

        """
        payload = _payload("".join(text.split()).lower())
        federation, member, address, genesis, certificate, secret, expiry = _fields(payload)
        try:
            names = (federation.decode(), member.decode(), address.decode())
            check_federation(names[0])
            check_member(names[1])
            expires_at = _expiry(expiry)
        except (UnicodeDecodeError, NameFormatError, struct.error, ValueError) as fault:
            raise InvitationMistypedError("the invitation names what no one is called") from fault
        if (len(genesis), len(secret)) != (_HASH_SIZE_BYTES, SECRET_SIZE_BYTES):
            raise InvitationMistypedError("the invitation lacks its pin or its secret")
        return cls(*names, genesis, certificate, secret, expires_at)

    def check(self, *, at: datetime, federation: str | None = None) -> None:
        """Check that it can be used now, for the federation expected here, if one is.

        Raises:
            InvitationExpiredError, InvitationFederationError: it can't.

        """
        if federation is not None and federation != self.federation:
            raise InvitationFederationError(f"the invitation is for {self.federation}")
        if at >= self.expires_at:
            raise InvitationExpiredError(f"it expired at {self.expires_at.isoformat()}")

    @property
    def id(self) -> bytes:
        """What the registrar knows it by."""
        return hashlib.sha256(b"mithaq/invitation-id/v1" + self.secret).digest()

    @property
    def mac_key(self) -> bytes:
        """The key that a request is authenticated with; tells nothing of the secret."""
        return hashlib.sha256(b"mithaq/invitation-mac/v1" + self.secret).digest()


def new_secret() -> bytes:
    """Return the secret of a new invitation."""
    return secrets.token_bytes(SECRET_SIZE_BYTES)


def mac(mac_key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA256 of a request's message under an invitation's key."""
    return hmac.digest(mac_key, message, hashlib.sha256)


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(b"mithaq/invitation/v1" + payload).digest()[:_CHECKSUM_SIZE_BYTES]


def _payload(text: str) -> bytes:
    if not text.startswith(PREFIX) or len(text) > TEXT_LENGTH_MAX:
        raise InvitationMistypedError(f"an invitation begins with {PREFIX}")
    letters = text.removeprefix(PREFIX).upper()
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError) as fault:
        raise InvitationMistypedError("a letter of the invitation is none of a-z, 2-7") from fault
    payload, checksum = data[:-_CHECKSUM_SIZE_BYTES], data[-_CHECKSUM_SIZE_BYTES:]
    if not hmac.compare_digest(checksum, _checksum(payload)):
        raise InvitationMistypedError("the invitation's checksum does not fit")
    return payload


def _fields(payload: bytes) -> list[bytes]:
    fields: list[bytes] = []
    rest = payload
    while rest and len(fields) < _FIELDS:
        if len(rest) < _LENGTH.size:
            break
        end = _LENGTH.size + _LENGTH.unpack_from(rest)[0]
        fields.append(rest[_LENGTH.size : end])
        rest = rest[end:]
    if rest or len(fields) != _FIELDS:
        raise InvitationMistypedError("the invitation is cut short, or too long")
    return fields


def _expiry(data: bytes) -> datetime:
    (posix,) = _EXPIRY.unpack(data)
    if not 0 < posix < _EXPIRY_END:
        raise ValueError("an instant that no clock shows")
    return instant(posix)
