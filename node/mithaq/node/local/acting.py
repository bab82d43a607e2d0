"""Acts of the local API, gathered into few transactions while the last one runs.

The fixed cost of a commit decides the speed (DESIGN 9), and the inbox shares the writer:
searches of a hundred desks must not cost it a hundred commits. Each act concludes with
the audit entry that it leaves; all entries of a group are appended at once. The rule: an
act is answered after the commit that holds its entry, and one that fails takes nothing
of its neighbours with it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from grpc import StatusCode

from mithaq.node.exchange.home import Home
from mithaq.service.errors import MithaqError
from mithaq.store.audit_entry import AuditEntry

T = TypeVar("T")
GROUP_ACTS_MAX: Final = 64
WAITING_ACTS_MAX: Final = 4096


class TooManyActsError(MithaqError):
    """More calls wait for the database than a node takes."""

    code = "MQ-LIMIT-CALLS"
    public_message = "The node is busy. Nothing of this was done."
    fix = "Repeat it in a moment."
    grpc_status = StatusCode.RESOURCE_EXHAUSTED
    retry_after = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act concluded: the audit entry to keep, and what its caller is told."""

    entry: AuditEntry
    refusal: MithaqError | None = None


Act = Callable[[sa.Connection], tuple[Outcome, T]]


@dataclass(eq=False, slots=True)
class _Waiting:
    act: Act[Any]
    done: "asyncio.Future[tuple[Outcome, Any]]"


@dataclass(slots=True)
class Acts:
    """Runs acts in the database's writer, as many in one transaction as wait for it."""

    home: Home
    _waiting: deque[_Waiting] = field(default_factory=deque[_Waiting])
    _flushing: "asyncio.Task[None] | None" = None

    async def run(self, act: Act[T]) -> T:
        """Run an act; return what it found, or raise its refusal, once both are durable.

        The act may be run again after a rollback, so it touches nothing but its connection.

        Raises:
            TooManyActsError: nothing was done.
            StoreError, and what the act raises: nothing of it was stored.

        """
        if len(self._waiting) >= WAITING_ACTS_MAX:
            raise TooManyActsError(f"{WAITING_ACTS_MAX} acts wait")
        waiting = _Waiting(act, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        outcome, found = await waiting.done
        if outcome.refusal is not None:
            raise outcome.refusal
        return found  # type: ignore[no-any-return]  # what the act returns

    async def _flush(self) -> None:
        try:
            while self._waiting:
                # Callers that were woken together are let in before the group is closed.
                await asyncio.sleep(0)
                size = min(len(self._waiting), GROUP_ACTS_MAX)
                await self._commit([self._waiting.popleft() for _ in range(size)])
        finally:
            self._flushing = None

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        # A caller that has gone away is not looked up any more.
        group = [each for each in group if not each.done.done()]
        try:
            answers = await self.home.database.write(lambda each: self._write(each, group))
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller is told its own
            # A full disk fails all alike; what one act did wrong, it did alone.
            if len(group) > 1 and not getattr(error, "retryable", False):
                for each in group:
                    await self._commit([each])
            else:
                _fail(group, error)
        except BaseException as error:
            # The process ends: nobody is left waiting for an answer.
            _fail(group, error)
            raise
        else:
            for each, answer in zip(group, answers, strict=True):
                if not each.done.done():
                    each.done.set_result(answer)

    def _write(
        self, connection: sa.Connection, group: Sequence[_Waiting]
    ) -> list[tuple[Outcome, Any]]:
        answers = [each.act(connection) for each in group]
        self.home.audit.append(connection, [outcome.entry for outcome, _ in answers])
        return answers


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    for each in group:
        if not each.done.done():
            each.done.set_exception(error)
