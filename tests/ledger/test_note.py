import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.errors import NoteFormatError, PublicKeyError, SignatureInvalidError
from mithaq.ledger.keytypes import KeyType, key_id, verify_signature
from mithaq.ledger.note import (
    NOTE_SIZE_BYTES_MAX,
    SIGNATURE_SIZE_BYTES_MAX,
    SIGNATURES_PER_NOTE_MAX,
    Note,
    SignatureLine,
    VerifierKey,
    b64,
    parse_note,
    parse_signature_line,
    unb64,
)
from tests.ledger.builders import LOG_ED25519, LOG_MLDSA

# The example of c2sp.org/signed-note (C2SP/C2SP, signed-note.md).
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n"
    "\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3"
    "mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# The other example there: its text holds an empty line of its own.
C2SP_POEM = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMou"
    "FSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)

LINE = SignatureLine("example.com/foo", b"\x01\x02\x03\x04", b"signature")

names = st.text(
    st.characters(codec="utf-8", exclude_characters="+", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=40,
)
lines = st.builds(
    SignatureLine, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80)
)
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"], include_characters="\n"), max_size=80
).map(lambda text: text + "\n")


def test_the_c2sp_example_note_verifies_under_the_c2sp_example_key() -> None:
    key, note = VerifierKey.parse(C2SP_VKEY), parse_note(C2SP_NOTE.encode())
    line = note.find(key.name, key.key_id)
    assert line is not None
    assert note.text == "This is an example message.\n"
    verify_signature(
        key.key_type, key.public_key, signature=line.signature, message=note.text.encode()
    )
    with pytest.raises(SignatureInvalidError):
        verify_signature(
            key.key_type, key.public_key, signature=line.signature, message=b"Another message.\n"
        )


def test_a_text_is_parted_from_its_signatures_by_the_last_empty_line() -> None:
    note = parse_note(C2SP_POEM.encode())
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert note.signatures[0].key_id.hex() == "367ba04b"
    assert note.to_bytes().decode() == C2SP_POEM


@given(st.builds(Note, texts, st.lists(lines, min_size=1, max_size=4).map(tuple)))
def test_a_note_comes_back_from_its_bytes(note: Note) -> None:
    assert parse_note(note.to_bytes()) == note


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_hostile_bytes_are_no_note_or_one_that_spells_the_same(data: bytes) -> None:
    try:
        note = parse_note(data)
    except NoteFormatError:
        return
    assert note.to_bytes() == data


@given(st.data())
def test_a_note_with_one_byte_changed_spells_itself_or_is_refused(data: st.DataObject) -> None:
    whole = bytearray(C2SP_NOTE.encode())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        note = parse_note(bytes(whole))
    except NoteFormatError:
        return
    assert note.to_bytes() == bytes(whole)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=x",
        b"\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\nname AAAAAAA=\n",
        b"text\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\n- name AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 name  AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=\r\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA= \n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 name AAAA_AA=\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 na\xc2\xa0me AAAAAAA=\n",
        b"te\x00xt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"te\txt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"te\rxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\xff\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=\ntrailing\n",
    ],
)
def test_what_is_not_of_the_form_is_no_note(data: bytes) -> None:
    with pytest.raises(NoteFormatError):
        parse_note(data)


def test_a_note_has_at_most_its_limit_of_bytes() -> None:
    rest = Note("\n", (LINE,)).to_bytes()
    largest = b"x" * (NOTE_SIZE_BYTES_MAX - len(rest)) + rest
    assert parse_note(largest).signatures == (LINE,)
    with pytest.raises(NoteFormatError, match="at most"):
        parse_note(b"x" + largest)


def test_a_note_has_at_least_one_and_at_most_its_limit_of_signatures() -> None:
    fullest = Note("text\n", (LINE,) * SIGNATURES_PER_NOTE_MAX)
    assert parse_note(fullest.to_bytes()) == fullest
    with pytest.raises(NoteFormatError, match="signatures"):
        parse_note(fullest.to_bytes() + LINE.line().encode())
    for wrong in (0, SIGNATURES_PER_NOTE_MAX + 1):
        with pytest.raises(NoteFormatError, match="signatures"):
            Note("text\n", (LINE,) * wrong)


