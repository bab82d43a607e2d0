"""Proofs that verify offline: an entry's place in a signed log, in one text.

c2sp.org/tlog-proof, version 1: index, inclusion proof, signed checkpoint, and any
cosignatures in that checkpoint's lines. Verifying takes the leaf's hash, the
owner's two keys and the cosigners' keys, and nothing from a network. The ``extra``
line is carried and never believed: nobody signs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mithaq.ledger.checkpoint import SignedCheckpoint, open_checkpoint, parse_decimal
from mithaq.ledger.cosignature import Cosignature, verify_cosignature
from mithaq.ledger.errors import NoteFormatError, ProofError, SignatureMissingError
from mithaq.ledger.note import (
    NOTE_SIZE_BYTES_MAX,
    Note,
    VerifierKey,
    b64,
    parse_note,
    unb64,
)
from mithaq.ledger.proof import verify_inclusion
from mithaq.ledger.tree import HASH_SIZE_BYTES, TREE_SIZE_MAX

HEADER: Final = "c2sp.org/tlog-proof@v1"
PROOF_HASHES_MAX: Final = 63
EXTRA_SIZE_BYTES_MAX: Final = 64 * 1024
# Base64 of the extra data and of the hashes, and the words around them.
PROOF_SIZE_BYTES_MAX: Final = NOTE_SIZE_BYTES_MAX + EXTRA_SIZE_BYTES_MAX * 4 // 3 + 8 * 1024

_EXTRA: Final = "extra "
_INDEX: Final = "index "


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An entry's index, its inclusion proof from the leaf up, and the exact signed note."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint_note: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what the format cannot say."""
        if not 0 <= self.index <= TREE_SIZE_MAX:
            raise ProofError("an index is from 0 to 2^63-1")
        if len(self.hashes) > PROOF_HASHES_MAX or any(
            len(each) != HASH_SIZE_BYTES for each in self.hashes
        ):
            raise ProofError(f"a proof has at most {PROOF_HASHES_MAX} hashes of 32 bytes")
        if self.extra is not None and not 1 <= len(self.extra) <= EXTRA_SIZE_BYTES_MAX:
            raise ProofError(f"extra data has 1 to {EXTRA_SIZE_BYTES_MAX} bytes")
        parse_note(self.checkpoint_note)

    def to_bytes(self) -> bytes:
        """Return the proof as text in UTF-8."""
        lines = [HEADER, f"{_INDEX}{self.index}", *(b64(each) for each in self.hashes)]
        if self.extra is not None:
            lines.insert(1, _EXTRA + b64(self.extra))
        return "\n".join((*lines, "", "")).encode() + self.checkpoint_note


def parse_tlog_proof(data: bytes) -> TlogProof:
    """Read a proof strictly; nothing in it is believed yet.

    Raises:
        NoteFormatError: too large, or not of the format.
        ProofError: a number or a hash out of range.

    """
    head, blank, note = data.partition(b"\n\n")
    if len(data) > PROOF_SIZE_BYTES_MAX or not blank:
        raise NoteFormatError("a proof is its lines, a blank line and a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as fault:
        raise NoteFormatError("the lines of a proof are ASCII") from fault
    if lines.pop(0) != HEADER:
        raise NoteFormatError(f"a proof begins with {HEADER}")
    extra: bytes | None = None
    if lines and lines[0].startswith(_EXTRA):
        extra = unb64(lines.pop(0).removeprefix(_EXTRA))
    if not lines or not lines[0].startswith(_INDEX):
        raise NoteFormatError("a proof names an index before its hashes")
    index = parse_decimal(lines.pop(0).removeprefix(_INDEX))
    if len(lines) > PROOF_HASHES_MAX:
        raise ProofError(f"a proof has at most {PROOF_HASHES_MAX} hashes of 32 bytes")
    return TlogProof(index, tuple(unb64(each) for each in lines), note, extra)


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """What a proof has shown: the signed head that holds the entry, and who cosigned that head."""

    index: int
    signed: SignedCheckpoint
    cosignatures: tuple[Cosignature, ...]


def verify_tlog_proof(
    proof: TlogProof,
    *,
    leaf: bytes,
    origin: str,
    ed25519_public: bytes,
    mldsa_public: bytes,
    cosigners: Sequence[VerifierKey] = (),
    cosigners_min: int = 0,
) -> VerifiedProof:
    """Check that the leaf of this hash stands in a head that its owner signed.

    Every cosignature by a key of ``cosigners`` must verify, and at least ``cosigners_min``
    of their names must be there. Lines of other keys are ignored.

    Raises:
        SignatureMissingError: an owner's signature, or enough cosigners, are not there.
        SignatureInvalidError: a signature of a known key does not verify.
        RootMismatchError: the proof does not lead to the signed root.
        NoteFormatError, ProofError, TimestampError: a part is not of its form.

    """
    signed = open_checkpoint(
        proof.checkpoint_note,
        origin=origin,
        ed25519_public=ed25519_public,
        mldsa_public=mldsa_public,
    )
    cosignatures = _cosignatures(parse_note(proof.checkpoint_note), signed, cosigners=cosigners)
    # A cosigner with keys of both types is still one.
    names = {each.name for each in cosignatures}
    if len(names) < cosigners_min:
        raise SignatureMissingError(f"a proof has {len(names)} of {cosigners_min} cosigners")
    verify_inclusion(
        leaf=leaf,
        index=proof.index,
        size=signed.checkpoint.size,
        proof=proof.hashes,
        root=signed.checkpoint.root,
    )
    return VerifiedProof(proof.index, signed, cosignatures)


def _cosignatures(
    note: Note, signed: SignedCheckpoint, *, cosigners: Sequence[VerifierKey]
) -> tuple[Cosignature, ...]:
    found: list[Cosignature] = []
    for key in cosigners:
        line = note.find(key.name, key.key_id)
        if line is None:
            continue
        cosignature = Cosignature.of(line)
        verify_cosignature(
            cosignature,
            signed.checkpoint,
            name=key.name,
            public_key=key.public_key,
            algorithm=key.key_type,
        )
        found.append(cosignature)
    return tuple(found)
