"""How the tree is laid out: the namespace, the sizes, what is imported and shipped."""

import ast
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture import rooms

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

MODULES = rooms.modules(root=rooms.ROOT)
# Alembic runs these by their path, inside a migration; the store's tests migrate.
IMPORTABLE = {name: path for name, path in MODULES.items() if "migrations" not in path.parts}


def test_no_file_closes_a_namespace_that_the_rooms_share() -> None:
    assert closed_namespaces(rooms.ROOT) == []


@pytest.mark.parametrize(
    "file", ["hub/mithaq/__init__.py", "protos/mithaq/v1/__init__.py", "protos/buf/__init__.py"]
)
def test_a_planted_file_that_closes_a_namespace_is_found(tmp_path: Path, file: str) -> None:
    rooms.plant(tmp_path, {"hub/mithaq/hub/__init__.py": "", file: ""})
    assert closed_namespaces(tmp_path) == [file]


def closed_namespaces(root: Path) -> list[str]:
    shared = ["mithaq", "mithaq/v1", "buf", "buf/validate"]
    return [
        str(path.relative_to(root))
        for portion in rooms.PORTIONS
        for folder in shared
        if (path := root / portion / folder / "__init__.py").exists()
    ]


@pytest.mark.parametrize("room", rooms.ROOMS)
def test_a_room_holds_one_package_that_says_what_it_is_for(room: str) -> None:
    folder = rooms.ROOT / room / "mithaq"
    packages = sorted(path.parent.name for path in folder.glob("*/*.py"))
    if not packages:  # Nothing is in the room yet: nothing to ask of it.
        return
    assert set(packages) == {room}
    assert ast.get_docstring(ast.parse((folder / room / "__init__.py").read_text("utf-8")))


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = {
        str(path.relative_to(rooms.ROOT)): lines
        for path in rooms.sources(root=rooms.ROOT)
        if (lines := len(path.read_text("utf-8").splitlines())) >= FILE_LINES_MAX
    }
    assert long == {}


def test_a_function_fits_a_screen() -> None:
    assert long_functions(rooms.ROOT) == []


def test_a_function_of_a_line_too_many_is_found(tmp_path: Path) -> None:
    body = "    x = 1\n"
    rooms.plant(
        tmp_path,
        {
            "hub/mithaq/hub/fits.py": "def fits():\n" + body * (FUNCTION_LINES_MAX - 1),
            "hub/mithaq/hub/long.py": "async def long():\n" + body * FUNCTION_LINES_MAX,
        },
    )
    assert long_functions(tmp_path) == ["hub/mithaq/hub/long.py:1 long has 61 lines"]


def long_functions(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{node.lineno} {node.name} has {lines} lines"
        for path in rooms.sources(root=root)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


@pytest.mark.parametrize("name", sorted(IMPORTABLE))
def test_every_module_can_be_imported(name: str) -> None:
    importlib.import_module(name)  # noqa: TID251 (that each name imports is the question)


def test_every_module_is_imported_by_a_test_of_what_it_does() -> None:
    assert untested(rooms.ROOT) == []


def test_a_planted_module_that_no_test_imports_is_found(tmp_path: Path) -> None:
    rooms.plant(
        tmp_path,
        {
            "hub/mithaq/hub/seen.py": "from mithaq.ledger import below\n",
            "hub/mithaq/hub/unseen.py": "",
            "ledger/mithaq/ledger/below.py": "",
            "tests/hub/test_seen.py": "from mithaq.hub.seen import thing\n",
            # That it can be imported is no test of what it does.
            "tests/architecture/test_layout.py": "import mithaq.hub.unseen\n",
        },
    )
    assert untested(tmp_path) == ["mithaq.hub.unseen"]


def untested(root: Path) -> list[str]:
    modules = rooms.modules(root=root)
    tests = {
        str(path): path
        for path in rooms.sources(root=root, folders=("tests",))
        if path.parent != root / "tests" / "architecture"
    }
    written = {
        name
        for name, path in modules.items()
        if not rooms.is_generated(path) and "migrations" not in path.parts
    }
    return sorted(written - set(rooms.closure(tests, within=modules)))


def test_the_wheel_carries_every_file_of_every_room_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=rooms.ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == {
        str(path.relative_to(rooms.ROOT / portion))
        for portion in rooms.PORTIONS
        for namespace in ("mithaq", "buf")
        for path in (rooms.ROOT / portion / namespace).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
