"""Two ends of one exchange: equal costs one comparison, and each kind of difference is named."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.tiles import TileMap
from mithaq.store.audit_entry import Operation
from mithaq.store.errors import BundleInvalidError
from mithaq.store.reconcile import (
    Agreement,
    DisclosureRef,
    StreamComparison,
    first_difference,
    reconcile,
)
from tests.federation import Federation
from tests.store.bundles import (
    READER,
    SENDER,
    STREAM_ID,
    act,
    both_ends,
    entry_hashes,
    receipt,
    small_federation,
)


@pytest.fixture(scope="module")
def federation() -> Federation:
    return small_federation()


def between(sequence: int) -> DisclosureRef:
    return DisclosureRef(STREAM_ID, sequence, SENDER, READER)


def test_two_ends_that_tell_the_same_story_agree(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    for one, other in ((sender, reader), (reader, sender)):
        result = reconcile(one.verified(), other.verified())
        assert result.agrees
        assert result.streams == (StreamComparison(STREAM_ID, 20, 20, Agreement.EQUAL),)


def test_a_reader_that_is_behind_holds_a_prefix(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    reader.hashes = reader.hashes[:15]
    result = reconcile(sender.verified(), reader.verified())
    assert result.streams == (StreamComparison(STREAM_ID, 20, 15, Agreement.PREFIX),)


@pytest.mark.parametrize(("size", "forked_from"), [(20, 13), (17, 0), (25, 19)])
def test_two_histories_are_found_with_the_first_entry_that_differs(
    federation: Federation, size: int, forked_from: int
) -> None:
    sender, reader = both_ends(federation)
    reader.hashes, reader.receipts = entry_hashes(size, forked_from=forked_from), []
    result = reconcile(sender.verified(), reader.verified())
    assert result.streams == (
        StreamComparison(STREAM_ID, 20, size, Agreement.DIFFERENT, forked_from),
    )
    assert not result.agrees


def test_heads_of_one_size_differ_even_without_hashes(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    reader.hashes, reader.receipts = entry_hashes(20, forked_from=3), []
    reader.with_hashes = False
    (stream,) = reconcile(sender.verified(), reader.verified()).streams
    assert (stream.agreement, stream.first_difference) == (Agreement.DIFFERENT, None)


def test_heads_of_two_sizes_are_undecided_without_hashes(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    reader.hashes, reader.with_hashes = reader.hashes[:15], False
    result = reconcile(sender.verified(), reader.verified())
    assert result.streams[0].agreement is Agreement.UNDECIDED
    assert not result.agrees


def test_a_stream_that_one_end_does_not_show_is_one_sided(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    a, b = sender.verified(), reader.verified()
    (comparison,) = reconcile(a, replace(b, streams=())).streams
    assert comparison == StreamComparison(STREAM_ID, 20, None, Agreement.ONE_SIDED)
    (comparison,) = reconcile(replace(a, streams=()), b).streams
    assert comparison == StreamComparison(STREAM_ID, None, 20, Agreement.ONE_SIDED)


def test_a_disclosure_without_a_receipt_is_listed(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    covering = receipt(federation, sender.hashes[:18])
    sender.receipts, reader.receipts = [covering], []
    result = reconcile(sender.verified(), reader.verified())
    assert result.disclosures_without_receipt == (between(18), between(19))
    assert not result.agrees


@pytest.mark.parametrize("operation", [Operation.ISSUE, Operation.ALTER])
def test_an_issuers_act_is_its_disclosure(federation: Federation, operation: Operation) -> None:
    sender, reader = both_ends(federation)
    sender.entries = [act(operation, range(2, 20))]
    assert reconcile(sender.verified(), reader.verified()).agrees


def test_a_receipt_that_only_the_reader_shows_counts(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    sender.receipts = []
    assert reconcile(sender.verified(), reader.verified()).disclosures_without_receipt == ()


def test_a_record_received_that_the_sender_did_not_log_is_listed(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    sender.entries = [act(Operation.DISCLOSE, [*range(2, 9), *range(10, 20)])]
    result = reconcile(sender.verified(), reader.verified())
    assert result.receipts_without_disclosure == (between(9),)
    assert not result.agrees


def test_a_receipt_beyond_what_the_sender_shows_is_listed(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    reader.hashes = entry_hashes(22)
    reader.receipts = [receipt(federation, reader.hashes)]
    result = reconcile(sender.verified(), reader.verified())
    assert result.receipts_without_disclosure == (between(20),)


def test_a_senders_part_of_a_log_accuses_nobody_of_silence(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    sender.entries = [act(Operation.DISCLOSE, range(2, 9))]
    part = replace(sender.verified(), first_index=5)
    result = reconcile(part, reader.verified())
    assert result.receipts_without_disclosure == ()
    assert not result.complete
    assert not result.agrees


def test_two_views_shown_by_one_receipt_are_listed(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    other = receipt(federation, entry_hashes(12, forked_from=9))
    reader.receipts.append(other)
    result = reconcile(sender.verified(), reader.verified())
    assert result.contradictions == (other,)
    assert not result.agrees


def test_only_two_owners_of_one_federation_are_compared(federation: Federation) -> None:
    sender, _ = both_ends(federation)
    with pytest.raises(BundleInvalidError):
        reconcile(sender.verified(), sender.verified())


class CountingTiles:
    """Tiles that count how often they were asked."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self.tiles = TileMap(hashes)
        self.asked = 0

    def read_tiles(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        self.asked += 1
        return self.tiles.read_tiles(wanted)


@given(size=st.integers(1, 700), data=st.data())
def test_the_first_difference_is_found_wherever_it_is(size: int, data: st.DataObject) -> None:
    fork = data.draw(st.integers(0, size))
    a, b = TileMap(entry_hashes(size)), TileMap(entry_hashes(size, forked_from=fork))
    assert first_difference(a, b, size=size) == (None if fork == size else fork)


def test_equal_trees_are_compared_once_and_unequal_ones_by_halves() -> None:
    a, b = CountingTiles(entry_hashes(5000)), TileMap(entry_hashes(5000))
    assert first_difference(a, b, size=5000) is None
    assert a.asked == 1
    a.asked = 0
    forked = TileMap(entry_hashes(5000, forked_from=4321))
    assert first_difference(a, forked, size=5000) == 4321
    assert a.asked <= 1 + 13
