"""What a hub says of a stream that can be none: it is the hub's fault, and no neighbour's."""

import dataclasses

from mithaq.ledger.names import HUB
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.inbox import ArrivedHeaders
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, carry


def test_headers_of_no_stream_accuse_the_hub_and_leave_their_neighbours_alone(
    cairo: Desk, tunis: Desk
) -> None:
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    good = [headers for headers, _ in carry(cairo.federation, "tn-dgsn", cairo.take_batches())]
    held = tunis.hold(named(good[0], b"no stream"), *good)
    assert list(held.failed) == [b"no stream"]
    assert len(held.receipts) == len({each.stream_id for each in good})
    assert tunis.alarms() == ["root mismatch"]
    evidence, _ = tunis.proof()
    assert (evidence.accused, evidence.stream_id) == (HUB, b"")
    assert evidence.subject.startswith(b"no stream".hex()[:16])


def named(headers: ArrivedHeaders, stream_id: bytes) -> ArrivedHeaders:
    """Return headers as those of something else."""
    return dataclasses.replace(headers, piece=headers.piece._replace(stream_id=stream_id))
