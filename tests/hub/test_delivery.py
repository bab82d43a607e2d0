"""What a reader is sent and when: receipt before reading, windows, omissions, order of streams."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from mithaq.hub.config import HubLimits
from mithaq.ledger.cosignature import Role
from mithaq.ledger.tree import Frontier
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.hub.core import receipt_of
from tests.hub.running import Publisher, Reader, RunningHub, prepare, running, three_members
from tests.hub.test_receipts import freeze_list
from tests.streams import StreamWriter, open_terms

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    """Run a hub with three members."""
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as this:
        yield this


def stream(hub: RunningHub, *audience: str, ordinal: int = 0) -> StreamWriter:
    """Return a stream with an epoch, not yet published."""
    readers = audience or (READER,)
    writer = StreamWriter.to(hub.federation, SENDER, *readers, ordinal=ordinal)
    writer.epoch()
    return writer


def publisher(hub: RunningHub, member: str = SENDER) -> Publisher:
    return Publisher(hub.node(member))


async def reader(
    hub: RunningHub,
    member: str = READER,
    *cursors: exchange_pb2.StreamCursor,
    window_bytes: int = 4 * 1024 * 1024,
) -> Reader:
    this = Reader(hub.federation, hub.node(member), member)
    await this.hello(*cursors, window_bytes=window_bytes)
    return this


def cursor(writer: StreamWriter, *, held: int, opened: int) -> exchange_pb2.StreamCursor:
    return exchange_pb2.StreamCursor(stream_id=writer.stream_id, held_size=held, opened_size=opened)


def stored_bytes(hub: RunningHub, writer: StreamWriter) -> int:
    """Return what the hub keeps of a stream's bodies."""
    stream = hub.hub.context.directory.find(writer.stream_id)
    assert stream is not None
    return hub.hub.context.directory.stored_bytes(stream.log_no)


async def test_no_body_is_sent_before_the_receipt_for_its_header(hub: RunningHub) -> None:
    writer = stream(hub)
    writer.put(3)
    await publisher(hub).publish(writer)
    this = await reader(hub)
    headers = await this.answer("headers")
    assert headers.first_sequence == 0
    assert await this.silence() == []
    await this.sign(writer, Role.HELD)
    bodies = await this.answer("bodies")
    assert (bodies.through_size, len(bodies.bodies)) == (writer.size, 4)


