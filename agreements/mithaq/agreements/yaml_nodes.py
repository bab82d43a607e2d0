"""Reading a YAML tree strictly: every error names a line and what to do there.

Values are taken as they were written and never turned into objects by YAML's own
rules, so that `no` is no boolean and a date no surprise. Anchors, aliases and tags are
refused: terms say what they say at the place where they say it.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mithaq.agreements.errors import YamlFormError

TEXT_SIZE_CHARS_MAX: Final = 1024 * 1024
NULL: Final = "null"
PLAIN_TAGS: Final = {
    f"tag:yaml.org,2002:{name}": name
    for name in ("str", "int", "float", "bool", "timestamp", NULL, "map", "seq")
}
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


@dataclass(frozen=True, slots=True)
class Leaf:
    """A single value as written; None where nothing was."""

    line: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of nodes."""

    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Keyed:
    """Keys with their nodes, in the order of the text."""

    line: int
    pairs: tuple[tuple["Node", "Node"], ...]


Node = Leaf | Listed | Keyed


def compose(text: str) -> Node:
    """Return the tree of one YAML document; raise YamlFormError where it is none."""
    if len(text) > TEXT_SIZE_CHARS_MAX:
        raise YamlFormError(
            f"the text is longer than {TEXT_SIZE_CHARS_MAX} characters",
            fix="give the terms alone",
            line=1,
        )
    try:
        yaml: Any = YAML(typ="rt", pure=True)
        tree = yaml.compose(text)
        if tree is None:
            raise YamlFormError("the text is empty", fix="write the terms", line=1)
        return _node(tree)
    except MarkedYAMLError as error:
        raise _broken(error) from error
    except (YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise YamlFormError(
            "the text is no YAML that terms are written in",
            fix="remove control characters and deep nesting",
            line=1,
        ) from error


def _broken(error: Any) -> YamlFormError:  # noqa: ANN401 - the library has no types
    mark = error.problem_mark or error.context_mark
    return YamlFormError(
        str(error.problem or error.context or "the text is no YAML"),
        fix="check indentation, quotes and brackets there",
        line=mark.line + 1 if mark else 1,
    )


def _node(tree: Any) -> Node:  # noqa: ANN401 - the library has no types
    """Return our own node for one of the library's; anchors first, so there is no cycle."""
    line = int(tree.start_mark.line) + 1
    kind = PLAIN_TAGS.get(str(tree.tag))
    if tree.anchor is not None or kind is None:
        raise YamlFormError(
            "anchors, aliases and tags are not read here", fix="write the value itself", line=line
        )
    if kind == "map":
        return Keyed(line, tuple((_node(key), _node(value)) for key, value in tree.value))
    if kind == "seq":
        return Listed(line, tuple(_node(item) for item in tree.value))
    return Leaf(line, None if kind == NULL else _whole(str(tree.value), line))


def _whole(text: str, line: int) -> str:
    """Return a text; raise YamlFormError for one that an escape has given half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise YamlFormError(
            "an escape names half a character", fix="write the character itself", line=line
        ) from None
    return text


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
