"""A database comes to our tables from nothing, stays as it is, and a stranger's is left alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mithaq.store import log_store, migrations
from mithaq.store.engine import Database, open_database
from mithaq.store.errors import StoreError, StoreVersionError

ENV = "from mithaq.store.migrations import run_revisions\n\nrun_revisions()\n"
FIRST = '''
from alembic import op
from mithaq.store.migrations import shared_tables_v1

revision = "{revision}"
down_revision = None


def upgrade() -> None:
    """Create the shared tables."""
    shared_tables_v1(op)
'''
SECOND = '''
from alembic import op
import sqlalchemy as sa

revision = "test0002"
down_revision = "test0001"


def upgrade() -> None:
    """Create a table, then fail where told to."""
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
    {failing}
'''


def make_folder(path: Path, *, revision: str = "test0001", second: str | None = None) -> Path:
    """Write a folder of revisions, as hub and node have one each."""
    (path / "versions").mkdir(parents=True)
    (path / "env.py").write_text(ENV)
    (path / "versions" / "first.py").write_text(FIRST.format(revision=revision))
    if second is not None:
        (path / "versions" / "second.py").write_text(SECOND.format(failing=second))
    return path


def tables(database: Database) -> set[str]:
    return set(database.read_sync(lambda c: sa.inspect(c).get_table_names()))


@pytest.fixture
def fresh(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


class TestEveryMigration:
    """The contract of migrations."""

    def test_an_empty_database_gets_tables_equal_to_the_models(
        self, fresh: Database, tmp_path: Path
    ) -> None:
        migrations.upgrade(fresh, make_folder(tmp_path / "revisions"))
        assert migrations.schema_differences(fresh, own_tables=()) == []
        log = fresh.write_sync(lambda c: log_store.create_log(c, "a/b"))
        assert fresh.read_sync(lambda c: log_store.head(c, log)).size == 0

    def test_a_table_that_differs_from_its_model_is_named(
        self, fresh: Database, tmp_path: Path
    ) -> None:
        migrations.upgrade(fresh, make_folder(tmp_path / "revisions"))
        fresh.write_sync(lambda c: c.exec_driver_sql("ALTER TABLE log ADD COLUMN extra INTEGER"))
        (difference,) = migrations.schema_differences(fresh, own_tables=())
        assert "extra" in difference

    def test_migrating_twice_changes_nothing(self, fresh: Database, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "100% revisions")
        migrations.upgrade(fresh, folder)
        log = fresh.write_sync(lambda c: log_store.create_log(c, "a/b"))
        migrations.upgrade(fresh, folder)
        migrations.check_current(fresh, folder)
        assert fresh.read_sync(lambda c: log_store.log_no(c, "a/b")) == log

    def test_an_older_database_is_told_from_a_current_one_and_migrated(
        self, fresh: Database, tmp_path: Path
    ) -> None:
        migrations.upgrade(fresh, make_folder(tmp_path / "old"))
        newer = make_folder(tmp_path / "new", second="pass")
        with pytest.raises(StoreVersionError):
            migrations.check_current(fresh, newer)
        migrations.upgrade(fresh, newer)
        migrations.check_current(fresh, newer)
        assert "extra" in tables(fresh)

    def test_a_newer_database_is_left_alone(self, fresh: Database, tmp_path: Path) -> None:
        migrations.upgrade(fresh, make_folder(tmp_path / "new", second="pass"))
        before = tables(fresh)
        with pytest.raises(StoreVersionError, match="test0002"):
            migrations.upgrade(fresh, make_folder(tmp_path / "old"))
        assert tables(fresh) == before

    def test_a_database_of_another_process_is_left_alone(
        self, fresh: Database, tmp_path: Path
    ) -> None:
        migrations.upgrade(fresh, make_folder(tmp_path / "hub", revision="hub0001"))
        with pytest.raises(StoreVersionError, match="hub0001"):
            migrations.upgrade(fresh, make_folder(tmp_path / "node", revision="node0001"))

    def test_a_revision_that_fails_leaves_nothing_of_any(
        self, fresh: Database, tmp_path: Path
    ) -> None:
        failing = "op.execute('INSERT INTO absent VALUES (1)')"
        with pytest.raises(StoreError):
            migrations.upgrade(fresh, make_folder(tmp_path / "bad", second=failing))
        assert tables(fresh) == set()
