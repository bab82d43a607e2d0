"""Cosignatures: what others than the owner sign about a log's checkpoint.

Receipts (held, opened), the hub's acceptance and witness statements are all timed
C2SP cosignatures that differ in the name of their key (PROTOCOL 1.4). The one
rule: a verifier brings name, type and key itself and believes none of the three
from the line. Type 0x04 does not sign its name, so what tells a ``held`` from an
``opened`` is the key: each role has to have its own.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from mithaq.ledger.checkpoint import Checkpoint, encode_checkpoint_text
from mithaq.ledger.errors import (
    NameFormatError,
    NoteFormatError,
    SignatureMissingError,
    TimestampError,
)
from mithaq.ledger.instants import from_posix, is_whole, posix_seconds
from mithaq.ledger.keytypes import (
    KEY_ID_SIZE_BYTES,
    SIGNATURE_SIZE_BYTES,
    KeyType,
    Signer,
    key_id,
    verify_signature,
)
from mithaq.ledger.names import check_federation, check_party
from mithaq.ledger.note import SignatureLine, check_key_name, parse_signature_line
from mithaq.ledger.statement import ed25519_statement, mldsa_statement, pack_timed, unpack_timed

_TIMESTAMP_SIZE_BYTES: Final = 8
_TYPE_BY_SIZE: Final = {
    _TIMESTAMP_SIZE_BYTES + SIGNATURE_SIZE_BYTES[each]: each
    for each in (KeyType.ED25519_COSIGNATURE, KeyType.MLDSA44_COSIGNATURE)
}


class Role(StrEnum):
    """What a cosigner says by signing (PROTOCOL 1.4)."""

    HELD = "held"
    OPENED = "opened"
    WITNESS = "witness"
    HUB = "hub"


def cosigner_name(federation: str, role: Role | str, member: str) -> str:
    """Return ``<federation>/<role>/<member or hub>``, the key name of a cosigner.

    Raises:
        NameFormatError: a part is not of its form, so that the name could be another's.

    """
    check_federation(federation)
    check_party(member)
    if role not in set(Role):
        raise NameFormatError("a cosigner's role is held, opened, witness or hub")
    return f"{federation}/{role}/{member}"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A timed signature line: parsed, and believed only after ``verify_cosignature``."""

    name: str
    algorithm: KeyType
    key_id: bytes
    at: datetime
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse what no cosignature line can say."""
        check_key_name(self.name)
        if _TYPE_BY_SIZE.get(_TIMESTAMP_SIZE_BYTES + len(self.signature)) is not self.algorithm:
            raise NoteFormatError("a cosignature has not the size of its type, or is not timed")
        if len(self.key_id) != KEY_ID_SIZE_BYTES:
            raise NoteFormatError("a key id has 4 bytes")
        if not is_whole(self.at, step_seconds=1):
            raise TimestampError("a cosignature is of a whole second after 1970, in UTC")

    def line(self) -> str:
        """Return the signature line, with its newline, as it is added to a checkpoint."""
        return SignatureLine(self.name, self.key_id, pack_timed(self.at, self.signature)).line()

    @classmethod
    def parse(cls, line: str) -> "Cosignature":
        """Read one signature line, with or without its newline.

        Raises:
            NoteFormatError: not a line, or of a length that no cosignature has.
            TimestampError: the instant is zero or cannot be told.

        """
        return cls.of(parse_signature_line(line.removesuffix("\n")))

    @classmethod
    def of(cls, line: SignatureLine) -> "Cosignature":
        """Return the cosignature that a line of a note holds; raises as ``parse`` does."""
        algorithm = _TYPE_BY_SIZE.get(len(line.signature))
        if algorithm is None:
            raise NoteFormatError(f"no cosignature has {len(line.signature)} bytes")
        at, signature = unpack_timed(line.signature, key_type=algorithm)
        return cls(line.name, algorithm, line.key_id, at, signature)


def cosign_ed25519(
    checkpoint: Checkpoint, *, name: str, signer: Signer, at: datetime, extension: str = ""
) -> Cosignature:
    """Sign a checkpoint at an instant as a type 0x04 cosigner.

    `extension` is signed after the checkpoint's three lines: lines that end in newlines.
    """
    return _cosign(
        checkpoint,
        KeyType.ED25519_COSIGNATURE,
        name=name,
        signer=signer,
        at=at,
        extension=extension,
    )


def cosign_mldsa(checkpoint: Checkpoint, *, name: str, signer: Signer, at: datetime) -> Cosignature:
    """Sign a checkpoint at an instant as a type 0x06 cosigner."""
    return _cosign(checkpoint, KeyType.MLDSA44_COSIGNATURE, name=name, signer=signer, at=at)


def verify_cosignature(
    cosignature: Cosignature,
    checkpoint: Checkpoint,
    *,
    name: str,
    public_key: bytes,
    algorithm: KeyType,
    extension: str = "",
) -> None:
    """Check that this key, under this name and type, signed this checkpoint at the stated instant.

    Type 0x06 signs no extension lines (C2SP): there `extension` has to be proven otherwise.

    Raises:
        SignatureMissingError: the line is another key's: name, type or key id differ.
        SignatureInvalidError: it is this key's line and does not verify.

    """
    wanted = (name, algorithm, key_id(name, algorithm, public_key))
    if (cosignature.name, cosignature.algorithm, cosignature.key_id) != wanted:
        raise SignatureMissingError("a cosignature is not by the key that was asked for")
    statement = _statement(checkpoint, algorithm, name=name, at=cosignature.at, extension=extension)
    verify_signature(algorithm, public_key, signature=cosignature.signature, message=statement)


def _cosign(
    checkpoint: Checkpoint,
    algorithm: KeyType,
    *,
    name: str,
    signer: Signer,
    at: datetime,
    extension: str = "",
) -> Cosignature:
    second = from_posix(posix_seconds(at))
    statement = _statement(checkpoint, algorithm, name=name, at=second, extension=extension)
    signature = signer.sign(statement)
    return Cosignature(name, algorithm, key_id(name, algorithm, signer.public), second, signature)


def _statement(
    checkpoint: Checkpoint, algorithm: KeyType, *, name: str, at: datetime, extension: str
) -> bytes:
    if algorithm is KeyType.MLDSA44_COSIGNATURE:
        return mldsa_statement(
            cosigner=name,
            origin=checkpoint.origin,
            size=checkpoint.size,
            root=checkpoint.root,
            at=at,
        )
    return ed25519_statement(encode_checkpoint_text(checkpoint) + extension, at=at)
