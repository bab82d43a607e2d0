from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.checkpoint import (
    Checkpoint,
    check_root,
    check_same_history,
    encode_checkpoint_text,
    open_checkpoint,
    parse_checkpoint_text,
    parse_decimal,
    sign_checkpoint,
)
from mithaq.ledger.errors import (
    ForkError,
    LedgerError,
    NoteFormatError,
    RootMismatchError,
    SignatureInvalidError,
    SignatureMissingError,
    TimestampError,
)
from mithaq.ledger.keytypes import KeyType, key_id
from mithaq.ledger.note import Note, SignatureLine, parse_note
from mithaq.ledger.statement import mldsa_statement, pack_timed, unpack_timed
from mithaq.ledger.tree import EMPTY_ROOT, TREE_SIZE_MAX
from tests.ledger.builders import (
    HASH,
    LOG_ED25519,
    LOG_MLDSA,
    NOW,
    OTHER_HASH,
    Ed25519Signer,
    MlDsaSigner,
)

ORIGIN = "euroarab.example/registry"
CHECKPOINT = Checkpoint(ORIGIN, 42, HASH)
NOTE = sign_checkpoint(CHECKPOINT, ed25519=LOG_ED25519, mldsa=LOG_MLDSA, at=NOW)
STRANGER = Ed25519Signer(91)
STRANGER_MLDSA = MlDsaSigner(92)

# The example of c2sp.org/tlog-checkpoint (C2SP/C2SP, tlog-checkpoint.md).
C2SP_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
)


def opened(note: bytes, *, origin: str = ORIGIN) -> Checkpoint:
    return open_checkpoint(
        note,
        origin=origin,
        ed25519_public=LOG_ED25519.public,
        mldsa_public=LOG_MLDSA.public,
    ).checkpoint


def with_lines(*lines: SignatureLine, text: str | None = None) -> bytes:
    return Note(text or encode_checkpoint_text(CHECKPOINT), lines).to_bytes()


ED25519_LINE, MLDSA_LINE = parse_note(NOTE).signatures


def test_a_signed_checkpoint_opens_with_its_instant_and_its_exact_bytes() -> None:
    signed = open_checkpoint(
        NOTE, origin=ORIGIN, ed25519_public=LOG_ED25519.public, mldsa_public=LOG_MLDSA.public
    )
    assert signed.checkpoint == CHECKPOINT
    assert signed.at == NOW
    assert signed.note_bytes == NOTE


def test_the_key_name_of_both_signatures_is_the_origin() -> None:
    assert [(each.name, each.key_id) for each in parse_note(NOTE).signatures] == [
        (ORIGIN, key_id(ORIGIN, KeyType.ED25519, LOG_ED25519.public)),
        (ORIGIN, key_id(ORIGIN, KeyType.MLDSA44_COSIGNATURE, LOG_MLDSA.public)),
    ]


def test_the_instant_is_cut_to_its_second() -> None:
    at = NOW + timedelta(microseconds=999_999)
    note = sign_checkpoint(CHECKPOINT, ed25519=LOG_ED25519, mldsa=LOG_MLDSA, at=at)
    signed = open_checkpoint(
        note, origin=ORIGIN, ed25519_public=LOG_ED25519.public, mldsa_public=LOG_MLDSA.public
    )
    assert signed.at == NOW


def test_a_checkpoint_stripped_of_its_ml_dsa_signature_is_refused() -> None:
    with pytest.raises(SignatureMissingError, match="0x06"):
        opened(with_lines(ED25519_LINE))


def test_a_checkpoint_stripped_of_its_ed25519_signature_is_refused() -> None:
    with pytest.raises(SignatureMissingError, match="0x01"):
        opened(with_lines(MLDSA_LINE))


@pytest.mark.parametrize("at", [0, 1])
def test_a_checkpoint_with_one_forged_signature_is_refused(at: int) -> None:
    lines = [ED25519_LINE, MLDSA_LINE]
    forged = bytes((*lines[at].signature[:-1], lines[at].signature[-1] ^ 1))
    lines[at] = replace(lines[at], signature=forged)
    with pytest.raises(SignatureInvalidError):
        opened(with_lines(*lines))


def test_a_checkpoint_signed_by_strangers_under_the_log_s_name_is_refused() -> None:
    note = sign_checkpoint(CHECKPOINT, ed25519=STRANGER, mldsa=STRANGER_MLDSA, at=NOW)
    with pytest.raises(SignatureMissingError):
        opened(note)


