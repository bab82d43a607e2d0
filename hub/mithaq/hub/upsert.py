"""Inserts that may meet a row of the same key: spelled alike, built by dialect."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert


def insert_into(connection: sa.Connection, table: sa.Table) -> Insert:
    """Return an insert of the connection's dialect, to be told what to do on a conflict."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def replacing(insert: Insert, table: sa.Table, **kept: Any) -> sa.Insert:  # noqa: ANN401 - any SQL expression
    """Return the insert so that it replaces the row of the same key; `kept` differs by column."""
    keys = [column.name for column in table.primary_key.columns]
    changed: dict[str, Any] = {
        column.name: insert.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    statement: sa.Insert = insert.on_conflict_do_update(
        index_elements=keys, set_={**changed, **kept}
    )
    return statement
