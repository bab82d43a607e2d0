"""Text from elsewhere, made fit to be shown.

A record comes from another state, an error from another process: an escape sequence or
a bidirectional override in it could hide a warning from the person who reads it.
"""

import unicodedata
from typing import Final

_BIDI_CONTROLS: Final = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def plain(text: str) -> str:
    """Return a text without what would steer a terminal or turn the order of letters."""
    return "".join(char for char in text if not _steers(char))


def _steers(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs"} or char in _BIDI_CONTROLS
