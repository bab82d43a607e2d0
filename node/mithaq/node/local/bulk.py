"""How much one user reads: counted an hour back, and stopped when it becomes a harvest.

An officer looks up people one at a time; somebody who copies a watchlist does not
(DESIGN 11, DOMAIN 4 T19). The count outlives a restart, because it is seeded from the
audit log. The rule: a refused look counts too, so that trying again does not help.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from grpc import StatusCode

from mithaq.node.config import NodeLimits
from mithaq.node.local.access import Caller, Role
from mithaq.service.errors import MithaqError
from mithaq.store.audit import ENTRIES_PER_ANSWER_MAX, AuditFilter, AuditLog
from mithaq.store.audit_entry import Operation

WINDOW: Final = timedelta(hours=1)


class Look(StrEnum):
    """What is counted."""

    SEARCH = "search"
    SHOW = "show"


class BulkReadError(MithaqError):
    """A user has looked more often in an hour than the node's limits allow."""

    code = "MQ-LIMIT-BULK-READ"
    public_message = "You have looked at more records in an hour than is allowed."
    fix = "Wait, or ask your supervisor; the attempt was logged and an alarm was raised."
    grpc_status = StatusCode.RESOURCE_EXHAUSTED


@dataclass(frozen=True, slots=True)
class Looked:
    """One look that was logged: who, what and when."""

    user: str
    look: Look
    at: datetime


_LOOKS: Final = {Operation.SEARCH: Look.SEARCH, Operation.CONSULT: Look.SHOW}


def recent_looks(connection: sa.Connection, audit: AuditLog, *, at: datetime) -> list[Looked]:
    """Return the looks of the last hour that the audit log holds; at start."""
    looks: list[Looked] = []
    before: int | None = None
    while True:
        found = audit.read(connection, AuditFilter(since=at - WINDOW), before=before)
        looks += [
            Looked(entry.actor, _LOOKS[entry.operation], entry.at)
            for _, entry in found.rows
            # Lists and traces are logged as consulting as well, without a purpose.
            if entry.operation in _LOOKS and entry.purpose
        ]
        if found.next_before is None or len(found.rows) < ENTRIES_PER_ANSWER_MAX:
            return looks
        before = found.next_before


class BulkWatch:
    """Looks of the last hour, by user. For one event loop; nothing in it waits."""

    def __init__(self, limits: NodeLimits, seed: Iterable[Looked] = ()) -> None:
        self._limits = limits
        self._looks: defaultdict[tuple[str, Look], deque[datetime]] = defaultdict(deque)
        for each in sorted(seed, key=lambda looked: looked.at):
            self._looks[each.user, each.look].append(each.at)

    def count(self, caller: Caller, look: Look, *, at: datetime) -> None:
        """Count a look; raise BulkReadError if it is one too many for the hour."""
        looks = self._looks[caller.user, look]
        while looks and at - looks[0] >= WINDOW:
            looks.popleft()
        allowed = self._allowed(caller.role, look)
        # Beyond twice the limit nothing is added: the memory of a loop is bounded too.
        if len(looks) < 2 * allowed:
            looks.append(at)
        if len(looks) > allowed:
            raise BulkReadError(
                f"{look} of {caller.user} number {len(looks)} within the hour, {allowed} allowed",
                retry_after=looks[0] + WINDOW - at,
            )

    def _allowed(self, role: Role, look: Look) -> int:
        limits = self._limits
        if role is Role.SYSTEM:
            search, show = limits.searches_per_system_per_hour, limits.shows_per_system_per_hour
        else:
            search, show = limits.searches_per_user_per_hour, limits.shows_per_user_per_hour
        return search if look is Look.SEARCH else show
