"""A federation of three and its nodes, without a network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.exchange.relay import Desk, desk
from tests.federation import Federation, standard_federation

NewDesk = Callable[..., Desk]


@pytest.fixture
def federation() -> Federation:
    return standard_federation("eg-moi", "int-iom", "tn-dgsn")


@pytest.fixture
def new_desk(federation: Federation, tmp_path: Path) -> Iterator[NewDesk]:
    """Return what opens a member's node; all are closed at the end."""
    opened: list[Desk] = []

    def new(member: str, **fields: object) -> Desk:
        node = desk(federation, member, tmp_path, **fields)
        opened.append(node)
        return node

    yield new
    for node in opened:
        node.close()


@pytest.fixture
def cairo(new_desk: NewDesk) -> Desk:
    return new_desk("eg-moi")


@pytest.fixture
def tunis(new_desk: NewDesk) -> Desk:
    return new_desk("tn-dgsn")