def test_a_checkpoint_half_signed_by_a_stranger_is_refused() -> None:
    note = sign_checkpoint(CHECKPOINT, ed25519=LOG_ED25519, mldsa=STRANGER_MLDSA, at=NOW)
    with pytest.raises(SignatureMissingError, match="0x06"):
        opened(note)


def test_the_two_signatures_of_two_checkpoints_make_no_third() -> None:
    other = sign_checkpoint(
        replace(CHECKPOINT, root=OTHER_HASH), ed25519=LOG_ED25519, mldsa=LOG_MLDSA, at=NOW
    )
    with pytest.raises(SignatureInvalidError):
        opened(with_lines(ED25519_LINE, parse_note(other).signatures[1]))


def test_lines_of_other_keys_are_ignored() -> None:
    stranger = SignatureLine("witness.example/w1", bytes(4), b"of a type that nobody here knows")
    same_name = SignatureLine(ORIGIN, bytes(4), b"under another key id")
    assert opened(with_lines(stranger, ED25519_LINE, same_name, MLDSA_LINE)) == CHECKPOINT


def test_an_owner_s_key_that_signed_twice_is_refused() -> None:
    with pytest.raises(NoteFormatError, match="twice"):
        opened(with_lines(ED25519_LINE, MLDSA_LINE, MLDSA_LINE))


def test_a_checkpoint_of_one_log_is_none_of_another() -> None:
    with pytest.raises(NoteFormatError, match="another log"):
        opened(NOTE, origin="euroarab.example/audit/hub")


def test_a_checkpoint_that_is_renamed_loses_its_signatures() -> None:
    renamed = NOTE.replace(b"example/registry", b"example/registrx")
    with pytest.raises((SignatureMissingError, SignatureInvalidError)):
        opened(renamed, origin="euroarab.example/registrx")


def test_extension_lines_are_refused_however_well_signed() -> None:
    text = encode_checkpoint_text(CHECKPOINT) + "an extension\n"
    signed = replace(ED25519_LINE, signature=LOG_ED25519.sign(text.encode()))
    with pytest.raises(NoteFormatError, match="extension"):
        opened(with_lines(signed, MLDSA_LINE, text=text))


def test_a_timestamp_moved_in_the_line_is_refused() -> None:
    _, signature = unpack_timed(MLDSA_LINE.signature, key_type=KeyType.MLDSA44_COSIGNATURE)
    moved = replace(MLDSA_LINE, signature=pack_timed(NOW + timedelta(seconds=1), signature))
    with pytest.raises(SignatureInvalidError):
        opened(with_lines(ED25519_LINE, moved))


def test_an_untimed_ml_dsa_signature_is_refused() -> None:
    untimed = replace(MLDSA_LINE, signature=bytes(8) + MLDSA_LINE.signature[8:])
    with pytest.raises(TimestampError):
        opened(with_lines(ED25519_LINE, untimed))


@pytest.mark.parametrize("size", [63, 65, 72])
def test_an_ed25519_signature_has_64_bytes(size: int) -> None:
    with pytest.raises(NoteFormatError, match="64 bytes"):
        opened(with_lines(replace(ED25519_LINE, signature=bytes(size)), MLDSA_LINE))


@pytest.mark.parametrize("size", [2427, 2429])
def test_a_timed_ml_dsa_signature_has_2428_bytes(size: int) -> None:
    with pytest.raises(NoteFormatError, match="cosignature of type 0x06"):
        opened(with_lines(ED25519_LINE, replace(MLDSA_LINE, signature=bytes(size))))


def test_a_subtree_signature_is_no_signature_of_the_whole() -> None:
    whole = mldsa_statement(cosigner=ORIGIN, origin=ORIGIN, size=42, root=HASH, at=NOW)
    subtree = whole[:-48] + (2).to_bytes(8, "big") + whole[-40:]
    line = replace(MLDSA_LINE, signature=pack_timed(NOW, LOG_MLDSA.sign(subtree)))
    with pytest.raises(SignatureInvalidError):
        opened(with_lines(ED25519_LINE, line))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_byte_of_a_signed_checkpoint_can_be_changed(data: st.DataObject) -> None:
    whole = bytearray(NOTE)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LedgerError):
        opened(bytes(whole))


