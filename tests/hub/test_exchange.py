"""A batch on its whole way: published, delivered as headers, held, released, opened."""

from pathlib import Path

from mithaq.ledger.cosignature import Role
from tests.hub.running import Publisher, Reader, prepare, running, three_members
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

        held = await sender.answer("receipt")
        assert (held.reader, held.role, held.size) == ("tn-dgsn", 1, 7)
        await reader.sign(writer, Role.OPENED)
        while (receipt := await sender.answer("receipt")).role != 2:
            pass
        assert receipt.size == 7
