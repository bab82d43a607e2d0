"""The registrar's own certificates: approved like everybody's, and renewed in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mithaq.certs.entries import Policy
from mithaq.certs.offline import COST_MIN
from mithaq.certs.registrar_state import PendingKind
from mithaq.certs.tls import fingerprint, load_certificate, to_der
from mithaq.registrar.app import MIGRATIONS
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.founding import found_federation
from mithaq.registrar.local_users import Users, add_user, renew_local
from mithaq.registrar.office import Office, utc_now
from mithaq.registrar.places import OWNER, Places
from mithaq.registrar.renewal import Renewal, own_certificate
from mithaq.service.identity import PeerUnknownError
from mithaq.store.engine import open_database
from mithaq.store.migrations import upgrade
from tests.registrar.test_the_office import NAMES, PASSPHRASE, approve, signer

EARLY, DUE = timedelta(days=59), timedelta(days=61)


@pytest.fixture
def config(tmp_path: Path) -> RegistrarConfig:
    config = RegistrarConfig(federation="euroarab.example", directory=tmp_path / "registrar")
    found_federation(
        config,
        administrators=NAMES,
        threshold=2,
        passphrase=PASSPHRASE,
        policy=Policy(),
        at=utc_now().replace(microsecond=0),
        cost=COST_MIN,
    )
    return config


def mark_of(certificate: Path) -> bytes:
    return fingerprint(to_der(load_certificate(certificate.read_bytes())))


async def test_the_registrars_certificate_waits_for_k_administrators_like_any_other(
    config: RegistrarConfig, sqlite_url: str
) -> None:
    database = open_database(sqlite_url)
    upgrade(database, MIGRATIONS)
    clock, places, switched = [utc_now() + EARLY], Places(config.directory), list[bool]()
    office = Office.open(config, database, now=lambda: clock[0])
    renewal = Renewal(office, own_certificate(places), lambda: switched.append(True))
    await renewal.step()
    assert office.log.state.pending == {}
    clock[0] = utc_now() + DUE
    await renewal.step()
    await renewal.step()
    (item,) = office.log.state.pending.values()
    assert (item.kind, item.subject) == (PendingKind.RENEWAL, "registrar")
    before = mark_of(places.tls.chain)
    await approve(office, item, signer(config, "cairo"))
    await renewal.step()
    assert (mark_of(places.tls.chain), renewal.is_answered()) == (before, False)
    await approve(office, item, signer(config, "tunis"))
    assert renewal.is_answered()
    await renewal.step()
    after = mark_of(places.tls.chain)
    assert office.log.registry.registrar.tls_fingerprints == (before, after)
    assert (switched, renewal.is_answered()) == ([True], False)
    assert office.log.certificates().keys() >= {before, after}
    database.close()


def test_a_profile_made_while_the_registrar_runs_is_good_at_once(config: RegistrarConfig) -> None:
    places = Places(config.directory)
    users = Users(places)
    first = mark_of(places.profiles / "administrator" / "certificate.pem")
    assert users.lookup(first) == OWNER
    folder = add_user(config, config.directory / "elsewhere", user="tunis", at=utc_now())
    assert users.lookup(mark_of(folder / "certificate.pem")) == OWNER
    with pytest.raises(PeerUnknownError):
        users.lookup(bytes(32))


def test_nobody_is_locked_out_of_the_local_api_after_90_days(config: RegistrarConfig) -> None:
    places = Places(config.directory)
    certificate = places.profiles / "administrator" / "certificate.pem"
    before = mark_of(certificate)
    assert not renew_local(config, at=utc_now() + EARLY)
    assert renew_local(config, at=utc_now() + DUE)
    assert mark_of(certificate) != before
    assert Users(places).lookup(mark_of(certificate)) == OWNER
    assert Users(places).lookup(before) == OWNER


def test_a_profile_that_was_struck_off_the_list_is_not_renewed(config: RegistrarConfig) -> None:
    places = Places(config.directory)
    places.users.write_text("", encoding="ascii")
    certificate = places.profiles / "administrator" / "certificate.pem"
    before = certificate.read_bytes()
    renew_local(config, at=utc_now() + DUE)
    assert certificate.read_bytes() == before
