"""Facts and acts as JSON, for audit logs: one text for given values, read back strictly.

Keys and sets are sorted, so that two members who write the same facts write the same
bytes. Reading refuses what this module would not have written.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from mithaq.agreements.errors import FactsInvalidError

TEXT_SIZE_CHARS_MAX: Final = 64 * 1024
AS_WRITTEN: Final = "give the text as it was written"

Word = TypeVar("Word", bound=StrEnum)
Item = TypeVar("Item")
Reader = Callable[[object], Item]


def dump(value: dict[str, object]) -> str:
    """Return the one text of an object whose values are codes, sets, numbers or instants."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    raise FactsInvalidError(f"a {type(value).__name__} has no JSON form", fix="use plain values")


def parse_object(text: str) -> dict[str, Any]:
    """Return the object of a JSON text; raise FactsInvalidError for anything else."""
    if len(text) > TEXT_SIZE_CHARS_MAX:
        raise FactsInvalidError(
            f"the text is longer than {TEXT_SIZE_CHARS_MAX} characters", fix=AS_WRITTEN
        )
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise FactsInvalidError("the text is no JSON", fix=AS_WRITTEN) from error
    return object_of(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FactsInvalidError("a key stands twice", fix=AS_WRITTEN)
    return value


def object_of(value: object) -> dict[str, Any]:
    """Return a JSON object; raise FactsInvalidError for anything else."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise FactsInvalidError("a JSON object is expected", fix=AS_WRITTEN)


def check_keys(value: dict[str, Any], names: Iterable[str]) -> None:
    """Raise FactsInvalidError unless the object has exactly these keys."""
    odd = sorted(set(names) ^ set(value))
    if odd:
        raise FactsInvalidError(f"the key {odd[0]!r} is missing or unknown", fix=AS_WRITTEN)


def word(words: type[Word]) -> Reader[Word]:
    """Return a reader of one word of a closed vocabulary."""
    known: dict[object, Word] = {each.value: each for each in words}

    def read(value: object) -> Word:
        if isinstance(value, str) and value in known:
            return known[value]
        raise FactsInvalidError(
            f"a value is no {words.__name__}", fix=f"use one of {', '.join(words)}"
        )

    return read


def set_of(read: Reader[Item]) -> Reader[frozenset[Item]]:
    """Return a reader of a set, written as a list."""

    def read_set(value: object) -> frozenset[Item]:
        if isinstance(value, list):
            return frozenset(read(item) for item in cast("list[object]", value))
        raise FactsInvalidError("a JSON list is expected", fix=AS_WRITTEN)

    return read_set


def mapping_of(read_key: Reader[str], read: Reader[Item]) -> Reader[dict[str, Item]]:
    """Return a reader of an object whose keys are no fixed names."""

    def read_mapping(value: object) -> dict[str, Item]:
        return {read_key(key): read(item) for key, item in object_of(value).items()}

    return read_mapping


def optional(read: Reader[Item]) -> Reader[Item | None]:
    """Return a reader that also takes null."""

    def read_or_none(value: object) -> Item | None:
        return None if value is None else read(value)

    return read_or_none


def text(pattern: re.Pattern[str]) -> Reader[str]:
    """Return a reader of a text of the given form."""

    def read(value: object) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise FactsInvalidError("a code is not of its form", fix=AS_WRITTEN)

    return read


def number(limit: int) -> Reader[int]:
    """Return a reader of a whole number from 0 to a limit."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit:
            return value
        raise FactsInvalidError(f"a number is not from 0 to {limit}", fix=AS_WRITTEN)

    return read


def flag(value: object) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise FactsInvalidError("a flag is neither true nor false", fix=AS_WRITTEN)


def instant(value: object) -> datetime:
    """Return an instant of UTC written as 2027-01-01T00:00:00Z."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise FactsInvalidError(
        "an instant is not of its form", fix="write it like 2027-01-01T00:00:00Z"
    )
