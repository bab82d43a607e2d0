"""Parsers with a fault in each, to see that the driver finds it; nothing else imports them."""

import time

from tests.fuzz.target import Exposure, Finding, Target, same


def _never(_data: bytes) -> None:
    """A parser without a fault."""


def _two_spellings(data: bytes) -> None:
    """A decimal that may have leading zeroes, once a mark stands before it."""
    if data[:1] == b"#" and data[1:].isdigit():
        same(b"%d" % int(data[1:]), data[1:], "a number has two spellings")


def _other_error(data: bytes) -> None:
    """Bytes of which a length is believed."""
    if data[:2] == b"\x02\x07":
        raise IndexError(data[data[2]])


def _endless(data: bytes) -> None:
    """A loop that a number in the input keeps going."""
    if data[:2] == b"go":
        while True:
            time.sleep(0.1)


def _greedy(data: bytes) -> None:
    """A size in the input that is believed."""
    if data[:3] == b"big":
        filled = bytearray(3 << 30)
        raise Finding(str(len(filled)))


def _seeds() -> list[bytes]:
    return [b"#1", b"\x02", b"g", b"bi"]


TARGETS = tuple(
    Target(check.__name__.strip("_"), Exposure.FILE, check, _seeds, size_bytes_max=16)
    for check in (_never, _two_spellings, _other_error, _endless, _greedy)
)
