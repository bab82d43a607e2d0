"""What the tests of this room share: a federation with members and one agreement."""

from dataclasses import replace

import pytest

from mithaq.certs.registrar import RegistrarLog
from mithaq.certs.registrar_state import RegistrarState
from tests.certs.desk import ADMINISTRATORS
from tests.federation import Federation, agreement

MEMBERS = ("eg-moi", "int-iom", "tn-dgsn")


@pytest.fixture(scope="session")
def _founded() -> Federation:
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol(*MEMBERS)
    federation.agree(agreement("eg-moi", "tn-dgsn", agreement_id="eg-tn"))
    federation.agree(agreement(*MEMBERS, agreement_id="all-three"))
    return federation


@pytest.fixture
def federation(_founded: Federation) -> Federation:
    """Return a federation of the test's own; keys are shared, for they don't change."""
    return replace(
        _founded,
        administrators=dict(_founded.administrators),
        registry=_founded.registry.copy(),
        leaves=list(_founded.leaves),
        agencies={name: replace(each) for name, each in _founded.agencies.items()},
    )


@pytest.fixture
def log(federation: Federation) -> RegistrarLog:
    ADMINISTRATORS.update(
        {each.ed25519.public: each for each in federation.administrators.values()}
    )
    return RegistrarLog(
        federation.registry,
        RegistrarState(),
        key=federation.registrar,
        authority=federation.authority,
    )
