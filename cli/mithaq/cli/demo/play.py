"""The story from its first act to its last, each act checked before the next begins."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from mithaq.cli.demo import checks, founding, issuing, life
from mithaq.cli.demo.cast import cast
from mithaq.cli.demo.listing import issue_list
from mithaq.cli.demo.result import Result
from mithaq.cli.demo.stage import Stage
from mithaq.cli.demo.watching import CheckFailedError
from mithaq.cli.errors import CliError, describe
from mithaq.service.errors import MithaqError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Say = Callable[[str], None]
    Advance = Callable[[int], None]
    Between = Callable[[str, Stage], None]

SEED: Final = 20261121
# How often a node looks for what is overdue: short, so that it shows while the demo plays.
UPKEEP_SECONDS: Final = 1.0
UPKEEP_SECONDS_PER_NODE: Final = 0.5
# All agencies join within seconds of each other, and each asks twice.
ENROLMENTS_PER_MINUTE: Final = 600
# With many nodes on one machine a reader waits for its turn at a processor.
RECEIPT_SECONDS_PER_NODE: Final = 20


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is played."""

    folder: Path
    records: int = 1000
    nodes: int = 3
    hub_database: str = ""


def new_stage(options: Options) -> Stage:
    """Return the stage, with nothing on it yet."""
    upkeep = UPKEEP_SECONDS + UPKEEP_SECONDS_PER_NODE * (options.nodes - 3)
    return Stage(
        folder=options.folder,
        records=options.records,
        roles=cast(options.nodes),
        rng=Random(SEED),  # noqa: S311 (made-up persons, no secret)
        hub_database=options.hub_database,
        hub_settings={"MITHAQ_LIMITS__ENROLMENTS_PER_MINUTE_MAX": str(ENROLMENTS_PER_MINUTE)},
        node_settings={"MITHAQ_INTERVALS__UPKEEP_S": str(upkeep)},
        deadlines={"delivery_receipt": timedelta(seconds=RECEIPT_SECONDS_PER_NODE * options.nodes)},
    )


@dataclass(slots=True)
class Play:
    """One performance: what it is played on, what it says, and what it finds out."""

    stage: Stage
    list_file: Path | None
    say: Say
    advance: Advance
    result: Result
    # The alert that the hit is about: its path is what the auditors look at.
    hit_alert_id: str = ""

    def found(self) -> None:
        """Found the federation."""
        founding.found(self.stage, self.say)

    def issue(self) -> None:
        """Issue the records, kill a node meanwhile; one alert is refused."""
        if self.list_file is not None:
            issue_list(self.stage, self.list_file, self.say, self.advance)
        else:
            issuing.issue_all(self.stage, self.say, self.advance)
        issuing.refuse_arrest(self.stage, self.say)
        issued = self.stage.issued
        self.result.issued, self.result.killed_at = issued.records, issued.killed_at
        self.result.denied = issued.denied

    def open(self) -> None:
        """Wait until everybody has opened what is for them, and has signed that."""
        self.result.opened = issuing.wait_opened(self.stage)
        counts = ", ".join(f"{name} {count}" for name, count in self.result.opened.items())
        self.say(f"{self.stage.issued.records} records issued, opened: {counts}")
        self.result.held = issuing.wait_receipts(self.stage)

    def hit(self) -> None:
        """Look up a passport and confirm the match."""
        self.hit_alert_id = life.hit(self.stage, self.say)
        self.result.hits_confirmed += 1

    def update(self) -> None:
        """Update one alert."""
        life.update(self.stage, self.say)

    def withdraw(self) -> None:
        """Withdraw another one; it is erased."""
        self.result.erased = life.withdraw(self.stage, self.say)
        self.result.withdrawn += 1

    def audit(self) -> None:
        """Have auditors look, verify and reconcile."""
        verified, reconciled = life.audit(self.stage, self.hit_alert_id, self.say)
        self.result.audit_verified, self.result.reconciled = verified, reconciled
        if not (verified and reconciled):
            raise CheckFailedError("the audit logs do not verify or do not reconcile")

    def suspend(self) -> None:
        """Suspend the agreement."""
        life.suspend(self.stage, self.say)
        self.result.denied = self.stage.issued.denied

    def compare(self) -> None:
        """Compare roots at all ends."""
        self.result.streams = checks.compare_roots(self.stage, self.say)
        self.result.roots_equal = True

    def search(self) -> None:
        """Look for the records' texts at the hub."""
        texts = (life.JUSTIFICATION, life.CASE)
        found = checks.search_hub(self.stage, texts, self.say)
        self.result.plaintext_found_at_hub = len(found)
        if found:
            raise CheckFailedError(
                f"a text of a record stands in {found[0].file} as {found[0].writing}",
                alarm="plaintext at the hub",
            )

    def end(self) -> None:
        """Make sure that nobody has raised an alarm."""
        checks.check_quiet(self.stage)


ACTS: Final[Mapping[str, Callable[[Play], None]]] = {
    "found": Play.found,
    "issue": Play.issue,
    "open": Play.open,
    "hit": Play.hit,
    "update": Play.update,
    "withdraw": Play.withdraw,
    "audit": Play.audit,
    "suspend": Play.suspend,
    "compare": Play.compare,
    "search": Play.search,
    "end": Play.end,
}


def play(
    stage: Stage,
    *,
    list_file: Path | None = None,
    say: Say,
    advance: Advance = lambda _count: None,
    between: Between = lambda _act, _stage: None,
    acts: Sequence[str] = tuple(ACTS),
) -> Result:
    """Play the story, or some acts of it; `between` is called after each with its name.

    Returns the result, with `ok` false and `failed` set where a check did not hold.
    """
    began = time.monotonic()
    performance = Play(stage, list_file, say, advance, Result())
    result = performance.result
    try:
        for name in acts:
            ACTS[name](performance)
            between(name, stage)
        result.ok = True
    except (CheckFailedError, CliError, MithaqError) as failure:
        result.failed = str(failure)
        result.alarm = getattr(failure, "alarm", "")
        say(describe(failure)[0])
    finally:
        result.seconds = round(time.monotonic() - began, 1)
    return result
