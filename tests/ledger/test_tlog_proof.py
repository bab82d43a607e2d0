from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosign_mldsa, cosigner_name
from mithaq.ledger.errors import (
    LedgerError,
    NoteFormatError,
    ProofError,
    RootMismatchError,
    SignatureInvalidError,
    SignatureMissingError,
)
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.note import NOTE_SIZE_BYTES_MAX, Note, SignatureLine, VerifierKey
from mithaq.ledger.proof import inclusion_proof
from mithaq.ledger.tiles import TileMap
from mithaq.ledger.tlog_proof import (
    EXTRA_SIZE_BYTES_MAX,
    PROOF_HASHES_MAX,
    PROOF_SIZE_BYTES_MAX,
    TlogProof,
    VerifiedProof,
    parse_tlog_proof,
    verify_tlog_proof,
)
from mithaq.ledger.tree import TREE_SIZE_MAX, leaf_hash, root_of
from tests.ledger.builders import (
    FEDERATION,
    HELD_ED25519,
    LOG_ED25519,
    LOG_MLDSA,
    NOW,
    OPENED_ED25519,
    RECEIPT_MLDSA,
)

LEAVES = [leaf_hash(bytes((number,))) for number in range(11)]
ORIGIN = f"{FEDERATION}/audit/eg-moi"
CHECKPOINT = Checkpoint(ORIGIN, len(LEAVES), root_of(LEAVES))
NOTE = sign_checkpoint(CHECKPOINT, ed25519=LOG_ED25519, mldsa=LOG_MLDSA, at=NOW)
WITNESS = cosigner_name(FEDERATION, Role.WITNESS, "int-iom")
HUB = cosigner_name(FEDERATION, Role.HUB, "hub")
WITNESS_ED25519_KEY = VerifierKey(WITNESS, KeyType.ED25519_COSIGNATURE, HELD_ED25519.public)
WITNESS_MLDSA_KEY = VerifierKey(WITNESS, KeyType.MLDSA44_COSIGNATURE, RECEIPT_MLDSA.public)
HUB_KEY = VerifierKey(HUB, KeyType.ED25519_COSIGNATURE, OPENED_ED25519.public)
COSIGNED = (
    NOTE
    + "".join(
        each.line()
        for each in (
            cosign_ed25519(CHECKPOINT, name=WITNESS, signer=HELD_ED25519, at=NOW),
            cosign_mldsa(CHECKPOINT, name=WITNESS, signer=RECEIPT_MLDSA, at=NOW),
        )
    ).encode()
)


def proof_of(index: int, note: bytes = NOTE, extra: bytes | None = None) -> TlogProof:
    hashes = inclusion_proof(TileMap(LEAVES), index, len(LEAVES))
    return TlogProof(index, tuple(hashes), note, extra)


def verified(
    proof: TlogProof,
    *cosigners: VerifierKey,
    cosigners_min: int = 0,
    leaf: bytes | None = None,
) -> VerifiedProof:
    return verify_tlog_proof(
        proof,
        leaf=LEAVES[proof.index] if leaf is None else leaf,
        origin=ORIGIN,
        ed25519_public=LOG_ED25519.public,
        mldsa_public=LOG_MLDSA.public,
        cosigners=cosigners,
        cosigners_min=cosigners_min,
    )


@pytest.mark.parametrize("index", range(len(LEAVES)))
def test_a_proof_of_every_entry_verifies_and_comes_back_from_its_text(index: int) -> None:
    proof = parse_tlog_proof(proof_of(index).to_bytes())
    assert proof == proof_of(index)
    shown = verified(proof)
    assert (shown.index, shown.signed.checkpoint, shown.signed.at) == (index, CHECKPOINT, NOW)
    assert shown.cosignatures == ()


