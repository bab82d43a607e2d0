"""Statements that the driver runs: what Core says, in the caller's transaction, on both kinds."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from mithaq.store.engine import Database, open_database
from mithaq.store.errors import StoreConflictError, StoreError
from mithaq.store.statement import Statement, run

NOTES = sa.Table(
    "told",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.LargeBinary),
)
INSERT = Statement(sa.insert(NOTES))
BODY = Statement(sa.select(NOTES.c.body).where(NOTES.c.id == sa.bindparam("wanted")))
LARGE = Statement(
    sa.select(NOTES.c.id)
    .where(NOTES.c.id > 1, NOTES.c.body != sa.bindparam("but"))
    .order_by(NOTES.c.id)
)
REPLACE = Statement(
    sa.update(NOTES).where(NOTES.c.id == sa.bindparam("at")).values(body=sa.bindparam("new"))
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    database.write_sync(NOTES.metadata.create_all)
    yield database
    database.write_sync(NOTES.metadata.drop_all)
    database.close()


def body(database: Database, number: int) -> bytes | None:
    row = database.read_sync(lambda each: BODY.run(each, wanted=number).fetchone())
    return None if row is None else bytes(row[0])


def test_what_is_written_comes_out_as_it_went_in(database: Database) -> None:
    database.write_sync(lambda each: INSERT.run(each, id=1, body=b"\x00 one"))
    rows = [{"id": number, "body": bytes([number])} for number in (2, 3)]
    database.write_sync(lambda each: INSERT.run_many(each, rows))
    found = [body(database, number) for number in range(1, 5)]
    assert found == [b"\x00 one", b"\x02", b"\x03", None]


def test_values_that_the_statement_itself_holds_are_given_too(database: Database) -> None:
    rows = [{"id": number, "body": bytes([number])} for number in (1, 2, 3)]
    database.write_sync(lambda each: INSERT.run_many(each, rows))
    assert database.read_sync(lambda each: LARGE.run(each, but=b"\x03").fetchall()) == [(2,)]


def test_it_says_how_many_rows_it_met(database: Database) -> None:
    database.write_sync(lambda each: INSERT.run(each, id=1, body=b"old"))
    for at, met in ((1, 1), (2, 0)):
        counted = database.write_sync(
            lambda each, at=at: REPLACE.run(each, at=at, new=b"new").rowcount  # type: ignore[misc]
        )
        assert counted == met
    assert body(database, 1) == b"new"


def test_it_stands_and_falls_with_the_transaction(database: Database) -> None:
    def half(connection: sa.Connection) -> None:
        INSERT.run(connection, id=1, body=b"a")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        database.write_sync(half)
    assert body(database, 1) is None


@pytest.mark.parametrize("many", [False, True])
def test_a_failure_is_the_stores_own_without_values_and_the_next_write_goes_on(
    database: Database, *, many: bool
) -> None:
    row = {"id": 1, "body": b"canary"}
    database.write_sync(lambda each: INSERT.run(each, **row))
    with pytest.raises(StoreConflictError) as refused:
        database.write_sync(
            lambda each: INSERT.run_many(each, [row]) if many else INSERT.run(each, **row)
        )
    assert "canary" not in f"{refused.value!r}"
    database.write_sync(lambda each: REPLACE.run(each, at=1, new=b"after"))
    assert body(database, 1) == b"after"


def test_words_that_no_database_knows_are_an_error_of_the_store(database: Database) -> None:
    with pytest.raises(StoreError):
        database.write_sync(lambda each: run(each, "NONSENSE"))
