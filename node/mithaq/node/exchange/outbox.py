"""The outbox: acts of all callers, gathered while the last transaction runs.

DESIGN 9: the fixed cost of a batch decides the speed, so up to 256 acts are written in one
transaction: decisions, records at rest, sealed entries, both signatures, audit entry.
An act is answered when it is durable; the hub is told behind. The one rule: what was
answered is on disk, and what failed left nothing there.
"""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import sqlalchemy as sa

from mithaq.agreements.errors import AgreementError
from mithaq.certs.errors import TrustError
from mithaq.node.exchange.acts import (
    Act,
    ActResult,
    AnswerItem,
    CatchUpItem,
    IssueItem,
    ResendItem,
    UpdateItem,
    WithdrawItem,
)
from mithaq.node.exchange.answering import answer
from mithaq.node.exchange.audit_trail import audit_entries
from mithaq.node.exchange.erasing import empty_log
from mithaq.node.exchange.errors import (
    ExchangeError,
    HeadsUnknownError,
    OutboxFullError,
    RegistryStaleError,
    SigningHaltedError,
)
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.issuing import Outcome, issue, update
from mithaq.node.exchange.late_joiner import catch_up
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.retelling import resend
from mithaq.node.exchange.transaction import Transaction
from mithaq.node.exchange.versions import Versions, own_alerts
from mithaq.node.exchange.withdrawing import withdraw
from mithaq.node.records.errors import RecordError
from mithaq.service.logging import declare, logger
from mithaq.store.errors import StoreError

GROUP_ACTS_MAX: Final = 256
WAITING_ACTS_MAX: Final = 8192
# So long a group waits at most for those who were answered together before, and so long
# for the next of them.
PATIENCE_S_MAX: Final = 0.02
GAP_S_MAX: Final = 0.004
# So long an act waits for the hub after a start, before it is refused.
HEADS_WAIT_S: Final = 5.0
COMMIT_FAILED: Final = declare("outbox commit failed", "acts")

Refusal = ExchangeError | AgreementError | TrustError | RecordError | StoreError
_REFUSALS: Final = (ExchangeError, AgreementError, TrustError, RecordError)


@dataclass(eq=False, slots=True)
class _Call:
    """What one caller asked for together: answered when the last of its acts is."""

    done: "asyncio.Future[list[ActResult | Refusal]]"
    answers: list[ActResult | Refusal | None]
    missing: int

    def answer(self, place: int, answer: "ActResult | Refusal") -> None:
        """Take the answer to one act; it is answered once."""
        self.answers[place] = answer
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(cast("list[ActResult | Refusal]", self.answers))

    def fail(self, error: Exception) -> None:
        """Let the caller know that one of its acts failed in a way that nobody foresaw."""
        if not self.done.done():
            self.done.set_exception(error)


class _Waiting(NamedTuple):
    """An act, and where its answer belongs."""

    act: Act
    call: _Call
    place: int


