"""Sorted runs of index entries, and the pages they are stored in.

An entry is a 16-byte key and an 8-byte record number, packed; a page is a sorted
blob of entries that fits one page of the database (16 KiB), a run a sequence of
pages. Everything here is bytes in, bytes out. The rule: sorted means by all 24
bytes, so that one key's entries lie together and one entry stands once in a page.
"""

import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mithaq.node.lookup.keys import KEY_BYTES, NUMBER_BYTES

ENTRY_BYTES: Final = KEY_BYTES + NUMBER_BYTES
# 15,840 bytes: with its row's other columns it fits a database page of 16 KiB.
PAGE_ENTRIES_MAX: Final = 660
# The record number of an entry, its key left out.
_NUMBERS: Final = struct.Struct(f">{KEY_BYTES}xQ")


@dataclass(frozen=True, slots=True)
class Page:
    """A sorted blob of entries with the keys of its first and its last."""

    first_key: bytes
    last_key: bytes
    entries: bytes

    @property
    def count(self) -> int:
        """How many entries it holds."""
        return len(self.entries) // ENTRY_BYTES


def entry_of(key: bytes, record_number: int) -> bytes:
    """Return the 24 bytes of an entry."""
    return key + record_number.to_bytes(NUMBER_BYTES, "big")


def sorted_entries(keys_by_record: Iterable[tuple[int, Iterable[bytes]]]) -> list[bytes]:
    """Return the entries of some records (number and keys), sorted."""
    return sorted(entry_of(key, number) for number, keys in keys_by_record for key in keys)


def unpack(blob: bytes) -> list[bytes]:
    """Return the entries of a page."""
    return list(struct.unpack("24s" * (len(blob) // ENTRY_BYTES), blob))


def pages_of(entries: list[bytes]) -> Iterator[Page]:
    """Cut sorted entries into pages, each full but the last."""
    for start in range(0, len(entries), PAGE_ENTRIES_MAX):
        yield page_of(entries[start : start + PAGE_ENTRIES_MAX])


def page_of(entries: list[bytes]) -> Page:
    """Return one page of these sorted entries, one at the least."""
    return Page(entries[0][:KEY_BYTES], entries[-1][:KEY_BYTES], b"".join(entries))


def find(blob: bytes, key: bytes) -> list[int]:
    """Return the record numbers that stand under a key in a page, ascending."""
    start = _lower_bound(blob, key)
    end = _lower_bound(blob, key + b"\xff" * NUMBER_BYTES, start)
    held = blob[start * ENTRY_BYTES : end * ENTRY_BYTES]
    return [number for (number,) in _NUMBERS.iter_unpack(held)]


def holds(blob: bytes, entry: bytes) -> bool:
    """Say whether an entry stands in a page."""
    at = _lower_bound(blob, entry) * ENTRY_BYTES
    return blob[at : at + ENTRY_BYTES] == entry


def without(blob: bytes, removed: Collection[bytes]) -> list[bytes]:
    """Return the entries of a page but these."""
    return [entry for entry in unpack(blob) if entry not in removed]


def split_through(blob: bytes, last: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the entries up to and with `last`, and those after it."""
    entries = unpack(blob)
    cut = bisect_left(entries, last + b"\x00")
    return entries[:cut], entries[cut:]


def _lower_bound(blob: bytes, bound: bytes, low: int = 0) -> int:
    """Return the number of the first entry, from `low`, that is not below a key or entry."""
    high = len(blob) // ENTRY_BYTES
    while low < high:
        middle = (low + high) // 2
        at = middle * ENTRY_BYTES
        if blob[at : at + ENTRY_BYTES] < bound:
            low = middle + 1
        else:
            high = middle
    return low
