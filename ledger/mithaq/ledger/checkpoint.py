"""Checkpoints: what a log's owner signs about its size and root.

c2sp.org/tlog-checkpoint, narrowed by PROTOCOL 1.3: no extension lines, and valid
only with two signatures of the owner under the log's own name, Ed25519 (0x01) and
ML-DSA-44 (0x06). The note format would be content with either, and then whoever
forges one would strip the other. That is this module's one rule.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mithaq.ledger.errors import (
    ForkError,
    NoteFormatError,
    RootMismatchError,
    SignatureMissingError,
)
from mithaq.ledger.keytypes import SIGNATURE_SIZE_BYTES, KeyType, Signer, key_id, verify_signature
from mithaq.ledger.note import Note, SignatureLine, b64, check_key_name, parse_note, unb64
from mithaq.ledger.statement import mldsa_statement, pack_timed, unpack_timed
from mithaq.ledger.tree import EMPTY_ROOT, HASH_SIZE_BYTES, TREE_SIZE_MAX

__all__ = [
    "CHECKPOINT_LINES",
    "Checkpoint",
    "SignedCheckpoint",
    "Signer",
    "check_root",
    "check_same_history",
    "encode_checkpoint_text",
    "open_checkpoint",
    "parse_checkpoint_text",
    "sign_checkpoint",
]

CHECKPOINT_LINES: Final = 3
_SIZE_DIGITS_MAX: Final = len(str(TREE_SIZE_MAX))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its number of leaves and its 32-byte root."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what no log can be."""
        check_key_name(self.origin)
        if not 0 <= self.size <= TREE_SIZE_MAX:
            raise NoteFormatError(f"a log has 0 to 2^63-1 entries, not {self.size}")
        if len(self.root) != HASH_SIZE_BYTES:
            raise NoteFormatError(f"a root has 32 bytes, not {len(self.root)}")
        if not self.size and self.root != EMPTY_ROOT:
            raise NoteFormatError("the root of an empty log is the hash of nothing")


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose two signatures have verified, its signed instant and its exact bytes."""

    checkpoint: Checkpoint
    at: datetime
    note_bytes: bytes


def encode_checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the three lines that are signed."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64(checkpoint.root)}\n"


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Read the text of a checkpoint.

    Raises:
        NoteFormatError: more or fewer than three lines (extension lines are refused,
            PROTOCOL 1.3), a size with leading zeroes or out of range, a root of another size.

    """
    lines = text.split("\n")
    if len(lines) != CHECKPOINT_LINES + 1 or lines[-1]:
        raise NoteFormatError("a checkpoint has exactly three lines; extension lines are refused")
    origin, size, root = lines[:CHECKPOINT_LINES]
    return Checkpoint(origin, parse_decimal(size), unb64(root))


def parse_decimal(text: str) -> int:
    """Read an ASCII decimal below 2^63 in its one spelling.

    Raises:
        NoteFormatError: signs, other digits, leading zeroes, or too many digits.

    """
    if not (text.isascii() and text.isdigit() and len(text) <= _SIZE_DIGITS_MAX):
        raise NoteFormatError("a number is not an ASCII decimal")
    if text != str(int(text)):
        raise NoteFormatError("a number has leading zeroes")
    return int(text)


def sign_checkpoint(
    checkpoint: Checkpoint, *, ed25519: Signer, mldsa: Signer, at: datetime
) -> bytes:
    """Return the signed note of a checkpoint, with both of its owner's signatures.

    The caller has made the log durable up to this size before it asks (PROTOCOL 1.5).
    """
    text, name = encode_checkpoint_text(checkpoint), checkpoint.origin
    classic = SignatureLine(
        name, key_id(name, KeyType.ED25519, ed25519.public), ed25519.sign(text.encode())
    )
    statement = _owner_statement(checkpoint, at=at)
    timed = SignatureLine(
        name,
        key_id(name, KeyType.MLDSA44_COSIGNATURE, mldsa.public),
        pack_timed(at, mldsa.sign(statement)),
    )
    return Note(text, (classic, timed)).to_bytes()


def open_checkpoint(
    note: bytes, *, origin: str, ed25519_public: bytes, mldsa_public: bytes
) -> SignedCheckpoint:
    """Return the checkpoint of a signed note whose owner's two signatures verify.

    Lines of other keys are ignored, as C2SP asks.

    Raises:
        NoteFormatError: the note or its text is not of its form, or names another log.
        SignatureMissingError: one of the two signatures is not there.
        SignatureInvalidError: one of the two does not verify.
        TimestampError: the signed instant is zero or cannot be told.

    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint_text(parsed.text)
    if checkpoint.origin != origin:
        raise NoteFormatError("a checkpoint names another log than the one asked for")
    # The Ed25519 line first: it is the cheaper one to refuse by.
    _verify_ed25519(parsed, origin, public_key=ed25519_public)
    at = _verify_mldsa(parsed, checkpoint, public_key=mldsa_public)
    return SignedCheckpoint(checkpoint, at, note)


def _verify_ed25519(note: Note, name: str, *, public_key: bytes) -> None:
    line = _line_of(note, name, KeyType.ED25519, public_key=public_key)
    if len(line.signature) != SIGNATURE_SIZE_BYTES[KeyType.ED25519]:
        raise NoteFormatError("an Ed25519 signature has 64 bytes")
    verify_signature(
        KeyType.ED25519, public_key, signature=line.signature, message=note.text.encode()
    )


def _verify_mldsa(note: Note, checkpoint: Checkpoint, *, public_key: bytes) -> datetime:
    line = _line_of(note, checkpoint.origin, KeyType.MLDSA44_COSIGNATURE, public_key=public_key)
    at, signature = unpack_timed(line.signature, key_type=KeyType.MLDSA44_COSIGNATURE)
    statement = _owner_statement(checkpoint, at=at)
    verify_signature(
        KeyType.MLDSA44_COSIGNATURE, public_key, signature=signature, message=statement
    )
    return at


def _owner_statement(checkpoint: Checkpoint, *, at: datetime) -> bytes:
    return mldsa_statement(
        cosigner=checkpoint.origin,
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        at=at,
    )


def _line_of(note: Note, name: str, key_type: KeyType, *, public_key: bytes) -> SignatureLine:
    line = note.find(name, key_id(name, key_type, public_key))
    if line is None:
        raise SignatureMissingError(
            f"a checkpoint lacks its owner's signature of type {key_type:#04x}"
        )
    return line


def check_same_history(first: Checkpoint, second: Checkpoint) -> None:
    """Raise ForkError if two checkpoints of one log have one size and two roots (PROTOCOL 1.6)."""
    if (first.origin, first.size) == (second.origin, second.size) and first.root != second.root:
        raise ForkError(f"two roots at size {first.size} of {first.origin}")


def check_root(claimed: Checkpoint, *, recomputed: Checkpoint) -> None:
    """Raise RootMismatchError unless a signed checkpoint is the one that the entries give."""
    if claimed != recomputed:
        raise RootMismatchError(
            f"{claimed.origin} is signed at size {claimed.size}, but its entries give another head"
            f" at size {recomputed.size}"
        )
