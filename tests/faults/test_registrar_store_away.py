"""A registrar whose database is held, refuses a write or cuts one off: it refuses, and goes on.

The one rule: nothing leaves it signed that is not durable, and what stands in its database
is what it knows.
"""

import asyncio
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mithaq.certs.entries import Policy
from mithaq.certs.errors import ClockSkewError, RegistryRolledBackError, RegistryWithheldError
from mithaq.certs.offline import COST_MIN, Passphrase
from mithaq.registrar.app import MIGRATIONS, serve
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.founding import found_federation
from mithaq.registrar.office import Office, utc_now
from mithaq.store.engine import Database, open_database
from mithaq.store.errors import StoreBusyError, StoreConflictError
from mithaq.store.migrations import upgrade
from tests.registrar.test_the_office import NAMES, approve, hub_request, invite, signer
from tests.registrar.test_trust_service import free_ports

FEDERATION = "euroarab.example"
# The store waits 5 s for a lock.
HELD_S = 8.0
CHECKPOINT_S = 0.4
SOON_S = 20.0


@pytest.fixture
def config(tmp_path: Path) -> RegistrarConfig:
    listen, metrics = free_ports(2)
    config = RegistrarConfig(
        federation=FEDERATION,
        directory=tmp_path / "registrar",
        local_listen=f"127.0.0.1:{listen}",
        metrics_port=metrics,
        checkpoint_seconds=CHECKPOINT_S,
    )
    found_federation(
        config,
        administrators=NAMES,
        threshold=2,
        passphrase=Passphrase("a synthetic passphrase"),
        policy=Policy(),
        at=datetime.now(UTC).replace(microsecond=0),
        cost=COST_MIN,
    )
    return config


@pytest.fixture
def database(config: RegistrarConfig) -> Iterator[Database]:
    database = open_database(config.database)
    upgrade(database, MIGRATIONS)
    yield database
    database.close()


@pytest.fixture
async def office(config: RegistrarConfig, database: Database) -> Office:
    office = Office.open(config, database, now=utc_now)
    await office.keep_time()
    return office


@contextmanager
def outside(config: RegistrarConfig) -> Generator[sqlite3.Connection]:
    """Yield a connection of another process' kind to the registrar's file."""
    path = config.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=SOON_S, isolation_level=None)) as other:
        yield other


def assert_memory_is_what_stands(
    config: RegistrarConfig, database: Database, office: Office
) -> None:
    again = Office.open(config, database, now=utc_now)
    assert again.log.registry.root == office.log.registry.root
    assert again.log.registry.checkpoint == office.log.registry.checkpoint
    assert again.log.state == office.log.state


async def test_what_a_held_database_refuses_changes_nothing_and_is_done_later(
    config: RegistrarConfig, database: Database, office: Office
) -> None:
    before = office.log.registry.checkpoint
    with outside(config) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            await office.act(lambda log: (None, log.take_hub_request(hub_request(), at=utc_now())))
        with pytest.raises(StoreBusyError):
            await office.keep_time(interval=timedelta())
        assert office.in_doubt
        assert office.log.registry.checkpoint == before
        assert office.log.state.pending == {}
        other.execute("ROLLBACK")
    await office.keep_time(interval=timedelta())
    assert not office.in_doubt
    assert office.log.registry.time is not None
    assert before is not None
    assert office.log.registry.time > before.at
    assert_memory_is_what_stands(config, database, office)


async def test_an_act_that_was_cut_off_and_is_written_all_the_same_is_known(
    config: RegistrarConfig, database: Database, office: Office
) -> None:
    with outside(config) as other:
        other.execute("BEGIN IMMEDIATE")
        acting = asyncio.create_task(
            office.act(lambda log: (None, log.take_hub_request(hub_request(), at=utc_now())))
        )
        # Its write waits for the lock, in the thread that writes; then whoever asked goes.
        await asyncio.sleep(0.5)
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        assert office.log.state.pending == {}
        other.execute("ROLLBACK")
    await office.keep_time()
    assert len(office.log.state.pending) == 1
    assert_memory_is_what_stands(config, database, office)


