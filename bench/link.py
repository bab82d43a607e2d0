"""The way from nodes to the hub through this process, which counts bytes and can be cut.

The rule: what comes out is what went in, in order, or the connection ends.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

CHUNK_BYTES: Final = 65_536


@dataclass(slots=True)
class Link:
    """A port of the loopback interface that leads to another one."""

    target_port: int
    port: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set["asyncio.StreamWriter"])
    _carrying: "set[asyncio.Task[None]]" = field(default_factory=set["asyncio.Task[None]"])

    def cut(self) -> None:
        """End every connection without a word; the next is taken at once."""
        for each in list(self._open):
            each.transport.abort()

    def accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Carry a connection, in a task of its own."""
        task = asyncio.ensure_future(self._carry_both(near, back))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def close(self) -> None:
        """End every connection, and return when nothing is carried any more."""
        self.cut()
        await asyncio.gather(*self._carrying)

    async def _carry_both(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Carry both ways until one end is gone."""
        far, forth = await asyncio.open_connection("127.0.0.1", self.target_port)
        self._open |= {back, forth}
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(near, forth, self._count_up))
                ways.create_task(self._carry(far, back, self._count_down))
        except* OSError:
            pass  # One end is gone: that is how a connection ends here.
        finally:
            self._open -= {back, forth}
            forth.transport.abort()
            back.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        count: Callable[[int], None],
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            count(len(chunk))
            writer.write(chunk)
            await writer.drain()
        # The other way ends with this one.
        writer.transport.abort()

    def _count_up(self, count: int) -> None:
        self.bytes_up += count

    def _count_down(self, count: int) -> None:
        self.bytes_down += count


@asynccontextmanager
async def running_link(target_port: int) -> AsyncGenerator[Link]:
    """Carry connections to a port while the block lasts."""
    link = Link(target_port)
    server = await asyncio.start_server(link.accept, "127.0.0.1", 0)
    link.port = server.sockets[0].getsockname()[1]
    try:
        yield link
    finally:
        server.close()
        await link.close()
