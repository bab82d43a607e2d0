import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mithaq.node.local.access import Role
from tests.federation import Federation, standard_federation
from tests.local.house import House, settle

USERS = {
    "officer": Role.OFFICER,
    "supervisor": Role.DUTY_SUPERVISOR,
    "admin": Role.ADMINISTRATOR,
    "auditor": Role.AUDITOR,
    "kiosk": Role.SYSTEM,
}


@pytest.fixture
def federation() -> Federation:
    return standard_federation()


@pytest.fixture
async def house(federation: Federation, tmp_path: Path) -> AsyncIterator[House]:
    """Yield the node of tn-dgsn with a user of every role, its hub away."""
    async with settle(federation, "tn-dgsn", tmp_path / "node").served() as served:
        for user, role in USERS.items():
            if role is not Role.ADMINISTRATOR:
                await served.admit(user, role)
        yield served


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a source of ports of the loopback that were free a moment ago."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
