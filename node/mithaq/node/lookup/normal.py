"""Normal forms of what is searched for: document numbers and the words of names.

Two spellings that one reader would call the same get one normal form; nothing is
guessed beyond that. O and 0 stay apart, and so do I and 1: a wrong hit on a
document stops an innocent traveller (`records.mrz.suggestions` asks a person).
Names that only sound alike are another matter, and not this module's.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

# Parts of names so common that they tell nobody apart; folded.
_PARTICLES = frozenset({"AL", "EL", "UL", "BIN", "BEN", "IBN", "BINT", "DE", "LA", "VAN", "VON"})
_WORD_CHARS_MIN = 2
_NUMBER_CHARS_MIN = 5

# One letter for those that writers exchange: alef with any hamza, the two final
# forms of yeh and teh marbuta, and the Persian code points of kaf and yeh.
# What a letter becomes is none of the letters that are exchanged: one pass is all passes.
_ARABIC = {
    "أ": "ا",
    "إ": "ا",
    "آ": "ا",
    "ٱ": "ا",
    "ى": "ي",
    "ی": "ي",
    "ئ": "ي",
    "ؤ": "و",
    "ة": "ه",
    "ک": "ك",
    "ـ": "",
}
_ARTICLE = "ال"
# A shorter word is a word of its own.
_WITH_ARTICLE_CHARS_MIN = len(_ARTICLE) + 2
_SERVANT = "عبد"
_BETWEEN_NUMBERS = re.compile(r"[\s,;:()]+")
_WORD = re.compile(r"[^\W\d_]+")
_APOSTROPHES = re.compile("['’‘`´ʼʻʾʿ]")
# What Unicode does not decompose into a letter and a mark.
_LATIN = {
    "Ø": "O",
    "Ł": "L",
    "Đ": "D",
    "Ð": "D",
    "Æ": "AE",
    "Œ": "OE",
    "Þ": "TH",
    "ı": "I",
    "Ħ": "H",
    "Ŧ": "T",
}
_BETWEEN_TEXTS = "\x00"
# In one native pass: letters in upper case, apostrophes gone, all else between words.
_ASCII_LETTERS = {
    code: chr(code).upper() if chr(code).isalpha() else " " for code in range(1, 128)
} | {ord("'"): None, 0: _BETWEEN_TEXTS}


def document_number(text: str) -> str:
    """Return letters and digits alone, upper case, digits of any script as 0 to 9."""
    if text.isascii():
        return "".join(filter(str.isalnum, text.upper()))
    wide = unicodedata.normalize("NFKC", text).upper()
    return "".join(_ascii_digit(char) for char in wide if char.isalnum())


def document_numbers(text: str) -> set[str]:
    """Return the number that a field holds and, where it holds several, each of them.

    Lists put notes and second numbers into one field; a part counts as a number
    where it has a digit and five characters at the least.
    """
    if text.isascii() and text.isalnum():
        return {text.upper()}
    whole = document_number(text)
    parts = {document_number(part) for part in _BETWEEN_NUMBERS.split(text)} - {whole}
    long = {
        part
        for part in parts
        if len(part) >= _NUMBER_CHARS_MIN and any(char.isdigit() for char in part)
    }
    return (long | {whole}) - {""}


def name_words(text: str) -> list[str]:
    """Return the words of a name in normal form, in order, particles left out."""
    bare = text.replace("'", "") if text.isascii() else _bare(text)
    return _telling(_WORD.findall(_upper(bare)))


def words_of_all(texts: Sequence[str]) -> list[list[str]]:
    """Return `name_words` of each text; many cost a third of as many calls."""
    plain = [text for text in texts if text.isascii()]
    found = iter(_ascii_words(plain))
    if len(plain) == len(texts):
        return list(found)
    others = iter(_other_words([text for text in texts if not text.isascii()]))
    return [next(found) if text.isascii() else next(others) for text in texts]


def _ascii_words(texts: Sequence[str]) -> list[list[str]]:
    joined = _BETWEEN_TEXTS.join(texts)
    if joined.count(_BETWEEN_TEXTS) != len(texts) - 1:
        return list(map(name_words, texts))
    parts = joined.translate(_ASCII_LETTERS).split(_BETWEEN_TEXTS)
    return [
        [word for word in part.split() if len(word) >= _WORD_CHARS_MIN and word not in _PARTICLES]
        for part in parts
    ]


def _other_words(texts: Sequence[str]) -> list[list[str]]:
    joined = _BETWEEN_TEXTS.join(texts)
    if joined.count(_BETWEEN_TEXTS) != len(texts) - 1:
        return list(map(name_words, texts))
    # No form joins a character to the one between the texts, so each keeps its own.
    parts = _upper(_bare(joined)).split(_BETWEEN_TEXTS)
    return [_telling(_WORD.findall(part)) for part in parts]


def _upper(text: str) -> str:
    """Return a text in upper case, which opens ß and ligatures that have no marks to drop."""
    return _replaced(text.upper(), _LATIN)


def _replaced(text: str, letters: Mapping[str, str]) -> str:
    # A native pass for each letter: `translate` would ask Python about every character.
    for letter, other in letters.items():
        text = text.replace(letter, other)
    return text


def _bare(text: str) -> str:
    """Return a text without marks and apostrophes, its Arabic letters in normal form."""
    plain = _replaced(_APOSTROPHES.sub("", unicodedata.normalize("NFKC", text)), _ARABIC)
    decomposed = unicodedata.normalize("NFD", plain)
    # No mark is a letter, and most names have letters only.
    if decomposed.replace(" ", "").replace(_BETWEEN_TEXTS, "").isalpha():
        return decomposed
    marks = filter(unicodedata.combining, set(decomposed))
    return _replaced(decomposed, dict.fromkeys(marks, ""))


def _telling(words: list[str]) -> list[str]:
    """Return the words that tell persons apart, the Arabic article left away."""
    if _SERVANT in words:
        words = _joined(words)
    bare = [
        word.removeprefix(_ARTICLE) if len(word) >= _WITH_ARTICLE_CHARS_MIN else word
        for word in words
    ]
    return [word for word in bare if len(word) >= _WORD_CHARS_MIN and word not in _PARTICLES]


def _joined(words: list[str]) -> list[str]:
    """Join `abd` to what it belongs to."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == _SERVANT:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _ascii_digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)
