"""Names and check digits of machine-readable zones (ICAO Doc 9303-3).

The transliteration tables are sections 6.A and 6.C. One Arabic name has many Latin
spellings but one machine-readable form, so a search by it needs no guess. The rule
for document numbers: nothing is corrected in silence; `suggestions` says what a
reader may have confused, and a person decides.
"""

import unicodedata

from mithaq.node.records.errors import NameFormError

FILLER = "<"

# Section 6.C, code points U+0621 to U+06D3.
_LETTERS_OF_ARABIC = "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىي"
_CODES_OF_ARABIC = (
    "XE XAA XAE U I XI A B XTA T XTH J XH XKH D XDH R Z S XSH XSS XDZ XTT XZZ E G "
    "F Q K L M N H W XAY Y"
)
_LETTERS_BEYOND = "ٱٹټپځڅچڈډڑړږژښکګڭگںڼھۀہۂۃیۍېےۓ"
_CODES_BEYOND = (
    "XXA XXT XRT P XKE XXH XC XXD XDR XXR XRR XRX XJ XXS XKK XXK XNG XGG XNN XXN XDO XYH "
    "XXG XGE XTG XYA XXY Y XYB XBE"
)
_ARABIC = (
    dict(zip(_LETTERS_OF_ARABIC, _CODES_OF_ARABIC.split(), strict=True))
    | dict(zip(_LETTERS_BEYOND, _CODES_BEYOND.split(), strict=True))
    # Letters that 6.C does not encode.
    | dict.fromkeys("ڜڢڧڨ", "")
)
# Tatweel, vowel signs and superscript alef.
_SIGNS = "ـًٌٍَُِْٰ"
_SHADDA = "ّ"
_TEH_MARBUTA = "ة"
_TEH_MARBUTA_AT_END = "XAH"

# Section 6.A where it is not the letter without its mark; of two ways, the first.
_LATIN = {
    "Ä": "AE",
    "Å": "AA",
    "Æ": "AE",
    "Ð": "D",
    "Ö": "OE",
    "Ø": "OE",
    "Ü": "UE",
    "Þ": "TH",
    "Đ": "D",
    "Ħ": "H",
    "ı": "I",
    "Ĳ": "IJ",
    "Ŀ": "L",
    "Ł": "L",
    "Ŋ": "N",
    "Œ": "OE",
    "Ŧ": "T",
    "ß": "SS",
    "ẞ": "SS",
}
# Doc 9303-3 section 4.6: apostrophes go, and so do the signs for ain and hamza.
_DROPPED = frozenset("'’‘`´ʼʻʾʿ.،,")

_WEIGHTS = (7, 3, 1)
_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# What optical readers confuse; only pairs of different check value can be told apart.
_CONFUSED = dict(zip("OIBSZ01852", "01852OIBSZ", strict=True))


def mrz_name(surname: str, forenames: str) -> str:
    """Return `SURNAME<<FORENAMES`, each part in its machine-readable form.

    A name without forenames ends after the surname. Raises NameFormError where a
    letter belongs to neither table.
    """
    parts = [_components(surname), _components(forenames)]
    return (FILLER * 2).join(part for part in parts if part)


def check_digit(field: str) -> str:
    """Return the check digit of a field (Doc 9303-3 section 4.9): weights 7, 3, 1, modulo 10."""
    total = sum(_value(char) * _WEIGHTS[i % 3] for i, char in enumerate(field))
    return _DIGITS[total % 10]


def suggestions(field: str, *, digit: str) -> list[str]:
    """Return what the field may have been, where its check digit does not fit.

    Each candidate changes one character that readers confuse. The list is for a
    person to choose from, and is empty where the digit fits.
    """
    if check_digit(field) == digit:
        return []
    swaps = ((i, _CONFUSED[char]) for i, char in enumerate(field) if char in _CONFUSED)
    candidates = (field[:i] + other + field[i + 1 :] for i, other in swaps)
    return [candidate for candidate in candidates if check_digit(candidate) == digit]


def _components(name: str) -> str:
    spaced = "".join(" " if char in "-‐‑–_/" else char for char in name)
    return FILLER.join(filter(None, map(_component, spaced.split())))


def _component(word: str) -> str:
    written: list[str] = []
    letters = unicodedata.normalize("NFC", word)
    bare = letters.rstrip(_SIGNS + _SHADDA)
    for i, char in enumerate(letters):
        if char == _SHADDA:
            # Note to 6.C: shadda doubles what stands before it.
            written.extend(written[-1:])
        elif char == _TEH_MARBUTA and i == len(bare) - 1:
            written.append(_TEH_MARBUTA_AT_END)
        elif char not in _SIGNS:
            written.append(_letter(char))
    return "".join(written)


def _letter(char: str) -> str:
    if char in _ARABIC:
        return _ARABIC[char]
    if char in _DROPPED:
        return ""
    if char in _LATIN:
        return _LATIN[char]
    upper = char.upper()
    if upper in _LATIN:
        return _LATIN[upper]
    plain = "".join(c for c in unicodedata.normalize("NFD", upper) if not unicodedata.combining(c))
    if not plain or all(c in _LETTERS for c in plain):
        return plain
    # The letter itself is not named: it is part of a name.
    raise NameFormError("a letter belongs to neither the Latin nor the Arabic table of Doc 9303-3")


def _value(char: str) -> int:
    if char == FILLER:
        return 0
    if char in _DIGITS:
        return _DIGITS.index(char)
    if char in _LETTERS:
        return 10 + _LETTERS.index(char)
    raise NameFormError("a machine-readable field holds A to Z, 0 to 9 and the filler")
