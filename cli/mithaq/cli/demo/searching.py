"""Texts that must not be in a folder: looked for in every file and every writing.

A text is looked for as UTF-8, UTF-16, base64 (in its three alignments), hex and
JSON escapes. A control that was planted must be found, or the search itself is
broken and says so.
"""

from __future__ import annotations

import base64
import json
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TEXT_LENGTH_MIN = 6
# The last base64 character of a text's neighbours may change these many at each end.
_BASE64_GROUP = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A text that was found where none may be: the file and the writing, never the text."""

    file: str
    writing: str


def writings(text: str) -> dict[str, bytes]:
    """Return the bytes that a text may stand as, by the name of the writing."""
    utf8 = text.encode()
    forms = {
        "UTF-8": utf8,
        "UTF-16-LE": text.encode("utf-16-le"),
        "UTF-16-BE": text.encode("utf-16-be"),
        "hex": utf8.hex().encode(),
        "HEX": utf8.hex().upper().encode(),
        "JSON escapes": json.dumps(text)[1:-1].encode(),
    }
    for shift in range(3):
        plain = _base64_inside(utf8, shift=shift)
        forms[f"base64 at {shift}"] = plain
        forms[f"base64url at {shift}"] = plain.replace(b"+", b"-").replace(b"/", b"_")
    # Two writings may give the same bytes; the first name stands for both.
    return {
        name: form for form, name in {form: name for name, form in reversed(forms.items())}.items()
    }


def _base64_inside(content: bytes, *, shift: int) -> bytes:
    encoded = base64.b64encode(bytes(shift) + content)
    start = _BASE64_GROUP if shift else 0
    end = len(encoded) - (_BASE64_GROUP if (len(content) + shift) % 3 else 0)
    return encoded[start:end]


def find_texts(texts: Iterable[str], folder: Path) -> list[Found]:
    """Look for each text in each file below a folder."""
    needles = {
        form: name
        for text in texts
        if len(text) >= TEXT_LENGTH_MIN
        for name, form in writings(text).items()
    }
    return [found for file in files_below(folder) for found in _find_in(file, needles)]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _find_in(file: Path, needles: dict[bytes, str]) -> Iterator[Found]:
    if file.stat().st_size == 0:
        return
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for needle, writing in needles.items():
            if view.find(needle) >= 0:
                yield Found(file.name, writing)
