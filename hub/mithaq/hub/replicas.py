"""Several hub processes on one PostgreSQL database, each with its own connections.

What a replica knows by heart may be older than what another has committed. So a transaction
first locks the logs that it is about to touch and reads them anew where they have moved;
and everybody looks, a few times a second, for what the others have done. A notification
makes that look come sooner and carries nothing. The rule: what is committed is in the
database, and a replica that missed every hint differs from the others by one poll.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.hub.batch import PublishedBatch
from mithaq.hub.committer import Work
from mithaq.hub.context import HubContext
from mithaq.hub.directory import Changes, Directory, HeldStream
from mithaq.hub.recall import recall_receipts, recall_stream
from mithaq.hub.receipt_book import HeldReceipt
from mithaq.hub.receipts import SignedReceipt
from mithaq.hub.tables import (
    ENROLMENT,
    FREEZE,
    READER_REFUSAL,
    RECEIPT,
    STREAM,
    SUBMISSION,
)
from mithaq.service.logging import declare, logger
from mithaq.store.engine import parse_url
from mithaq.store.errors import StoreError
from mithaq.store.log_store import head, log_no, read_leaves
from mithaq.store.tables import LOG

CHANNEL = "mithaq_hub"
# How far clocks of replicas may lie apart when they look for each other's receipts.
OVERLAP_S = 30
HINT_PAUSE_S = 0.02
LOOK_FAILED = declare("look at other replicas failed")
HINTS_LOST = declare("hints lost so polling alone", "error")
_SIZES = sa.select(STREAM.c.log_no, STREAM.c.stream_id, LOG.c.size, STREAM.c.stored_bytes).join(
    LOG, LOG.c.log_no == STREAM.c.log_no
)

_FREEZES = sa.select(FREEZE.c.sender, FREEZE.c.reader, FREEZE.c.at)


@dataclass(frozen=True, slots=True)
class LockedView:
    """What a transaction may rely on: the streams of its works as they are committed now."""

    directory: Directory
    streams: Mapping[bytes, HeldStream]
    signed: Mapping[tuple[int, str, int], int]

    def find(self, stream_id: bytes) -> HeldStream | None:
        """Return a stream, locked if it is one of the transaction's."""
        return self.streams.get(stream_id) or self.directory.find(stream_id)

    def signed_size(self, log_no: int, reader: str, role: int) -> int:
        """Return how far a reader has signed in a role; 0 if not at all."""
        known = self.directory.signed_size(log_no, reader, role)
        return max(known, self.signed.get((log_no, reader, role), 0))


