"""A stream that every freeze list names and that doesn't come, though no list is ever old."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mithaq.node.exchange.freeze import AwaitedHead, pack_awaited, parse_awaited
from mithaq.node.exchange.out_stream import Batch
from tests.exchange.relay import Desk, accept, headers_of
from tests.exchange.test_answers import delivered, frozen, look
from tests.exchange.test_inbox import sent

STALE = "stale: sender or hub"


def listed(cairo: Desk, tunis: Desk, *, after: timedelta) -> Sequence[str]:
    """Let time pass for both, and Tunis take Cairo's list of then; return its alarms."""
    cairo.clock.ahead += after
    tunis.clock.ahead += after
    look(tunis, frozen(cairo))
    return tunis.alarms()


def hidden(cairo: Desk, tunis: Desk, count: int = 1) -> list[Batch]:
    """Let the hub accept what it doesn't deliver."""
    delivered(cairo, tunis)
    batches = [each for _ in range(count) for each in sent(cairo)]
    accept(cairo, *batches)
    return batches


def test_what_list_after_list_names_for_two_minutes_is_stale(cairo: Desk, tunis: Desk) -> None:
    hidden(cairo, tunis)
    assert listed(cairo, tunis, after=timedelta()) == []
    for seconds in (60, 120):
        assert listed(cairo, tunis, after=timedelta(seconds=60)) == [], seconds
    assert listed(cairo, tunis, after=timedelta(seconds=1)) == [STALE]
    _, verified = tunis.proof()
    assert verified.holds("freeze_list")


def test_who_starts_again_and_again_forgets_nothing_of_how_long_it_waited(
    cairo: Desk, tunis: Desk
) -> None:
    hidden(cairo, tunis)
    assert listed(cairo, tunis, after=timedelta()) == []
    for _ in range(2):
        tunis.close()
        tunis.open()
        assert listed(cairo, tunis, after=timedelta(seconds=60)) == []
    tunis.close()
    tunis.open()
    assert listed(cairo, tunis, after=timedelta(seconds=1)) == [STALE]


def test_what_has_come_is_waited_for_no_more(cairo: Desk, tunis: Desk) -> None:
    (batch,) = hidden(cairo, tunis)
    listed(cairo, tunis, after=timedelta())
    assert tunis.number("SELECT length(awaited) FROM node_freeze") != 0
    tunis.receive(batch)
    assert listed(cairo, tunis, after=timedelta(seconds=60)) == []
    assert tunis.number("SELECT length(awaited) FROM node_freeze") == 0


@given(
    st.dictionaries(
        st.binary(min_size=32, max_size=32),
        st.builds(
            AwaitedHead,
            st.integers(0, 2**63 - 1),
            st.integers(0, 2**63 - 1),
            st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - with the zone beside it
                lambda at: at.replace(microsecond=0)
            ),
            st.integers(0, 2**32).map(lambda seconds: timedelta(seconds=seconds)),
        ),
    )
)
def test_what_is_waited_for_comes_back_from_its_row(heads: dict[bytes, AwaitedHead]) -> None:
    assert parse_awaited(pack_awaited(heads)) == heads


def test_a_hidden_stream_is_one_alarm_however_much_it_grows(cairo: Desk, tunis: Desk) -> None:
    hidden(cairo, tunis)
    for _ in range(5):
        accept(cairo, *sent(cairo))
        listed(cairo, tunis, after=timedelta(seconds=60))
    assert tunis.alarms() == [STALE]


def test_a_stream_of_which_more_and_more_comes_is_not_hidden(cairo: Desk, tunis: Desk) -> None:
    for each in hidden(cairo, tunis, count=5):
        assert listed(cairo, tunis, after=timedelta(seconds=60)) == []
        assert not tunis.hold(headers_of(tunis.federation, each)).failed


def test_the_time_that_a_node_was_away_itself_counts_for_one_list(cairo: Desk, tunis: Desk) -> None:
    hidden(cairo, tunis)
    listed(cairo, tunis, after=timedelta())
    assert listed(cairo, tunis, after=timedelta(hours=9)) == []
