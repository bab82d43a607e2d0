"""Links between nodes and hub that can be bad: a TCP proxy for each node.

It carries bytes and knows nothing of what they mean. A link is cut, silent (nothing goes
through and nobody is told), slow and lossy, or turns over a bit. The one rule: what comes
out is what went in, in order, or the connection ends; but for the turned bit, which TLS
has to notice.

A proxy sees no packets, so what loss does to a connection is worked out: TCP sends a lost
segment again, and whatever follows it waits (RFC 5681, 6298).
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

CHUNK_BYTES: Final = 65_536
DELAY_S: Final = 0.25
SEGMENT_BYTES: Final = 1448
LOSS: Final = 0.02
# So many segments that arrive after a lost one tell its sender at once (RFC 5681, 3.2).
TELLING: Final = 3
# Otherwise a timer does, whose shortest time this is, doubled each time (RFC 6298, 2.4, 5.5).
RETRANSMIT_S: Final = 1.0
POLL_S: Final = 0.02
STOP_S: Final = 10.0


@dataclass(slots=True)
class Link:
    """The way of one node to the hub. Its flags are set from another thread."""

    target_port: int
    chance: Random
    port: int = 0
    is_cut: bool = False
    is_silent: bool = False
    is_slow: bool = False
    flips_next: bool = False
    counted: Counter[str] = field(default_factory=Counter[str])
    _open: set[asyncio.StreamWriter] = field(default_factory=set["asyncio.StreamWriter"])

    async def listen(self) -> asyncio.Server:
        """Take connections on a port of the loopback interface."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def abort_all(self) -> None:
        """End every connection without a word."""
        for each in list(self._open):
            each.transport.abort()

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self.counted["connections"] += 1
        self._open.add(back)
        try:
            if not self.is_cut:
                far, forth = await asyncio.open_connection("127.0.0.1", self.target_port)
                self._open.add(forth)
                await self._carry((near, forth), (far, back))
        except OSError:
            # The hub is away: the node finds that nobody answers.
            self.counted["connections without a hub"] += 1
        finally:
            self._open.discard(back)
            back.transport.abort()

    async def _carry(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Carry both ways until one ends; cut meanwhile or not, both end then."""
        pumps = [asyncio.create_task(self._pump(*way)) for way in ways]
        try:
            if not self.is_cut:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for _, writer in ways:
                self._open.discard(writer)
                writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            while self.is_silent:  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(POLL_S)
            if self.is_slow:
                held_up_s = recovery_s(-(-len(chunk) // SEGMENT_BYTES), self.chance)
                self.counted["chunks held up by a loss"] += held_up_s > 0
                await asyncio.sleep(DELAY_S + held_up_s)
            if self.flips_next:
                self.flips_next = False
                self.counted["bytes flipped"] += 1
                chunk = self._flipped(chunk)
            writer.write(chunk)
            await writer.drain()

    def _flipped(self, chunk: bytes) -> bytes:
        at = self.chance.randrange(len(chunk))
        return chunk[:at] + bytes([chunk[at] ^ 1 << self.chance.randrange(8)]) + chunk[at + 1 :]


def recovery_s(segments: int, chance: Random) -> float:
    """Return by how much segments that are sent together are late, 2 % of each try being lost."""
    late_s, timer_s, sent = 0.0, RETRANSMIT_S, segments
    while lost := sum(chance.random() < LOSS for _ in range(sent)):
        if sent - lost >= TELLING:
            late_s += 2 * DELAY_S
        else:
            late_s += timer_s
            timer_s *= 2
        sent = lost
    return late_s


class Network:
    """All links, on an event loop in a thread of its own."""

    def __init__(self, names: tuple[str, ...], *, hub_port: int, seed: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        # Chance of its own: how many chunks there are is not the plan's.
        self.links = {
            name: Link(hub_port, Random(f"{seed}/{name}"))  # noqa: S311 - which chunk is lost
            for name in names
        }
        self._servers = [self._run(each.listen()) for each in self.links.values()]

    def cut(self, name: str) -> None:
        """End a node's connections, and take no other until it is mended."""
        self.links[name].is_cut = True
        self._run(self.links[name].abort_all())

    def counted(self) -> Counter[str]:
        """Return what the links did, together."""
        return sum((each.counted for each in self.links.values()), Counter[str]())

    def close(self) -> None:
        """End all connections and the thread."""
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)
        for each in self.links.values():
            self._run(each.abort_all())
        self._run(self._settled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._loop.close()

    async def _settled(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it returns
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STOP_S)
