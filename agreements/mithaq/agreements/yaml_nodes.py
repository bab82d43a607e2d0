"""Reading a YAML tree strictly: every error names a line and what to do there.

The tree is that of ``yaml_tree``. Here it becomes words, numbers, instants and tables of
known keys. The one rule: what is not exactly of its form is refused, never guessed at.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from mithaq.agreements.errors import YamlFormError
from mithaq.agreements.yaml_tree import Keyed, Leaf, Listed, Node

UNIT: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
DURATION_MAX: Final = timedelta(days=36_500)
# Below what 32 bits hold, so that a number too large is told of with its name.
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}")
# What YAML takes for a text or a number as it stands; `null` is the word for nothing.
PLAIN_TEXT: Final = re.compile(
    r"(?!null$|Null$|NULL$)[A-Za-z0-9]+([ ._/-]?[A-Za-z0-9]|, [A-Za-z])*[.]?"
)

Word = TypeVar("Word", bound=StrEnum)
Item = TypeVar("Item")


def fault(node: Node, why: str, *, fix: str) -> YamlFormError:
    """Return the error for a node."""
    return YamlFormError(why, fix=fix, line=node.line)


class Table:
    """Keys that are known, each at most once, and no other."""

    def __init__(self, node: Node, *, keys: Iterable[str], what: str) -> None:
        self.node: Final = node
        self.what: Final = what
        known = tuple(keys)
        if not isinstance(node, Keyed):
            raise fault(node, f"{what} is no table of keys", fix=f"begin with `{known[0]}:`")
        self._values: Final[dict[str, Node]] = {}
        for key_node, value in node.pairs:
            key = _key(key_node, known, what)
            if key in self._values:
                raise fault(key_node, f"the key `{key}` stands twice", fix="keep one of them")
            self._values[key] = value

    def need(self, key: str, read: Callable[[Node], Item]) -> Item:
        """Return the value of a key; raise YamlFormError where it is missing."""
        node = self._values.get(key)
        if node is None:
            raise fault(self.node, f"{self.what} has no `{key}`", fix=f"add `{key}:`")
        return read(node)

    def take(self, key: str, read: Callable[[Node], Item], default: Item) -> Item:
        """Return the value of a key, or a default where it is missing."""
        node = self._values.get(key)
        return default if node is None else read(node)


def _key(node: Node, known: tuple[str, ...], what: str) -> str:
    written = scalar(node)
    if written in known:
        return written
    raise fault(node, f"{what} has no key `{written}`", fix=nearest(written, known))


def nearest(written: str, known: Iterable[str]) -> str:
    """Return the advice which of the known words may have been meant."""
    words = tuple(known)
    close = difflib.get_close_matches(written, words, n=1) or difflib.get_close_matches(
        written.upper(), words, n=1
    )
    return f"did you mean `{close[0]}`?" if close else f"use one of {', '.join(words)}"


def scalar(node: Node) -> str:
    """Return a single value as it was written."""
    if isinstance(node, Leaf) and node.text is not None:
        return node.text
    raise fault(node, "a single value is expected", fix="write one value, or leave out the key")


def number(node: Node) -> int:
    """Return a whole number, 0 or more."""
    written = scalar(node)
    if not NUMBER.fullmatch(written):
        raise fault(node, f"`{written}` is no whole number", fix="write digits only, such as 365")
    return int(written)


def flag(node: Node) -> bool:
    """Return true or false."""
    written = scalar(node)
    if written not in {"true", "false"}:
        raise fault(node, f"`{written}` is neither true nor false", fix="write true or false")
    return written == "true"


def duration(node: Node) -> timedelta:
    """Return a duration such as 48h."""
    written = scalar(node)
    found = DURATION.fullmatch(written)
    if not found:
        raise fault(node, f"`{written}` is no duration", fix="write it like 60s, 15m, 48h or 90d")
    amount = int(found[1])
    if amount > DURATION_MAX // UNIT[found[2]]:
        raise fault(node, f"`{written}` is too long", fix=f"stay below {DURATION_MAX.days}d")
    return amount * UNIT[found[2]]


def instant(node: Node) -> datetime:
    """Return an instant of UTC such as 2027-01-01T00:00:00Z."""
    written = scalar(node)
    try:
        return datetime.strptime(written, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise fault(
            node, f"`{written}` is no instant of UTC", fix="write it like 2027-01-01T00:00:00Z"
        ) from error


def word(known: type[Word]) -> Callable[[Node], Word]:
    """Return a reader of one word of a closed vocabulary."""

    def read(node: Node) -> Word:
        written = scalar(node)
        try:
            return known(written)
        except ValueError as error:
            raise fault(
                node, f"`{written}` is no {known.__name__}", fix=nearest(written, known)
            ) from error

    return read


def many(read: Callable[[Node], Item]) -> Callable[[Node], tuple[Item, ...]]:
    """Return a reader of a list."""

    def read_all(node: Node) -> tuple[Item, ...]:
        return tuple(read(item) for item in _items(node))

    return read_all


def _items(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Listed):
        return node.items
    raise fault(node, "a list is expected", fix="write it like [A, B]")


def set_of(read: Callable[[Node], Item]) -> Callable[[Node], frozenset[Item]]:
    """Return a reader of a list without order, in which nothing stands twice."""

    def read_set(node: Node) -> frozenset[Item]:
        found: set[Item] = set()
        for item in _items(node):
            value = read(item)
            if value in found:
                raise fault(item, f"`{value}` stands twice", fix="keep one of them")
            found.add(value)
        return frozenset(found)

    return read_set
