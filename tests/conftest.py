"""What the tests of every room share: databases that are fresh for each test, and who runs what."""

import gc
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from sqlmodel import SQLModel

from mithaq.store.engine import Database, open_database
from mithaq.store.tables import SHARED_TABLES
from tests.postgres import administering, running_postgres

# Enough to find what is often wrong; HYPOTHESIS_PROFILE=default looks longer. A machine that
# does something else for a second fails no test: none is timed.
settings.register_profile(
    "quick", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Their federation takes a minute to found.
PLAYED = "tests/demo/played/"


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[sa.URL]:
    """Yield a database of this run: on the server MITHAQ_TEST_POSTGRES_URL, or on our own."""
    name = f"test_{secrets.token_hex(8)}"
    with ExitStack() as stack:
        given = os.environ.get("MITHAQ_TEST_POSTGRES_URL")
        server = sa.make_url(given) if given else stack.enter_context(running_postgres())
        with administering(server) as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        yield server.set(database=name)
        with administering(server) as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(postgres_database: sa.URL) -> str:
    """Return the URL of the run's PostgreSQL database, emptied: a new one takes half a second."""
    with administering(postgres_database) as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return postgres_database.render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database, of each kind in turn: for contract tests."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Yield an open database of each kind with the tables that hub and node share."""
    opened = open_database(database_url)
    opened.write_sync(
        lambda connection: SQLModel.metadata.create_all(connection, tables=list(SHARED_TABLES))
    )
    yield opened
    opened.close()


def pytest_collection_finish() -> None:
    """Leave what is loaded by now out of every collection of garbage that comes.

    Servers that tests run are collected at once when they end, some thousand times: with
    all modules among what is looked through, that took a tenth of the tests' time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:  # noqa: ANN401 - xdist's
    """Give each test to whoever is free, but all that is played on one federation to one process.

    `--dist loadgroup` would say it by a marker: as of pytest-xdist 3.8 that does nothing
    under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return PLAYED if nodeid.startswith(PLAYED) else nodeid

    return Scheduling(config, log)
