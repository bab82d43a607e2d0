"""A backup, what its node did afterwards, and a hub that still has it: for own heads."""

import asyncio
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from mithaq.ledger.checkpoint import parse_checkpoint_text
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.names import HUB
from mithaq.ledger.note import parse_note
from mithaq.node.exchange.acts import WithdrawItem
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import Batch, list_own
from mithaq.node.exchange.own_heads import OwnHeads
from mithaq.node.exchange.stored import RECORD
from mithaq.node.exchange.transaction import Transaction
from mithaq.node.exchange.versions import own_alerts
from mithaq.node.exchange.withdrawing import withdraw
from mithaq.node.lookup import index
from mithaq.node.lookup.keys import keys_of
from mithaq.node.records.model import ParsedRecord
from mithaq.store import log_store
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.exchange.relay import Desk, acceptance_of
from tests.federation import Federation, now


def back_up(desk: Desk, to: Path) -> Path:
    """Copy a node's database as it is now."""
    desk.home.database.truncate_wal()
    shutil.copy(desk.folder / "node.db", to)
    return to


def restore(desk: Desk, backup: Path, folder: Path) -> Desk:
    """Return a node as its backup remembers it; it has asked nobody yet."""
    folder.mkdir()
    shutil.copy(backup, folder / "node.db")
    again = Desk(desk.federation, desk.member, folder, clock=desk.clock, storage=desk.storage)
    again.open()
    return again


@dataclass
class HubCopy:
    """What an honest hub answers about own streams, from the node that wrote them.

    It has not accepted what stands in the streams `without`.
    """

    truth: Desk
    without: Collection[bytes] = ()

    async def ListHeads(  # noqa: N802 - as the service names it
        self,
        request: exchange_pb2.ListHeadsRequest,
        timeout: float,  # noqa: ASYNC109 - gRPC's
    ) -> exchange_pb2.ListHeadsResponse:
        _ = request, timeout
        return exchange_pb2.ListHeadsResponse(heads=self.truth.home.database.read_sync(self._heads))

    async def ReadOwn(  # noqa: N802 - as the service names it
        self,
        request: exchange_pb2.ReadOwnRequest,
        timeout: float,  # noqa: ASYNC109 - gRPC's
    ) -> exchange_pb2.ReadOwnResponse:
        _ = timeout
        runs = self.truth.home.database.read_sync(lambda each: self._runs(each, request))
        return exchange_pb2.ReadOwnResponse(batch=exchange_pb2.Batch(runs=runs))

    def _heads(self, connection: sa.Connection) -> list[exchange_pb2.OwnHead]:
        heads: list[exchange_pb2.OwnHead] = []
        for stream in list_own(connection):
            head = log_store.head(connection, stream.log_no)
            if stream.stream_id not in self.without:
                note = head.checkpoint or b""
                heads.append(
                    exchange_pb2.OwnHead(
                        stream_id=stream.stream_id,
                        size=head.size,
                        checkpoint=note,
                        acceptance=self._acceptance(note),
                    )
                )
        return heads

    def _acceptance(self, note: bytes) -> str:
        federation = self.truth.federation
        assert federation.hub is not None
        return cosign_ed25519(
            parse_checkpoint_text(parse_note(note).text),
            name=cosigner_name(federation.name, Role.HUB, HUB),
            signer=federation.hub.cosigning.ed25519,
            at=now(),
        ).line()

    def _runs(
        self, connection: sa.Connection, request: exchange_pb2.ReadOwnRequest
    ) -> list[exchange_pb2.EntryRun]:
        streams = {each.stream_id: each.log_no for each in list_own(connection)}
        start = request.first_sequence
        found = log_store.read_runs(
            connection, streams[request.stream_id], start, start + request.count
        )
        return [
            exchange_pb2.EntryRun(terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes)
            for _, run in found
        ]


@dataclass
class HubOf:
    """What a hub answers that was sent these batches, one of a stream."""

    federation: Federation
    batches: Sequence[Batch]

    async def ListHeads(  # noqa: N802 - as the service names it
        self,
        request: exchange_pb2.ListHeadsRequest,
        timeout: float,  # noqa: ASYNC109 - gRPC's
    ) -> exchange_pb2.ListHeadsResponse:
        _ = request, timeout
        return exchange_pb2.ListHeadsResponse(
            heads=[
                exchange_pb2.OwnHead(
                    stream_id=each.stream_id,
                    size=each.segment.state.size,
                    checkpoint=each.checkpoint,
                    acceptance=acceptance_of(self.federation, each),
                )
                for each in self.batches
            ]
        )

    async def ReadOwn(  # noqa: N802 - as the service names it
        self,
        request: exchange_pb2.ReadOwnRequest,
        timeout: float,  # noqa: ASYNC109 - gRPC's
    ) -> exchange_pb2.ReadOwnResponse:
        _ = timeout
        (batch,) = (each for each in self.batches if each.stream_id == request.stream_id)
        assert batch.segment.first_sequence == request.first_sequence
        runs = [
            exchange_pb2.EntryRun(terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes)
            for run in batch.segment.runs
        ]
        return exchange_pb2.ReadOwnResponse(batch=exchange_pb2.Batch(runs=runs))


def is_found(connection: sa.Connection, home: Home, record: ParsedRecord) -> bool:
    """Tell whether the index leads to an alert by what it says, whoever shares a word with it."""
    rows = connection.scalars(
        sa.select(RECORD.c.record_no).where(RECORD.c.alert_id == record.alert_id)
    )
    own = set(rows)
    return any(
        own.intersection(index.numbers(connection, each))
        for each in keys_of(record, home.index_key)
    )


class UndoneError(Exception):
    """What was done is taken out of the database again."""


def do_and_lose(desk: Desk, item: WithdrawItem) -> list[Batch]:
    """Withdraw, and lose it: the database is then a backup of just before, of any kind."""
    sent: list[Batch] = []

    def act(connection: sa.Connection) -> None:
        tx = Transaction(connection, desk.home, desk.clock())
        withdraw(tx, item, own_alerts(connection, [item.alert_id]))
        sent.extend(tx.finish().batches)
        raise UndoneError

    with pytest.raises(UndoneError):
        desk.home.database.write_sync(act)
    return sent


def compare(desk: Desk, hub: HubCopy | HubOf) -> None:
    """Let a node that has just started compare its own heads with the hub's."""
    # PROTOCOL 2.3: the registry before anything else.
    home, leaves = desk.home, desk.federation.leaves[desk.home.registry.size :]
    note = desk.federation.checkpoint(at=None if leaves else home.registry.time)
    home.database.write_sync(lambda each: home.trust.extend(each, leaves, note))
    stub = cast("exchange_pb2_grpc.PublishServiceAsyncStub", hub)
    asyncio.run(OwnHeads(desk.home).compare(stub))
