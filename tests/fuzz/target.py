"""What is fuzzed: a parser of foreign bytes, and what has to be true of every answer.

A target takes any bytes and returns; whatever it raises is a finding. So a target names
the one family of errors that its parser may refuse with, and asks of what was accepted
more than that nothing crashed: it is written back as it was read, or a second reader
says the same of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import Message

SIZE_BYTES_MAX = 4096


class Exposure(IntEnum):
    """Who can hand the bytes in; the first are fuzzed first."""

    STRANGER = 1
    MEMBER = 2
    HUB = 3
    OFFICER = 4
    FILE = 5


class Finding(AssertionError):  # noqa: N818 - not an error of the program, but about one
    """A parser said what it must not say."""


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, its oracle, and the inputs that it begins with.

    `message` is what the bytes are a message of, where that is known: then changes are
    made to fields as well as to bytes.
    """

    name: str
    exposure: Exposure
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    message: type[Message] | None = None
    size_bytes_max: int = SIZE_BYTES_MAX


def same(one: object, other: object, what: str) -> None:
    """Raise Finding unless two things are equal; neither is printed."""
    if one != other:
        raise Finding(what)


def holds(condition: object, what: str) -> None:
    """Raise Finding unless a condition holds."""
    if not condition:
        raise Finding(what)


def text_of(data: bytes) -> str | None:
    """Return the bytes as text, or None where a reader of text would not see them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