@given(st.binary(min_size=1, max_size=100))
def test_extra_data_is_carried_and_changes_nothing(extra: bytes) -> None:
    proof = proof_of(3, extra=extra)
    assert parse_tlog_proof(proof.to_bytes()) == proof
    assert proof.to_bytes().count(b"extra ") == 1


def test_a_proof_is_written_as_the_c2sp_document_says() -> None:
    lines = proof_of(0, extra=b"x").to_bytes().split(b"\n")
    assert lines[:3] == [b"c2sp.org/tlog-proof@v1", b"extra eA==", b"index 0"]
    assert [len(each) for each in lines[3:7]] == [44] * 4
    assert lines[7] == b""
    assert b"\n".join(lines[8:]) == NOTE


def test_a_proof_of_one_entry_proves_no_other() -> None:
    with pytest.raises(RootMismatchError):
        verified(proof_of(3), leaf=LEAVES[4])
    with pytest.raises(RootMismatchError):
        verified(replace(proof_of(3), index=2), leaf=LEAVES[3])


def test_a_proof_whose_checkpoint_lacks_a_signature_is_refused() -> None:
    stripped = NOTE.rsplit("—".encode(), 1)[0]
    with pytest.raises(SignatureMissingError):
        verified(proof_of(3, stripped))


def test_cosigners_are_counted_by_name_and_verified() -> None:
    keys = (WITNESS_ED25519_KEY, WITNESS_MLDSA_KEY, HUB_KEY)
    shown = verified(proof_of(3, COSIGNED), *keys, cosigners_min=1)
    assert [each.name for each in shown.cosignatures] == [WITNESS, WITNESS]
    with pytest.raises(SignatureMissingError, match="1 of 2 cosigners"):
        verified(proof_of(3, COSIGNED), *keys, cosigners_min=2)


def test_a_cosigner_named_twice_counts_once() -> None:
    with pytest.raises(SignatureMissingError, match="1 of 2"):
        verified(proof_of(3, COSIGNED), WITNESS_ED25519_KEY, WITNESS_ED25519_KEY, cosigners_min=2)


def test_a_known_cosigner_s_line_that_does_not_verify_refuses_the_whole() -> None:
    other = replace(CHECKPOINT, size=10, root=root_of(LEAVES[:10]))
    stale = cosign_ed25519(other, name=WITNESS, signer=HELD_ED25519, at=NOW)
    with pytest.raises(SignatureInvalidError):
        verified(proof_of(3, NOTE + stale.line().encode()), WITNESS_ED25519_KEY)


def test_unknown_cosigners_are_ignored() -> None:
    assert verified(proof_of(3, COSIGNED), HUB_KEY).cosignatures == ()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_byte_of_a_proof_but_its_extra_data_can_be_changed(data: st.DataObject) -> None:
    whole = bytearray(proof_of(3).to_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LedgerError):
        verified(parse_tlog_proof(bytes(whole)), leaf=LEAVES[3])


@given(st.binary(max_size=300))
def test_hostile_bytes_are_no_proof(data: bytes) -> None:
    with pytest.raises((NoteFormatError, ProofError)):
        parse_tlog_proof(data)


@given(st.lists(st.text("ABCDabcd+/=0 ", max_size=50), max_size=5))
def test_hostile_lines_are_no_proof_or_one_that_spells_the_same(lines: list[str]) -> None:
    data = "\n".join(("c2sp.org/tlog-proof@v1", *lines, "", "")).encode() + NOTE
    try:
        proof = parse_tlog_proof(data)
    except (NoteFormatError, ProofError):
        return
    assert proof.to_bytes() == data


