"""One task that makes durable whatever waits, many batches in one transaction.

The fixed cost of a transaction decides the hub's speed, so batches and receipts of all
connections gather while the last transaction runs, and the next one takes them together.
Nobody is answered before it. A batch is taken at once. Receipts wait a moment for company,
for each transaction costs as much as many receipts, and nobody is kept from anything by an
``opened``. The rules: work of one connection is taken in its order; one piece that can't be
taken never harms its neighbours; what waits is bounded in bytes, and in time.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import sqlalchemy as sa

from mithaq.hub.batch import PublishedBatch
from mithaq.hub.directory import Changes, Directory
from mithaq.hub.receipts import HELD, SignedFreezeList, SignedReceipt
from mithaq.hub.refusals import Refusal
from mithaq.service.logging import declare, logger
from mithaq.store.engine import Database
from mithaq.store.errors import DiskFullError, StoreBusyError, StoreUnreachableError
from mithaq.store.evidence import Evidence

T = TypeVar("T")
GROUP_WORKS_MAX = 1024
GROUP_BYTES_MAX = 4 * 1024 * 1024
QUEUE_BYTES_MAX = 32 * 1024 * 1024
RECEIPT_WEIGHT_BYTES = 512
# How long a `held` waits for those of the stream's other readers: as long as two transactions
# take now, within these bounds. Then how long all else waits for whatever comes.
HELD_PATIENCE_S = 0.004
HELD_PATIENCE_S_MAX = 0.05
PATIENCE_S = 0.1
COMMIT_FAILED = declare("transaction failed", "works")


@dataclass(frozen=True, slots=True)
class Errand:
    """A small act of another service, which rides in the next transaction.

    It may raise what a work is refused with (``commit.REFUSALS``) before it writes anything;
    its outcome is that error, or what it returned.
    """

    act: Callable[[sa.Connection], object]


Work = PublishedBatch | SignedReceipt | SignedFreezeList | Errand


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch is durable: the hub's cosignature over its stream's size, and what it refused."""

    stream_id: bytes
    size: int
    acceptance: str
    refusals: bytes
    # For the counters: entries that are new, and what was refused among them.
    entries: int = 0
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A receipt or a list is durable, or was already outdated."""


@dataclass(frozen=True, slots=True)
class Done:
    """An errand is done and durable, and this came of it."""

    result: object


Outcome = Accepted | Taken | Done | Exception


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction did: an outcome for each work, in order, and what is now true."""

    outcomes: tuple[Outcome, ...]
    changes: Changes
    evidence: tuple[Evidence, ...] = ()
    # Whether bodies were erased for a withdrawal: the write-ahead log still holds them.
    erased: bool = False


class Transact(Protocol):
    """Runs works in one transaction of the writer thread."""

    def __call__(self, connection: sa.Connection, works: Sequence[Work]) -> Committed:
        """Return the outcomes; raise only what fails the whole transaction."""
        ...


@dataclass(eq=False, slots=True)
class _Waiting:
    work: Work
    weight_bytes: int
    done: "asyncio.Future[Outcome]"

    def answer(self, outcome: Outcome) -> None:
        """Hand over the outcome, unless nobody waits any more."""
        if not self.done.done():
            self.done.set_result(outcome)


