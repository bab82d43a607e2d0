"""When to come back after a connection was lost: later each time, and not all at once.

Pure pacing and the loop around a session. Chance and sleep are arguments, so a test
needs neither. The rule: nobody hammers a hub that just came up, and a session that
lasted starts from the shortest wait again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import grpc

from mithaq.service.errors import RemoteError, from_rpc_error

FIRST_WAIT = timedelta(milliseconds=200)
WAIT_MAX = timedelta(seconds=30)
SETTLED_AFTER = timedelta(seconds=20)
DOUBLINGS_MAX = 30


@dataclass(slots=True)
class Backoff:
    """The next wait: doubled each time up to `longest`, and a random half of it taken off.

    `chance` returns a number from 0 up to, not including, 1.
    """

    chance: Callable[[], float]
    shortest: timedelta = FIRST_WAIT
    longest: timedelta = WAIT_MAX
    failures: int = 0

    def next_wait(self) -> timedelta:
        """Return how long to wait now, and count one more failure."""
        doubled = self.shortest * (1 << min(self.failures, DOUBLINGS_MAX))
        self.failures += 1
        return min(doubled, self.longest) * (1 - self.chance() / 2)

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self.failures = 0


async def keep_connected(
    session: Callable[[], Awaitable[None]],
    *,
    backoff: Backoff,
    failed: Callable[[RemoteError], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run `session` again and again until cancelled; an error not of gRPC ends it.

    A session returns when the peer drained it, and is begun anew at once but for the
    shortest wait. `failed` learns of every error that the peer or the network made.
    """
    while True:
        began = clock()
        named: timedelta | None = None
        try:
            await session()
            backoff.reset()
        except grpc.RpcError as error:
            remote = from_rpc_error(error)
            failed(remote)
            named = remote.retry_after
            if clock() - began >= SETTLED_AFTER.total_seconds():
                backoff.reset()
            if not remote.retryable:
                # It won't be better soon: revoked, or not understood. Still, things mend.
                named = max(named or backoff.longest, backoff.longest)
        wait = backoff.next_wait()
        await sleep(max(wait, named or wait).total_seconds())
