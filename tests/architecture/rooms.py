"""The rooms as files and syntax trees, for the tests that read code without running it.

Works on any folder that is laid out like the repository, so that a test can plant
a violation in a copy and see it caught.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("ledger", "agreements", "certs", "store", "service", "hub", "node", "registrar", "cli")
# The generated wire code is a portion of the namespace as well.
PORTIONS = ("protos", *ROOMS)
WRITTEN_BY_HAND = (*PORTIONS, "tests", "bench")


def is_generated(path: Path) -> bool:
    return path.stem.endswith(("_pb2", "_pb2_grpc", "record_values"))


def sources(*, root: Path, folders: tuple[str, ...] = WRITTEN_BY_HAND) -> Iterator[Path]:
    """Yield the Python files below the folders, generated code left out."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            if not is_generated(path):
                yield path


def modules(*, root: Path) -> dict[str, Path]:
    """Return every module of the namespace by its dotted name, generated ones included."""
    found: dict[str, Path] = {}
    for portion in PORTIONS:
        for path in sorted((root / portion / "mithaq").rglob("*.py")):
            parts = path.relative_to(root / portion).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_names(path: Path) -> Iterator[str]:
    """Yield what a file imports, as dotted names of modules or of names in them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(start: Mapping[str, Path], *, within: Mapping[str, Path]) -> dict[str, Path]:
    """Return the modules that these files import, and what those import, and so on."""
    reached: dict[str, Path] = {}
    waiting = list(start.values())
    while waiting:
        for name in imported_names(waiting.pop()):
            # Importing a.b.c runs a and a.b first.
            for parent in _with_parents(name):
                if parent in within and parent not in reached:
                    reached[parent] = within[parent]
                    waiting.append(within[parent])
    return reached


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def plant(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder and return the folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
