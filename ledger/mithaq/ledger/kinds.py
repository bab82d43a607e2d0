"""The closed vocabularies of stream entries, with the numbers of entry.proto.

Each has only what may stand in an entry: "unspecified" is the absence of a
value, and is ``None`` in the dataclasses.
"""

from enum import IntEnum


class EntryKind(IntEnum):
    """What an entry is (PROTOCOL 3.4)."""

    OPEN = 1
    EPOCH = 2
    PUT = 3
    WITHDRAW = 4
    CLOSE = 5
    # Reserved: refused wherever it comes in, until attachments are built.
    BLOB = 6


class WithdrawReason(IntEnum):
    """Why a record was taken back (PROTOCOL 3.4)."""

    EXECUTED = 1
    WITHDRAWN = 2
    EXPIRED = 3
    ANNULLED = 4
    ERROR = 5


class WithdrawScope(IntEnum):
    """How far a withdrawal reaches (PROTOCOL 3.4)."""

    DISCLOSURE = 1
    RECORD = 2


class Priority(IntEnum):
    """How soon a reader should look at an entry."""

    ROUTINE = 1
    URGENT = 2
    FLASH = 3


class StreamRole(IntEnum):
    """Which way a stream runs (PROTOCOL 3.2)."""

    DISCLOSURE = 1
    RETURN = 2
