"""A YAML text as a tree of lists, tables and values, each with its line.

Values are taken as they were written and never turned into objects by YAML's own
rules, so that `no` is no boolean and a date no surprise. Anchors, aliases and tags are
refused: terms say what they say at the place where they say it. The one rule: what goes
beyond a limit is refused at the place where it does, before the rest is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
)
from ruamel.yaml.scanner import Scanner

from mithaq.agreements.errors import YamlFormError

# The longest example takes 13,000; half a second of reading at the most.
TEXT_SIZE_CHARS_MAX: Final = 512 * 1024
# Terms nest 5 deep, alerts 7.
DEPTH_MAX: Final = 32
# Keys, values, lists and tables: a second of reading.
NODES_MAX: Final = 65_536
# What YAML takes for nothing where it stands without quotes, and what it gives a sense of its own.
_NOTHING: Final = frozenset({"", "~", "null", "Null", "NULL"})
_SPECIAL: Final = frozenset({"<<", "="})


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


class _PlainScanner(Scanner):
    """The library's scanner, which stops where an anchor, an alias or a tag begins.

    Whoever waits for the event of one has it read to its end, and over a tag of a million
    characters the library takes ten seconds.
    """

    def fetch_tag(self) -> None:
        self._refuse()

    def fetch_anchor(self) -> None:
        self._refuse()

    def fetch_alias(self) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        line = int(cast("Any", self).reader.line) + 1
        raise YamlFormError(
            "anchors, aliases and tags are not read here", fix="write the value itself", line=line
        )


def compose(text: str) -> Node:
    """Return the tree of one YAML document; raise YamlFormError where it is none."""
    if len(text) > TEXT_SIZE_CHARS_MAX:
        raise YamlFormError(
            f"the text is longer than {TEXT_SIZE_CHARS_MAX} characters",
            fix="give the terms alone",
            line=1,
        )
    # The plain reader in Python: the one that keeps comments takes far longer over them.
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Scanner = _PlainScanner
    try:
        tree = _tree(yaml.parse(text))
    except MarkedYAMLError as error:
        raise _broken(error) from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise YamlFormError(
            "the text is no YAML that terms are written in",
            fix="remove control characters",
            line=1,
        ) from error
    if tree is None:
        raise YamlFormError("the text is empty", fix="write the terms", line=1)
    return tree


def _broken(error: Any) -> YamlFormError:  # noqa: ANN401 - the library has no types
    mark = error.problem_mark or error.context_mark
    return YamlFormError(
        str(error.problem or error.context or "the text is no YAML"),
        fix="check indentation, quotes and brackets there",
        line=mark.line + 1 if mark else 1,
    )


@dataclass(slots=True)
class _Open:
    """A list or a table whose end has not come; a table's keys and values take turns."""

    line: int
    is_table: bool
    nodes: list[Node]

    def closed(self) -> Node:
        nodes = tuple(self.nodes)
        if self.is_table:
            return Keyed(self.line, tuple(zip(nodes[::2], nodes[1::2], strict=True)))
        return Listed(self.line, nodes)


def _tree(events: Iterator[Any]) -> Node | None:
    """Return the tree that the library's events tell of, without a call for each level."""
    top: list[Node] = []
    opened: list[_Open] = []
    count = 0
    for event in events:
        line = int(event.start_mark.line) + 1
        if isinstance(event, DocumentStartEvent) and top:
            raise YamlFormError("a second document begins", fix="give one alone", line=line)
        if isinstance(event, CollectionEndEvent):
            node = opened.pop().closed()
        elif isinstance(event, NodeEvent):
            count += 1
            _check_room(event, line, count=count, depth=len(opened))
            if isinstance(event, CollectionStartEvent):
                opened.append(_Open(line, isinstance(event, MappingStartEvent), []))
                continue
            node = _leaf(event, line)
        else:
            continue
        (opened[-1].nodes if opened else top).append(node)
    return top[0] if top else None


def _check_room(event: Any, line: int, *, count: int, depth: int) -> None:  # noqa: ANN401 - see above
    """Refuse what is one too many or too deep."""
    if count > NODES_MAX:
        raise YamlFormError(
            f"the text has more than {NODES_MAX} keys and values, up to here",
            fix="give the terms alone",
            line=line,
        )
    if depth == DEPTH_MAX and isinstance(event, CollectionStartEvent):
        raise YamlFormError(
            f"lists and tables are nested more than {DEPTH_MAX} deep",
            fix="close brackets, and indent less",
            line=line,
        )


def _leaf(event: Any, line: int) -> Leaf:  # noqa: ANN401 - the library has no types
    text = str(event.value)
    is_bare = event.implicit[0]
    if is_bare and text in _SPECIAL:
        raise YamlFormError(f"`{text}` has a sense of its own in YAML", fix="quote it", line=line)
    return Leaf(line, None if is_bare and text in _NOTHING else _whole(text, line))


def _whole(text: str, line: int) -> str:
    """Return a text; raise YamlFormError for one that an escape has given half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise YamlFormError(
            "an escape names half a character", fix="write the character itself", line=line
        ) from None
    return text
