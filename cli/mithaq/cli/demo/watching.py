"""Waiting for what should come, with an eye on every node's alarms.

An alarm ends the wait at once and by its name: what it accuses will not come right by
waiting longer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mithaq.cli.demo.stage import Stage, Status, Statuses

# How long nothing at all may come, not how long all may take: machines differ.
STILL_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 0.1
# Each question costs every node an entry of its audit log.
POLL_SECONDS_PER_NODE: Final = 0.03


class CheckFailedError(Exception):
    """A check of the demo failed; `alarm` is its name, one of PROTOCOL 6 where it has one."""

    code = "MQ-DEMO-CHECK"

    def __init__(self, what: str, *, alarm: str = "") -> None:
        """Say what did not hold."""
        super().__init__(f"{alarm}: {what}" if alarm else what)
        self.alarm = alarm


def wait_until(
    stage: Stage,
    holds: Callable[[Statuses], bool],
    *,
    what: str,
    alarm: str = "",
    still_seconds: float = STILL_SECONDS_MAX,
) -> Statuses:
    """Wait until something holds, given the status of each node that answers.

    Raises CheckFailedError at the first alarm of any node, or when nothing has come to
    any of them for `still_seconds`.
    """
    reached: dict[str, tuple[int, ...]] = {}
    deadline = time.monotonic() + still_seconds
    while True:
        statuses = stage.statuses()
        check_alarms(stage, statuses)
        if holds(statuses):
            return statuses
        # A node that does not answer has come no further.
        now_reached = reached | {name: _reached(each) for name, each in statuses.items()}
        if now_reached != reached:
            reached, deadline = now_reached, time.monotonic() + still_seconds
        if time.monotonic() > deadline:
            raise CheckFailedError(f"it did not come about that {what}", alarm=alarm)
        time.sleep(POLL_SECONDS + POLL_SECONDS_PER_NODE * len(stage.members))


def _reached(status: Status) -> tuple[int, ...]:
    """Return how far a node is, in numbers that only grow; its own audit is none of them."""
    return (
        status.registry_size,
        sum(row.size for row in status.streams),
        sum(row.held_size + row.opened_size for row in status.readers),
        status.alerts_received,
        status.hits,
        status.erased,
        status.erasure_receipts,
    )


def check_alarms(stage: Stage, statuses: Statuses) -> None:
    """Raise CheckFailedError where a node has raised an alarm that nobody provoked."""
    for name, alarm, subject in _alarms(statuses):
        if alarm not in stage.expected_alarms and (name, alarm, subject) not in stage.known_alarms:
            raise CheckFailedError(f"raised by {name} ({subject})", alarm=alarm)


def note_alarms(stage: Stage) -> None:
    """Take the alarms that stand on a stage as known: what is played next did not raise them."""
    stage.known_alarms.update(_alarms(stage.statuses()))


def _alarms(statuses: Statuses) -> Iterator[tuple[str, str, str]]:
    for name, status in statuses.items():
        # Newest first; the first that was raised is what it began with.
        for row in reversed(status.alarms):
            yield name, row.name, row.subject
