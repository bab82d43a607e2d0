"""Own heads at the hub, before anything is signed: lost tails completed, strangers named.

PROTOCOL 1.5. A log has one writer. Where the hub holds more of an own stream than this
node, under this node's own signatures, the tail was lost here (a backup was restored) and
is read back, and what it takes back is taken back here (`restoring`). The one rule: a head
that contradicts what is here, or that appears while this node was running, means that
somebody else holds the key, and then nothing is signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint
from mithaq.ledger.errors import EntryFormatError, LedgerError, StreamRuleError
from mithaq.ledger.lists import refusals_bytes_max
from mithaq.ledger.names import stream_origin
from mithaq.ledger.stream import Run, StreamState
from mithaq.ledger.terms import TERMS_SIZE_BYTES_MAX
from mithaq.ledger.tree import Frontier, leaf_hash
from mithaq.node.exchange.alarms import KEY_ELSEWHERE, Evidence, raise_alarm
from mithaq.node.exchange.erasing import empty_log
from mithaq.node.exchange.errors import SigningHaltedError
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.out_stream import STREAM, stream_row
from mithaq.node.exchange.restoring import carry_out
from mithaq.store import log_store
from mithaq.store.audit import root_at
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.store.tables import LOG
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

READ_COUNT_MAX: Final = 256
HEADS_DEADLINE_S: Final = 30.0


@dataclass(slots=True)
class OwnHeads:
    """Compares own streams with the hub's copies, at each start and reconnect."""

    home: Home
    # After the first comparison this process is the one that signs.
    compared: bool = False

    async def compare(
        self, stub: "exchange_pb2_grpc.PublishServiceAsyncStub"
    ) -> Sequence[exchange_pb2.OwnHead]:
        """Complete lost tails and return the heads.

        Raises:
            SigningHaltedError: a head that this node cannot explain; the alarm is raised.

        """
        answer = await stub.ListHeads(exchange_pb2.ListHeadsRequest(), timeout=HEADS_DEADLINE_S)
        for head in answer.heads:
            await self._compare(stub, head)
        self.compared = True
        return list(answer.heads)

    async def lost_refusals(
        self,
        stub: "exchange_pb2_grpc.PublishServiceAsyncStub",
        heads: Sequence[exchange_pb2.OwnHead],
    ) -> dict[bytes, list[exchange_pb2.RefusalList]]:
        """Return, by stream, what the hub refused where we have no answer yet (PROTOCOL 5.5).

        An answer that was lost on its way had its refusals with it; they are asked for
        again, or a reader that names one would accuse the hub of keeping it from us.
        """
        sizes = {head.stream_id: head.size for head in heads}
        return {
            stream_id: await self._refusals(
                stub, stream_id, accepted_size, min(size, sizes[stream_id])
            )
            for stream_id, accepted_size, size in await self.home.database.read(_unanswered)
            if accepted_size < sizes.get(stream_id, 0)
        }

    async def _refusals(
        self, stub: "exchange_pb2_grpc.PublishServiceAsyncStub", stream_id: bytes, at: int, end: int
    ) -> list[exchange_pb2.RefusalList]:
        lists: list[exchange_pb2.RefusalList] = []
        room = refusals_bytes_max(end)
        while at < end:
            request = exchange_pb2.ReadOwnRequest(
                stream_id=stream_id,
                first_sequence=at,
                count=min(READ_COUNT_MAX, end - at),
            )
            answer = await stub.ReadOwn(request, timeout=HEADS_DEADLINE_S)
            for each in answer.refusals:
                room -= each.ByteSize()
                if room < 0:
                    # What is beyond would not be taken (5.2), and is not even held in memory.
                    return lists
                lists.append(each)
            at += sum(map(len, _runs_of(answer, count=request.count)))
        return lists

    async def _compare(
        self, stub: "exchange_pb2_grpc.PublishServiceAsyncStub", head: exchange_pb2.OwnHead
    ) -> None:
        origin = stream_origin(self.home.federation, head.stream_id)
        try:
            signed = open_checkpoint(
                head.checkpoint,
                origin=origin,
                ed25519_public=self.home.log.ed25519.public,
                mldsa_public=self.home.log.mldsa.public,
            ).checkpoint
        except LedgerError:
            # Not under our signatures: the hub's word alone is nothing (PROTOCOL 1.5).
            return
        size = await self.home.database.read(lambda each: _size(each, origin))
        if signed.size <= size:
            same = await self.home.database.read(lambda each: _has_root(each, signed))
            if not same:
                await self._halt(head)
        elif self.compared:
            await self._halt(head)
        else:
            await self._complete(stub, head, signed, size)

    async def _complete(
        self,
        stub: "exchange_pb2_grpc.PublishServiceAsyncStub",
        head: exchange_pb2.OwnHead,
        signed: Checkpoint,
        size: int,
    ) -> None:
        try:
            runs = await self._tail(stub, signed, size, stream_id=head.stream_id)
            erased = await self.home.database.write(
                lambda each: self._append(each, runs, signed, head.checkpoint)
            )
        except LedgerError:
            return await self._halt(head)
        if erased:
            await empty_log(self.home.database)
        return None

    async def _tail(
        self,
        stub: "exchange_pb2_grpc.PublishServiceAsyncStub",
        signed: Checkpoint,
        size: int,
        *,
        stream_id: bytes,
    ) -> list[Run]:
        """Read back what the hub has of a stream behind a size; raise LedgerError for no runs."""
        runs: list[Run] = []
        at = size
        while at < signed.size:
            request = exchange_pb2.ReadOwnRequest(
                stream_id=stream_id,
                first_sequence=at,
                count=min(READ_COUNT_MAX, signed.size - at),
            )
            answer = await stub.ReadOwn(request, timeout=HEADS_DEADLINE_S)
            fresh = _runs_of(answer, count=request.count)
            runs += fresh
            at += sum(map(len, fresh))
        return runs

    def _append(
        self, connection: sa.Connection, runs: Sequence[Run], signed: Checkpoint, note: bytes
    ) -> bool:
        """Append a lost tail, if it leads to the root that this node once signed.

        What it took back is taken back in the same transaction; return whether that erased.
        """
        log = log_store.find_log(connection, signed.origin)
        if log is None:
            state = _opened(runs[0], signed)
            log = log_store.create_log(connection, state.origin)
            connection.execute(sa.insert(STREAM), stream_row(log, state, own=True))
            before, rest, hashes = Frontier.empty(), runs[1:], [leaf_hash(state.open_leaf)]
        else:
            stored = log_store.head(connection, log)
            state = StreamState.from_bytes(stored.state)
            before, rest, hashes = state.frontier, runs, []
        if rest:
            admission = state.admit_all(rest, kind_at=log_store.kind_at(connection, log))
            state = admission.state
            hashes += admission.leaf_hashes
        if state.checkpoint() != signed:
            raise LedgerError("the tail does not lead to the head that was signed")
        log_store.append_runs(
            connection,
            log,
            runs,
            before,
            state.frontier,
            hashes=hashes,
            state=state.to_bytes(),
            checkpoint=note,
        )
        connection.execute(
            sa.update(STREAM).where(STREAM.c.log_no == log).values(closed=state.closed)
        )
        at = self.home.clock()
        entry = AuditEntry(
            at,
            "node",
            "system",
            Operation.CONTINUE,
            subject=signed.origin,
            result_count=len(hashes),
        )
        self.home.audit.append(connection, [entry])
        return carry_out(connection, self.home, log, runs, state, at=at)

    async def _halt(self, head: exchange_pb2.OwnHead) -> None:
        origin = stream_origin(self.home.federation, head.stream_id)
        own = await self.home.database.read(lambda each: _note(each, origin))
        evidence: Evidence = {
            "sender": self.home.member,
            "checkpoint": head.checkpoint,
            "acceptance": head.acceptance.encode(),
            "known_checkpoint": own,
        }
        await self.home.database.write(
            lambda each: raise_alarm(
                each,
                self.home,
                KEY_ELSEWHERE,
                subject=origin[-64:],
                evidence=evidence,
                stream_id=head.stream_id,
                accused=self.home.member,
            )
        )
        raise SigningHaltedError("the hub holds a head under our signatures that is not ours")


