"""The hub's image has no `mithaq.node`, and is whole without it.

Plays the cut of docker/Dockerfile with the rooms as they stand: what the image leaves
away, and then everything that a hub is and what starts it, imported from what is left.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import rooms

DOCKERFILE = rooms.ROOT / "docker" / "Dockerfile"
# As in the image: one folder of rooms, and the packages; nothing of the tree.
PLAY = """
import pkgutil, sys
left, real, *portions = sys.argv[1:]
sys.path = [left, *(p for p in sys.path if p not in {f"{real}/{name}" for name in portions})]
import mithaq.cli.main, mithaq.cli.hub, mithaq.hub
for each in pkgutil.walk_packages(mithaq.hub.__path__, "mithaq.hub."):
    if "migrations" not in each.name:
        __import__(each.name)
assert not [name for name in sys.modules if name.startswith(("mithaq.node", "mithaq.registrar"))]
sys.exit(mithaq.cli.main.run(["hub", "--help"]))
"""


def left_out(image: str) -> list[str]:
    """Return what the Dockerfile removes from the rooms of an image."""
    text = DOCKERFILE.read_text("utf-8")
    found: list[str] = re.findall(rf"AS {image}-rooms\nRUN cd \S+/mithaq && rm -rf (.+)\n", text)
    (removed,) = found
    return removed.split()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return the rooms of the hub's image, in one folder."""
    for portion in rooms.PORTIONS:
        shutil.copytree(rooms.ROOT / portion, tmp_path, dirs_exist_ok=True)
    for each in left_out("hub"):
        shutil.rmtree(tmp_path / "mithaq" / each)
    return tmp_path


def play(image: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PLAY, image, rooms.ROOT, *rooms.PORTIONS],
        cwd=image,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_image_of_a_hub_is_cut_and_of_each_other_part_as_well() -> None:
    assert set(left_out("hub")) >= {"node", "registrar"}
    assert set(left_out("node")) >= {"hub", "registrar"}
    assert set(left_out("registrar")) >= {"hub", "node"}


def test_a_hub_is_whole_without_what_could_open_a_body(image: Path) -> None:
    assert not (image / "mithaq" / "node").exists()
    result = play(image)
    assert result.returncode == 0, result.stderr


def test_a_hub_that_needs_the_node_does_not_start_in_its_image(image: Path) -> None:
    rooms.plant(image, {"mithaq/hub/planted.py": "import mithaq.node.sealing.body\n"})
    result = play(image)
    assert result.returncode != 0
    assert "No module named 'mithaq.node'" in result.stderr