def locked_view(
    directory: Directory, connection: sa.Connection, works: Sequence[Work]
) -> LockedView:
    """Lock the logs that these works touch, in one order, and read anew what has moved."""
    wanted = {work.stream_id for work in works if isinstance(work, PublishedBatch | SignedReceipt)}
    rows = connection.execute(
        _SIZES.where(STREAM.c.stream_id.in_(list(wanted)))
        .order_by(LOG.c.log_no)
        .with_for_update(of=LOG)
    ).all()
    streams: dict[bytes, HeldStream] = {}
    for row in rows:
        known = directory.find(row.stream_id)
        if known is None or known.state.size != row.size:
            known = recall_stream(connection, row.log_no)
        streams[row.stream_id] = known
    receipts = recall_receipts(
        connection, RECEIPT.c.log_no.in_([stream.log_no for stream in streams.values()])
    )
    signed = {(each.log_no, each.reader, each.role): each.size for each in receipts}
    return LockedView(directory, streams, signed)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at the database has shown."""

    streams: tuple[HeldStream, ...]
    receipts: tuple[HeldReceipt, ...]
    stored_bytes: Mapping[int, int]
    freezes: Mapping[tuple[str, str], int]
    # The newest list of refusals of each stream, by log number.
    refusals: Mapping[int, int]
    # Leaves that we lack, and the newest checkpoint.
    leaves: tuple[bytes, ...]
    checkpoint: bytes
    waiting: int


@dataclass(slots=True)
class Replication:
    """Keeps one replica's knowledge as new as its last look."""

    hub: HubContext
    _freezes: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    _refusals: dict[int, int] = field(default_factory=dict[int, int])
    _waiting: int = 0
    _looked_at: int = 0
    _hint: asyncio.Event = field(default_factory=asyncio.Event)

    def loops(self) -> list[Awaitable[None]]:
        """Return what runs until cancelled: polling, listening for hints, giving them."""
        return [self._poll(), self._listen(), self._announce()]

    async def look(self) -> None:
        """Take in what other replicas have committed since the last look."""
        since, now = self._looked_at - OVERLAP_S, int(self.hub.clock().timestamp())
        found = await self.hub.database.read(lambda each: self._look(each, since=since))
        self._looked_at = now
        fresh = [key for key, at in found.freezes.items() if at > self._freezes.get(key, 0)]
        self._freezes.update(found.freezes)
        refused = [log for log, at in found.refusals.items() if at > self._refusals.get(log, 0)]
        self._refusals.update(found.refusals)
        self.hub.directory.apply(
            Changes(
                {stream.log_no: stream for stream in found.streams},
                found.receipts,
                frozenset(refused),
                tuple(fresh),
            )
        )
        self.hub.directory.set_stored(found.stored_bytes)
        if found.leaves or found.checkpoint != self._own_checkpoint():
            await self.hub.relay.adopt(found.leaves, found.checkpoint)
            self.hub.registry_grew()
        if found.waiting != self._waiting:
            self._waiting = found.waiting
            self.hub.desk.news.ring()
        await self.hub.database.read(self.hub.desk.load)

    def _look(self, connection: sa.Connection, *, since: int) -> _Found:
        directory, registry = self.hub.directory, self.hub.registry
        rows = connection.execute(_SIZES).all()
        moved = [
            row.log_no
            for row in rows
            if (known := directory.find(row.stream_id)) is None or known.state.size < row.size
        ]
        log = log_no(connection, registry.origin)
        newest = head(connection, log)
        lacking = newest.size > registry.size
        return _Found(
            streams=tuple(recall_stream(connection, each) for each in moved),
            receipts=tuple(
                each
                for each in recall_receipts(connection, RECEIPT.c.received_at >= since)
                if each.size > directory.signed_size(each.log_no, each.reader, each.role)
            ),
            stored_bytes={row.log_no: row.stored_bytes for row in rows},
            freezes={
                (row.sender, row.reader): row.at
                for row in connection.execute(
                    sa.select(FREEZE.c.sender, FREEZE.c.reader, FREEZE.c.at)
                )
            },
            refusals=_newest_refusals(connection, {row.log_no for row in rows}),
            leaves=tuple(read_leaves(connection, log, registry.size, newest.size))
            if lacking
            else (),
            checkpoint=newest.checkpoint or b"",
            waiting=_newest_serial(connection, (SUBMISSION, ENROLMENT)),
        )

    def _own_checkpoint(self) -> bytes:
        signed = self.hub.registry.checkpoint
        return signed.note_bytes if signed else b""

    async def _poll(self) -> None:
        while True:
            try:
                await self.look()
            except (StoreError, TrustError) as error:
                logger().warning(LOOK_FAILED, exc_info=error)
            self._hint.clear()
            try:
                async with asyncio.timeout(self.hub.intervals.poll_s):
                    await self._hint.wait()
            except TimeoutError:
                continue

    async def _listen(self) -> None:
        async def listen(connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
            await connection.execute(f"LISTEN {CHANNEL}")
            # What happened before it listened made no sound.
            self._hint.set()
            async for _ in connection.notifies():
                self._hint.set()

        await self._connected(listen)

    async def _announce(self) -> None:
        async def announce(connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
            while True:
                # After the transaction, never in it: there it would take a global lock (LIMITS).
                # At once, too, for what was committed before there was a connection.
                await connection.execute(f"NOTIFY {CHANNEL}")
                await self.hub.changed.wait()
                self.hub.changed.clear()
                await asyncio.sleep(HINT_PAUSE_S)

        await self._connected(announce)

    async def _connected(
        self, act: "Callable[[psycopg.AsyncConnection[tuple[object, ...]]], Awaitable[None]]"
    ) -> None:
        """Run `act` on a connection of its own, again and again: polling goes on without it."""
        address = parse_url(self.hub.config.database_url).set(drivername="postgresql")
        text = address.render_as_string(hide_password=False)
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(text, autocommit=True) as link:
                    await act(link)
            except psycopg.Error as error:
                logger().warning(HINTS_LOST, error=type(error).__name__)
            await asyncio.sleep(self.hub.intervals.poll_s)


def _newest_refusals(connection: sa.Connection, logs: Container[int]) -> dict[int, int]:
    """Return the number of the newest list of each of these streams that has one.

    They are numbered under the stream's lock, so a larger number is a newer list.
    """
    newest = sa.select(READER_REFUSAL.c.log_no, sa.func.max(READER_REFUSAL.c.serial))
    rows = connection.execute(newest.group_by(READER_REFUSAL.c.log_no))
    return {log: serial for log, serial in rows if log in logs}


def _newest_serial(connection: sa.Connection, tables: Iterable[sa.Table]) -> int:
    return sum(
        connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.serial), 0))) or 0
        for table in tables
    )