def _runs_of(answer: exchange_pb2.ReadOwnResponse, *, count: int) -> list[Run]:
    """Return the runs of an answer; raise EntryFormatError for one that `count` entries can't be.

    Until the root is compared they wait in memory: no more of them than were asked for.
    """
    runs = [Run(each.terms, each.own_size, each.own) for each in answer.batch.runs]
    if not 1 <= sum(map(len, runs)) <= count:
        raise EntryFormatError(f"the hub answered not with 1 to {count} entries")
    if max(len(each.terms_bytes) for each in runs) > TERMS_SIZE_BYTES_MAX:
        raise EntryFormatError(f"terms have at most {TERMS_SIZE_BYTES_MAX} bytes")
    return runs


def _opened(run: Run, signed: Checkpoint) -> StreamState:
    """Return a lost stream after its OPEN; raise LedgerError if a run is not that and no more."""
    if len(run) != 1:
        # What came behind it in the run would be stored with it, and by no root be missed.
        raise StreamRuleError("a stream begins with one OPEN")
    state = StreamState.open(run.leaves()[0])
    if state.origin != signed.origin:
        raise StreamRuleError("an OPEN does not hash to the stream that it came as")
    return state


def is_known_to_hub(connection: sa.Connection) -> bool:
    """Tell whether the hub has ever accepted anything of ours, so that it could know more."""
    found = connection.execute(
        sa.select(STREAM.c.log_no)
        .where(STREAM.c.own.is_(True), STREAM.c.accepted_size > 0)
        .limit(1)
    )
    return found.first() is not None


def _unanswered(connection: sa.Connection) -> list[tuple[bytes, int, int]]:
    """Return the own streams that the hub hasn't accepted all of, from where and how far."""
    rows = connection.execute(
        sa.select(STREAM.c.stream_id, STREAM.c.accepted_size, LOG.c.size)
        .join(LOG, LOG.c.log_no == STREAM.c.log_no)
        .where(STREAM.c.own.is_(True), STREAM.c.accepted_size < LOG.c.size)
    )
    return [(row.stream_id, row.accepted_size, row.size) for row in rows]


def _size(connection: sa.Connection, origin: str) -> int:
    log = log_store.find_log(connection, origin)
    return 0 if log is None else log_store.head(connection, log).size


def _has_root(connection: sa.Connection, signed: Checkpoint) -> bool:
    log = log_store.find_log(connection, signed.origin)
    return log is not None and root_at(connection, log, signed.size) == signed.root


def _note(connection: sa.Connection, origin: str) -> bytes:
    log = log_store.find_log(connection, origin)
    return b"" if log is None else log_store.head(connection, log).checkpoint or b""
