"""A state that is remembered is the one that its bytes say, and no other bytes' one."""

from dataclasses import replace

import pytest

from mithaq.ledger.errors import LedgerError
from mithaq.ledger.stream import StreamState
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.stream_states import STATES_REMEMBERED_MAX, StreamStates
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk


def states(cairo: Desk, count: int) -> list[StreamState]:
    cairo.take_batches()
    for _ in range(count):
        cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    return [each.segment.state for each in cairo.take_batches()]


def test_a_state_is_the_same_remembered_and_read(cairo: Desk) -> None:
    one, other = states(cairo, 2)
    memory = StreamStates()
    data, following = memory.write(one), memory.write(other)
    assert memory.read(data) is one
    assert memory.read(following) is other
    assert StreamStates().read(data) == one


def test_other_bytes_are_read_anew(cairo: Desk) -> None:
    one, other = states(cairo, 2)
    memory = StreamStates()
    data = memory.write(one)
    assert memory.read(other.to_bytes()) == other
    with pytest.raises(LedgerError):
        memory.read(data[:-1])


def test_no_more_states_are_remembered_than_the_limit(cairo: Desk) -> None:
    (one,) = states(cairo, 1)
    memory = StreamStates()
    first = memory.write(one)
    for _ in range(STATES_REMEMBERED_MAX):
        one = replace(one, epoch_bodies=one.epoch_bodies + 1)
        memory.write(one)
    assert memory.read(first) == StreamState.from_bytes(first)
    assert len(memory._states) == STATES_REMEMBERED_MAX  # pyright: ignore[reportPrivateUsage]
