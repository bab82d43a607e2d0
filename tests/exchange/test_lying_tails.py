"""A hub that answers what is no tail of an own stream, or too much, when it is read back."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from mithaq.ledger.lists import refusals_bytes_max
from mithaq.ledger.terms import TERMS_SIZE_BYTES_MAX
from mithaq.node.exchange.errors import SigningHaltedError
from mithaq.node.exchange.own_heads import READ_COUNT_MAX, OwnHeads
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.exchange.lost_time import HubCopy, back_up, compare, restore
from tests.exchange.relay import Desk, accept
from tests.exchange.test_late_joiner import join
from tests.exchange.test_restoring import issued
from tests.federation import Federation

Answer = exchange_pb2.ReadOwnResponse


@dataclass
class Liar(HubCopy):
    """A hub that changes what it answers about a tail."""

    lie: Callable[[exchange_pb2.ReadOwnRequest, Answer], None] = field(kw_only=True)
    asked: int = 0

    async def ReadOwn(  # noqa: N802 - as the service names it
        self,
        request: exchange_pb2.ReadOwnRequest,
        timeout: float,  # noqa: ASYNC109 - gRPC's
    ) -> Answer:
        answer = await super().ReadOwn(request, timeout)
        self.asked += 1
        self.lie(request, answer)
        return answer


def streams(desk: Desk) -> list[bytes]:
    rows = desk.rows("SELECT stream_id FROM node_stream WHERE own")
    return [cast("bytes", each) for (each,) in rows]


@pytest.fixture
def backup(cairo: Desk, federation: Federation, tmp_path: Path) -> Path:
    """Return a backup of Cairo's, after which it has opened more streams."""
    issued(cairo)
    accept(cairo, *cairo.batches)
    file = back_up(cairo, tmp_path / "backup.db")
    before = streams(cairo)
    join(cairo, federation)
    issued(cairo)
    assert before[0] == streams(cairo)[0]
    assert streams(cairo)[-1] not in before
    return file


def refused(cairo: Desk, backup: Path, folder: Path, liar: Liar) -> list[bytes]:
    """Show tails to the restored node, of which it takes one for none; return its streams."""
    node = restore(cairo, backup, folder)
    with pytest.raises(SigningHaltedError):
        compare(node, liar)
    assert node.alarms() == ["key used elsewhere"]
    found = streams(node)
    node.close()
    return found


def test_nothing_is_hidden_behind_the_open_of_a_stream(
    cairo: Desk, backup: Path, tmp_path: Path
) -> None:
    lost = streams(cairo)[-1]

    def hide(request: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
        if request.stream_id == lost:
            answer.batch.runs[0].own += bytes(8)

    assert lost not in refused(cairo, backup, tmp_path / "restored", Liar(cairo, lie=hide))


def test_a_stream_that_is_known_is_not_taken_for_a_lost_one(
    cairo: Desk, backup: Path, tmp_path: Path
) -> None:
    known, lost = streams(cairo)[0], streams(cairo)[-1]
    of_known = exchange_pb2.ReadOwnRequest(stream_id=known, count=1)
    opening = asyncio.run(HubCopy(cairo).ReadOwn(of_known, 1.0))

    def swap(request: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
        if request.stream_id == lost:
            answer.CopyFrom(opening)

    assert lost not in refused(cairo, backup, tmp_path / "restored", Liar(cairo, lie=swap))


@pytest.mark.parametrize("own_size", [0, 9])
def test_a_tail_of_entries_that_are_none_is_no_tail(
    cairo: Desk, backup: Path, tmp_path: Path, own_size: int
) -> None:
    def bend(_: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
        answer.batch.runs[0].own_size = own_size

    refused(cairo, backup, tmp_path / "restored", Liar(cairo, lie=bend))


def one_by_one(_: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
    """Answer one entry at a time."""
    run = answer.batch.runs[0]
    del answer.batch.runs[1:]
    run.own = run.own[: run.own_size]


def test_a_tail_that_comes_entry_by_entry_is_a_tail(
    cairo: Desk, backup: Path, tmp_path: Path
) -> None:
    node = restore(cairo, backup, tmp_path / "restored")
    compare(node, Liar(cairo, lie=one_by_one))
    assert streams(node) == streams(cairo)
    node.close()


@pytest.mark.parametrize("beyond", [0, 1])
def test_of_terms_that_are_too_long_nothing_more_is_asked(
    cairo: Desk, backup: Path, tmp_path: Path, beyond: int
) -> None:
    with contextlib.closing(sqlite3.connect(backup)) as before:
        known = {each for (each,) in before.execute("SELECT stream_id FROM node_stream")}
    sizes = dict(cairo.home.database.read_sync(_sizes))
    lost = max(sizes.keys() - known, key=sizes.__getitem__)
    wanted: list[int] = []

    def swell(request: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
        if request.stream_id == lost:
            wanted.append(request.count)
            one_by_one(request, answer)
            answer.batch.runs[0].terms = bytes(TERMS_SIZE_BYTES_MAX + beyond)

    refused(cairo, backup, tmp_path / "restored", Liar(cairo, lie=swell))
    assert wanted[0] > 1
    # Below the limit it is kept until the root is compared.
    assert len(wanted) == (1 if beyond else wanted[0])


def test_more_entries_than_were_asked_for_are_no_tail(
    cairo: Desk, backup: Path, tmp_path: Path
) -> None:
    def repeat(_: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
        answer.batch.runs.extend(list(answer.batch.runs) * READ_COUNT_MAX)

    liar = Liar(cairo, lie=repeat)
    refused(cairo, backup, tmp_path / "restored", liar)
    assert liar.asked == 1


# --- lists of refusals ------------------------------------------------------------------


def test_with_lost_answers_no_more_refusals_come_than_a_stream_has(cairo: Desk) -> None:
    issued(cairo, *(cairo.alert() for _ in range(8)))
    sizes = dict(cairo.home.database.read_sync(_sizes))
    lost = max(sizes, key=sizes.__getitem__)
    heavy = exchange_pb2.RefusalList(stream_id=lost, signer="hub", signature=bytes(16 * 1024))

    def refuse(request: exchange_pb2.ReadOwnRequest, answer: Answer) -> None:
        one_by_one(request, answer)
        answer.refusals.extend([heavy] * 3)

    async def lists() -> dict[bytes, list[exchange_pb2.RefusalList]]:
        liar = Liar(cairo, lie=refuse)
        stub = cast("exchange_pb2_grpc.PublishServiceAsyncStub", liar)
        heads = (await liar.ListHeads(exchange_pb2.ListHeadsRequest(), 1.0)).heads
        return await OwnHeads(cairo.home).lost_refusals(stub, list(heads))

    weight = sum(each.ByteSize() for each in asyncio.run(lists())[lost])
    assert 0 < weight <= refusals_bytes_max(sizes[lost]) < weight + heavy.ByteSize()


def _sizes(connection: sa.Connection) -> list[tuple[bytes, int]]:
    rows = connection.exec_driver_sql(
        "SELECT stream_id, log.size FROM node_stream JOIN log USING (log_no) WHERE own"
    )
    return [(row[0], row[1]) for row in rows]
