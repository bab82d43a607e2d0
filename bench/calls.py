"""How a caller asks a local API in bulk: the same for product and probe.

The rule: what is sent was made beforehand, and every answer is awaited.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import grpc.aio

# Bulk calls at a time: the next group of 256 waits while one is written.
CALLS_AT_ONCE: Final = 4
CALL_SECONDS: Final = 120.0
# A connection carries 256 calls at a time (service/server.py); callers have their own anyway.
CALLERS_PER_CONNECTION: Final = 64


async def send_all(
    call: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]",
    requests: Sequence[bytes],
    *,
    check: Callable[[bytes], None],
) -> None:
    """Send requests; each answer is checked before its place is given on."""
    waiting = iter(requests)

    async def one_after_the_other() -> None:
        for request in waiting:
            check(await call(request, timeout=CALL_SECONDS))

    await asyncio.gather(*(one_after_the_other() for _ in range(CALLS_AT_ONCE)))
