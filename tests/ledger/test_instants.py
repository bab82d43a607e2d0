from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.errors import TimestampError
from mithaq.ledger.instants import (
    POSIX_SECONDS_END,
    day_from,
    from_posix,
    is_whole,
    minute_of,
    posix_seconds,
)

CAIRO = timezone(timedelta(hours=2))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@given(st.integers(1, POSIX_SECONDS_END - 1))
def test_a_signed_second_comes_back(seconds: int) -> None:
    assert posix_seconds(from_posix(seconds)) == seconds


def test_an_instant_is_cut_to_its_second_and_never_rounded_up() -> None:
    assert posix_seconds(NOON - TICK) == posix_seconds(NOON) - 1
    latest = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert posix_seconds(latest) == POSIX_SECONDS_END - 1


def test_zones_do_not_change_the_instant() -> None:
    assert posix_seconds(NOON.astimezone(CAIRO)) == posix_seconds(NOON)
    assert minute_of(NOON.astimezone(CAIRO)) == NOON


@pytest.mark.parametrize("cut", [posix_seconds, minute_of, day_from])
def test_an_instant_without_a_zone_cannot_be_signed(cut: object) -> None:
    assert callable(cut)
    with pytest.raises(TimestampError, match="zone"):
        cut(NOON.replace(tzinfo=None))


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 1, 1, tzinfo=UTC)])
def test_an_instant_before_1970_cannot_be_signed(at: datetime) -> None:
    with pytest.raises(TimestampError, match="1970"):
        posix_seconds(at)
    assert posix_seconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1


@pytest.mark.parametrize("seconds", [0, -1, POSIX_SECONDS_END, 2**63])
def test_a_timestamp_outside_of_the_calendar_is_refused(seconds: int) -> None:
    with pytest.raises(TimestampError, match="after 1970"):
        from_posix(seconds)


def test_entries_give_the_minute_that_they_were_made_in() -> None:
    assert minute_of(NOON + timedelta(seconds=59)) == NOON
    assert minute_of(NOON + timedelta(seconds=60)) == NOON + timedelta(minutes=1)


def test_expiry_is_rounded_up_to_a_day_and_a_whole_day_stays() -> None:
    midnight = datetime(2026, 3, 4, tzinfo=UTC)
    assert day_from(midnight) == midnight
    assert day_from(midnight + TICK) == midnight + timedelta(days=1)
    assert day_from(midnight - TICK) == midnight


def test_an_expiry_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(TimestampError, match="year 10000"):
        day_from(datetime(9999, 12, 31, 0, 0, 1, tzinfo=UTC))


def test_an_instant_is_whole_in_utc_only() -> None:
    assert is_whole(NOON, step_seconds=60)
    assert not is_whole(NOON + TICK, step_seconds=60)
    assert not is_whole(NOON.astimezone(CAIRO), step_seconds=60)
    assert not is_whole(NOON.replace(tzinfo=None), step_seconds=60)
    assert not is_whole(datetime(1970, 1, 1, tzinfo=UTC), step_seconds=60)
