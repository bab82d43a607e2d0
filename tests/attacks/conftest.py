"""Three members' nodes behind an evil hub."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.attacks.world import CAIRO, GENEVA, TUNIS, World, world_in


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path, CAIRO, TUNIS, GENEVA) as world:
        yield world


@pytest.fixture
async def league(tmp_path: Path) -> AsyncIterator[World]:
    """Cairo and Tunis; Geneva has no honest node, and may be in league with the hub."""
    async with world_in(tmp_path, CAIRO, TUNIS) as world:
        yield world