async def test_an_entry_that_stands_unsigned_is_not_handed_on_before_its_signature_stands(
    config: RegistrarConfig, database: Database, office: Office
) -> None:
    await office.act(lambda log: (None, log.take_hub_request(hub_request(), at=utc_now())))
    item = next(iter(office.log.state.pending.values()))
    await approve(office, item, signer(config, NAMES[0]))
    before = office.log.registry.checkpoint
    with outside(config) as other:
        other.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON registrar_note"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        await approve(office, item, signer(config, NAMES[1]))
        assert office.log.registry.size == 2
        assert not office.is_signed()
        assert office.log.registry.checkpoint == before
        with pytest.raises(StoreConflictError):
            await office.keep_time()
        assert office.log.registry.checkpoint == before
        other.execute("DROP TRIGGER refuse")
    await office.keep_time()
    assert office.is_signed()
    assert_memory_is_what_stands(config, database, office)


async def test_a_database_that_lost_what_was_signed_signs_nothing_more(
    config: RegistrarConfig, office: Office
) -> None:
    await office.act(lambda log: (None, log.take_hub_request(hub_request(), at=utc_now())))
    item = next(iter(office.log.state.pending.values()))
    older = config.directory / "older"
    with outside(config) as other:
        other.execute("VACUUM INTO ?", (str(older),))
    for name in NAMES[:2]:
        await approve(office, item, signer(config, name))
    with outside(config) as other, closing(sqlite3.connect(older)) as backup:
        backup.backup(other)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            await invite(office, "eg-moi")
        other.execute("ROLLBACK")
    for _ in range(2):
        with pytest.raises((RegistryWithheldError, RegistryRolledBackError)):
            await office.keep_time(interval=timedelta())


async def test_a_clock_that_went_back_refuses_entries_and_time_until_it_is_right(
    config: RegistrarConfig, database: Database
) -> None:
    ahead = timedelta()
    office = Office.open(config, database, now=lambda: utc_now() + ahead)
    at = utc_now().replace(microsecond=0)
    await office.act(lambda log: (None, log.take_hub_request(hub_request(), at=at)))
    item = next(iter(office.log.state.pending.values()))
    await approve(office, item, signer(config, NAMES[0]))
    await office.keep_time()
    signed = office.log.registry.checkpoint
    ahead = timedelta(seconds=-50)
    await office.keep_time(interval=timedelta())
    assert office.log.registry.checkpoint == signed
    with pytest.raises(ClockSkewError):
        await approve(office, item, signer(config, NAMES[1]))
    assert office.log.registry.size == 1
    assert_memory_is_what_stands(config, database, office)
    ahead = timedelta()
    await approve(office, item, signer(config, NAMES[1]))
    assert office.log.registry.size == 2
    assert office.is_signed()


async def test_a_running_registrar_outlives_a_database_that_is_held(
    config: RegistrarConfig,
) -> None:
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(config, stop))
    try:
        await until_ready(config, "200 ok store")
        with outside(config) as other:
            other.execute("BEGIN IMMEDIATE")
            await until_ready(config, "503 not ready store")
            held_since = signed_at(config)
            await asyncio.sleep(HELD_S)
            assert not serving.done()
            assert signed_at(config) == held_since
            other.execute("ROLLBACK")
        await until_ready(config, "200 ok store")
        async with asyncio.timeout(SOON_S):
            while signed_at(config) == held_since:  # noqa: ASYNC110 - the file rings no bell
                await asyncio.sleep(0.1)
    finally:
        stop.set()
        assert await asyncio.wait_for(serving, SOON_S) == 0


def signed_at(config: RegistrarConfig) -> bytes:
    """Return the newest note, which names its time."""
    with outside(config) as other:
        return bytes(other.execute("SELECT note FROM registrar_note").fetchall()[-1][0])


async def until_ready(config: RegistrarConfig, wanted: str) -> None:
    """Wait until the page for probes says what is wanted of the store."""
    async with asyncio.timeout(SOON_S):
        while wanted not in await asyncio.to_thread(readiness, config):  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)


def readiness(config: RegistrarConfig) -> str:
    """Return each line of the page after its status, or nothing where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{config.metrics_port}/readyz") as page:
            status, lines = 200, page.read().decode().splitlines()
    except urllib.error.HTTPError as fault:
        status, lines = fault.code, fault.read().decode().splitlines()
    except OSError:
        return ""
    return "\n".join(f"{status} {line}" for line in lines)
