"""A batch on its whole way: published, delivered as headers, held, released, opened."""

from pathlib import Path

import grpc
import pytest

from mithaq.ledger.checkpoint import open_checkpoint
from mithaq.ledger.cosignature import Role
from mithaq.ledger.stream import FIRST_PUT, Run
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.hub.running import Publisher, Reader, prepare, running, three_members
from tests.hub.test_receipts import refusing
from tests.streams import StreamWriter


async def test_a_batch_goes_from_sender_to_reader_and_its_receipts_come_back(
    tmp_path: Path,
) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, "eg-moi", "int-iom", "tn-dgsn")
        writer.epoch()
        first = writer.put(5)
        sender = Publisher(hub.node("eg-moi"))
        reader = Reader(federation, hub.node("tn-dgsn"), "tn-dgsn")
        await reader.hello()
        accepted = await sender.publish(writer)
        assert (accepted.stream_id, accepted.size) == (writer.stream_id, 7)

        headers = await reader.answer("headers")
        assert headers.first_sequence == 0
        assert sum(len(run.own) // run.own_size for run in headers.runs) == 7
        assert await reader.silence() == []

        await reader.sign(writer, Role.HELD)
        bodies = await reader.answer("bodies")
        assert list(bodies.sequences) == [1, *range(first, first + 5)]
        assert list(bodies.bodies) == [writer.sent[each] for each in bodies.sequences]
        assert bodies.through_size == 7

        held = await sender.receipt()
        assert (held.reader, held.role, held.size) == ("tn-dgsn", 1, 7)
        await reader.sign(writer, Role.OPENED)
        while (receipt := await sender.receipt()).role != 2:
            pass
        assert receipt.size == 7


async def test_a_sender_is_told_of_each_receipt_once_a_connection(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, "eg-moi", "int-iom", "tn-dgsn")
        writer.epoch()
        sender = Publisher(hub.node("eg-moi"))
        readers: list[Reader] = []
        for member in ("int-iom", "tn-dgsn"):
            readers.append(Reader(federation, hub.node(member), member))
            await readers[-1].hello()
        await sender.publish(writer)
        told: list[str] = []
        for reader in readers:
            await reader.sign(writer, Role.HELD)
            told += [each.reader for each in await sender.all_receipts()]
        assert told == ["int-iom", "tn-dgsn"]
        again = Publisher(hub.node("eg-moi"))
        assert {each.reader for each in await again.all_receipts()} == set(told)


async def test_a_sender_learns_where_it_stands_before_it_signs_anything(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, "eg-moi", "tn-dgsn")
        writer.epoch()
        channel = hub.node("eg-moi")
        accepted = await Publisher(channel).publish(writer)
        note = writer.note()
        stub = exchange_pb2_grpc.PublishServiceStub(channel)
        (head,) = (await stub.ListHeads(exchange_pb2.ListHeadsRequest())).heads
        assert (head.stream_id, head.size) == (writer.stream_id, 2)
        assert head.acceptance == accepted.cosignature
        assert head.checkpoint.splitlines()[:3] == note.splitlines()[:3]


async def test_a_sender_reads_its_own_lost_tail_back_under_its_own_signature(
    tmp_path: Path,
) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, "eg-moi", "tn-dgsn")
        writer.epoch()
        channel = hub.node("eg-moi")
        sender = Publisher(channel)
        await sender.publish(writer)
        kept = writer.state
        writer.put(5)
        await sender.publish(writer)
        stub = exchange_pb2_grpc.PublishServiceStub(channel)
        lost = exchange_pb2.ReadOwnRequest(
            stream_id=writer.stream_id, first_sequence=kept.size, count=256
        )
        batch = (await stub.ReadOwn(lost)).batch
        assert not batch.bodies
        runs = [Run(each.terms, each.own_size, each.own) for each in batch.runs]
        completed = kept.admit_all(runs, kind_at=lambda wanted: [FIRST_PUT for _ in wanted]).state
        assert completed == writer.state
        agency = federation.agencies["eg-moi"]
        signed = open_checkpoint(
            batch.checkpoint,
            origin=writer.state.origin,
            ed25519_public=agency.log.ed25519.public,
            mldsa_public=agency.log.mldsa.public,
        )
        assert signed.checkpoint == completed.checkpoint()
        lost.count = 2
        part = (await stub.ReadOwn(lost)).batch
        assert sum(len(each.own) // each.own_size for each in part.runs) == 2
        lost.first_sequence = writer.size
        with pytest.raises(grpc.aio.AioRpcError) as beyond:
            await stub.ReadOwn(lost)
        assert beyond.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_what_a_reader_refused_goes_back_to_the_sender_once_a_connection(
    tmp_path: Path,
) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, "eg-moi", "tn-dgsn")
        writer.epoch()
        writer.put(2)
        sender = Publisher(hub.node("eg-moi"))
        await sender.publish(writer)
        reader = Reader(federation, hub.node("tn-dgsn"), "tn-dgsn")
        await reader.hello()
        await reader.answer("headers")
        await reader.sign(writer, Role.HELD)
        await reader.answer("bodies")
        message = refusing(federation, writer, 2)
        await reader.call.write(exchange_pb2.SubscribeRequest(receipt=message))
        assert await sender.answer("refusals") == message.refusals[0]
        while not (receipt := await sender.receipt()).refusals_head:
            pass
        assert receipt.refusals_head == message.refusals_head
        assert not receipt.refusals
        writer.put(1)
        await sender.publish(writer)
        await reader.answer("headers")
        await reader.sign(writer, Role.HELD)
        while (await sender.receipt()).size < writer.size:
            pass
        again = Publisher(hub.node("eg-moi"))
        told = await again.next()
        # The list goes before every receipt that may name it.
        assert told.refusals == message.refusals[0]


async def test_a_batch_that_is_not_of_its_form_ends_the_call_with_a_reject(
    tmp_path: Path,
) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        sender = Publisher(hub.node("eg-moi"))
        await sender.send(exchange_pb2.Batch())
        assert (await sender.answer("reject")).code == "MQ-LEDGER-ENTRY"
        assert await sender.end() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_rejected_batch_does_not_end_the_senders_other_streams(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        bad = StreamWriter.to(federation, "eg-moi", "tn-dgsn")
        good = StreamWriter.to(federation, "eg-moi", "int-iom")
        sender = Publisher(hub.node("eg-moi"))
        bad.batch()
        bad.epoch()
        await sender.send(bad.batch())
        reject = await sender.answer("reject")
        assert (reject.code, reject.stream_id, reject.sequence) == (
            "MQ-HUB-STREAM-UNKNOWN",
            bad.stream_id,
            1,
        )
        assert (await sender.publish(good)).size == 1
