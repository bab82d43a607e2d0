"""What a record costs when many are stored, and what coming back costs when nothing is new.

One federation grows from level to level; at the first and at the last all nodes come back.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bench.federation import Members
from bench.measures import product_throughput
from bench.product import POLL_S, Product, running_product
from bench.records import bulk_requests
from bench.result import Reconnect, Stored
from bench.returning import reconnect

FILL_RECORDS: Final = 8192


async def growth(
    folder: Path,
    *,
    levels: Sequence[int],
    rounds: int,
    records: int,
    nodes: int,
    say: Callable[[str], None],
) -> tuple[list[Stored], list[Reconnect]]:
    """Return the cost of a record at each level, and of coming back at first and last.

    With fewer than three `nodes` nobody comes back.
    """
    costs: list[Stored] = []
    returns: list[Reconnect] = []
    others = max(0, nodes - 2)
    async with running_product(folder, Members(others=others)) as product:
        for level in levels:
            say(f"{level:,} stored")
            await fill(product, level=level)
            played = [await product_throughput(product, records=records) for _ in range(rounds)]
            costs.append(Stored(stored=level, rounds=tuple(played)))
            if others and level in {levels[0], levels[-1]}:
                # Afterwards, because processes that are started anew have no peaks.
                say(f"{nodes} nodes come back, {level:,} stored")
                returns.append(await reconnect(product, rounds=rounds))
    return costs, returns


async def fill(product: Product, *, level: int) -> None:
    """Issue until so many records are at the reader."""
    with product.watch() as watch:
        while (there := watch.count()) < level:
            count = min(FILL_RECORDS, level - there)
            await product.send(bulk_requests(product.records.make(count)))
            await watch.until(there + count, every_s=POLL_S)
