import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from mithaq.node.exchange.home import SYSTEM
from mithaq.node.local import acting
from mithaq.node.local.acting import Act, Acts, Outcome
from mithaq.node.local.desk import entry_of
from mithaq.service.errors import MithaqError
from mithaq.store.audit_entry import AuditEntry, Operation
from tests.local.calls import logged, rows
from tests.local.house import House


def entry(house: House, subject: str) -> AuditEntry:
    return entry_of(SYSTEM, Operation.ADMINISTER, at=house.clock(), subject=subject)


def writes(house: House, number: int) -> Act[int]:
    """Return an act that adds a row and says its number."""

    def act(connection: sa.Connection) -> tuple[Outcome, int]:
        connection.execute(
            sa.text("INSERT INTO node_witnessed VALUES (:o, 'x', 0, 0, x'', '')"),
            {"o": f"act {number}"},
        )
        return Outcome(entry(house, f"act {number}")), number

    return act


def fails(house: House, number: int) -> Act[int]:
    """Return an act that adds a row and then fails."""

    def act(connection: sa.Connection) -> tuple[Outcome, int]:
        writes(house, number)(connection)
        raise ValueError(f"act {number}")

    return act


async def subjects(house: House) -> set[str]:
    return {
        each.subject
        for each in await logged(house, Operation.ADMINISTER)
        if each.subject.startswith("act ")
    }


def commits_of(house: House) -> list[int]:
    """Return a list that grows with every transaction of the writer."""
    done: list[int] = []
    real = house.home.database

    class Counting:
        read = real.read

        async def write(self, act: Callable[[sa.Connection], Any]) -> Any:  # noqa: ANN401
            done.append(1)
            return await real.write(act)

    house.home.database = Counting()  # type: ignore[assignment]
    return done


async def test_acts_that_come_together_share_their_transactions(house: House) -> None:
    acts, real = Acts(house.home), house.home.database
    commits = commits_of(house)
    found = await asyncio.gather(*(acts.run(writes(house, number)) for number in range(100)))
    house.home.database = real
    assert found == list(range(100))
    assert len(commits) == -(-100 // acting.GROUP_ACTS_MAX)
    assert await subjects(house) == {f"act {number}" for number in range(100)}


async def test_an_act_that_fails_takes_nothing_of_its_neighbours_with_it(house: House) -> None:
    acts = Acts(house.home)
    outcomes = await asyncio.gather(
        acts.run(writes(house, 1)),
        acts.run(fails(house, 2)),
        acts.run(writes(house, 3)),
        return_exceptions=True,
    )
    assert [isinstance(each, ValueError) for each in outcomes] == [False, True, False]
    assert await subjects(house) == {"act 1", "act 3"}
    origins = {row.origin for row in await rows(house, "SELECT origin FROM node_witnessed")}
    assert origins == {"act 1", "act 3"}


async def test_a_refusal_is_raised_after_its_entry_is_durable(house: House) -> None:
    refusal = MithaqError("no", code="MQ-TEST-NO")

    def refused(_connection: sa.Connection) -> tuple[Outcome, None]:
        return Outcome(entry(house, "act refused"), refusal), None

    with pytest.raises(MithaqError) as caught:
        await Acts(house.home).run(refused)
    assert caught.value.code == "MQ-TEST-NO"
    with sqlite3.connect(house.config.directory / "node.db") as file:
        (count,) = file.execute(
            "SELECT count(*) FROM log_page WHERE instr(payload, CAST('act refused' AS BLOB))"
        ).fetchone()
    assert count == 1


async def test_an_entry_that_is_out_of_form_fails_its_own_act_alone(house: House) -> None:
    def out_of_form(_connection: sa.Connection) -> tuple[Outcome, None]:
        return Outcome(replace(entry(house, "act 9"), subject="x" * 201)), None

    acts = Acts(house.home)
    outcomes = await asyncio.gather(
        acts.run(writes(house, 1)), acts.run(out_of_form), return_exceptions=True
    )
    assert outcomes[0] == 1
    assert getattr(outcomes[1], "code", "").startswith("MQ-AUDIT")
    assert await subjects(house) == {"act 1"}


async def test_more_acts_than_may_wait_are_refused_and_do_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acting, "WAITING_ACTS_MAX", 3)
    acts = Acts(house.home)
    outcomes = await asyncio.gather(
        *(acts.run(writes(house, number)) for number in range(4)), return_exceptions=True
    )
    codes = [getattr(each, "code", "") for each in outcomes]
    assert codes == ["", "", "", "MQ-LIMIT-CALLS"]
    assert await subjects(house) == {"act 0", "act 1", "act 2"}


async def test_a_caller_that_went_away_leaves_no_entry(house: House) -> None:
    acts = Acts(house.home)
    going = asyncio.create_task(acts.run(writes(house, 1)))
    staying = asyncio.create_task(acts.run(writes(house, 2)))
    await asyncio.sleep(0)
    going.cancel()
    assert await staying == 2
    assert await subjects(house) == {"act 2"}