async def test_a_reader_that_lies_about_where_it_stands_gets_no_body_without_a_receipt(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    writer.put(3)
    await publisher(hub).publish(writer)
    this = await reader(hub, READER, cursor(writer, held=writer.size, opened=0))
    assert await this.silence() == []


async def test_bodies_are_sent_up_to_the_receipt_and_no_further(hub: RunningHub) -> None:
    writer = stream(hub)
    sender, this = publisher(hub), await reader(hub)
    await sender.publish(writer)
    await this.answer("headers")
    held = writer.state.checkpoint()
    writer.put(2)
    await sender.publish(writer)
    await this.answer("headers")
    await this.sign(writer, Role.HELD, size=held.size, root=held.root)
    bodies = await this.answer("bodies")
    assert (list(bodies.sequences), bodies.through_size) == ([1], 2)
    assert await this.silence() == []


async def test_a_reader_resumes_where_it_says_that_it_stands(hub: RunningHub) -> None:
    writer = stream(hub)
    sender, this = publisher(hub), await reader(hub)
    await sender.publish(writer)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    await this.answer("bodies")
    this.call.cancel()
    writer.put(2)
    await sender.publish(writer)
    again = await reader(hub, READER, cursor(writer, held=2, opened=2))
    headers = await again.answer("headers")
    assert headers.first_sequence == 2
    await again.sign(writer, Role.HELD)
    assert list((await again.answer("bodies")).sequences) == [2, 3]


async def test_delivery_goes_on_after_the_hub_was_stopped_in_the_middle(tmp_path: Path) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    async with running(federation, config) as hub:
        writer = stream(hub)
        writer.put(3)
        await publisher(hub).publish(writer)
        this = await reader(hub)
        await this.answer("headers")
        await this.sign(writer, Role.HELD)
        await this.answer("bodies")
    async with running(federation, config) as hub:
        again = await reader(hub, READER, cursor(writer, held=writer.size, opened=0))
        bodies = await again.answer("bodies")
        assert list(bodies.bodies) == [writer.sent[each] for each in bodies.sequences]
        assert bodies.through_size == writer.size


async def test_many_small_batches_are_delivered_as_few_pieces(hub: RunningHub) -> None:
    writer = stream(hub)
    sender = publisher(hub)
    for _ in range(20):
        await sender.publish(writer)
        writer.put(1)
    await sender.publish(writer)
    this = await reader(hub)
    headers = await this.answer("headers")
    assert headers.first_sequence + sum(len(r.own) // r.own_size for r in headers.runs) == 22
    await this.sign(writer, Role.HELD)
    assert (await this.answer("bodies")).through_size == 22


async def test_a_reader_that_answers_nothing_is_sent_no_more_than_its_window(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    sender = publisher(hub)
    await sender.publish(writer)
    for _ in range(10):
        writer.put(4, size_bytes=8192 + 28)
        await sender.publish(writer)
    this = await reader(hub, window_bytes=65_536)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    sent = [sum(map(len, piece.bodies)) for piece in await this.all_of("bodies")]
    # Batches of 32 KiB into a window of 64 KiB: never more than one batch beyond it.
    assert 65_536 <= sum(sent) <= 65_536 + 4 * 8220


async def test_a_reader_that_reads_nothing_holds_up_neither_others_nor_the_hubs_end(
    tmp_path: Path,
) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    loop = asyncio.get_running_loop()
    async with running(federation, config) as hub:
        writer = stream(hub, READER, OTHER)
        sender = publisher(hub)
        await sender.publish(writer)
        stalled = exchange_pb2_grpc.SubscribeServiceStub(hub.node(OTHER)).Subscribe()
        hello = exchange_pb2.SubscribeHello(window_bytes=16 * 1024 * 1024)
        await stalled.write(exchange_pb2.SubscribeRequest(hello=hello))
        this = await reader(hub)
        for _ in range(12):
            writer.put(2, size_bytes=400_000)
            await sender.publish(writer)
        receipt = receipt_of(federation, OTHER, writer, Role.HELD)
        await stalled.write(exchange_pb2.SubscribeRequest(receipt=receipt))
        await this.sign(writer, Role.HELD)
        through = 0
        while through < writer.size:
            piece = await this.answer("bodies")
            through = piece.through_size
            root = None if through == writer.size else roots_of(writer)[through]
            await this.sign(writer, Role.OPENED, size=through, root=root)
        await hub.until(lambda: hub.hub.context.committer.queue_length == 0)
        began = loop.time()
        await hub.hub.stop()
        assert loop.time() - began < config.intervals.stop_grace_s + 4


def roots_of(writer: StreamWriter) -> dict[int, bytes]:
    """Return the roots of a writer's stream at every size, from its leaves."""
    roots: dict[int, bytes] = {}
    frontier = Frontier.empty()
    for each in writer.hashes:
        frontier = frontier.append(each)
        roots[frontier.size] = frontier.root()
    return roots


async def test_an_opened_receipt_opens_the_window_again(hub: RunningHub) -> None:
    writer = stream(hub)
    sender = publisher(hub)
    await sender.publish(writer)
    sizes: dict[int, bytes] = {}
    for _ in range(6):
        writer.put(16, size_bytes=4096 + 28)
        await sender.publish(writer)
        sizes[writer.size] = writer.state.frontier.root()
    this = await reader(hub, window_bytes=65_536)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    through = 0
    while through < writer.size:
        through = (await this.answer("bodies")).through_size
        await this.sign(writer, Role.OPENED, size=through, root=sizes.get(through))
    assert through == writer.size


async def test_a_reader_outside_an_epoch_gets_its_header_but_not_its_bodies(
    hub: RunningHub,
) -> None:
    writer = stream(hub, READER, OTHER)
    writer.put(1)
    writer.epoch(OTHER)
    left_out = writer.put(2)
    await publisher(hub).publish(writer)
    this = await reader(hub)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    bodies = await this.answer("bodies")
    assert list(bodies.sequences) == [1, 2]
    assert {each.sequence: each.reason for each in bodies.omissions} == dict.fromkeys(
        [3, left_out, left_out + 1], exchange_pb2.OMISSION_REASON_NOT_A_READER
    )


async def test_a_withdrawn_body_is_named_with_the_entry_that_took_it_back(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    record = writer.put(2)
    withdrawal = writer.withdraw(record)
    await publisher(hub).publish(writer)
    this = await reader(hub)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    bodies = await this.answer("bodies")
    assert list(bodies.sequences) == [1, record + 1]
    (omission,) = bodies.omissions
    assert (omission.sequence, omission.reason, omission.withdrawn_by) == (
        record,
        exchange_pb2.OMISSION_REASON_WITHDRAWN,
        withdrawal,
    )


async def test_a_body_is_left_out_as_expired_only_when_both_clocks_have_passed(
    tmp_path: Path,
) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    later = datetime.now(UTC) + timedelta(days=3)
    async with running(federation, config) as hub:
        writer = stream(hub)
        record = writer.put(1, valid=timedelta(days=1))
        await publisher(hub).publish(writer)
        hub.hub.context.clock = lambda: later
        this = await reader(hub)
        await this.answer("headers")
        await this.sign(writer, Role.HELD)
        assert record in (await this.answer("bodies")).sequences
        this.call.cancel()
        # Now the registry's time has passed it as well.
        await hub.hub.context.relay.extend(
            federation.registry.size, [], federation.checkpoint(at=later)
        )
        again = await reader(hub, READER, cursor(writer, held=writer.size, opened=0))
        bodies = await again.answer("bodies")
        assert [(each.sequence, each.reason) for each in bodies.omissions] == [
            (record, exchange_pb2.OMISSION_REASON_EXPIRED)
        ]


async def test_a_successor_is_delivered_after_its_predecessors_close(hub: RunningHub) -> None:
    sender = publisher(hub)
    old = stream(hub)
    await sender.publish(old)
    new = StreamWriter(
        hub.federation,
        open_terms(hub.federation, SENDER, [READER], predecessor=old.stream_id, ordinal=1),
    )
    new.epoch()
    await sender.publish(new)
    this = await reader(hub)
    assert (await this.answer("headers")).stream_id == old.stream_id
    assert await this.silence() == []
    old.close(new.stream_id)
    await sender.publish(old)
    assert (await this.answer("headers")).stream_id == old.stream_id
    assert (await this.answer("headers")).stream_id == new.stream_id


async def test_a_newcomer_gets_a_successor_whose_predecessor_was_never_for_it(
    hub: RunningHub,
) -> None:
    sender = publisher(hub)
    old = stream(hub, READER)
    await sender.publish(old)
    new = StreamWriter(
        hub.federation,
        open_terms(hub.federation, SENDER, [READER, OTHER], predecessor=old.stream_id, ordinal=1),
    )
    await sender.publish(new)
    this = await reader(hub, OTHER)
    assert (await this.answer("headers")).stream_id == new.stream_id


async def test_a_member_outside_the_audience_sees_nothing_of_a_stream(hub: RunningHub) -> None:
    writer = stream(hub, READER)
    sender = publisher(hub)
    outsider = await reader(hub, OTHER)
    await sender.publish(writer)
    assert await outsider.silence() == []
    stub = exchange_pb2_grpc.PublishServiceStub(hub.node(OTHER))
    faults: list[object] = []
    for stream_id in (writer.stream_id, bytes(32)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ReadOwn(exchange_pb2.ReadOwnRequest(stream_id=stream_id, count=1))
        faults.append((refused.value.code(), refused.value.details()))
    assert faults[0] == faults[1]
    assert list((await stub.ListHeads(exchange_pb2.ListHeadsRequest())).heads) == []


async def test_each_reader_is_shown_what_the_others_have_signed(hub: RunningHub) -> None:
    writer = stream(hub, READER, OTHER)
    await publisher(hub).publish(writer)
    one, two = await reader(hub, READER), await reader(hub, OTHER)
    await one.answer("headers")
    await one.sign(writer, Role.HELD)
    views = await two.answer("views")
    assert [(each.reader, each.size, each.root) for each in views.receipts] == [
        (READER, writer.size, writer.state.frontier.root())
    ]


async def test_a_freeze_list_reaches_its_reader_now_or_when_it_comes(hub: RunningHub) -> None:
    writer = stream(hub)
    sender, this = publisher(hub), await reader(hub)
    await sender.publish(writer)
    await this.answer("headers")

    message = freeze_list(hub.federation, writer)
    await sender.call.write(exchange_pb2.PublishRequest(freeze_list=message))
    assert await this.answer("freeze_list") == message
    late = await reader(hub)
    assert await late.answer("freeze_list") == message


async def test_a_new_subscription_ends_the_older_one(hub: RunningHub) -> None:
    first = await reader(hub)
    await first.silence(0.1)
    await reader(hub)
    assert (await first.answer("drain")).retry_after_ms > 0


async def test_a_wrong_root_is_rejected_in_band_and_the_subscription_goes_on(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    await publisher(hub).publish(writer)
    this = await reader(hub)
    await this.answer("headers")
    await this.sign(writer, Role.HELD, root=bytes(32))
    reject = await this.answer("reject")
    assert (reject.code, reject.stream_id) == ("MQ-HUB-RECEIPT-CONFLICT", writer.stream_id)
    await this.sign(writer, Role.HELD)
    await this.answer("bodies")
    (file,) = (hub.folder / "evidence").iterdir()
    assert file.name.startswith("receipt-conflict-")


async def test_a_subscription_that_says_nothing_sensible_ends_with_a_reject(
    hub: RunningHub,
) -> None:
    this = Reader(hub.federation, hub.node(READER), READER)
    await this.hello(window_bytes=1)
    assert await this.end() == grpc.StatusCode.INVALID_ARGUMENT


async def test_bodies_wait_while_an_agreement_is_suspended_and_go_on_once_it_is_lifted(
    hub: RunningHub,
) -> None:
    writer = stream(hub)
    writer.put(2)
    await publisher(hub).publish(writer)
    await hub.order(hub.federation.suspend_agreement("test-agreement", READER))
    this = await reader(hub)
    await this.answer("headers")
    await this.sign(writer, Role.HELD)
    assert await this.silence() == []
    await hub.order(hub.federation.lift_agreement("test-agreement", READER))
    assert (await this.answer("bodies")).through_size == writer.size


async def test_what_all_have_opened_is_erased_and_what_one_has_not_is_kept(
    hub: RunningHub,
) -> None:
    writer = stream(hub, READER, OTHER)
    writer.put(3)
    await publisher(hub).publish(writer)
    one, two = await reader(hub, READER), await reader(hub, OTHER)
    for this in (one, two):
        await this.answer("headers")
        await this.sign(writer, Role.HELD)
        await this.answer("bodies")
    await one.sign(writer, Role.OPENED)
    await asyncio.sleep(0.3)
    assert stored_bytes(hub, writer) > 0
    await two.sign(writer, Role.OPENED)
    await hub.until(lambda: not stored_bytes(hub, writer))


async def test_a_revoked_reader_no_longer_keeps_bodies_at_the_hub(hub: RunningHub) -> None:
    writer = stream(hub, READER, OTHER)
    writer.put(3)
    await publisher(hub).publish(writer)
    one = await reader(hub, READER)
    await one.answer("headers")
    await one.sign(writer, Role.HELD)
    await one.answer("bodies")
    await one.sign(writer, Role.OPENED)
    await hub.order(hub.federation.revoke(OTHER))
    await hub.until(lambda: not stored_bytes(hub, writer))


async def test_a_sender_whose_readers_are_far_behind_is_held_back(tmp_path: Path) -> None:
    federation = three_members()
    limits = HubLimits(backlog_bytes_max=1024**2)
    config = prepare(federation, tmp_path / "hub", limits=limits)
    async with running(federation, config) as hub:
        writer = stream(hub)
        sender = publisher(hub)
        writer.put(200, size_bytes=4096 + 28)
        await sender.publish(writer)
        assert await sender.silence(0.1) == []
        writer.put(200, size_bytes=4096 + 28)
        await sender.publish(writer)
        writer.put(1)
        await sender.send(writer.batch())
        assert await sender.answer("back_pressure_ms") > 0
