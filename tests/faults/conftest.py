"""A federation of three in memory, whose sender and reader a test leads through days."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exchange.relay import desk
from tests.faults.away import Days
from tests.federation import Federation, standard_federation


@pytest.fixture
def federation() -> Federation:
    return standard_federation("eg-moi", "int-iom", "tn-dgsn")


@pytest.fixture
def days(federation: Federation, tmp_path: Path) -> Iterator[Days]:
    """Yield a sender and a reader that have exchanged what an agreement opens."""
    sender = desk(federation, "eg-moi", tmp_path)
    reader = desk(federation, "tn-dgsn", tmp_path)
    days = Days(federation, sender, reader)
    days.hand_over()
    days.fetch()
    yield days
    sender.close()
    reader.close()
