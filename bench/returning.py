"""What it costs to lose the hub and to come back when nothing is new.

All nodes dial the hub through links of this process, which count bytes. The links are cut
at once. The rule: what nodes and hub use while nothing happens is measured right before
each cut, and taken off.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

from bench.errors import StoppedError
from bench.federation import Place
from bench.link import Link, running_link
from bench.product import POLL_S, Product
from bench.records import REQUEST_RECORDS, bulk_requests
from bench.resources import Usage, used_while, wait_quiet
from bench.result import Reconnect
from mithaq.cli.demo.processes import stop_together

OTHERS_CATEGORY: Final = "MISSING_LOCATE"
HUB_ADDRESS: Final = "MITHAQ_HUB_ADDRESS"
BACK_SECONDS_MAX: Final = 300.0
# A session that lasted 20 s starts from the shortest wait (service/reconnect.py).
SETTLING_SECONDS: Final = 11.0
IDLE_SECONDS: Final = 10.0
LOOK_S: Final = 0.02
CONNECTED: Final = b'"connected to the hub"'


class _Return(NamedTuple):
    """One cut: seconds until the last was back, bytes both ways, CPU before it and until quiet."""

    seconds: float
    bytes_up: int
    bytes_down: int
    idle: Usage
    used: Usage

    def beyond_idle_s(self, role: str) -> float:
        """Return the CPU seconds of a process for coming back."""
        return self.used.beyond(self.idle, role)


async def reconnect(product: Product, *, rounds: int) -> Reconnect:
    """Cut all nodes off some times; afterwards sender and readers dial directly again."""
    site = product.site
    nodes = (site.sender, *site.readers, *site.others)
    async with AsyncExitStack() as stack:
        # When all is over, and when it went wrong.
        stack.push_async_callback(_dial, product, (site.sender, *site.readers), None)
        # What all at once took of the hub's memory is not what the stores take.
        stack.push_async_callback(asyncio.to_thread, product.restart_hub)
        stack.push_async_callback(_stop, nodes)
        links = [await stack.enter_async_context(running_link(site.exchange_port)) for _ in nodes]
        await _dial(product, nodes, [each.port for each in links])
        await _tell_others(product)
        pids = {"hub": site.hub.pid} | {each.member: each.process.pid for each in nodes}
        await asyncio.to_thread(wait_quiet, pids)
        found: list[_Return] = []
        for _ in range(rounds):
            await asyncio.sleep(SETTLING_SECONDS)
            idle = await used_while(pids, asyncio.sleep(IDLE_SECONDS))
            found.append(await _come_back(nodes, links, pids, idle))
        with product.watch() as watch:
            stored = watch.count()
    return _per_node(found, nodes=len(nodes), stored=stored)


async def _dial(product: Product, nodes: Sequence[Place], ports: Sequence[int] | None) -> None:
    """Start nodes anew, each dialling a port of its own, or the hub itself."""
    for number, each in enumerate(nodes):
        port = product.site.exchange_port if ports is None else ports[number]
        each.process.environment[HUB_ADDRESS] = f"127.0.0.1:{port}"
    await _stop(nodes)
    await product.start_others(nodes)


async def _stop(nodes: Sequence[Place]) -> None:
    await asyncio.to_thread(stop_together, [each.process for each in nodes])


async def _tell_others(product: Product) -> None:
    """Give the others something as well, so that they have streams to speak about."""
    with product.watch(product.site.others[-1]) as last:
        if last.count() == 0:
            made = product.records.make(REQUEST_RECORDS, category=OTHERS_CATEGORY)
            await product.send(bulk_requests(made))
            await last.until(REQUEST_RECORDS, every_s=POLL_S)


async def _come_back(
    nodes: Sequence[Place], links: Sequence[Link], pids: Mapping[str, int], idle: Usage
) -> _Return:
    up, down = (sum(each) for each in zip(*_counts(links), strict=True))
    seconds = 0.0

    async def all_back() -> None:
        nonlocal seconds
        times = _connected(nodes)
        began = time.perf_counter()
        for each in links:
            each.cut()
        await _until_connected(nodes, more_than=times)
        seconds = time.perf_counter() - began
        await asyncio.to_thread(wait_quiet, pids)

    used = await used_while(pids, all_back())
    now_up, now_down = (sum(each) for each in zip(*_counts(links), strict=True))
    return _Return(seconds, now_up - up, now_down - down, idle, used)


def _counts(links: Sequence[Link]) -> list[tuple[int, int]]:
    return [(each.bytes_up, each.bytes_down) for each in links]


def _connected(nodes: Sequence[Place]) -> list[int]:
    """Return how many times each node has said that it is connected."""
    return [each.process.log_file.read_bytes().count(CONNECTED) for each in nodes]


async def _until_connected(nodes: Sequence[Place], *, more_than: Sequence[int]) -> None:
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while any(now <= was for now, was in zip(_connected(nodes), more_than, strict=True)):
        if time.monotonic() > deadline:
            raise StoppedError(f"not all of {len(nodes)} nodes came back to the hub")
        await asyncio.sleep(LOOK_S)


def _per_node(found: Sequence[_Return], *, nodes: int, stored: int) -> Reconnect:
    returns = nodes * len(found)
    hub_s = sum(each.beyond_idle_s("hub") for each in found)
    all_s = sum(each.beyond_idle_s(role) for each in found for role in each.used.cpu_s)
    idle_for_s = sum(each.idle.seconds for each in found)
    idle_hub_s = sum(each.idle.cpu_s["hub"] for each in found)
    idle_all_s = sum(sum(each.idle.cpu_s.values()) for each in found)
    return Reconnect(
        nodes=nodes,
        stored=stored,
        returns=returns,
        seconds=max(each.seconds for each in found),
        bytes_up=sum(each.bytes_up for each in found) / returns,
        bytes_down=sum(each.bytes_down for each in found) / returns,
        hub_cpu_us=hub_s * 1e6 / returns,
        node_cpu_us=(all_s - hub_s) * 1e6 / returns,
        idle_hub_us_per_s=idle_hub_s * 1e6 / idle_for_s,
        idle_node_us_per_s=(idle_all_s - idle_hub_s) * 1e6 / idle_for_s / nodes,
    )
