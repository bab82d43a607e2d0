"""Roots of own streams at the sizes that were signed lately, so that none is computed twice.

Hub and readers answer for the sizes at which we signed, each reader for the same ones; the
roots were known when we signed. What is not remembered, after a start, is computed from
the stored tiles. The one rule: a root is remembered once it is durable, never before.
"""

from typing import Final

import sqlalchemy as sa

from mithaq.store.audit import root_at
from mithaq.store.engine import after_commit

SIZES_REMEMBERED_MAX: Final = 8192


class SignedRoots:
    """Roots by log number and size; for the writer thread alone. The oldest are forgotten."""

    __slots__ = ("_roots",)

    def __init__(self) -> None:
        self._roots: dict[tuple[int, int], bytes] = {}

    def note(self, connection: sa.Connection, log_no: int, *, size: int, root: bytes) -> None:
        """Remember a root as this transaction has it, once it is committed."""
        after_commit(connection, lambda: self._remember((log_no, size), root))

    def at(self, connection: sa.Connection, log_no: int, *, size: int) -> bytes:
        """Return the root of an own stream at a size that it has reached."""
        found = self._roots.get((log_no, size))
        if found is None:
            # A log only grows, so what its tiles say of a size holds for good.
            found = root_at(connection, log_no, size)
            self.note(connection, log_no, size=size, root=found)
        return found

    def _remember(self, place: tuple[int, int], root: bytes) -> None:
        self._roots[place] = root
        if len(self._roots) > SIZES_REMEMBERED_MAX:
            del self._roots[next(iter(self._roots))]
