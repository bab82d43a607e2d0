"""What the hub does by itself: sweep bodies, write and sign its audit log, notice old backlogs.

Each chore is one loop that survives a failure and says so. The rules: a chore looks before
it writes, so that an idle hub's writer is idle; it never runs inside the exchange's
transactions; and it never keeps what is being erased readable on disk.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from mithaq.hub.bench import forget_old_quotas
from mithaq.hub.context import HubContext
from mithaq.hub.directory import HeldStream
from mithaq.hub.receipts import OPENED
from mithaq.hub.sweeping import erase_expired, erase_opened, has_expired, oldest_body_at
from mithaq.service.logging import declare, logger
from mithaq.store.errors import StoreBusyError, StoreError

CHORE_FAILED = declare("chore failed", "chore")
ERASED_FROM = ("hub_body",)


class Housekeeping:
    """The chores of one hub."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub
        # What each stream's readers had signed, at what registry size, when nothing was left.
        self._swept: dict[int, tuple[int, ...]] = {}

    def loops(self) -> list[Awaitable[None]]:
        """Return the chores as loops, to be run until cancelled."""
        intervals = self._hub.intervals
        return [
            self._again(self.sweep, every_s=intervals.sweep_s),
            self._again(self.keep_journal, every_s=intervals.audit_checkpoint_s),
            self._again(self.clear_disk, every_s=intervals.clear_s),
            self._again(self.prune, every_s=intervals.prune_s),
        ]

    async def sweep(self) -> None:
        """Erase what all have opened and what has expired."""
        for stream in self._hub.directory:
            if self._hub.directory.stored_bytes(stream.log_no):
                await self._sweep_opened(stream)
        await self._sweep_expired()

    async def keep_journal(self) -> None:
        """Write what waits for the audit log, then sign the log if it has grown."""
        hub = self._hub
        if hub.strangers:
            await hub.keep_strangers()
        if hub.journal.has_waiting:
            await hub.database.write(hub.journal.write)
        if await hub.database.read(hub.journal.has_grown):
            await hub.database.write(partial(hub.journal.sign, keys=hub.keys))

    async def clear_disk(self) -> None:
        """Make what was erased unreadable in what the database keeps on disk."""
        if not self._hub.erased:
            return
        try:
            await asyncio.to_thread(self._hub.database.truncate_wal, tables=ERASED_FROM)
        except StoreBusyError:
            # A reader still looks at the old pages; the next time will do.
            return
        self._hub.erased = False

    async def prune(self) -> None:
        """Find senders whose backlog is too old; forget old decisions and counts."""
        hub = self._hub
        limit = timedelta(days=hub.limits.backlog_age_days_max)
        before = (hub.clock() - limit).timestamp()
        overdue: set[str] = set()
        for stream in hub.directory:
            if hub.directory.stored_bytes(stream.log_no):
                at = await hub.database.read(partial(oldest_body_at, log_no=stream.log_no))
                if at is not None and at < before:
                    overdue.add(stream.sender)
        hub.overdue_senders = overdue
        await hub.database.write(hub.desk.forget_decided)
        await hub.database.write(partial(forget_old_quotas, at=hub.clock()))

    async def _sweep_opened(self, stream: HeldStream) -> None:
        hub = self._hub
        signed = (
            hub.registry.size,
            *(hub.directory.signed_size(stream.log_no, each, OPENED) for each in stream.audience),
        )
        if self._swept.get(stream.log_no) == signed:
            return
        erase = partial(erase_opened, stream=stream, directory=hub.directory, registry=hub.registry)
        while (swept := await hub.database.write(erase)).freed_bytes:
            hub.directory.note_swept(stream.log_no, swept.freed_bytes, end=swept.end)
            hub.erased = True
        self._swept[stream.log_no] = signed

    async def _sweep_expired(self) -> None:
        hub = self._hub
        expired_at = hub.expired_at()
        while await hub.database.read(partial(has_expired, expired_at=expired_at)):
            freed = await hub.database.write(partial(erase_expired, expired_at=expired_at))
            hub.directory.note_erased(freed)
            hub.erased = True

    async def _again(self, chore: Callable[[], Awaitable[None]], *, every_s: float) -> None:
        while True:
            try:
                await chore()
            except StoreError as error:
                logger().warning(CHORE_FAILED, chore=chore.__name__, exc_info=error)
            await asyncio.sleep(every_s)
