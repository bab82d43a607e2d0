"""The rooms import one way, and nothing gets round the contracts that say so.

Each lock is shown to bite: the same checker under the same configuration refuses rooms
with a violation planted in them.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture import rooms

# The editable install puts the real rooms on the path; only those of the root may be seen.
CHECK = """
import sys
root, real, *portions = sys.argv[1:]
sys.path = [p for p in sys.path if p not in {f"{real}/{name}" for name in portions}]
sys.path[:0] = [f"{root}/{name}" for name in portions]
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=f"{root}/pyproject.toml", no_cache=True, no_logo=True))
"""

ROOM_DOCSTRING = '"""A room."""\n'


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHECK, root, rooms.ROOT, *rooms.PORTIONS],
        cwd=root,
        env={**os.environ, "COLUMNS": "1000"},  # no line is wrapped
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def empty_rooms(tmp_path: Path) -> Path:
    """Return rooms with a package each and nothing in it, under the real configuration."""
    shutil.copy(rooms.ROOT / "pyproject.toml", tmp_path)
    packages = {f"{room}/mithaq/{room}/__init__.py": ROOM_DOCSTRING for room in rooms.ROOMS}
    return rooms.plant(tmp_path, packages)


def test_the_rooms_keep_their_contracts() -> None:
    result = contracts(rooms.ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_rooms_that_import_nothing_are_not_refused(empty_rooms: Path) -> None:
    result = contracts(empty_rooms)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        pytest.param(
            "hub/mithaq/hub/planted.py",
            "import mithaq.node\n",
            "mithaq.hub is not allowed to import mithaq.node",
            id="the hub imports the node",
        ),
        pytest.param(
            "node/mithaq/node/planted.py",
            "def late():\n    from mithaq import hub\n",
            "mithaq.node is not allowed to import mithaq.hub",
            id="the node imports the hub, within a function",
        ),
        pytest.param(
            "hub/mithaq/hub/planted.py",
            "from mithaq.registrar import authority\n",
            "mithaq.hub is not allowed to import mithaq.registrar",
            id="the hub imports the registrar, who holds the issuing authority",
        ),
        pytest.param(
            "ledger/mithaq/ledger/planted.py",
            "import mithaq.agreements\n",
            "mithaq.ledger is not allowed to import mithaq.agreements",
            id="one pure room imports the other",
        ),
        pytest.param(
            "certs/mithaq/certs/planted.py",
            "import mithaq.store\n",
            "mithaq.certs is not allowed to import mithaq.store",
            id="an import goes up",
        ),
        pytest.param(
            "hub/mithaq/hub/planted.py",
            "from cryptography.hazmat.primitives import hashes\n",
            "mithaq.hub.planted -> cryptography",
            id="the hub imports cryptography itself",
        ),
        pytest.param(
            "ledger/mithaq/ledger/planted.py",
            "import sqlalchemy\n",
            "mithaq.ledger.planted -> sqlalchemy",
            id="a pure room imports a database",
        ),
        pytest.param(
            "cli/mithaq/extra/__init__.py",
            ROOM_DOCSTRING,
            "mithaq.extra",
            id="a package that no contract knows",
        ),
    ],
)
def test_a_planted_import_is_refused(empty_rooms: Path, file: str, text: str, said: str) -> None:
    result = contracts(rooms.plant(empty_rooms, {file: text}))
    assert result.returncode == 1
    assert said in " ".join(result.stdout.split())


# From the top: each may import those of later lines, and no other.
LAYERS = (
    ("cli",),
    ("hub", "node", "registrar"),
    ("service",),
    ("store",),
    ("certs",),
    ("ledger", "agreements"),
    ("v1",),
)
LEVELS = {room: level for level, layer in enumerate(LAYERS) for room in layer}


def planted_imports(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return a module for each pair in which the first room imports the second."""
    return {
        f"{'protos' if importer == 'v1' else importer}/mithaq/{importer}/planted_{imported}.py": (
            f"import mithaq.{imported}\n"
        )
        for importer, imported in pairs
    }


def test_every_room_may_import_every_room_below_it(empty_rooms: Path) -> None:
    down = [(one, two) for one in LEVELS for two in LEVELS if LEVELS[one] < LEVELS[two]]
    rooms.plant(empty_rooms, {"protos/mithaq/v1/planted.py": ROOM_DOCSTRING})
    result = contracts(rooms.plant(empty_rooms, planted_imports(down)))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("importer", LEVELS)
def test_no_room_may_import_one_beside_or_above_it(empty_rooms: Path, importer: str) -> None:
    level = LEVELS[importer]
    forbidden = [each for each in LEVELS if each != importer and LEVELS[each] <= level]
    pairs = [(importer, each) for each in forbidden]
    result = contracts(rooms.plant(empty_rooms, planted_imports(pairs)))
    assert result.returncode == (1 if pairs else 0)
    said = " ".join(result.stdout.split())
    unsaid = [
        each
        for each in forbidden
        if f"mithaq.{importer} is not allowed to import mithaq.{each}" not in said
    ]
    assert unsaid == []


@pytest.mark.parametrize("room", ["hub", "service", "store", "agreements"])
def test_no_part_of_the_hub_but_certs_and_ledger_imports_cryptography(
    empty_rooms: Path, room: str
) -> None:
    text = "def late():\n    from cryptography.hazmat.primitives import hashes\n"
    result = contracts(rooms.plant(empty_rooms, {f"{room}/mithaq/{room}/planted.py": text}))
    assert result.returncode == 1
    assert f"mithaq.{room}.planted -> cryptography" in " ".join(result.stdout.split())


@pytest.mark.parametrize("room", ["certs", "ledger"])
def test_certs_and_ledger_may_import_cryptography(empty_rooms: Path, room: str) -> None:
    text = "from cryptography.hazmat.primitives import hashes\n"
    result = contracts(rooms.plant(empty_rooms, {f"{room}/mithaq/{room}/planted.py": text}))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "text",
    [
        'import importlib\n\nimportlib.import_module("mithaq.node")\n',
        'from importlib import import_module\n\nimport_module("mithaq.node")\n',
        'import importlib as i\n\ni.__import__("mithaq.node")\n',
        'import builtins\n\nbuiltins.__import__("mithaq.node")\n',
        'import runpy\n\nrunpy.run_module("mithaq.node")\n',
        'from pkgutil import resolve_name\n\nresolve_name("mithaq.node")\n',
        'import importlib.util\n\nimportlib.util.find_spec("mithaq.node")\n',
        'from importlib.machinery import SourceFileLoader\n\nSourceFileLoader("a", "b.py")\n',
        "from unittest.mock import Mock\n\nMock()\n",
    ],
)
def test_ruff_refuses_an_import_that_the_contracts_cannot_see(tmp_path: Path, text: str) -> None:
    shutil.copy(rooms.ROOT / "pyproject.toml", tmp_path)
    rooms.plant(tmp_path, {"hub/mithaq/hub/planted.py": text})
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", "."],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "TID251" in result.stdout
