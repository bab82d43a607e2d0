from pathlib import Path

from sqlmodel import SQLModel

import mithaq.node
from mithaq.node import tables
from mithaq.node.lookup.tables import LOOKUP_TABLES
from mithaq.store import migrations
from mithaq.store.engine import open_database

FOLDER = Path(mithaq.node.__file__).parent / "migrations"


def test_the_migrations_make_exactly_the_tables_of_the_models(database_url: str) -> None:
    database = open_database(database_url)
    try:
        migrations.upgrade(database, FOLDER)
        migrations.upgrade(database, FOLDER)
        migrations.check_current(database, FOLDER)
        own = [
            name
            for name in SQLModel.metadata.tables
            if name.startswith("node_") or name in {each.name for each in LOOKUP_TABLES}
        ]
        assert len(own) > len(LOOKUP_TABLES) + len([tables.StreamRow, tables.RecordRow])
        assert migrations.schema_differences(database, own_tables=own) == []
    finally:
        database.close()
