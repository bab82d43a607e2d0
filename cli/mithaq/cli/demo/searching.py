"""Texts that must not be in a folder: looked for in every file and every writing.

A text is looked for as UTF-8, UTF-16, base64 (in its three alignments), hex and
JSON escapes. A control that was planted must be found, or the search itself is
broken and says so.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

TEXT_LENGTH_MIN: Final = 6
CHUNK_BYTES: Final = 4 * 1024 * 1024
# The last base64 character of a text's neighbours may change these many at each end.
_BASE64_GROUP: Final = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A text that was found where none may be: the place and the writing, never the text."""

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


@dataclass(frozen=True)
class Needles:
    """Byte strings to look for, each with the name of its writing; not one is empty."""

    forms: Mapping[bytes, str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Needles:
        """Return all writings of the texts that are long enough to mean something."""
        return cls(
            {
                form: name
                for text in texts
                if len(text) >= TEXT_LENGTH_MIN
                for name, form in writings(text).items()
            }
        )

    @cached_property
    def longest(self) -> int:
        """The length of the longest one."""
        return max(map(len, self.forms), default=0)

    @cached_property
    def _any(self) -> re.Pattern[bytes]:
        # Thousands of needles in one pass: a pass for each takes minutes on a large file.
        return re.compile(_alternatives(sorted(self.forms)), re.DOTALL)

    def find(self, content: bytes) -> list[str]:
        """Return the writings of those that stand in some content."""
        if not self.forms or not self._any.search(content):
            return []
        return [writing for form, writing in self.forms.items() if form in content]


def _alternatives(forms: Sequence[bytes]) -> bytes:
    """Return a pattern for any of some sorted byte strings, common beginnings taken out."""
    if not forms[0]:
        # What begins all of them was found.
        return b""
    branches: list[bytes] = []
    at = 0
    while at < len(forms):
        first = forms[at][:1]
        end = at
        while end < len(forms) and forms[end][:1] == first:
            end += 1
        together = forms[at:end]
        common = _common(together[0], together[-1])
        rest = [form[common:] for form in together]
        branches.append(re.escape(together[0][:common]) + _alternatives(rest))
        at = end
    return branches[0] if len(branches) == 1 else b"(?:" + b"|".join(branches) + b")"


def _common(a: bytes, b: bytes) -> int:
    length = min(len(a), len(b))
    return next((at for at in range(length) if a[at] != b[at]), length)


def find_bytes(needles: Needles, folder: Path) -> list[Found]:
    """Look for byte strings in each file below a folder."""
    return [
        Found(file.name, writing)
        for file in files_below(folder)
        for writing in sorted(_writings_in(file, needles))
    ]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every regular file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _writings_in(file: Path, needles: Needles) -> set[str]:
    found: set[str] = set()
    tail = b""
    # Read and not mapped: a log that is cut short meanwhile would end this process.
    with file.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            content = tail + chunk
            found.update(needles.find(content))
            tail = content[-needles.longest :]
    return found
