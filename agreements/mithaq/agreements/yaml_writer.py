"""Writing plain values as YAML: one text for given values, and no other.

Texts that could be taken for something else stand in double quotes with every
character escaped that doesn't print, so that nobody signs what he can't see. Sets stand
on one line where they fit. What is empty is left out.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, cast

from mithaq.agreements.yaml_nodes import PLAIN_TEXT, UNIT

WIDTH_CHARS: Final = 100
STEP: Final = "  "

Value = object


def write(table: Mapping[str, Value], *, indent: str = "") -> Iterator[str]:
    """Yield the lines of a table.

    Its values are texts, words, numbers, flags, instants, durations, sets of texts or
    words, tables, and tuples of tables.
    """
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from write(cast("Mapping[str, Value]", value), indent=indent + STEP)
        elif isinstance(value, tuple):
            yield f"{indent}{key}:"
            yield from _items(cast("Sequence[Mapping[str, Value]]", value), indent + STEP)
        elif isinstance(value, frozenset):
            yield from _set(key, cast("frozenset[str]", value), indent)
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _items(tables: Sequence[Mapping[str, Value]], indent: str) -> Iterator[str]:
    for table in tables:
        first, *rest = write(table, indent=indent + STEP)
        yield f"{indent}- {first.lstrip()}"
        yield from rest


def _set(key: str, words: frozenset[str], indent: str) -> Iterator[str]:
    """Yield a set in the order of its vocabulary, or of the alphabet where it has none."""
    ordered = ", ".join(_scalar(word) for word in sorted(words, key=_order))
    return iter(
        textwrap.wrap(
            f"{indent}{key}: [{ordered}]",
            WIDTH_CHARS,
            subsequent_indent=indent + STEP + STEP,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _order(word: str) -> tuple[int, str]:
    return (list(type(word)).index(word) if isinstance(word, StrEnum) else 0, word)


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return _text(str(value))


def _duration(value: timedelta) -> str:
    """Return a duration in the largest unit that divides it."""
    letter = next(letter for letter in "dhms" if value % UNIT[letter] == timedelta(0))
    return f"{value // UNIT[letter]}{letter}"


def _text(text: str) -> str:
    return text if PLAIN_TEXT.fullmatch(text) else f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"
