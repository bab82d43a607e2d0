"""The story from its first act to its last, each act checked before the next begins."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from mithaq.cli.demo import checks, founding, issuing, life
from mithaq.cli.demo.cast import cast
from mithaq.cli.demo.listing import issue_list
from mithaq.cli.demo.result import Result
from mithaq.cli.demo.stage import CheckFailedError, Stage
from mithaq.cli.errors import CliError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str], None]
    Advance = Callable[[int], None]
    Between = Callable[[str, Stage], None]

SEED: Final = 20261121
# Raised where a node was down or a reader slow; the demo kills a node on purpose.
EXPECTED_ALARMS: Final = frozenset({"stale: sender or hub"})


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is played."""

    folder: Path
    records: int = 1000
    nodes: int = 3
    list_file: Path | None = None
    hub_database: str = ""


def new_stage(options: Options) -> Stage:
    """Return the stage, with nothing on it yet."""
    return Stage(
        folder=options.folder,
        records=options.records,
        roles=cast(options.nodes),
        rng=Random(SEED),  # noqa: S311 (made-up persons, no secret)
        hub_database=options.hub_database,
    )


def play(
    stage: Stage,
    options: Options,
    *,
    say: Say,
    advance: Advance,
    between: Between = lambda _act, _stage: None,
) -> Result:
    """Play the story; `between` is called after each act with its name.

    Returns the result with `ok` false and `failed` set where a check did not hold.
    """
    began = time.monotonic()
    result = Result()
    try:
        _acts(stage, options, result, say=say, advance=advance, between=between)
        result.ok = True
    except (CheckFailedError, CliError) as failure:
        result.failed = describe(failure)[0]
        say(result.failed)
    finally:
        result.seconds = round(time.monotonic() - began, 1)
    return result


def _acts(
    stage: Stage,
    options: Options,
    result: Result,
    *,
    say: Say,
    advance: Advance,
    between: Between,
) -> None:
    founding.found(stage, say)
    between("founded", stage)
    issued = issuing.Issued()
    if options.list_file is not None:
        issue_list(stage, issued, options.list_file, say, advance)
    else:
        issuing.issue_all(stage, issued, say, advance)
    issuing.refuse_arrest(stage, issued, say)
    between("issued", stage)
    result.issued, result.killed_at = issued.records, issued.killed_at
    result.opened = issuing.wait_opened(stage, issued)
    say(f"{issued.records} records issued, opened: {_counts(result.opened)}")
    result.held = issuing.wait_receipts(stage)
    between("opened", stage)
    if options.list_file is None:
        _life(stage, issued, result, say, between)
    life.suspend(stage, issued, say)
    result.denied = issued.denied
    between("suspended", stage)
    _final_checks(stage, issued, result, say)


def _life(stage: Stage, issued: issuing.Issued, result: Result, say: Say, between: Between) -> None:
    alert_id = life.hit(stage, issued, say)
    result.hits_confirmed = 1
    between("hit", stage)
    life.update(stage, issued, say)
    result.erased = life.withdraw(stage, issued, say)
    result.withdrawn = 1
    between("withdrawn", stage)
    result.audit_verified, result.reconciled = life.audit(stage, alert_id, say)
    if not (result.audit_verified and result.reconciled):
        raise CheckFailedError("the audit logs do not verify or do not reconcile")


def _final_checks(stage: Stage, issued: issuing.Issued, result: Result, say: Say) -> None:
    result.streams = checks.compare_roots(stage, say)
    result.roots_equal = True
    found = checks.search_hub(stage, issued, (life.JUSTIFICATION, life.CASE), say)
    result.plaintext_found_at_hub = len(found)
    if found:
        raise CheckFailedError(f"a record's text stands in {found[0].file} as {found[0].writing}")
    result.alarms = stage.alarms(besides=EXPECTED_ALARMS)
    if result.alarms:
        raise CheckFailedError(f"alarms: {', '.join(result.alarms)}")


def _counts(opened: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in opened.items())
