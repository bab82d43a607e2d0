"""Normal forms of what is searched for: document numbers and the words of names.

Two spellings that one reader would call the same get one normal form; nothing is
guessed beyond that. O and 0 stay apart, and so do I and 1: a wrong hit on a
document stops an innocent traveller (`records.mrz.suggestions` asks a person).
Names that only sound alike are another matter, and not this module's.
"""

import re
import unicodedata

# Parts of names so common that they tell nobody apart; folded.
_PARTICLES = frozenset({"AL", "EL", "UL", "BIN", "BEN", "IBN", "BINT", "DE", "LA", "VAN", "VON"})
_WORD_CHARS_MIN = 2
_NUMBER_CHARS_MIN = 5

# One letter for those that writers exchange: alef with any hamza, the two final
# forms of yeh and teh marbuta, and the Persian code points of kaf and yeh.
_ARABIC = str.maketrans(
    {
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
        "ـ": None,
    }
)
_ARTICLE = "ال"
_SERVANT = "عبد"
_BETWEEN_NUMBERS = re.compile(r"[\s,;:()]+")
_WORD = re.compile(r"[^\W\d_]+")
_APOSTROPHES = re.compile("['’‘`´ʼʻʾʿ]")
# What Unicode does not decompose into a letter and a mark.
_LATIN = str.maketrans(
    {
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
)


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
    # Upper case first: it opens ß and ligatures, which have no marks to drop.
    words = _WORD.findall(bare.upper().translate(_LATIN))
    return [word for word in _whole_names(words) if _tells_apart(word)]


def _bare(text: str) -> str:
    """Return a text without marks and apostrophes, its Arabic letters in normal form."""
    plain = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text)).translate(_ARABIC)
    decomposed = unicodedata.normalize("NFD", plain)
    if not any(map(unicodedata.combining, decomposed)):
        return decomposed
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _whole_names(words: list[str]) -> list[str]:
    """Join `abd` to what it belongs to, and leave the article away."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == _SERVANT:
            joined[-1] += word
        else:
            joined.append(word)
    return [_without_article(word) for word in joined]


def _without_article(word: str) -> str:
    long = len(word) > len(_ARTICLE) + 1
    return word[len(_ARTICLE) :] if long and word.startswith(_ARTICLE) else word


def _tells_apart(word: str) -> bool:
    return len(word) >= _WORD_CHARS_MIN and word not in _PARTICLES


def _ascii_digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)
