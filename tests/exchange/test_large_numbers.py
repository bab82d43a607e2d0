"""Numbers that the wire carries and no database holds: refused, and nobody is stopped by them."""

from typing import NamedTuple

import pytest

from mithaq.ledger.names import HUB
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import AnswerItem
from mithaq.node.exchange.errors import ProofRefusedError
from mithaq.node.exchange.keeping import DISCLOSURE_UNKNOWN, SEQUENCE_MAX
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.exchange.taking_back import entries_of_erased
from mithaq.node.records.model import seal_in
from mithaq.store.audit_entry import RECORDS_PER_ENTRY_MAX
from mithaq.v1 import exchange_pb2, record_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, acceptance_of
from tests.exchange.test_answers import issued
from tests.federation import Federation


@pytest.mark.parametrize("sequence", [SEQUENCE_MAX, SEQUENCE_MAX + 1, (1 << 64) - 1])
def test_a_member_that_answers_for_a_sequence_that_no_database_holds_is_refused(
    cairo: Desk, tunis: Desk, sequence: int
) -> None:
    receipt = record_pb2.ErasureReceipt(
        disclosure=record_pb2.DisclosureName(stream_id=bytes(32), sequence=sequence),
        member=tunis.member,
        outcome=record_pb2.ERASURE_OUTCOME_ERASED,
        done_at=int(tunis.clock().timestamp()),
    )
    record = seal_in(record_pb2.Record(erasure_receipt=receipt))
    tunis.done(AnswerItem(cairo.member, "test-agreement", record, OFFICER))
    # All of the stream is taken, or what follows would never be read.
    cairo.receive(*tunis.take_batches())
    assert cairo.rows("SELECT reason FROM node_refusal") == [(DISCLOSURE_UNKNOWN,)]


@pytest.mark.parametrize(("beyond", "kept"), [(False, 1), (True, 0)])
def test_a_hub_that_refuses_what_was_never_written_is_not_believed(
    cairo: Desk, federation: Federation, *, beyond: bool, kept: int
) -> None:
    batch = issued(cairo)
    assert federation.hub is not None
    last = batch.segment.state.size - 1
    (signed,) = sign_refusals(
        [Refusal(SEQUENCE_MAX + 1 if beyond else last, "NO_CLAUSE", 7)],
        stream_id=batch.stream_id,
        signer=HUB,
        key=federation.hub.cosigning.ed25519,
    )
    acceptance = exchange_pb2.Acceptance(
        stream_id=batch.stream_id,
        size=(1 << 64) - 1 if beyond else last + 1,
        cosignature=acceptance_of(federation, batch),
        refusals=signed,
    )
    faults = cairo.home.database.write_sync(
        lambda each: keep_answers(each, cairo.home, Answers([acceptance]), at=cairo.clock())
    )
    assert all(isinstance(each, ProofRefusedError) for each in faults)
    assert bool(faults) is beyond
    assert cairo.number("SELECT count(*) FROM node_refusal") == kept


class Row(NamedTuple):
    """A version that is erased."""

    alert_id: str
    version: int


@pytest.mark.parametrize(
    ("versions", "counts"),
    [
        (0, [0]),
        (RECORDS_PER_ENTRY_MAX, [RECORDS_PER_ENTRY_MAX]),
        (RECORDS_PER_ENTRY_MAX + 1, [RECORDS_PER_ENTRY_MAX, 1]),
    ],
)
def test_a_sender_that_takes_back_more_versions_than_an_audit_entry_names_stops_nobody(
    cairo: Desk, versions: int, counts: list[int]
) -> None:
    gone = [Row("eg-moi-01J", 1 + number) for number in range(versions)]
    entries = entries_of_erased(gone, 7, at=cairo.clock())
    assert [each.result_count for each in entries] == counts
    # Written as they are: one that goes beyond a limit would undo the erasure, each time.
    cairo.home.database.write_sync(lambda each: cairo.home.audit.append(each, entries))
