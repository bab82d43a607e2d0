"""What a hub says of no stream, or of nothing in one: its fault, and no neighbour's."""

import dataclasses

from mithaq.ledger.names import HUB
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.errors import BodyOrderError
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


def test_bodies_of_no_entry_are_refused_and_answered_by_no_receipt(
    cairo: Desk, tunis: Desk
) -> None:
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    ((headers, bodies), *_) = carry(cairo.federation, "tn-dgsn", cairo.take_batches())
    tunis.hold(headers)
    nothing = ArrivedBodies(bodies.stream_id, 0, {}, {})
    unsealed = tunis.open_bodies(nothing)
    assert isinstance(unsealed.failed[bodies.stream_id], BodyOrderError)
    # Kept, it would be sent first on each connection, and no hub takes one of size 0.
    assert unsealed.receipts == []
    assert tunis.rows("SELECT size FROM node_receipt WHERE role = 'opened'") == []
    assert len(tunis.open_bodies(bodies).receipts) == 1


def named(headers: ArrivedHeaders, stream_id: bytes) -> ArrivedHeaders:
    """Return headers as those of something else."""
    return dataclasses.replace(headers, piece=headers.piece._replace(stream_id=stream_id))
