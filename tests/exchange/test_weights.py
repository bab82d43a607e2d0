"""What waits at a reader weighs all that it takes in memory, whatever of a message that is."""

import asyncio
import dataclasses

import pytest

from mithaq.certs.errors import SignatureInvalidError
from mithaq.certs.keys import Ed25519Key
from mithaq.ledger.lists import refusals_bytes_max
from mithaq.ledger.names import HUB
from mithaq.node.exchange.bodies import NAMED_BYTES, ArrivedBodies
from mithaq.node.exchange.errors import RefusalsTooManyError
from mithaq.node.exchange.inbox import ArrivedHeaders
from mithaq.node.exchange.omissions import Omission
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.exchange.subscriber import WINDOW_BYTES, Subscriber
from mithaq.v1 import exchange_pb2
from tests.exchange.relay import Desk, bodies_of, headers_of
from tests.exchange.test_answers_flood import settled
from tests.exchange.test_refusals_weight import to_tunis
from tests.federation import Federation

MIB = 1024 * 1024


def test_headers_weigh_all_that_came_with_them(cairo: Desk, tunis: Desk) -> None:
    headers = headers_of(cairo.federation, to_tunis(cairo, tunis))
    bare = headers.size_bytes
    note = headers.piece._replace(checkpoint=headers.piece.checkpoint + bytes(MIB))
    line = headers.piece._replace(acceptance=headers.piece.acceptance + "x" * MIB)
    for piece in (note, line):
        assert ArrivedHeaders(piece, ()).size_bytes == bare + MIB
    one = exchange_pb2.RefusalList(signature=bytes(MIB))
    lists = dataclasses.replace(headers, refusals=(one, one))
    assert lists.size_bytes >= bare + 2 * MIB


def test_bodies_weigh_what_is_left_out_and_the_receipt_that_proves_it(
    cairo: Desk, tunis: Desk
) -> None:
    bodies = bodies_of(to_tunis(cairo, tunis))
    omissions = {each: Omission(each, 1, 0) for each in range(1024)}
    many = dataclasses.replace(bodies, omissions=omissions)
    assert many.size_bytes >= bodies.size_bytes + NAMED_BYTES * len(omissions)
    shown = dataclasses.replace(bodies, opened=exchange_pb2.Receipt(root=bytes(MIB)))
    assert shown.size_bytes >= bodies.size_bytes + MIB
    assert NAMED_BYTES * 1_000_000 < 2 * WINDOW_BYTES
    nothing = ArrivedBodies(bodies.stream_id, 1, dict.fromkeys(range(1024), b""), {})
    assert nothing.size_bytes >= NAMED_BYTES * 1024


class Ahead:
    """A call with headers for ever, each of a stream that names a registry which never comes."""

    def __init__(self, headers: ArrivedHeaders) -> None:
        piece = headers.piece
        self.told = 0
        self._message = exchange_pb2.SubscribeResponse(
            headers=exchange_pb2.Headers(
                stream_id=piece.stream_id,
                first_sequence=piece.first_sequence,
                runs=[
                    exchange_pb2.EntryRun(
                        terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes
                    )
                    for run in piece.runs
                ],
                checkpoint=bytes(3 * MIB),
            )
        )

    async def read(self) -> exchange_pb2.SubscribeResponse:
        self.told += 1
        await asyncio.sleep(0)
        return self._message

    async def write(self, request: exchange_pb2.SubscribeRequest, /) -> None:
        del request


async def test_what_waits_for_the_registry_is_bounded_by_the_window(
    ahead: tuple[Desk, ArrivedHeaders],
) -> None:
    tunis, headers = ahead
    call, subscriber = Ahead(headers), Subscriber(tunis.home, owed=lambda: None)
    running = asyncio.create_task(subscriber.run(call))
    tunis.running = running
    await tunis.until(lambda: call.told > 0)
    for _ in range(32):
        # A transaction is over each time: were there room again, more would be read.
        await tunis.home.database.write(lambda _: None)
        await settled()
    assert call.told * 3 * MIB <= 2 * WINDOW_BYTES + 2 * 3 * MIB
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def ahead(cairo: Desk, tunis: Desk, federation: Federation) -> tuple[Desk, ArrivedHeaders]:
    """Return Tunis, and headers for it by a registry that it doesn't have."""
    federation.enrol("it-int")
    cairo.learn()
    return tunis, headers_of(federation, to_tunis(cairo, tunis))


# --- the hub's lists of refusals --------------------------------------------------------


def forged(batch: Batch) -> exchange_pb2.RefusalList:
    """Return a list that says it is the hub's, and is not."""
    refusal = Refusal(batch.segment.state.size - 1, "NARROWED_SINCE", 7)
    (one,) = sign_refusals(
        [refusal], stream_id=batch.stream_id, signer=HUB, key=Ed25519Key.generate()
    )
    return one


@pytest.mark.parametrize(
    ("beyond", "expected"), [(0, SignatureInvalidError), (1, RefusalsTooManyError)]
)
def test_lists_are_weighed_before_any_signature_of_them_is_verified(
    cairo: Desk, tunis: Desk, beyond: int, expected: type[Exception]
) -> None:
    batch = to_tunis(cairo, tunis)
    one = forged(batch)
    count = refusals_bytes_max(batch.segment.state.size) // one.ByteSize() + beyond
    headers = headers_of(cairo.federation, batch)
    (fault,) = tunis.hold(dataclasses.replace(headers, refusals=(one,) * count)).failed.values()
    assert isinstance(fault, expected)


def test_lists_with_headers_that_are_held_already_are_not_verified(
    cairo: Desk, tunis: Desk
) -> None:
    batch = to_tunis(cairo, tunis)
    headers = headers_of(cairo.federation, batch)
    assert not tunis.hold(headers).failed
    again = tunis.hold(dataclasses.replace(headers, refusals=(forged(batch),)))
    assert (len(again.receipts), again.failed) == (1, {})
    assert tunis.number("SELECT count(*) FROM node_refusal") == 0
