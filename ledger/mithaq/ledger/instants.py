"""Instants as signed bytes hold them: whole POSIX seconds, in UTC.

A clock is never read here; every instant is an argument.
"""

from datetime import UTC, datetime
from typing import Final

from mithaq.ledger.errors import TimestampError

# The first second of the year 10000, which datetime cannot hold.
POSIX_SECONDS_END: Final = 253_402_300_800


def posix_seconds(at: datetime) -> int:
    """Return the whole seconds since 1970 at or before this instant.

    Raises:
        TimestampError: no time zone, or not after 1970-01-01T00:00:00Z.

    """
    if at.utcoffset() is None:
        raise TimestampError("an instant without a time zone cannot be signed")
    seconds = int(at.timestamp() // 1)
    if seconds <= 0:
        raise TimestampError("an instant before 1970 cannot be signed")
    return seconds


def from_posix(seconds: int) -> datetime:
    """Return the UTC instant of a signed timestamp.

    Raises:
        TimestampError: zero (C2SP's "no statement"), negative, or after the year 9999.

    """
    if not 0 < seconds < POSIX_SECONDS_END:
        raise TimestampError("a timestamp is after 1970 and before the year 10000")
    return datetime.fromtimestamp(seconds, UTC)