class Committer:
    """The queue before the database, and the task that empties it."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        *,
        transact: Transact,
        after: Callable[[Committed], None],
        timed: Callable[[float], None],
    ) -> None:
        """Commit with `transact`; `after` sees each result once the directory has it.

        `timed` is told what each transaction that stands took, in seconds.
        """
        self._database = database
        self._directory = directory
        self._transact = transact
        self._after = after
        self._timed = timed
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        # Set when what waits is to be committed.
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._held_waiting: Counter[bytes] = Counter()
        self._held_patience_s = HELD_PATIENCE_S
        self._roomy = asyncio.Event()
        self._roomy.set()

    @property
    def queue_length(self) -> int:
        """How many works wait."""
        return len(self._queue)

    @property
    def is_due(self) -> bool:
        """Whether what waits is to be committed at once."""
        return self._due.is_set()

    @property
    def is_keeping_up(self) -> bool:
        """Whether there is room for more."""
        return self._roomy.is_set()

    async def enqueue(self, work: Work) -> "asyncio.Future[Outcome]":
        """Put a work in line, once there is room; the future holds its outcome."""
        while not self._roomy.is_set():
            await self._roomy.wait()
        weight = work.size_bytes if isinstance(work, PublishedBatch) else RECEIPT_WEIGHT_BYTES
        waiting = _Waiting(work, weight, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_bytes += weight
        if self._queued_bytes >= QUEUE_BYTES_MAX:
            self._roomy.clear()
        self._call_by(self._patience_s(work))
        return waiting.done

    async def submit(self, work: Work) -> Accepted | Taken | Done:
        """Return the outcome once it is durable; raise what it was refused with."""
        outcome = await (await self.enqueue(work))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run_errand(self, act: Callable[[sa.Connection], T]) -> T:
        """Return what came of an errand once it is durable; raise what it raised."""
        done = cast("Done", await self.submit(Errand(act)))
        return cast("T", done.result)

    async def run(self) -> None:
        """Empty the queue for ever; to be cancelled at the end."""
        while True:
            await self._due.wait()
            await self._commit(self._next_group())

    def _call_by(self, patience_s: float) -> None:
        """See to it that what waits is committed within this time."""
        if not patience_s:
            self._due.set()
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + patience_s
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._due.set)

    def _patience_s(self, work: Work) -> float:
        if isinstance(work, PublishedBatch):
            return 0.0
        if not isinstance(work, SignedReceipt) or work.role != HELD:
            return PATIENCE_S
        self._held_waiting[work.stream_id] += 1
        stream = self._directory.find(work.stream_id)
        if stream is not None and work.size < stream.state.size:
            # Its reader has more of the stream on its way, and the next one covers this one.
            return HELD_PATIENCE_S_MAX
        # PROTOCOL 5.4: bodies wait for it, so it waits for nobody who isn't about to come.
        awaited = self._directory.readers_connected(work.stream_id)
        return self._held_patience_s if self._held_waiting[work.stream_id] < awaited else 0.0

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        weight = 0
        while self._queue and len(group) < GROUP_WORKS_MAX and weight < GROUP_BYTES_MAX:
            waiting = self._queue.popleft()
            weight += waiting.weight_bytes
            group.append(waiting)
        self._queued_bytes -= weight
        if self._queued_bytes < QUEUE_BYTES_MAX:
            self._roomy.set()
        if not self._queue:
            self._due.clear()
            self._held_waiting.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        works = [waiting.work for waiting in group]
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            committed = await self._database.write(lambda each: self._transact(each, works))
        except (DiskFullError, StoreBusyError, StoreUnreachableError) as error:
            # Nobody's work is at fault, and each may send it again.
            self._answer_all(group, error)
        except Exception as error:  # noqa: BLE001 - one faulty work must not stop the hub
            logger().error(COMMIT_FAILED, works=len(group), exc_info=error)
            await self._commit_singly(group, error)
        else:
            took_s = clock() - began
            self._timed(took_s)
            self._held_patience_s = min(max(HELD_PATIENCE_S, 2 * took_s), HELD_PATIENCE_S_MAX)
            # The order matters: whoever is woken or answered finds the directory up to date.
            self._directory.apply(committed.changes)
            for waiting, outcome in zip(group, committed.outcomes, strict=True):
                waiting.answer(outcome)
            self._after(committed)

    async def _commit_singly(self, group: list[_Waiting], error: Exception) -> None:
        if len(group) == 1:
            self._answer_all(group, error)
            return
        for waiting in group:
            await self._commit([waiting])

    @staticmethod
    def _answer_all(group: Sequence[_Waiting], error: Exception) -> None:
        for waiting in group:
            waiting.answer(error)
