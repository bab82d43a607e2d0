"""`mithaq demo`."""

from __future__ import annotations

import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mithaq.cli.demo.cast import NODES_MAX, NODES_MIN
from mithaq.cli.demo.play import ACTS, Options, new_stage, play
from mithaq.cli.demo.result import print_members, print_next, print_parts
from mithaq.cli.errors import EXIT_VERIFICATION, CliError
from mithaq.cli.output import fit, json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import FrameType

    from mithaq.cli.demo.result import Result
    from mithaq.cli.demo.stage import Stage

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option(
    "--records",
    default=1000,
    show_default=True,
    type=click.IntRange(30, 1_000_000),
    help="How many synthetic alerts are issued, by all agencies together.",
)
@click.option(
    "--nodes",
    default=NODES_MIN,
    show_default=True,
    type=click.IntRange(NODES_MIN, NODES_MAX),
    help="How many agencies take part, each with a node of its own.",
)
@click.option(
    "--list",
    "list_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Issue the UN Security Council consolidated list (XML) instead of synthetic alerts.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where everything is kept: a new or empty folder. Otherwise it is removed at the end.",
)
@click.option("--keep", is_flag=True, help="Leave it running, and say how to talk to each part.")
@click.option(
    "--hub-database",
    default="",
    help="PostgreSQL URL of an empty database for the hub; SQLite if absent.",
)
@json_option
def demo(
    *,
    records: int,
    nodes: int,
    list_file: Path | None,
    folder: Path | None,
    keep: bool,
    hub_database: str,
    as_json: bool,
) -> int:
    """Play the whole story with a registrar, a hub and three or more nodes.

    A federation is founded, agencies join and sign an agreement, alerts are issued, one is
    found, updated, withdrawn; auditors look, and the agreement is suspended. Every act is
    checked; the first check that fails ends it. All data are made up.
    """
    work = (folder or Path(tempfile.mkdtemp(prefix="mithaq-demo-"))).resolve()
    _check_empty(work)
    stage = new_stage(Options(work, records, nodes, hub_database))
    unneeded = False
    with _interruptible(stage):
        try:
            with _stopped_at_the_end(stage, keep=keep):
                exit_code = perform(stage, list_file=list_file, keep=keep, as_json=as_json)
            unneeded = exit_code == 0
        except KeyboardInterrupt:
            unneeded = True
            raise
        finally:
            _leave(work, remove=unneeded and folder is None and not keep)
    return exit_code


def _leave(work: Path, *, remove: bool) -> None:
    """Remove the folder, or say where it is: it holds keys and a passphrase."""
    if remove:
        shutil.rmtree(work)
    else:
        click.echo(f"everything is in {work}", err=True)


def perform(
    stage: Stage,
    *,
    list_file: Path | None = None,
    keep: bool = False,
    as_json: bool = False,
    between: Callable[[str, Stage], None] = lambda _act, _stage: None,
    acts: Sequence[str] = tuple(ACTS),
) -> int:
    """Play acts on a stage, print what came out, and return the exit code."""
    result = _play(stage, list_file, between=between, acts=acts)
    if as_json:
        print_json("demo", result.as_json())
    elif result.ok:
        print_members(stage, result)
        print_next(stage, kept=keep)
    return 0 if result.ok else EXIT_VERIFICATION


def _check_empty(work: Path) -> None:
    if work.exists() and any(work.iterdir()):
        raise CliError(
            "MQ-CONFLICT-FOLDER",
            f"{work} is not empty",
            fix="name a new folder with --dir, or remove the old one",
        )
    work.mkdir(parents=True, exist_ok=True, mode=0o700)


@contextmanager
def _interruptible(stage: Stage) -> Generator[None]:
    """Take Ctrl-C and its like as the wish to stop; ignore them once things are stopping."""

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if not stage.is_closed:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupted) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stopped_at_the_end(stage: Stage, *, keep: bool) -> Generator[None]:
    """Stop all processes, however it ends; with `keep` leave them unless something was raised."""
    kept = False
    try:
        yield
        kept = keep
        if kept:
            print_parts(stage)
    finally:
        if not kept:
            stage.stop()


def _play(
    stage: Stage,
    list_file: Path | None,
    *,
    between: Callable[[str, Stage], None],
    acts: Sequence[str],
) -> Result:
    console = Console(stderr=True)
    columns = (
        TextColumn("records issued"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("records", total=stage.records)
        return play(
            stage,
            list_file=list_file,
            say=lambda line: console.print(
                fit(line), markup=False, highlight=False, soft_wrap=True
            ),
            advance=lambda count: progress.advance(task, count),
            between=between,
            acts=acts,
        )
