"""Streaming calls as the exchange uses them: read until the end, write, and no more.

Protocol types, so that nothing here depends on how gRPC names its classes.
"""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar, cast

import grpc

W_contra = TypeVar("W_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class Readable(Protocol[R_co]):
    """A call from which messages come."""

    async def read(self) -> R_co:
        """Return the next message, or EOF."""
        ...


class Call(Readable[R_co], Protocol[W_contra, R_co]):
    """A call in both directions."""

    async def write(self, request: W_contra, /) -> None:
        """Send a message; return when the transport has taken it."""
        ...


async def messages(call: Readable[R]) -> AsyncIterator[R]:
    """Yield messages until the other side ends the call; raise what the call raises."""
    while True:
        message = await call.read()
        if cast("object", message) is grpc.aio.EOF:
            return
        yield message
