"""How rows become the lines of a terminal: a grid where it fits, blocks where it does not.

Nothing is cut off: an id stands whole on one line at any width, since it is what the next
command is given, and prose is folded at its spaces. No meaning is in a colour. The rule:
what somebody else wrote never begins a line, so it cannot pass for a row of ours.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, cast

from rich.cells import cell_len

from mithaq.service.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Row = Mapping[str, object]

GAP: Final = 2
INDENT: Final = 2
WIDTH_MIN: Final = 40
# Prose is not squeezed below this many cells: then rows become blocks.
PROSE: Final = 20
# A list of short words may be.
WORDS: Final = 8
# The longest id: a member's of 34, a hyphen, a ULID.
ID_LENGTH_MAX: Final = 61
# Keeps what follows a text in Arabic script where it is: digits beside it would change sides.
LEFT_TO_RIGHT: Final = "\u200e"
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """One field of many rows, as people read it.

    `text` says it in other words than the value. It is folded where `fold` gives the least
    number of cells that it needs; otherwise it stands whole. `spare`: left out of a grid
    that has no room for it. `head`: stands in the first line of a row's block.
    """

    key: str
    title: str = ""
    text: Callable[[Row], str] | None = None
    fold: int = 0
    spare: bool = False
    head: bool = False

    @property
    def label(self) -> str:
        """What stands above or beside it."""
        return self.title or self.key.replace("_", " ")

    def cell(self, row: Row) -> str:
        """Return what stands in a row."""
        return shown(self.text(row) if self.text else row.get(self.key, ""))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a screen; that it is strong is said again by its place."""

    text: str
    strong: bool = False


def shown(value: object) -> str:
    """Return a value as one line that steers no terminal."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return ", ".join(map(shown, items))
    return plain(" ".join(str(value).split()))


def table(rows: Sequence[Row], columns: Sequence[Column | str], *, width: int) -> Iterator[Line]:
    """Yield rows as a grid, or as blocks where the width is too small for one."""
    width = max(width, WIDTH_MIN)
    named = [each if isinstance(each, Column) else _guessed(each, rows) for each in columns]
    used = [each for each in named if any(each.cell(row) for row in rows)]
    grid = _fitting(used, rows, width)
    if grid is None:
        yield from _blocks(used, rows, width)
    else:
        yield from _grid(*grid, rows)


def sheet(rows: Iterable[tuple[str, str]], *, width: int) -> Iterator[Line]:
    """Yield labels and values below one another; a value without room goes below its label."""
    known = [(label, shown(text)) for label, text in rows]
    beside = max((cell_len(label) for label, _ in known), default=0) + GAP
    for label, text in known:
        yield from _labelled(label, text, beside=beside, width=max(width, WIDTH_MIN))


def folded(text: str, *, width: int, hanging: int = INDENT) -> Iterator[str]:
    """Yield a text in lines of at most `width` cells; what is folded stands further in."""
    words = text.lstrip(" ")
    indent = len(text) - len(words)
    room = max(width, WIDTH_MIN) - indent
    for number, line in enumerate(_wrapped(words, room, then=room - hanging)):
        yield " " * (indent + hanging if number else indent) + line


def _guessed(key: str, rows: Sequence[Row]) -> Column:
    """Return a column for a field that nobody described: lists and sentences are folded."""
    values = [row.get(key, "") for row in rows]
    if any(isinstance(value, list | tuple) for value in values):
        return Column(key, fold=WORDS)
    return Column(key, fold=PROSE if any(" " in shown(value) for value in values) else 0)


# --- a grid -----------------------------------------------------------------------------


def _fitting(
    columns: Sequence[Column], rows: Sequence[Row], width: int
) -> tuple[list[Column], list[int]] | None:
    """Return the columns that fit, and their widths; None where even the needed ones do not."""
    kept = list(columns)
    while True:
        widths = _widths(kept, [[each.cell(row) for row in rows] for each in kept], width)
        spare = [place for place, each in enumerate(kept) if each.spare]
        if widths is not None or not spare:
            return None if widths is None else (kept, widths)
        del kept[spare[-1]]


def _widths(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int
) -> list[int] | None:
    """Return each column's width in cells, or None where they do not fit."""
    natural = [
        max(cell_len(text) for text in (column.label, *texts))
        for column, texts in zip(columns, cells, strict=True)
    ]
    least = [
        _folded_width(column, texts, whole) if column.fold else whole
        for column, texts, whole in zip(columns, cells, natural, strict=True)
    ]
    room = width - GAP * (len(columns) - 1) - sum(least)
    if room < 0:
        return None
    wanted = sum(natural) - sum(least)
    share = min(1.0, room / wanted) if wanted else 0.0
    return [low + int((high - low) * share) for low, high in zip(least, natural, strict=True)]


