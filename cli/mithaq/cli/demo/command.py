"""`mithaq demo`."""

from __future__ import annotations

import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mithaq.cli.demo.cast import NODES_MAX, NODES_MIN
from mithaq.cli.demo.play import Options, new_stage, play
from mithaq.cli.demo.result import Result, print_members, print_next
from mithaq.cli.errors import EXIT_VERIFICATION, CliError
from mithaq.cli.output import json_option, print_json

if TYPE_CHECKING:
    from mithaq.cli.demo.stage import Stage


@click.command()
@click.option("--records", default=1000, show_default=True, type=click.IntRange(30, 1_000_000))
@click.option(
    "--nodes", default=NODES_MIN, show_default=True, type=click.IntRange(NODES_MIN, NODES_MAX)
)
@click.option(
    "--list",
    "list_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Issue the UN Security Council consolidated list (XML) instead of synthetic alerts.",
)
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=None)
@click.option("--keep", is_flag=True, help="Leave it running, and say how to talk to each part.")
@click.option("--hub-database", default="", help="PostgreSQL URL of the hub (MITHAQ_… or here).")
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
    """Play the whole story with a registrar, a hub and three or more nodes."""
    work = (folder or Path(tempfile.mkdtemp(prefix="mithaq-demo-"))).resolve()
    _check_empty(work)
    options = Options(work, records, nodes, list_file, hub_database)
    stage = new_stage(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = _play(stage, options)
        if not as_json and result.ok:
            print_members(stage, result)
        if keep and result.ok:
            _wait(stage)
    finally:
        stage.stop_all()
    if as_json:
        print_json("demo", result.as_json())
    _finish(work, result, made_here=folder is None and not keep)
    return 0 if result.ok else EXIT_VERIFICATION


def _check_empty(work: Path) -> None:
    if work.exists() and any(work.iterdir()):
        raise CliError(
            "MQ-CONFLICT-FOLDER",
            f"{work} is not empty",
            fix="name a new folder with --dir, or remove the old one",
        )
    work.mkdir(parents=True, exist_ok=True, mode=0o700)


def _play(stage: Stage, options: Options) -> Result:
    console = Console(stderr=True)
    columns = (
        TextColumn("records issued"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("records", total=options.records)
        return play(
            stage,
            options,
            say=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
            advance=lambda count: progress.advance(task, count),
        )


def _wait(stage: Stage) -> None:
    print_next(stage)
    click.echo("running; stop it with Ctrl-C", err=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("stopping", err=True)


def _finish(work: Path, result: Result, *, made_here: bool) -> None:
    if result.ok and made_here:
        shutil.rmtree(work)
        return
    click.echo(f"everything is in {work}", err=True)
