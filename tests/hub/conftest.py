"""What the hub's tests start from: three agencies with one agreement, and a hub's core."""

from collections.abc import Iterator

import pytest

from tests.federation import Federation, standard_federation
from tests.hub.core import Core


@pytest.fixture
def federation() -> Federation:
    """Return eg-moi, tn-dgsn and int-iom, who may all share with one another."""
    return standard_federation()


@pytest.fixture
def core(federation: Federation, sqlite_url: str) -> Iterator[Core]:
    """Return the inside of a hub on SQLite."""
    opened = Core.open(federation, sqlite_url)
    yield opened
    opened.database.close()


@pytest.fixture
def core_of_each(federation: Federation, database_url: str) -> Iterator[Core]:
    """Return the inside of a hub, on SQLite and on PostgreSQL in turn."""
    opened = Core.open(federation, database_url)
    yield opened
    opened.database.close()
