"""C2SP signed notes: a text and the lines of those who signed it.

Reads and writes the format (c2sp.org/signed-note) and the verifier keys that go
with it. It verifies nothing: a parsed note is not yet a believed one. Its one
rule: there is exactly one spelling, so what was read writes back byte for byte.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from mithaq.ledger.errors import NoteFormatError
from mithaq.ledger.keytypes import KEY_ID_SIZE_BYTES, KeyType, check_public_key, key_id

NOTE_SIZE_BYTES_MAX: Final = 1 << 20
SIGNATURES_PER_NOTE_MAX: Final = 256
# cosigned_message of C2SP tlog-cosignature has one length byte for a name.
KEY_NAME_SIZE_BYTES_MAX: Final = 255
SIGNATURE_SIZE_BYTES_MAX: Final = 8192

_DASH: Final = "\N{EM DASH} "
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_NOT_IN_NAMES: Final = re.compile(r"[\s+\x00-\x1f]")


def b64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str) -> bytes:
    """Read base64 in its one canonical spelling.

    Raises:
        NoteFormatError: other letters, missing padding, or stray bits in the last letter.

    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise NoteFormatError("a base64 field is not standard base64") from fault
    if b64(data) != text:
        raise NoteFormatError("a base64 field is not in its canonical spelling")
    return data


def check_key_name(name: str) -> None:
    """Raise NoteFormatError unless a key or an origin may have this name."""
    if not 1 <= len(_utf8(name)) <= KEY_NAME_SIZE_BYTES_MAX:
        raise NoteFormatError("a key name has 1 to 255 bytes")
    if _NOT_IN_NAMES.search(name):
        raise NoteFormatError("a key name has no spaces, plus signs or control characters")


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature line: who signed (name and 4-byte key id) and the bytes behind the id."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse what no signature line can say."""
        check_key_name(self.name)
        if len(self.key_id) != KEY_ID_SIZE_BYTES:
            raise NoteFormatError("a key id has 4 bytes")
        if not 1 <= len(self.signature) <= SIGNATURE_SIZE_BYTES_MAX:
            raise NoteFormatError(f"a signature has 1 to {SIGNATURE_SIZE_BYTES_MAX} bytes")

    def line(self) -> str:
        """Return the line as it stands in a note, with its newline."""
        return f"{_DASH}{self.name} {b64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text ending in a newline, and its signature lines in order."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def __post_init__(self) -> None:
        """Refuse a text that a note can't carry, and no or too many signatures."""
        _check_text(self.text)
        if not 1 <= len(self.signatures) <= SIGNATURES_PER_NOTE_MAX:
            raise NoteFormatError(f"a note has 1 to {SIGNATURES_PER_NOTE_MAX} signatures")

    def to_bytes(self) -> bytes:
        """Return the note in UTF-8."""
        return (self.text + "\n" + "".join(each.line() for each in self.signatures)).encode()

    def find(self, name: str, wanted_id: bytes) -> SignatureLine | None:
        """Return the line of this key, or None.

        Raises:
            NoteFormatError: the key signed twice, so that its line is not one statement.

        """
        found = [each for each in self.signatures if each.name == name and each.key_id == wanted_id]
        if len(found) > 1:
            raise NoteFormatError("one key has signed a note twice")
        return found[0] if found else None


def parse_note(data: bytes) -> Note:
    """Read a signed note strictly.

    Raises:
        NoteFormatError: too large, not UTF-8, control characters, no blank line before the
            signatures, or a signature line that is not of its form.

    """
    if len(data) > NOTE_SIZE_BYTES_MAX:
        raise NoteFormatError(f"a note has at most {NOTE_SIZE_BYTES_MAX} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise NoteFormatError("a note is not UTF-8") from fault
    text, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise NoteFormatError("a note is a text, a blank line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_PER_NOTE_MAX:
        raise NoteFormatError(f"a note has 1 to {SIGNATURES_PER_NOTE_MAX} signatures")
    return Note(text + "\n", tuple(parse_signature_line(each) for each in lines))


def parse_signature_line(line: str) -> SignatureLine:
    """Read one signature line, without its newline.

    Raises:
        NoteFormatError: it is not of its form.

    """
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise NoteFormatError("a signature line is a dash, a key name and base64")
    data = unb64(encoded)
    return SignatureLine(name, data[:KEY_ID_SIZE_BYTES], data[KEY_ID_SIZE_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise NoteFormatError("the text of a note ends in a newline")
    if _CONTROL.search(text):
        raise NoteFormatError("a note has no control characters")
    _utf8(text)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as fault:
        raise NoteFormatError("a note holds no lone surrogates") from fault


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A vkey: a name, a signature type and the raw public key, on one line."""

    name: str
    key_type: KeyType
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse a name or a key that no vkey can hold."""
        check_key_name(self.name)
        check_public_key(self.key_type, self.public_key)

    @property
    def key_id(self) -> bytes:
        """The 4-byte key id that signature lines carry."""
        return key_id(self.name, self.key_type, self.public_key)

    def format(self) -> str:
        """Return ``name+id+base64(type ‖ key)``."""
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes((self.key_type,)) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a vkey and check that its id is its own.

        Raises:
            NoteFormatError: not of its form, a type that this project does not use, or a
                key id that the name and key do not give.
            PublicKeyError: a key that ``check_public_key`` refuses.

        """
        name, _, rest = text.partition("+")
        _, _, encoded = rest.partition("+")
        data = unb64(encoded)
        try:
            key = cls(name, KeyType(data[0] if data else 0), data[1:])
        except ValueError as fault:
            raise NoteFormatError("a verifier key has a type that is not used here") from fault
        if key.format() != text:
            raise NoteFormatError("a verifier key does not spell its own key id")
        return key
