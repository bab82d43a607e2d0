"""A reader's window: what was sent and not answered, to the byte."""

from hypothesis import given
from hypothesis import strategies as st

from mithaq.hub.window import WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, Unacknowledged, Window


def test_a_window_is_open_until_it_is_full() -> None:
    window = Window(WINDOW_BYTES_MIN)
    window.take(WINDOW_BYTES_MIN - 1)
    assert window.is_open
    window.take(1)
    assert not window.is_open
    window.give_back(1)
    assert (window.is_open, window.room_bytes) == (True, 1)


def test_a_window_stays_within_its_limits_whatever_is_asked_for() -> None:
    assert Window(1).room_bytes == WINDOW_BYTES_MIN
    assert Window(2**40).room_bytes == WINDOW_BYTES_MAX


def test_an_answer_sets_free_what_was_sent_up_to_its_size() -> None:
    sent = Unacknowledged()
    for size in (10, 20, 30):
        sent.add(size=size, sent_bytes=size)
    assert sent.acknowledge(9) == 0
    assert sent.acknowledge(20) == 30
    assert sent.acknowledge(20) == 0
    assert sent.acknowledge(100) == 30


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 1000)), max_size=30), st.data())
def test_all_that_was_sent_is_set_free_once_by_answers_in_any_steps(
    pieces: list[tuple[int, int]], data: st.DataObject
) -> None:
    sent, size = Unacknowledged(), 0
    for entries, weight in pieces:
        size += entries
        sent.add(size=size, sent_bytes=weight)
    freed, answered = 0, 0
    while answered < size:
        answered = data.draw(st.integers(answered + 1, size))
        freed += sent.acknowledge(answered)
    assert freed == sum(weight for _, weight in pieces)
