"""Reading a YAML tree strictly: every error names a line and what to do there.

Nodes are read as they were written and never turned into objects by YAML's own rules,
so that `no` is no boolean and a date no surprise. Anchors, aliases and tags are refused:
terms say what they say at the place where they say it.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mithaq.agreements.errors import YamlFormError

TEXT_SIZE_CHARS_MAX: Final = 1024 * 1024
PLAIN_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "timestamp", "map", "seq", "null")
)
UNIT: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")

Word = TypeVar("Word", bound=StrEnum)
Item = TypeVar("Item")


def compose(text: str) -> Node:
    """Return the tree of one YAML document; raise YamlFormError where it is none."""
    if len(text) > TEXT_SIZE_CHARS_MAX:
        raise YamlFormError(
            f"the text is longer than {TEXT_SIZE_CHARS_MAX} characters",
            fix="give the terms alone",
            line=1,
        )
    try:
        node: Node | None = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlFormError(
            str(error.problem or error.context or "the text is no YAML"),
            fix="check indentation, quotes and brackets there",
            line=mark.line + 1 if mark else 1,
        ) from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise YamlFormError(
            "the text is no YAML that terms are written in",
            fix="remove control characters and deep nesting",
            line=1,
        ) from error
    if node is None:
        raise YamlFormError("the text is empty", fix="write the terms", line=1)
    return node


def line_of(node: Node) -> int:
    """Return the line on which a node begins, from 1."""
    line: int = node.start_mark.line
    return line + 1


def fault(node: Node, why: str, *, fix: str) -> YamlFormError:
    """Return the error for a node."""
    return YamlFormError(why, fix=fix, line=line_of(node))


def check_plain(node: Node) -> None:
    """Raise YamlFormError for an anchor or a tag."""
    if node.anchor is not None or node.tag not in PLAIN_TAGS:
        raise fault(
            node, "anchors, aliases and tags are not read here", fix="write the value itself"
        )


class Table:
    """A mapping whose keys are known: each at most once, and no other."""

    def __init__(self, node: Node, *, keys: Iterable[str], what: str) -> None:
        self.node: Final = node
        self.what: Final = what
        known = tuple(keys)
        check_plain(node)
        if not isinstance(node, MappingNode):
            raise fault(node, f"{what} is no table of keys", fix=f"begin with `{known[0]}:`")
        self._values: Final[dict[str, Node]] = {}
        for key_node, value in node.value:
            key = _key(key_node, known, what)
            if key in self._values:
                raise fault(key_node, f"the key `{key}` stands twice", fix="keep one of them")
            self._values[key] = value

    def has(self, key: str) -> bool:
        """Return whether a key is given."""
        return key in self._values

    def get(self, key: str) -> Node | None:
        """Return the node of a key, if it is given."""
        return self._values.get(key)

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
    check_plain(node)
    if isinstance(node, ScalarNode) and node.value in known:
        key: str = node.value
        return key
    written = node.value if isinstance(node, ScalarNode) else "?"
    raise fault(node, f"{what} has no key `{written}`", fix=nearest(written, known))


def nearest(written: str, known: Iterable[str]) -> str:
    """Return the advice which of the known words may have been meant."""
    words = tuple(known)
    close = difflib.get_close_matches(written, words, n=1, cutoff=0.6) or (
        difflib.get_close_matches(written.upper(), words, n=1, cutoff=0.6)
    )
    if close:
        return f"did you mean `{close[0]}`?"
    return f"use one of {', '.join(words)}"


def scalar(node: Node) -> str:
    """Return a single value as it was written."""
    check_plain(node)
    if not isinstance(node, ScalarNode) or node.tag.endswith(":null"):
        raise fault(node, "a single value is expected", fix="write one value, or leave out the key")
    value: str = node.value
    return value


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
    return int(found[1]) * UNIT[found[2]]


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
        check_plain(node)
        if not isinstance(node, SequenceNode):
            raise fault(node, "a list is expected", fix="write it like [A, B]")
        return tuple(read(item) for item in node.value)

    return read_all


def set_of(read: Callable[[Node], Item]) -> Callable[[Node], frozenset[Item]]:
    """Return a reader of a list without order, in which nothing stands twice."""
    read_all = many(read)

    def read_set(node: Node) -> frozenset[Item]:
        items = read_all(node)
        for place, item in enumerate(items):
            if item in items[:place]:
                raise fault(node.value[place], f"`{item}` stands twice", fix="keep one of them")
        return frozenset(items)

    return read_set
