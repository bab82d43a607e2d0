from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import (
    Cosignature,
    Role,
    cosign_ed25519,
    cosign_mldsa,
    cosigner_name,
    verify_cosignature,
)
from mithaq.ledger.errors import (
    LedgerError,
    NameFormatError,
    NoteFormatError,
    SignatureInvalidError,
    SignatureMissingError,
    TimestampError,
)
from mithaq.ledger.keytypes import KeyType, Signer, key_id
from mithaq.ledger.note import parse_note
from tests.ledger.builders import (
    FEDERATION,
    HASH,
    HELD_ED25519,
    LOG_ED25519,
    LOG_MLDSA,
    NOW,
    OPENED_ED25519,
    OTHER_HASH,
    RECEIPT_MLDSA,
)

CHECKPOINT = Checkpoint(f"{FEDERATION}/stream/{'ab' * 32}", 42, HASH)
HELD = cosigner_name(FEDERATION, Role.HELD, "int-iom")
OPENED = cosigner_name(FEDERATION, Role.OPENED, "int-iom")

# The example of c2sp.org/tlog-cosignature (C2SP/C2SP, tlog-cosignature.md); its key is not given.
C2SP_LINE = (
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2"
    "oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)

Cosign = Callable[..., Cosignature]
TYPES: list[tuple[Cosign, KeyType, Signer]] = [
    (cosign_ed25519, KeyType.ED25519_COSIGNATURE, HELD_ED25519),
    (cosign_mldsa, KeyType.MLDSA44_COSIGNATURE, RECEIPT_MLDSA),
]
each_type = pytest.mark.parametrize(("cosign", "algorithm", "signer"), TYPES)


@each_type
def test_a_cosignature_verifies_and_comes_back_from_its_line(
    cosign: Cosign, algorithm: KeyType, signer: Signer
) -> None:
    made = cosign(CHECKPOINT, name=HELD, signer=signer, at=NOW + timedelta(microseconds=5))
    assert made.at == NOW
    assert made.algorithm is algorithm
    assert Cosignature.parse(made.line()) == made
    assert Cosignature.parse(made.line().removesuffix("\n")) == made
    verify_cosignature(made, CHECKPOINT, name=HELD, public_key=signer.public, algorithm=algorithm)


@each_type
@pytest.mark.parametrize(
    "other",
    [
        replace(CHECKPOINT, root=OTHER_HASH),
        replace(CHECKPOINT, size=43),
        replace(CHECKPOINT, origin=f"{FEDERATION}/stream/{'cd' * 32}"),
    ],
)
def test_a_receipt_replayed_for_another_head_or_log_is_refused(
    cosign: Cosign, algorithm: KeyType, signer: Signer, other: Checkpoint
) -> None:
    made = cosign(CHECKPOINT, name=HELD, signer=signer, at=NOW)
    with pytest.raises(SignatureInvalidError):
        verify_cosignature(made, other, name=HELD, public_key=signer.public, algorithm=algorithm)


@each_type
def test_a_receipt_dated_anew_is_refused(
    cosign: Cosign, algorithm: KeyType, signer: Signer
) -> None:
    made = cosign(CHECKPOINT, name=HELD, signer=signer, at=NOW)
    later = replace(made, at=NOW + timedelta(days=1))
    with pytest.raises(SignatureInvalidError):
        verify_cosignature(
            later, CHECKPOINT, name=HELD, public_key=signer.public, algorithm=algorithm
        )


@each_type
def test_a_receipt_of_another_s_name_type_or_key_is_not_the_one_asked_for(
    cosign: Cosign, algorithm: KeyType, signer: Signer
) -> None:
    made = cosign(CHECKPOINT, name=HELD, signer=signer, at=NOW)
    other: dict[KeyType, Signer] = {
        KeyType.ED25519_COSIGNATURE: OPENED_ED25519,
        KeyType.MLDSA44_COSIGNATURE: LOG_MLDSA,
    }
    with pytest.raises(SignatureMissingError):
        verify_cosignature(
            made, CHECKPOINT, name=OPENED, public_key=signer.public, algorithm=algorithm
        )
    with pytest.raises(SignatureMissingError):
        verify_cosignature(
            made, CHECKPOINT, name=HELD, public_key=other[algorithm].public, algorithm=algorithm
        )
    wrong_type = next(each for _, each, _ in TYPES if each is not algorithm)
    with pytest.raises(SignatureMissingError):
        verify_cosignature(
            made,
            CHECKPOINT,
            name=HELD,
            public_key=other[wrong_type].public,
            algorithm=wrong_type,
        )


def relabelled(made: Cosignature, signer: Signer) -> Cosignature:
    """Do what a hub can do with public knowledge alone: a held line that says opened."""
    return replace(made, name=OPENED, key_id=key_id(OPENED, made.algorithm, signer.public))


def test_a_held_relabelled_as_opened_fails_under_the_key_for_opened() -> None:
    held = cosign_ed25519(CHECKPOINT, name=HELD, signer=HELD_ED25519, at=NOW)
    with pytest.raises(SignatureMissingError):
        verify_cosignature(
            relabelled(held, HELD_ED25519),
            CHECKPOINT,
            name=OPENED,
            public_key=OPENED_ED25519.public,
            algorithm=KeyType.ED25519_COSIGNATURE,
        )
    with pytest.raises(SignatureInvalidError):
        verify_cosignature(
            relabelled(held, OPENED_ED25519),
            CHECKPOINT,
            name=OPENED,
            public_key=OPENED_ED25519.public,
            algorithm=KeyType.ED25519_COSIGNATURE,
        )


def test_an_ml_dsa_held_relabelled_as_opened_fails_under_the_very_same_key() -> None:
    held = cosign_mldsa(CHECKPOINT, name=HELD, signer=RECEIPT_MLDSA, at=NOW)
    with pytest.raises(SignatureInvalidError):
        verify_cosignature(
            relabelled(held, RECEIPT_MLDSA),
            CHECKPOINT,
            name=OPENED,
            public_key=RECEIPT_MLDSA.public,
            algorithm=KeyType.MLDSA44_COSIGNATURE,
        )


def test_type_0x04_signs_no_name_so_one_key_for_two_roles_tells_them_not_apart() -> None:
    # Not what is wanted, but what c2sp.org/tlog-cosignature says: whoever registers one
    # Ed25519 key for held and for opened lets anybody turn the one into the other.
    held = cosign_ed25519(CHECKPOINT, name=HELD, signer=HELD_ED25519, at=NOW)
    verify_cosignature(
        relabelled(held, HELD_ED25519),
        CHECKPOINT,
        name=OPENED,
        public_key=HELD_ED25519.public,
        algorithm=KeyType.ED25519_COSIGNATURE,
    )


def test_a_log_s_own_signature_is_no_receipt_for_it() -> None:
    note = sign_checkpoint(CHECKPOINT, ed25519=LOG_ED25519, mldsa=LOG_MLDSA, at=NOW)
    ed25519_line, mldsa_line = parse_note(note).signatures
    with pytest.raises(NoteFormatError, match="no cosignature has"):
        Cosignature.of(ed25519_line)
    with pytest.raises(SignatureMissingError):
        verify_cosignature(
            Cosignature.of(mldsa_line),
            CHECKPOINT,
            name=HELD,
            public_key=RECEIPT_MLDSA.public,
            algorithm=KeyType.MLDSA44_COSIGNATURE,
        )


def test_a_receipt_is_no_log_signature() -> None:
    receipt = cosign_ed25519(CHECKPOINT, name=HELD, signer=HELD_ED25519, at=NOW)
    with pytest.raises(SignatureMissingError):
        verify_cosignature(
            receipt,
            CHECKPOINT,
            name=HELD,
            public_key=HELD_ED25519.public,
            algorithm=KeyType.ED25519,
        )


def test_the_c2sp_example_line_spells_itself() -> None:
    parsed = Cosignature.parse(C2SP_LINE)
    assert parsed.name == "witness.example.com/w1"
    assert parsed.key_id.hex() == "8d66cf3f"
    assert int(parsed.at.timestamp()) == 1679315147
    assert parsed.algorithm is KeyType.ED25519_COSIGNATURE
    assert parsed.line() == C2SP_LINE


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_byte_of_a_receipt_s_line_can_be_changed(data: st.DataObject) -> None:
    made = cosign_ed25519(CHECKPOINT, name=HELD, signer=HELD_ED25519, at=NOW)
    line = bytearray(made.line().encode())
    line[data.draw(st.integers(0, len(line) - 2))] ^= data.draw(st.integers(1, 127))
    with pytest.raises((LedgerError, UnicodeDecodeError)):
        verify_cosignature(
            Cosignature.parse(line.decode()),
            CHECKPOINT,
            name=HELD,
            public_key=HELD_ED25519.public,
            algorithm=KeyType.ED25519_COSIGNATURE,
        )


@given(st.text(max_size=120))
def test_hostile_text_is_no_cosignature_or_one_that_spells_the_same(text: str) -> None:
    try:
        parsed = Cosignature.parse(text)
    except LedgerError:
        return
    assert parsed.line().removesuffix("\n") == text.removesuffix("\n")


def test_an_untimed_cosignature_is_refused() -> None:
    made = cosign_ed25519(CHECKPOINT, name=HELD, signer=HELD_ED25519, at=NOW)
    line = parse_note(b"text\n\n" + made.line().encode()).signatures[0]
    with pytest.raises(TimestampError):
        Cosignature.of(replace(line, signature=bytes(8) + line.signature[8:]))


def test_a_cosignature_is_made_of_parts_that_a_line_can_say() -> None:
    made = cosign_ed25519(CHECKPOINT, name=HELD, signer=HELD_ED25519, at=NOW)
    with pytest.raises(NoteFormatError, match="size of its type"):
        replace(made, algorithm=KeyType.MLDSA44_COSIGNATURE)
    with pytest.raises(NoteFormatError, match="size of its type"):
        replace(made, algorithm=KeyType.ED25519)
    with pytest.raises(NoteFormatError, match="size of its type"):
        replace(made, signature=made.signature[:-1])
    with pytest.raises(NoteFormatError, match="4 bytes"):
        replace(made, key_id=bytes(5))
    with pytest.raises(NoteFormatError, match="spaces"):
        replace(made, name="two words")
    with pytest.raises(TimestampError, match="whole second"):
        replace(made, at=NOW + timedelta(microseconds=1))


@pytest.mark.parametrize("role", list(Role))
def test_a_cosigner_is_named_by_federation_role_and_member(role: Role) -> None:
    assert cosigner_name(FEDERATION, role, "int-iom") == f"{FEDERATION}/{role.value}/int-iom"
    assert cosigner_name(FEDERATION, role.value, "hub") == f"{FEDERATION}/{role.value}/hub"


def test_a_cosigner_has_no_name_that_could_be_another_s() -> None:
    with pytest.raises(NameFormatError):
        cosigner_name(FEDERATION, Role.HELD, "int-iom/2")
    with pytest.raises(NameFormatError):
        cosigner_name("x/held", Role.HELD, "int-iom")
    with pytest.raises(NameFormatError, match="role"):
        cosigner_name(FEDERATION, "owner", "int-iom")