@pytest.mark.parametrize("text", ["", "text", "te\x1fxt\n", "\ud800\n"])
def test_a_text_that_a_note_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(NoteFormatError):
        Note(text, (LINE,))


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\x00b", "a\u2003b", "\ud800", "a" * 256]
)
def test_a_key_name_is_one_word_of_1_to_255_bytes(name: str) -> None:
    assert SignatureLine("a" * 255, bytes(4), b"s").name == "a" * 255
    with pytest.raises(NoteFormatError):
        SignatureLine(name, bytes(4), b"s")


def test_the_limit_of_a_key_name_counts_bytes_and_not_letters() -> None:
    SignatureLine("ع" * 127, bytes(4), b"s")
    with pytest.raises(NoteFormatError, match="255 bytes"):
        SignatureLine("ع" * 128, bytes(4), b"s")


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_key_id_has_4_bytes(size: int) -> None:
    with pytest.raises(NoteFormatError, match="4 bytes"):
        SignatureLine("name", bytes(size), b"s")


@pytest.mark.parametrize("size", [0, SIGNATURE_SIZE_BYTES_MAX + 1])
def test_a_signature_has_its_limits(size: int) -> None:
    SignatureLine("name", bytes(4), bytes(SIGNATURE_SIZE_BYTES_MAX))
    with pytest.raises(NoteFormatError, match="a signature has"):
        SignatureLine("name", bytes(4), bytes(size))


def test_a_line_comes_back_from_its_text() -> None:
    assert parse_signature_line(LINE.line().removesuffix("\n")) == LINE


def test_only_the_very_key_s_line_is_found() -> None:
    note = Note("text\n", (LINE, SignatureLine("other", LINE.key_id, b"s")))
    assert note.find("example.com/foo", LINE.key_id) == LINE
    assert note.find("example.com/foo", bytes(4)) is None
    assert note.find("another", LINE.key_id) is None


def test_a_key_that_signed_twice_has_made_no_one_statement() -> None:
    note = Note("text\n", (LINE, SignatureLine(LINE.name, LINE.key_id, b"another")))
    with pytest.raises(NoteFormatError, match="twice"):
        note.find(LINE.name, LINE.key_id)


@given(st.binary(max_size=40))
def test_base64_has_one_spelling(data: bytes) -> None:
    assert unb64(b64(data)) == data


@pytest.mark.parametrize(
    "text", ["A", "AA", "AB==", "AA=", "AA==\n", "A A=", "AA==AA==", "é===", "-_=="]
)
def test_base64_has_no_other_spelling(text: str) -> None:
    with pytest.raises(NoteFormatError, match="base64"):
        unb64(text)


@pytest.mark.parametrize(
    ("key_type", "public"),
    [
        (KeyType.ED25519, LOG_ED25519.public),
        (KeyType.ED25519_COSIGNATURE, LOG_ED25519.public),
        (KeyType.MLDSA44_COSIGNATURE, LOG_MLDSA.public),
    ],
)
def test_a_verifier_key_of_each_type_comes_back_from_its_text(
    key_type: KeyType, public: bytes
) -> None:
    key = VerifierKey("euroarab.example/held/int-iom", key_type, public)
    assert VerifierKey.parse(key.format()) == key
    assert key.key_id == key_id(key.name, key_type, public)


def test_a_verifier_key_has_a_key_name() -> None:
    with pytest.raises(NoteFormatError, match="spaces"):
        VerifierKey("two words", KeyType.ED25519, LOG_ED25519.public)


def test_a_note_takes_at_least_the_16_signatures_that_c2sp_asks_for() -> None:
    assert SIGNATURES_PER_NOTE_MAX == 256
    assert NOTE_SIZE_BYTES_MAX == 1024 * 1024


def test_the_c2sp_example_key_spells_itself() -> None:
    key = VerifierKey.parse(C2SP_VKEY)
    assert key.format() == C2SP_VKEY
    assert (key.name, key.key_type, key.key_id.hex()) == (
        "example.com/foo",
        KeyType.ED25519,
        "530d903a",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903a+",
        C2SP_VKEY.replace("530d903a", "530d903b"),
        C2SP_VKEY.replace("530d903a", "530D903A"),
        C2SP_VKEY.replace("example.com/foo", "example.com/bar"),
        C2SP_VKEY.replace("+AekyeRrm", "+AukyeRrm"),
        C2SP_VKEY.replace("+AekyeRrm", "+BukyeRrm"),
        C2SP_VKEY[:-4],
        C2SP_VKEY + "\n",
        C2SP_VKEY + "+",
    ],
)
def test_a_verifier_key_has_no_other_spelling(text: str) -> None:
    with pytest.raises((NoteFormatError, PublicKeyError)):
        VerifierKey.parse(text)
