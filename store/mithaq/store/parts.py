"""Lists that a peer can make long, cut into as many values as a statement takes.

SQLite takes 32,766 parameters in a statement and conditions nested 1,000 deep, PostgreSQL
65,535 parameters. The one rule: a list whose length is not bounded by what made it goes into
a statement by parts, all in the caller's transaction.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

# Well below what either database takes, and so long that the number of statements is small.
VALUES_AT_ONCE_MAX: Final = 8192
# Of conditions joined by OR, which SQLite nests, each with the values of some parties.
CONDITIONS_AT_ONCE_MAX: Final = 256

T = TypeVar("T")


def in_parts(values: Iterable[T], *, at_once: int = VALUES_AT_ONCE_MAX) -> Iterator[list[T]]:
    """Yield the values in order, at most so many together; of none, nothing."""
    left = iter(values)
    while part := list(islice(left, at_once)):
        yield part
