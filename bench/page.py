"""The figures in docs/performance.md: what stands between two marks is written anew.

The rule: the words around the marks are people's, and stay.
"""

from bench.plots import Plot, plots
from bench.result import Result
from bench.tables import Table, tables

BEGIN = "<!-- figures of `make bench`: begin -->"
END = "<!-- figures of `make bench`: end -->"


# Pictures stand in a folder beside the page.
PICTURES = "performance"


def rewritten(page: str, result: Result) -> str:
    """Return the page with the figures of a result; raise ValueError where a mark is missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n\n{figures(result)}\n{END}{tail}"


def figures(result: Result) -> str:
    """Return a run as Markdown."""
    parts = [_about(result), *map(_markdown, tables(result)), *map(_picture, plots(result))]
    return "\n".join(parts)


def _picture(plot: Plot) -> str:
    return f"![{plot.words}]({PICTURES}/{plot.name}.png)\n"


def _about(result: Result) -> str:
    machine = result.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return (
        f"Measured {result.at} at commit {result.commit} with `{result.command}` on "
        f"{machine.cores} cores of {machine.cpu}, {machine.ram_gib:.0f} GiB RAM, "
        f"{machine.kernel}, Python {machine.python}, {versions}.\n"
    )


def _markdown(table: Table) -> str:
    lines = [
        f"**{table.title}**",
        "",
        _row(table.columns),
        _row(["---"] * len(table.columns)),
        *map(_row, table.rows),
        "",
    ]
    return "\n".join(lines)


def _row(cells: "tuple[str, ...] | list[str]") -> str:
    return f"| {' | '.join(cells)} |"