def _folded_width(column: Column, texts: Iterable[str], whole: int) -> int:
    """Return the least width of a column that is folded: no id in it has to be broken."""
    word = min(max(map(_longest_word, texts), default=0), ID_LENGTH_MAX)
    return min(whole, max(column.fold, cell_len(column.label), word))


def _grid(columns: Sequence[Column], widths: Sequence[int], rows: Sequence[Row]) -> Iterator[Line]:
    numbers = [all(_is_number(row.get(each.key)) for row in rows) for each in columns]
    yield Line(_joined([each.label for each in columns], widths, numbers), strong=True)
    yield Line(_joined(["─" * each for each in widths], widths, numbers))
    for row in rows:
        cells = [
            _wrapped(column.cell(row), room, then=room)
            for column, room in zip(columns, widths, strict=True)
        ]
        for parts in zip_longest(*cells, fillvalue=""):
            yield Line(_joined(parts, widths, numbers))


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _joined(texts: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    padded = (
        _padded(text, width, right=right)
        for text, width, right in zip(texts, widths, numbers, strict=True)
    )
    return (" " * GAP).join(padded).rstrip()


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if right else _fenced(text) + space


def _fenced(text: str) -> str:
    turns = any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in text)
    return text + LEFT_TO_RIGHT if turns else text


# --- blocks -----------------------------------------------------------------------------


def _blocks(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Iterator[Line]:
    heads = [each for place, each in enumerate(columns) if each.head or not place]
    fields = [each for each in columns if each not in heads]
    beside = max((cell_len(each.label) for each in fields), default=0) + GAP
    for number, row in enumerate(rows):
        if number:
            yield Line("")
        for line in _heading([each.cell(row) for each in heads], width):
            yield Line(line, strong=True)
        for field in fields:
            if text := field.cell(row):
                yield from _labelled(field.label, text, beside=beside, width=width)


def _heading(texts: Sequence[str], width: int) -> Iterator[str]:
    told = [_fenced(text) for text in texts if text]
    line = (" " * GAP).join(told)
    yield from [line] if cell_len(line) <= width else told


def _labelled(label: str, text: str, *, beside: int, width: int) -> Iterator[Line]:
    """Yield a label and its value; what is too long a word for the room goes below."""
    indent = " " * INDENT
    room = width - INDENT - beside
    if _longest_word(text) <= room:
        for number, part in enumerate(_wrapped(text or NOTHING, room, then=room)):
            yield Line(f"{indent}{'' if number else label:<{beside}}{part}")
        return
    yield Line(indent + label)
    room = width - 2 * INDENT
    for part in _wrapped(text, room, then=room):
        yield Line(2 * indent + part)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _wrapped(text: str, first: int, *, then: int) -> Iterator[str]:
    """Yield a text folded at spaces; a word that is wider than a whole line is broken."""
    line, room = "", first
    for word in text.split(" "):
        if line and cell_len(line) + 1 + cell_len(word) <= room:
            line = f"{line} {word}"
            continue
        if line:
            yield line
            room = then
        line = word
        while cell_len(line) > room:
            head = _cut(line, room)
            yield head
            line, room = line[len(head) :], then
    yield line


def _cut(word: str, width: int) -> str:
    """Return the longest beginning of a word that fits; at least one character."""
    used = 0
    for place, char in enumerate(word):
        used += cell_len(char)
        if used > width and place:
            return word[:place]
    return word
