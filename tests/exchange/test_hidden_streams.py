"""A stream that every freeze list names and that doesn't come, though no list is ever old."""

from collections.abc import Sequence
from datetime import timedelta

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
