"""What the hub does by itself: sweep bodies, write and sign its audit log, notice old backlogs.

Each chore is one loop that survives a failure and says so. The rule: a chore never runs
inside the exchange's transactions, and never keeps what is being erased readable on disk.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from mithaq.hub.context import HubContext
from mithaq.hub.sweeping import erase_expired, erase_opened, oldest_body_at
from mithaq.service.logging import declare, logger
from mithaq.store.errors import StoreBusyError, StoreError

CHORE_FAILED = declare("chore failed", "chore")
AGE_CHECKED_S = 60.0
ERASED_FROM = ("hub_body",)


class Housekeeping:
    """The chores of one hub."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub

    def loops(self) -> list[Awaitable[None]]:
        """Return the chores as loops, to be run until cancelled."""
        intervals = self._hub.intervals
        return [
            self._again(self.sweep, every_s=intervals.sweep_s),
            self._again(self.keep_journal, every_s=intervals.audit_checkpoint_s),
            self._again(self.note_overdue, every_s=AGE_CHECKED_S),
        ]

    async def sweep(self) -> None:
        """Erase what all have opened and what has expired; then clear it from the disk."""
        hub = self._hub
        for stream in hub.directory:
            while hub.directory.stored_bytes(stream.log_no):
                erase = partial(
                    erase_opened, stream=stream, directory=hub.directory, registry=hub.registry
                )
                freed = await hub.database.write(erase)
                if not freed:
                    break
                hub.directory.note_erased({stream.log_no: freed})
                hub.erased = True
        await self._sweep_expired()
        if hub.erased:
            await self._clear_disk()

    async def keep_journal(self) -> None:
        """Write what waits for the audit log, then sign the log if it has grown."""
        hub = self._hub
        if hub.journal.has_waiting:
            await hub.database.write(hub.journal.write)
        # PROTOCOL 1.5: in a transaction of its own, so that only what is durable is signed.
        await hub.database.write(lambda each: hub.journal.sign_if_grown(each, keys=hub.keys))

    async def note_overdue(self) -> None:
        """Find the senders whose oldest waiting body is older than the limit allows."""
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

    async def _sweep_expired(self) -> None:
        hub = self._hub
        expired_at = hub.expired_at()
        while freed := await hub.database.write(
            lambda each: erase_expired(each, expired_at=expired_at)
        ):
            hub.directory.note_erased(freed)
            hub.erased = True

    async def _clear_disk(self) -> None:
        try:
            await asyncio.to_thread(self._hub.database.truncate_wal, tables=ERASED_FROM)
        except StoreBusyError:
            # A reader still looks at the old pages; the next sweep tries again.
            return
        self._hub.erased = False

    async def _again(self, chore: Callable[[], Awaitable[None]], *, every_s: float) -> None:
        while True:
            try:
                await chore()
            except StoreError as error:
                logger().warning(CHORE_FAILED, chore=chore.__name__, exc_info=error)
            await asyncio.sleep(every_s)
