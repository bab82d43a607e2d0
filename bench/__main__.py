"""`python -m bench`: measure, and write what was measured into the documentation."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from rich.console import Console
from rich.table import Table as Screen

from bench import machine, page, plan
from bench.machine import ROOT
from bench.plots import plots
from bench.result import Result
from bench.sizes import FULL, SHORT
from bench.tables import tables

RESULT_FILE: Final = ROOT / "build" / "bench.json"
PAGE_FILE: Final = ROOT / "docs" / "performance.md"
NAMES: Final = tuple(each.replace("_", "-") for each in plan.FIGURES)
_JSON = click.Path(dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Measure product and probe in turn on this machine."""


@main.command()
@click.option("--short", is_flag=True, help="Fewer rounds and records: under three minutes.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="Only this; may be repeated.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Rounds of product and probe.")
@click.option("--records", type=click.IntRange(256), help="Records of a round.")
@click.option("--stored", type=click.IntRange(1), multiple=True, help="Levels of the stores.")
@click.option("--readers", type=click.IntRange(1, 31), multiple=True, help="Readers at a time.")
@click.option("--nodes", type=click.IntRange(3, 32), help="Nodes that come back at once.")
@click.option("--cold-sync", type=click.IntRange(1), help="Live records when a party joins.")
@click.option("--out", type=_JSON, default=RESULT_FILE, help="Where the JSON goes.")
@click.option("--add", is_flag=True, help="Keep the other figures of that JSON.")
def run(*, short: bool, only: tuple[str, ...], out: Path, add: bool, **sizes: Any) -> None:  # noqa: ANN401 - numbers and tuples of them
    """Measure, show the figures, and keep them as JSON.

    Fails where it was asked for end to end, single records or catching up and could measure
    one of them not at all; whatever the figures are, they fail nothing.
    """
    form = replace(SHORT if short else FULL, **{name: each for name, each in sizes.items() if each})
    asked = {each.replace("-", "_") for each in only or NAMES}
    found = uvloop.run(plan.run(form, only=asked, folder=ROOT / "build", say=_say()))
    result = measured(found, command="make bench-short" if short else "make bench")
    if add and out.exists():
        result = Result.from_json(out.read_text(encoding="utf-8")).with_newer(result)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(result.to_json(), encoding="utf-8")
    show(result)
    click.echo(f"written to {out}")
    if missing := found.missing(asked):
        raise click.ClickException(f"not measured: {', '.join(missing)}")


@main.command()
@click.argument("result", type=_JSON, default=RESULT_FILE)
@click.option("--into", type=_JSON, default=PAGE_FILE, help="The page with the two marks.")
def report(*, result: Path, into: Path) -> None:
    """Write the figures of RESULT between the marks of a page, and pictures beside it."""
    read = Result.from_json(result.read_text(encoding="utf-8"))
    pictures = into.parent / page.PICTURES
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    for plot in plots(read):
        plot.draw(pictures)
    into.write_text(page.rewritten(into.read_text(encoding="utf-8"), read), encoding="utf-8")


def measured(found: plan.Found, *, command: str) -> Result:
    """Return what was found as the result of this machine and commit."""
    return Result(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=machine.commit(),
        command=command,
        machine=machine.describe(),
        not_measured=found.not_measured,
        **found.figures,
    )


def show(result: Result) -> None:
    """Show the figures as tables."""
    console = Console()
    for table in tables(result):
        screen = Screen(title=table.title, title_justify="left")
        for name in table.columns:
            screen.add_column(name)
        for row in table.rows:
            screen.add_row(*row)
        console.print(screen)


def _say() -> Callable[[str], None]:
    console = Console(stderr=True)
    return lambda text: console.print(f"… {text}")


if __name__ == "__main__":
    main()
