"""When to come back after a connection was lost: later each time, and not all at once.

Pure pacing and the loop around a session. Chance and sleep are arguments, so a test
needs neither. The rule: nobody hammers a hub that just came up, and a session that
lasted starts from the shortest wait again.

The longest wait is what a peer adds to every outage of the other side, so it is short:
the 32 nodes of a federation then ask a hub that is away nine times a second, each with
one connection that is refused.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import grpc

from mithaq.service.errors import from_rpc_error

FIRST_WAIT = timedelta(milliseconds=200)
WAIT_MAX = timedelta(seconds=5)
# Revoked, or not understood: it won't be better soon. Still, things mend.
REFUSED_WAIT = timedelta(seconds=30)
# What gRPC makes of bytes that broke on their way, and a hub of a fault of its own.
NO_REFUSAL = frozenset({grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL})
# Longer than the longest wait: what fails each time so late is not asked more often by this.
SETTLED_AFTER = timedelta(seconds=6)
DOUBLINGS_MAX = 30


@dataclass(slots=True)
class Backoff:
    """The next wait: doubled each time up to `longest`, and a random half of it taken off.

    `chance` returns a number from 0 up to, not including, 1. `refused` is the wait after a
    refusal that time does not mend.
    """

    chance: Callable[[], float]
    shortest: timedelta = FIRST_WAIT
    longest: timedelta = WAIT_MAX
    refused: timedelta = REFUSED_WAIT
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
    failed: Callable[[Exception], None],
    survived: tuple[type[Exception], ...] = (),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run `session` again and again until cancelled.

    A session returns when the peer drained it, and is begun anew at once but for the
    shortest wait. `failed` learns of every error that the peer or the network made, as a
    RemoteError, and of our own that are `survived`; any other of ours ends it.
    """
    while True:
        began = clock()
        named = timedelta()
        try:
            await session()
            backoff.reset()
        except grpc.RpcError as error:
            remote = from_rpc_error(error)
            failed(remote)
            named = remote.retry_after or named
            if not remote.retryable and remote.grpc_status not in NO_REFUSAL:
                named = max(named, backoff.refused)
        except survived as fault:
            failed(fault)
        if clock() - began >= SETTLED_AFTER.total_seconds():
            backoff.reset()
        await sleep(max(backoff.next_wait(), named).total_seconds())
