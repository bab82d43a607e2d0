"""The registrar at work on a real database: durable before it counts, signed after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mithaq.certs.entries import (
    AgreementLifted,
    EntrySigner,
    Policy,
    SignedEntry,
    draw_up,
    sign_entry,
)
from mithaq.certs.errors import UnknownAgreementError, UnknownMemberError
from mithaq.certs.hub_enrolment import make_hub_request
from mithaq.certs.keys import SigningPair
from mithaq.certs.offline import COST_MIN, OfflineKeystore, Passphrase
from mithaq.certs.registrar_state import PendingItem, PendingKind
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key
from mithaq.registrar.app import MIGRATIONS
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.founding import found_federation
from mithaq.registrar.office import Office, utc_now
from mithaq.registrar.tables import OWN_TABLES
from mithaq.store.engine import Database, open_database
from mithaq.store.migrations import schema_differences, upgrade

FEDERATION = "euroarab.example"
PASSPHRASE = Passphrase("a synthetic passphrase")
NAMES = ("cairo", "geneva", "tunis")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RegistrarConfig:
    # Once for all tests: nothing of it is written to, and each offline key takes scrypt.
    folder = tmp_path_factory.mktemp("registrar") / "registrar"
    config = RegistrarConfig(federation=FEDERATION, directory=folder)
    found_federation(
        config,
        administrators=NAMES,
        threshold=2,
        passphrase=PASSPHRASE,
        policy=Policy(),
        at=datetime.now(UTC).replace(microsecond=0),
        cost=COST_MIN,
    )
    return config


@pytest.fixture
def database(config: RegistrarConfig, database_url: str) -> Iterator[Database]:
    assert config.directory.is_dir()
    database = open_database(database_url)
    upgrade(database, MIGRATIONS)
    yield database
    database.close()


def signer(config: RegistrarConfig, name: str) -> EntrySigner:
    store = OfflineKeystore(config.directory / "administrators", passphrase=PASSPHRASE)
    return EntrySigner.administrator(name, store.load_pair(name))


def hub_request(federation: str = FEDERATION) -> bytes:
    return make_hub_request(
        federation,
        cosigning=SigningPair.generate(),
        exchange_address="127.0.0.1:7443",
        enrolment_address="127.0.0.1:7444",
        csr=csr(new_tls_key(), SpiffeId(federation, IdentityKind.HUB)),
        at=datetime.now(UTC).replace(microsecond=0),
    )


async def approve(office: Office, item: PendingItem, administrator: EntrySigner) -> None:
    signed = sign_entry(item.entry.body, [administrator]).to_bytes()
    await office.act(lambda log: (None, log.approve(item.id, signed, at=office.now())))


def admit_hub(config: RegistrarConfig, office: Office) -> None:
    async def admit() -> None:
        request, at = hub_request(), office.now()
        await office.act(lambda log: (None, log.take_hub_request(request, at=at)))
        item = next(iter(office.log.state.pending.values()))
        for name in NAMES[:2]:
            await approve(office, item, signer(config, name))

    asyncio.run(admit())


def test_the_migrated_tables_are_those_of_the_models(database: Database) -> None:
    assert schema_differences(database, own_tables=[each.name for each in OWN_TABLES]) == []


def test_one_administrator_of_two_admits_no_hub(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)

    async def ask() -> None:
        request, at = hub_request(), office.now()
        await office.act(lambda log: (None, log.take_hub_request(request, at=at)))
        item = next(iter(office.log.state.pending.values()))
        assert item.kind is PendingKind.HUB
        await approve(office, item, signer(config, "cairo"))

    asyncio.run(ask())
    assert office.log.registry.size == 1
    with pytest.raises(UnknownMemberError):
        _ = office.log.registry.hub


def test_two_administrators_admit_a_hub_and_the_size_is_signed(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    admit_hub(config, office)
    assert office.log.registry.hub.exchange_address == "127.0.0.1:7443"
    signed = office.log.registry.checkpoint
    assert signed is not None
    assert signed.checkpoint.size == office.log.registry.size == 2
    assert office.log.state.pending == {}


def test_a_registrar_that_starts_again_knows_what_it_knew(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    admit_hub(config, office)
    asyncio.run(invite(office, "eg-moi"))
    again = Office.open(config, database, now=utc_now)
    assert again.log.registry.root == office.log.registry.root
    assert again.log.registry.checkpoint == office.log.registry.checkpoint
    assert again.log.state == office.log.state


async def invite(office: Office, member: str) -> str:
    at = office.now()
    invitation = await office.act(
        lambda log: log.invite(member, valid_for=timedelta(days=1), at=at)
    )
    return str(invitation)


def test_an_act_that_is_refused_changes_nothing_on_disk(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    with pytest.raises(UnknownMemberError):
        asyncio.run(invite(office, "eg-moi"))
    assert Office.open(config, database, now=utc_now).log.state == office.log.state


def test_an_entry_about_an_agreement_that_nobody_knows_does_not_wait(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    body = draw_up(AgreementLifted("none", "eg-moi"), federation=FEDERATION, at=office.now())
    entry = SignedEntry(body, ())

    async def hand_in() -> None:
        await office.act(lambda log: (None, log.take_entry(entry.to_bytes(), at=office.now())))

    with pytest.raises(UnknownAgreementError):
        asyncio.run(hand_in())
    assert office.log.state.pending == {}


def test_time_is_signed_again_when_nothing_happens(
    config: RegistrarConfig, database: Database
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    clock = [now]
    office = Office.open(config, database, now=lambda: clock[0])
    asyncio.run(office.keep_time())
    first = office.log.registry.time
    clock[0] = now + timedelta(seconds=29)
    asyncio.run(office.keep_time())
    assert office.log.registry.time == first
    clock[0] = now + timedelta(seconds=30)
    asyncio.run(office.keep_time())
    assert office.log.registry.time == now + timedelta(seconds=30)
