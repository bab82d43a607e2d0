"""What a record costs when many are stored, and what coming back costs when nothing is new.

One federation grows from level to level; at the first and at the last all nodes come back.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.federation import Members
from bench.measures import product_throughput
from bench.product import POLL_S, Product, running_product
from bench.records import bulk_requests
from bench.result import Reconnect, Stored
from bench.returning import reconnect

FILL_RECORDS: Final = 8192


@dataclass(slots=True)
class Growth:
    """What was found so far: the cost at each level, and coming back at first and last."""

    costs: list[Stored] = field(default_factory=list[Stored])
    returns: list[Reconnect] = field(default_factory=list[Reconnect])


@dataclass(frozen=True, slots=True)
class Plan:
    """Levels to grow to, rounds and records of a measurement, and nodes that come back.

    With fewer than three nodes nobody comes back.
    """

    levels: Sequence[int]
    rounds: int
    records: int
    nodes: int

    @property
    def others(self) -> int:
        """Nodes beside sender and reader."""
        return max(0, self.nodes - 2)

    def comes_back(self, level: int) -> bool:
        """Tell whether nodes come back at a level."""
        return self.others > 0 and level in {self.levels[0], self.levels[-1]}


async def grow(
    folder: Path,
    plan: Plan,
    growth: Growth,
    *,
    say: Callable[[str], None],
    noting: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Measure at each level into `growth`, which keeps what was found before a fault.

    What goes wrong when nodes come back is noted by `noting("reconnect")` and no more.
    """
    async with running_product(folder, Members(others=plan.others)) as product:
        for level in plan.levels:
            say(f"{level:,} stored")
            await fill(product, level=level)
            played = [
                await product_throughput(product, records=plan.records) for _ in range(plan.rounds)
            ]
            growth.costs.append(Stored(stored=level, rounds=tuple(played)))
            if plan.comes_back(level):
                # Afterwards, because all processes are started anew and lose their peaks.
                say(f"{plan.nodes} nodes come back, {level:,} stored")
                with noting("reconnect"):
                    growth.returns.append(await reconnect(product, rounds=plan.rounds))


async def fill(product: Product, *, level: int) -> None:
    """Issue until so many records are at the reader."""
    with product.watch() as watch:
        while (there := watch.count()) < level:
            count = min(FILL_RECORDS, level - there)
            await product.send(bulk_requests(product.records.make(count)))
            await watch.until(there + count, every_s=POLL_S)