@dataclass(slots=True)
class _Written:
    """What a transaction did: an answer for each act, the batches, and whether it erased."""

    answers: list[ActResult | Refusal]
    batches: list[Batch]
    erased: bool


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Outbox:
    """Takes acts and answers them when they are durable.

    `written` learns of the batches after each commit, in the order of their sequences.
    """

    home: Home
    written: Callable[[Sequence[Batch]], None]
    # Set when somebody else may hold our log key: nothing is signed any more (PROTOCOL 1.5).
    halted: bool = False
    # Cleared while own heads have yet to be compared with the hub's (PROTOCOL 1.5).
    may_sign: asyncio.Event = field(default_factory=_set_event)
    _waiting: deque[_Waiting] = field(default_factory=deque[_Waiting])
    _flushing: "asyncio.Task[None] | None" = None
    _came: asyncio.Event = field(default_factory=asyncio.Event)
    # How many acts may be together next.
    _expected: int = 0

    async def issue(self, items: Sequence[IssueItem]) -> list[ActResult | Refusal]:
        """Issue alerts; each is answered by a result or by the error that refused it."""
        return await self.submit_all(items)

    async def submit_all(self, acts: Sequence[Act]) -> list[ActResult | Refusal]:
        """Do acts of any kind; each is answered by a result or by the error that refused it."""
        return await self._submit(acts)

    async def update(self, item: UpdateItem) -> ActResult:
        """Issue the next version of an own alert; raise what refused it."""
        return await self.act(item)

    async def withdraw(self, item: WithdrawItem) -> ActResult:
        """Take an own alert back; raise what refused it."""
        return await self.act(item)

    async def answer(self, item: AnswerItem) -> ActResult:
        """Answer a peer in its return stream; raise what refused it."""
        return await self.act(item)

    async def act(self, act: Act) -> ActResult:
        """Do one act; raise what refused it."""
        (answer_or_refusal,) = await self._submit((act,))
        if isinstance(answer_or_refusal, ActResult):
            return answer_or_refusal
        raise answer_or_refusal

    async def settled(self) -> None:
        """Return when nothing waits; for a tidy end."""
        while self._flushing is not None:
            await asyncio.shield(self._flushing)

    async def _submit(self, acts: Sequence[Act]) -> list[ActResult | Refusal]:
        if self.halted:
            return [SigningHaltedError("signing is halted")] * len(acts)
        let_in = min(len(acts), max(WAITING_ACTS_MAX - len(self._waiting), 0))
        full: list[ActResult | Refusal] = [OutboxFullError(f"{WAITING_ACTS_MAX} acts wait")] * (
            len(acts) - let_in
        )
        if not let_in:
            return full
        call = _Call(asyncio.get_running_loop().create_future(), [None] * let_in, let_in)
        self._waiting.extend(_Waiting(act, call, place) for place, act in enumerate(acts[:let_in]))
        self._came.set()
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await call.done + full

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                if await self._knows_heads():
                    await self._commit(self._next_group())
                else:
                    group = self._next_group()
                    self._answer(group, [HeadsUnknownError("heads not compared")] * len(group))
        finally:
            self._flushing = None

    async def _gather(self) -> None:
        """Wait for callers who were answered together: they come again together, if at all.

        As long as they keep coming, and for a bounded time; a lone caller does not wait.
        """
        # Callers that were woken together are let in before the group is closed.
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S_MAX
        with contextlib.suppress(TimeoutError):
            while len(self._waiting) < self._expected:
                self._came.clear()
                async with asyncio.timeout_at(min(deadline, loop.time() + GAP_S_MAX)):
                    await self._came.wait()

    async def _knows_heads(self) -> bool:
        if self.may_sign.is_set():
            return True
        try:
            async with asyncio.timeout(HEADS_WAIT_S):
                await self.may_sign.wait()
        except TimeoutError:
            return False
        return True

    def _together(self) -> int:
        """Return how many of those that wait may be written together: no two about one subject.

        Catching up touches many alerts, any of which another act may be about: it goes alone.
        """
        subjects: set[str] = set()
        for each in itertools.islice(self._waiting, GROUP_ACTS_MAX):
            alone = isinstance(each.act, CatchUpItem | ResendItem)
            if each.act.subject in subjects or (alone and subjects):
                break
            subjects.add(each.act.subject)
            if alone:
                break
        return len(subjects)

    def _next_group(self) -> list[_Waiting]:
        return [self._waiting.popleft() for _ in range(self._together())]

    async def _commit(self, group: list[_Waiting]) -> None:
        acts = [each.act for each in group]
        try:
            written = await self.home.database.write(lambda each: self._write(each, acts))
        except StoreError as error:
            self._answer(group, [error] * len(group))
        except Exception as error:  # noqa: BLE001 - one faulty act must not stop the outbox
            logger().error(COMMIT_FAILED, acts=len(group), exc_info=error)
            await self._commit_singly(group, error)
        else:
            self.written(written.batches)
            if written.erased:
                await empty_log(self.home.database)
            self._answer(group, written.answers)
            # Who waits already counts as well: else two halves would take turns for ever.
            self._expected = min(len(group) + self._together(), GROUP_ACTS_MAX)

    async def _commit_singly(self, group: list[_Waiting], error: Exception) -> None:
        if len(group) > 1:
            for waiting in group:
                await self._commit([waiting])
        else:
            group[0].call.fail(error)

    @staticmethod
    def _answer(group: Sequence[_Waiting], answers: Sequence[ActResult | Refusal]) -> None:
        for (_, call, place), answer_or_refusal in zip(group, answers, strict=True):
            call.answer(place, answer_or_refusal)

    def _write(self, connection: sa.Connection, acts: Sequence[Act]) -> _Written:
        if self.halted:
            return _Written([SigningHaltedError("signing is halted")] * len(acts), [], erased=False)
        tx = Transaction(connection, self.home, self.home.clock())
        subjects = [
            each.subject for each in acts if isinstance(each, IssueItem | UpdateItem | WithdrawItem)
        ]
        known = own_alerts(connection, subjects)
        outcomes = [self._ask(tx, each, known) for each in acts]
        finished = tx.finish()
        answers = [outcome(finished) if callable(outcome) else outcome for outcome in outcomes]
        self.home.audit.append(connection, audit_entries(tx, acts, answers))
        return _Written(answers, finished.batches, tx.erased)

    @staticmethod
    def _ask(tx: Transaction, act: Act, known: Versions) -> Outcome | Refusal:
        try:
            if not isinstance(act, WithdrawItem):
                _check_fresh(tx)
            return _perform(tx, act, known)
        except _REFUSALS as refusal:
            return refusal


def _perform(tx: Transaction, act: Act, known: Versions) -> Outcome:
    match act:
        case IssueItem():
            return issue(tx, act, known)
        case UpdateItem():
            return update(tx, act, known)
        case WithdrawItem():
            return withdraw(tx, act, known)
        case AnswerItem():
            return answer(tx, act)
        case CatchUpItem():
            return catch_up(tx, act)
        case ResendItem():
            return resend(tx, act)


def _check_fresh(tx: Transaction) -> None:
    # PROTOCOL 2.6: taking back never waits for the registry, publishing anew does.
    try:
        tx.home.registry.check_fresh(tx.at)
    except TrustError as fault:
        raise RegistryStaleError(str(fault)) from fault
