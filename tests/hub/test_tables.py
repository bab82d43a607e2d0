"""The hub's migrations make the tables that its models describe."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from mithaq.hub import tables
from mithaq.hub.work_folder import MIGRATIONS
from mithaq.store import migrations
from mithaq.store.engine import Database, open_database

OWN_TABLES = [each.name for each in vars(tables).values() if isinstance(each, sa.Table)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()


def test_a_new_database_gets_the_tables_of_the_models(database: Database) -> None:
    migrations.upgrade(database, MIGRATIONS)
    assert migrations.schema_differences(database, own_tables=OWN_TABLES) == []
    migrations.check_current(database, MIGRATIONS)


def test_sqlite_keeps_bodies_without_a_second_index(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    migrations.upgrade(database, MIGRATIONS)
    text = "SELECT sql FROM sqlite_master WHERE name = 'hub_body'"
    created = database.read_sync(lambda each: each.exec_driver_sql(text).scalar_one())
    database.close()
    assert "WITHOUT ROWID" in created
