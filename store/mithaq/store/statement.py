"""Statements of the hot paths: made by Core once, run by the driver itself.

Core spends some 30 µs of CPU on each execution whatever it does (measured), the driver 2;
an act of one record has twenty. What is run stays what the model says, in both dialects,
in the caller's transaction. The rule: only values that drivers take as they are, numbers,
texts and bytes, go in and come out; a Boolean comes out of SQLite as a number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError


class Cursor(Protocol):
    """What a driver returns of a statement."""

    rowcount: int

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        ...


class _DriverConnection(Protocol):
    def execute(self, statement: str, values: Any) -> Cursor: ...  # noqa: ANN401 - by dialect

    def cursor(self) -> Any: ...  # noqa: ANN401 - each driver's own


class Statement:
    """A statement whose every value is a named `bindparam`."""

    __slots__ = ("_made", "_statement")

    def __init__(self, statement: sa.Executable) -> None:
        self._statement = cast("sa.ClauseElement", statement)
        self._made: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {}

    def run(self, connection: sa.Connection, **values: Any) -> Cursor:  # noqa: ANN401 - columns'
        """Run it with these values; raise DBAPIError."""
        text, ordered = self._for(connection)
        try:
            return driver_connection(connection).execute(text, ordered(values))
        except connection.dialect.loaded_dbapi.Error as error:
            raise_as_dbapi_error(connection, text, error)

    def run_many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each row of values, in one go; raise DBAPIError."""
        text, ordered = self._for(connection)
        run_many(connection, text, [ordered(row) for row in rows])

    def _for(self, connection: sa.Connection) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        made = self._made.get(connection.dialect.name)
        if made is None:
            made = self._compiled(connection.dialect)
            self._made[connection.dialect.name] = made
        return made

    def _compiled(self, dialect: sa.Dialect) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        compiled = cast("Any", self._statement.compile(dialect=dialect))
        constants: dict[str, Any] = {
            name: value for name, value in compiled.params.items() if value is not None
        }
        names: list[str] | None = compiled.positiontup if compiled.positional else None

        def by_place(values: Mapping[str, Any]) -> tuple[Any, ...]:
            given = {**constants, **values} if constants else values
            return tuple([given[name] for name in names or ()])

        def by_name(values: Mapping[str, Any]) -> dict[str, Any]:
            return {**constants, **values}

        return str(compiled), by_name if names is None else by_place


def run(connection: sa.Connection, text: str) -> None:
    """Run a statement in the driver's own words; raise DBAPIError."""
    try:
        driver_connection(connection).execute(text, ())
    except connection.dialect.loaded_dbapi.Error as error:
        raise_as_dbapi_error(connection, text, error)


def run_many(connection: sa.Connection, text: str, rows: Sequence[Any]) -> None:
    """Run a statement in the driver's own words for each row of values; raise DBAPIError."""
    cursor = driver_connection(connection).cursor()
    try:
        cursor.executemany(text, rows)
    except connection.dialect.loaded_dbapi.Error as error:
        raise_as_dbapi_error(connection, text, error)
    finally:
        cursor.close()


def driver_connection(connection: sa.Connection) -> _DriverConnection:
    """Return the driver's connection, which is in the transaction of this one."""
    return cast("_DriverConnection", connection.connection.driver_connection)


def raise_as_dbapi_error(connection: sa.Connection, text: str, error: Exception) -> NoReturn:
    """Raise what SQLAlchemy would have raised, without the values."""
    dialect = cast("Any", connection.dialect)
    is_lost: bool = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if is_lost:
        connection.invalidate(error)
    raise DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    ) from error
