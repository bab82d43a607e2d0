"""What the tests of this room share: a federation with a hub and two members, and a server."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.federation import Federation
from tests.service.wire import Wire, running


@pytest.fixture(scope="session")
def _founded() -> Federation:
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol("eg-moi", "tn-dgsn")
    return federation


@pytest.fixture
def federation(_founded: Federation) -> Federation:
    """Return a federation whose registry is the test's own; keys are shared."""
    return replace(_founded, registry=_founded.registry.copy(), leaves=list(_founded.leaves))


@pytest.fixture
async def wire(federation: Federation) -> AsyncIterator[Wire]:
    """Yield a running server."""
    async with running(federation) as started:
        yield started
