"""What Publish and Subscribe have in common: one writer, several tasks, and an orderly end.

A streaming call ends when its peer is done, when the peer is cut or the hub stops, or when
one of its tasks fails. The rules: nothing else writes while a message is being written;
an error is said in band before the call ends, because an abort while the peer writes
reaches it as INTERNAL (LIMITS).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

import grpc

from mithaq.service.errors import fault_of
from mithaq.service.identity import Draining, LiveCall
from mithaq.v1 import exchange_pb2

M = TypeVar("M")
R = TypeVar("R")
LAST_WORDS_S = 1.0
READ_AHEAD_MAX = 2


class Inbox(Generic[R]):
    """Reads messages of one call, a few ahead at most; one task does all the reading.

    A read that was begun can't be taken back, so it is never cancelled while the call
    may still go on.
    """

    def __init__(self, read: Callable[[], Awaitable[R]]) -> None:
        self._read = read
        self._read_ahead: asyncio.Queue[R | None] = asyncio.Queue(READ_AHEAD_MAX)
        self._reading = asyncio.ensure_future(self._run())

    async def next(self) -> R | None:
        """Return the next message, or None when the peer is done or gone."""
        return await self._read_ahead.get()

    async def discard(self) -> None:
        """Read on for a moment without looking, so that the peer reads our last words."""
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                while await self.next() is not None:
                    pass
        except TimeoutError:
            return

    def close(self) -> None:
        """Stop reading: the call is over."""
        self._reading.cancel()

    async def _run(self) -> None:
        try:
            while (message := await self._read()) is not grpc.aio.EOF:
                await self._read_ahead.put(message)
        except (grpc.RpcError, grpc.aio.InternalError, grpc.aio.UsageError):
            # The peer is gone; whoever waits for a message learns it as the end.
            pass
        await self._read_ahead.put(None)


class Outbox(Generic[M]):
    """Writes messages of one call, one at a time, and counts their bytes."""

    def __init__(
        self, write: Callable[[M], Awaitable[None]], *, counted: Callable[[M], None]
    ) -> None:
        self._write = write
        self._counted = counted
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None

    async def send(self, message: M) -> None:
        """Send a message; return when the transport has taken it."""
        async with self._turn:
            if self._writing is not None:
                # Begun by a task that was cancelled since: a write can't be taken back.
                await asyncio.wait([self._writing])
            self._writing = asyncio.ensure_future(self._write(message))
            await asyncio.shield(self._writing)
            self._writing = None
        self._counted(message)


async def run_until_over(
    call: LiveCall, tasks: Sequence[Coroutine[Any, Any, None]]
) -> BaseException | Draining | None:
    """Run the tasks of a call until one ends or the call is to end; return why, if not by itself.

    All others are cancelled and waited for.
    """
    running: list[asyncio.Future[Any]] = [asyncio.ensure_future(task) for task in tasks]
    try:
        ending: asyncio.Future[Any] = call.ending
        done, _ = await asyncio.wait([*running, ending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if call.ending.done():
        return call.ending.result()
    failed = [task.exception() for task in done]
    return next((error for error in failed if error is not None), None)


def rejection(
    error: BaseException, *, stream_id: bytes = b"", sequence: int = 0
) -> exchange_pb2.Reject:
    """Return what a peer is told in band about an error."""
    fault = fault_of(error)
    return exchange_pb2.Reject(
        code=fault.code,
        public_message=fault.public_message,
        stream_id=stream_id,
        sequence=sequence,
    )


def drain_message(draining: Draining) -> exchange_pb2.Drain:
    """Return what a peer is told in band when the hub stops."""
    wait_ms = int(draining.retry_after.total_seconds() * 1000)
    return exchange_pb2.Drain(retry_after_ms=wait_ms)