@given(
    st.text("abc./-", min_size=1, max_size=40),
    st.integers(1, TREE_SIZE_MAX),
    st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_comes_back_from_its_text(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint_text(encode_checkpoint_text(checkpoint)) == checkpoint


@given(st.text(max_size=120) | st.lists(st.text(max_size=50), max_size=5).map("\n".join))
def test_hostile_text_is_no_checkpoint_or_one_that_spells_the_same(text: str) -> None:
    try:
        checkpoint = parse_checkpoint_text(text)
    except NoteFormatError:
        return
    assert encode_checkpoint_text(checkpoint) == text


def test_the_c2sp_example_checkpoint_spells_itself() -> None:
    checkpoint = parse_checkpoint_text(C2SP_CHECKPOINT)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert encode_checkpoint_text(checkpoint) == C2SP_CHECKPOINT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        C2SP_CHECKPOINT.removesuffix("\n"),
        C2SP_CHECKPOINT + "\n",
        C2SP_CHECKPOINT.replace("20852163", "020852163"),
        C2SP_CHECKPOINT.replace("20852163", "-1"),
        C2SP_CHECKPOINT.replace("20852163", "+1"),
        C2SP_CHECKPOINT.replace("20852163", ""),
        C2SP_CHECKPOINT.replace("20852163", "1_0"),
        C2SP_CHECKPOINT.replace("20852163", "٣"),
        C2SP_CHECKPOINT.replace("20852163", "1 "),
        C2SP_CHECKPOINT.replace("20852163", str(TREE_SIZE_MAX + 1)),
        C2SP_CHECKPOINT.replace("20852163", "9" * 5000),
        C2SP_CHECKPOINT.replace("q2I=", "q2I"),
        C2SP_CHECKPOINT.replace("q2I=", "q2J="),
        C2SP_CHECKPOINT.replace("CsUY", ""),
        C2SP_CHECKPOINT.replace("example.com", "example com"),
        C2SP_CHECKPOINT.replace("example.com/behind-the-sofa", ""),
    ],
)
def test_a_checkpoint_has_no_other_spelling(text: str) -> None:
    with pytest.raises(NoteFormatError):
        parse_checkpoint_text(text)


def test_the_largest_size_is_2_to_the_63_less_1() -> None:
    assert parse_decimal(str(TREE_SIZE_MAX)) == TREE_SIZE_MAX
    Checkpoint(ORIGIN, TREE_SIZE_MAX, HASH)
    for size in (-1, TREE_SIZE_MAX + 1):
        with pytest.raises(NoteFormatError, match="entries"):
            Checkpoint(ORIGIN, size, HASH)


def test_an_empty_log_has_the_root_of_nothing() -> None:
    assert parse_decimal("0") == 0
    Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    with pytest.raises(NoteFormatError, match="hash of nothing"):
        Checkpoint(ORIGIN, 0, HASH)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_root_has_32_bytes(size: int) -> None:
    with pytest.raises(NoteFormatError, match="32 bytes"):
        Checkpoint(ORIGIN, 1, bytes(size))


def test_no_checkpoint_is_signed_at_an_instant_without_a_zone() -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(TimestampError):
        sign_checkpoint(CHECKPOINT, ed25519=LOG_ED25519, mldsa=LOG_MLDSA, at=naive)


def test_two_roots_at_one_size_of_one_log_are_a_fork() -> None:
    with pytest.raises(ForkError, match="two roots at size 42") as raised:
        check_same_history(CHECKPOINT, replace(CHECKPOINT, root=OTHER_HASH))
    assert raised.value.alarm == "fork"
    assert raised.value.sequence is None


def test_other_sizes_and_other_logs_are_no_fork() -> None:
    check_same_history(CHECKPOINT, CHECKPOINT)
    check_same_history(CHECKPOINT, Checkpoint(ORIGIN, 43, OTHER_HASH))
    check_same_history(CHECKPOINT, Checkpoint("euroarab.example/audit/hub", 42, OTHER_HASH))


def test_a_head_that_its_entries_do_not_give_is_a_root_mismatch() -> None:
    check_root(CHECKPOINT, recomputed=CHECKPOINT)
    for other in (
        replace(CHECKPOINT, root=OTHER_HASH),
        replace(CHECKPOINT, size=41),
        replace(CHECKPOINT, origin="euroarab.example/audit/hub"),
    ):
        with pytest.raises(RootMismatchError) as raised:
            check_root(other, recomputed=CHECKPOINT)
        assert raised.value.alarm == "root mismatch"
