"""Ids of alerts, hits and forms: the issuing member, a hyphen, a ULID.

A ULID is 48 bits of milliseconds and 80 bits of chance in 26 characters of
Crockford's base 32 (github.com/ulid/spec). It sorts by time and says nothing
about the subject. Clock and chance are arguments.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BYTES = 10
_ULID_CHARS = 26
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_ulid(*, at: datetime, randomness: Callable[[int], bytes]) -> str:
    """Return a ULID made at an instant; `randomness(n)` gives n random bytes."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    number = int.from_bytes(milliseconds.to_bytes(6, "big") + randomness(_RANDOM_BYTES), "big")
    digits = [_ALPHABET[number >> shift & 31] for shift in range(5 * (_ULID_CHARS - 1), -1, -5)]
    return "".join(digits)


def new_alert_id(issuer: str, *, at: datetime, randomness: Callable[[int], bytes]) -> str:
    """Return an id for an alert, a hit report or a form of this member."""
    return f"{issuer}-{new_ulid(at=at, randomness=randomness)}"


def issuer_of(alert_id: str) -> str:
    """Return the member in an id of the right form."""
    return alert_id[: -_ULID_CHARS - 1]