WRITTEN = proof_of(3).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        WRITTEN.replace(b"@v1", b"@v2"),
        WRITTEN.replace(b"index 3", b"index 03"),
        WRITTEN.replace(b"index 3", b"index -3"),
        WRITTEN.replace(b"index 3", b"index"),
        WRITTEN.replace(b"index 3", b"Index 3"),
        WRITTEN.replace(b"index 3\n", b""),
        WRITTEN.replace(b"index 3", b"index 3\nindex 3"),
        WRITTEN.replace(b"index 3", b"extra \nindex 3"),
        WRITTEN.replace(b"index 3", b"extra eA==\nextra eA==\nindex 3"),
        WRITTEN.replace(b"index 3", b"extra eB==\nindex 3"),
        WRITTEN.replace(b"index 3", b"index 3\neA=="),
        WRITTEN.replace(b"index 3", "index 3\né".encode()),
        WRITTEN.replace(b"\n\n", b"\n", 1),
        WRITTEN.replace(b"\n", b"\r\n"),
        b"c2sp.org/tlog-proof@v1\n\n" + NOTE,
        b"c2sp.org/tlog-proof@v1\nextra eA==\n\n" + NOTE,
    ],
)
def test_a_proof_has_no_other_spelling(data: bytes) -> None:
    with pytest.raises((NoteFormatError, ProofError)):
        parse_tlog_proof(data)


def test_a_proof_has_its_limits() -> None:
    fullest = TlogProof(
        TREE_SIZE_MAX, (LEAVES[0],) * PROOF_HASHES_MAX, NOTE, bytes(EXTRA_SIZE_BYTES_MAX)
    )
    assert parse_tlog_proof(fullest.to_bytes()) == fullest
    with pytest.raises(ProofError, match="index"):
        replace(fullest, index=TREE_SIZE_MAX + 1)
    with pytest.raises(ProofError, match="index"):
        replace(fullest, index=-1)
    with pytest.raises(ProofError, match="hashes"):
        replace(fullest, hashes=(LEAVES[0],) * (PROOF_HASHES_MAX + 1))
    with pytest.raises(ProofError, match="hashes"):
        replace(fullest, hashes=(bytes(31),))
    with pytest.raises(ProofError, match="extra"):
        replace(fullest, extra=bytes(EXTRA_SIZE_BYTES_MAX + 1))
    with pytest.raises(ProofError, match="extra"):
        replace(fullest, extra=b"")
    with pytest.raises(NoteFormatError):
        replace(fullest, checkpoint_note=b"no note")


def test_a_proof_with_more_hashes_than_any_tree_is_refused_before_they_are_read() -> None:
    more = b"index 3\n" + b"\n".join([b"AA=="] * (PROOF_HASHES_MAX + 1)) + b"\n"
    with pytest.raises(ProofError, match="at most 63 hashes"):
        parse_tlog_proof(b"c2sp.org/tlog-proof@v1\n" + more + b"\n" + NOTE)


def test_the_largest_proof_fits_its_limit_and_more_does_not() -> None:
    rest = Note("\n", (SignatureLine("name", bytes(4), b"s"),)).to_bytes()
    largest_note = b"x" * (NOTE_SIZE_BYTES_MAX - len(rest)) + rest
    extra = bytes(EXTRA_SIZE_BYTES_MAX)
    assert EXTRA_SIZE_BYTES_MAX == 65_536
    largest = TlogProof(TREE_SIZE_MAX, (LEAVES[0],) * PROOF_HASHES_MAX, largest_note, extra)
    assert parse_tlog_proof(largest.to_bytes()) == largest
    assert len(largest.to_bytes()) <= PROOF_SIZE_BYTES_MAX < NOTE_SIZE_BYTES_MAX + 100_000
    with pytest.raises(NoteFormatError, match="a proof is"):
        parse_tlog_proof(WRITTEN + b"x" * PROOF_SIZE_BYTES_MAX)


def test_no_cosigner_is_asked_for_unless_the_caller_does() -> None:
    shown = verify_tlog_proof(
        proof_of(3),
        leaf=LEAVES[3],
        origin=ORIGIN,
        ed25519_public=LOG_ED25519.public,
        mldsa_public=LOG_MLDSA.public,
    )
    assert shown.cosignatures == ()
