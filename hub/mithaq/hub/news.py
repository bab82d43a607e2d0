"""A bell: rung after something has changed, it wakes whoever waits, each time anew."""

import asyncio


class News:
    """Wakes all waiters at once; who comes later waits for the next ring."""

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake all who wait now."""
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def wait(self) -> None:
        """Return at the next ring."""
        await self._rung.wait()
