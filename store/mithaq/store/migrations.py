"""Bringing a database to the tables that this version works with, and checking that it did.

Hub and node each have a folder of revisions: `env.py`, which calls `run_revisions`, and
`versions/`, whose first revision calls `shared_tables_v1` so that what they share can't
drift. All revisions run in one transaction. The rule: a database that a newer version,
or another kind of process, wrote is not touched.
"""

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlmodel import SQLModel

from mithaq.store.engine import Database
from mithaq.store.errors import StoreVersionError
from mithaq.store.tables import SHARED_TABLES

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade(database: Database, script_location: Path) -> None:
    """Bring a database to the newest revision of a folder; an empty one is made anew.

    Raise StoreVersionError, with nothing changed, if it carries a revision that the
    folder doesn't know.
    """

    def migrate(connection: sa.Connection) -> None:
        config = _config(script_location)
        _check_known(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    database.write_sync(migrate)


def check_current(database: Database, script_location: Path) -> None:
    """Raise StoreVersionError unless a database is at the newest revision of a folder."""
    script = ScriptDirectory.from_config(_config(script_location))

    def look(connection: sa.Connection) -> None:
        found = MigrationContext.configure(connection).get_current_heads()
        if set(found) != set(script.get_heads()):
            raise StoreVersionError(f"at {found or 'no'} revision, wanted {script.get_heads()}")

    database.read_sync(look)


def run_revisions() -> None:
    """Run what is missing; a folder's `env.py` calls this and does nothing else."""
    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()


def schema_differences(database: Database, *, own_tables: Iterable[str]) -> list[str]:
    """Return how the migrated tables differ from the models; for a test that wants none.

    `own_tables` names the process's own tables, beside the shared ones.
    """
    compared = {*own_tables, *(table.name for table in SHARED_TABLES)}

    def among(_object: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name in compared

    def compare(connection: sa.Connection) -> list[str]:
        options = {"include_object": among, "compare_type": True}
        migrated = MigrationContext.configure(connection, opts=options)
        return [str(each) for each in compare_metadata(migrated, SQLModel.metadata)]

    return database.read_sync(compare)


def shared_tables_v1(op: Operations) -> None:
    """Create the tables that hub and node share, as of their first version."""
    _create_log_tables(op)
    op.create_table(
        "log_witness",
        sa.Column("origin", sa.Text(), primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("cosignature", sa.Text(), nullable=False),
    )


def _create_log_tables(op: Operations) -> None:
    op.create_table(
        "log",
        sa.Column("log_no", SERIAL, primary_key=True),
        sa.Column("origin", sa.Text(), nullable=False, unique=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
    )
    op.create_table(
        "log_page",
        sa.Column("log_no", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("start", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("packing", sa.SmallInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_tile",
        sa.Column("log_no", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("tile_index", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
    )
    if op.get_context().dialect.name == "postgresql":
        # Hashes and packed entries don't compress; the attempt costs more than the write.
        op.execute("ALTER TABLE log_page ALTER COLUMN payload SET STORAGE EXTERNAL")
        op.execute("ALTER TABLE log_tile ALTER COLUMN hashes SET STORAGE EXTERNAL")


def _check_known(connection: sa.Connection, script: ScriptDirectory) -> None:
    for revision in MigrationContext.configure(connection).get_current_heads():
        try:
            script.get_revision(revision)
        except CommandError:
            raise StoreVersionError(f"revision {revision} is not among ours") from None


def _config(script_location: Path) -> Config:
    config = Config()
    # Alembic's settings interpolate `%`, which a path may hold.
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    return config
