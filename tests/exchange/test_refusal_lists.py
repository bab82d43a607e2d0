"""A reader's lists of refusals: a chain that its `opened` names, and that comes whole (5.5)."""

import dataclasses
from pathlib import Path

import sqlalchemy as sa

from mithaq.hub.tables import BATCH
from mithaq.ledger.lists import LISTS_PER_RECEIPT_MAX, REFUSED_BY_HUB, refusal_list_hash
from mithaq.ledger.names import HUB
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.omissions import REFUSED, Omission
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import to_message, verify_receipt
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.exchange.standing_receipts import standing_receipts
from mithaq.node.exchange.unsealing import OpenedReceipt
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.evil_hub import truth
from tests.attacks.world import CAIRO, GENEVA, TUNIS, world_in
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, bodies_of, headers_of
from tests.exchange.test_answers import hash_of
from tests.federation import Federation


def refused_by(federation: Federation, batch: Batch, sequence: int) -> exchange_pb2.RefusalList:
    """Return the hub's list of one entry."""
    assert federation.hub is not None
    (signed,) = sign_refusals(
        [Refusal(sequence, "QUOTA_EXHAUSTED", 5)],
        stream_id=batch.stream_id,
        signer=HUB,
        key=federation.hub.cosigning.ed25519,
    )
    return signed


def open_without(tunis: Desk, batch: Batch, sequence: int) -> OpenedReceipt:
    """Let Tunis open a batch of which the hub has refused one entry."""
    signed = refused_by(tunis.federation, batch, sequence)
    headers = dataclasses.replace(headers_of(tunis.federation, batch), refusals=(signed,))
    assert not tunis.hold(headers).failed
    whole = bodies_of(batch)
    rest = {key: body for key, body in whole.bodies.items() if key != sequence}
    omissions = {sequence: Omission(sequence, REFUSED, 0)}
    unsealed = tunis.open_bodies(dataclasses.replace(whole, bodies=rest, omissions=omissions))
    assert not unsealed.failed, unsealed.failed
    return unsealed.receipts[-1]


def issued(cairo: Desk) -> Batch:
    cairo.done(IssueItem(cairo.alert(), None, ("tn-dgsn",), OFFICER))
    return [each for each in cairo.take_batches() if each.segment.bodies][-1]


def begun(cairo: Desk, tunis: Desk) -> None:
    """Let Tunis open all that there is so far, of which nothing is refused."""
    cairo.done(IssueItem(cairo.alert(), None, ("tn-dgsn",), OFFICER))
    for each in tunis.receive(*cairo.take_batches()).receipts:
        assert (each.lists, each.receipt.refusals_head) == ((), b"")


def again(tunis: Desk) -> list[exchange_pb2.Receipt]:
    """Return the receipts with refusals that Tunis sends on its next connection."""
    home = tunis.home
    standing = home.database.read_sync(lambda each: standing_receipts(each, home))
    return [each for each in standing if each.refusals_head]


def test_what_the_hub_refused_stands_in_the_readers_list(cairo: Desk, tunis: Desk) -> None:
    begun(cairo, tunis)
    opened = open_without(tunis, issued(cairo), 3)
    (signed,) = opened.lists
    assert [(each.sequence, each.reason) for each in signed.refusals] == [(3, REFUSED_BY_HUB)]
    assert opened.receipt.refusals_head == hash_of(signed)


def test_each_list_names_the_one_before_and_opened_the_newest(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    begun(cairo, tunis)
    (first,) = open_without(tunis, issued(cairo), 3).lists
    (second,) = open_without(tunis, issued(cairo), 4).lists
    assert (first.previous, second.previous) == (b"", hash_of(first))
    # What follows without a refusal names it as well.
    opened = tunis.receive(issued(cairo)).receipts[-1]
    assert (opened.lists, opened.receipt.refusals_head) == ((), hash_of(second))
    verify_receipt(
        to_message(opened.receipt),
        federation=federation.name,
        origin=f"{federation.name}/stream/{opened.receipt.stream_id.hex()}",
        member=federation.registry.member(TUNIS),
    )


def test_all_lists_come_again_each_with_a_receipt_that_names_it(cairo: Desk, tunis: Desk) -> None:
    begun(cairo, tunis)
    count = LISTS_PER_RECEIPT_MAX + 2
    lists = [open_without(tunis, issued(cairo), 3 + at).lists[0] for at in range(count)]
    messages = again(tunis)
    assert [len(each.refusals) for each in messages] == [LISTS_PER_RECEIPT_MAX, 2, 0]
    assert [each for message in messages for each in message.refusals] == lists
    for message in messages[:2]:
        newest = message.refusals[-1].SerializeToString(deterministic=True)
        assert message.refusals_head == refusal_list_hash(newest)
    assert messages[-1].refusals_head == hash_of(lists[-1])


async def test_refusals_whose_answer_was_lost_are_asked_for_on_the_next_connection(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path, CAIRO, TUNIS, GENEVA) as world:
        stream = await world.begun()
        world.evil.say = lies.about(stream, "acceptance", lies.drop, reader=CAIRO)
        await world.arrived(await world.send())
        hub, key = world.evil.hub.context, world.evil.hub.context.keys.ed25519
        (signed,) = sign_refusals([Refusal(3, "X", 1)], stream_id=stream, signer=HUB, key=key)
        refusals = signed.SerializeToString(deterministic=True)
        await hub.database.write(
            lambda each: each.execute(
                sa.update(BATCH).where(BATCH.c.size == 4).values(refusals=refusals)
            )
        )
        world.evil.say = truth
        await world.evil.tell(CAIRO, exchange_pb2.PublishResponse(drain=exchange_pb2.Drain()))
        await world.cairo.until_counted("node_refusal", f"signer = '{HUB}' AND sequence = 3")
        assert await world.cairo.count("node_acceptance", "size = 4") == 1
