"""Instants as signed bytes hold them: whole POSIX seconds, in UTC.

A clock is never read here; every instant is an argument.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from mithaq.ledger.errors import TimestampError

# The first second of the year 10000, which datetime cannot hold.
POSIX_SECONDS_END: Final = 253_402_300_800
MINUTE_SECONDS: Final = 60
DAY_SECONDS: Final = 86_400

_DAY: Final = timedelta(days=1)
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


def posix_seconds(at: datetime) -> int:
    """Return the whole seconds since 1970 at or before this instant.

    Raises:
        TimestampError: no time zone, or not after 1970-01-01T00:00:00Z.

    """
    # In whole numbers: a float of this size rounds the last microseconds of a second up.
    seconds = _since_start(at) // _SECOND
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


def minute_of(at: datetime) -> datetime:
    """Return the UTC minute that this instant lies in, as entries give when they were made.

    Raises:
        TimestampError: no time zone, or in the first minute of 1970 or before.

    """
    seconds = posix_seconds(at)
    return from_posix(seconds - seconds % MINUTE_SECONDS)


def day_from(at: datetime) -> datetime:
    """Return the start of the first UTC day at or after this instant, as entries give expiry.

    Raises:
        TimestampError: no time zone, in 1969 or before, or on the last day of the year 9999.

    """
    return from_posix(-(-_since_start(at) // _DAY) * DAY_SECONDS)


def is_whole(at: datetime, *, step_seconds: int) -> bool:
    """Tell whether this is a UTC instant after 1970 and a multiple of the step."""
    # Another zone would compare equal and yet not print the same: one spelling only.
    if at.tzinfo is not UTC:
        return False
    since = at - _START
    return since > timedelta() and not since % timedelta(seconds=step_seconds)


def _since_start(at: datetime) -> timedelta:
    if at.utcoffset() is None:
        raise TimestampError("an instant without a time zone cannot be signed")
    return at - _START
