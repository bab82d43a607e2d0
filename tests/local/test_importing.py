import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.vocabulary import Purpose
from mithaq.node.config import NodeLimits
from mithaq.node.folder import NodeFolder
from mithaq.node.local.access import Role
from mithaq.service.errors import RemoteError, from_rpc_error
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2
from tests.federation import Federation, agreement, clause
from tests.imports.lists import PUBLISHED, individual, wrapped
from tests.local.calls import call, logged, rows
from tests.local.house import House, alerts, settle

MEMBERS = ("tn-dgsn", "eg-moi", "int-iom")


@pytest.fixture
def sanctions() -> Federation:
    """Return a federation whose agreement lets listed persons be shared."""
    listed = clause(
        "C1",
        senders=MEMBERS,
        recipients=MEMBERS,
        categories=(Category.UNSC_LISTED,),
        purposes=(Purpose.BORDER_CONTROL, Purpose.SANCTIONS_ENFORCEMENT),
        retention_days_max=3652,
    )
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol(*MEMBERS)
    federation.agree(agreement(*MEMBERS, clauses=(listed,)))
    return federation


@pytest.fixture
async def node(sanctions: Federation, tmp_path: Path) -> AsyncIterator[House]:
    async with settle(sanctions, "tn-dgsn", tmp_path / "node").served() as house:
        await house.admit("kiosk", Role.SYSTEM)
        yield house


def edition(*entries: tuple[int, str]) -> bytes:
    return wrapped("".join(individual(dataid, first=name) for dataid, name in entries))


FIRST = edition((1001, "Zanbar"), (1002, "Timdum"), (1003, "Kalrush"))


def parts(data: bytes, size: int = 300) -> Iterator[local_pb2.ImportListRequest]:
    yield local_pb2.ImportListRequest(format="unsc", chunk=data[:size])
    for start in range(size, len(data), size):
        yield local_pb2.ImportListRequest(chunk=data[start : start + size])


async def imported(house: House, data: bytes, *, size: int = 300) -> local_pb2.ImportListResponse:
    """Import a file; return the last answer, with the faults of all."""
    async with house.as_user("kiosk") as channel:
        call_ = alerts(channel).ImportList(_each(parts(data, size)), timeout=60)
        faults: list[local_pb2.ImportFault] = []
        last = local_pb2.ImportListResponse()
        try:
            async for last in call_:
                faults += last.faults
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
    last.ClearField("faults")
    last.faults.extend(faults)
    return last


async def _each(
    requests: Iterator[local_pb2.ImportListRequest],
) -> AsyncIterator[local_pb2.ImportListRequest]:
    for request in requests:
        yield request


def counts(answer: local_pb2.ImportListResponse) -> tuple[int, int, int, int]:
    return (
        answer.entries_new,
        answer.entries_changed,
        answer.entries_withdrawn,
        answer.entries_unchanged,
    )


async def live(house: House) -> dict[str, int]:
    """Return the live own alerts and their versions."""
    found = await rows(
        house, "SELECT alert_id, version FROM node_record WHERE own = 1 AND status = 'live'"
    )
    return dict(found)


async def test_every_entry_of_a_list_becomes_an_own_alert(node: House) -> None:
    answer = await imported(node, FIRST)
    assert answer.done
    assert counts(answer) == (3, 0, 0, 0)
    assert len(await live(node)) == 3
    assert not list(NodeFolder(node.config.directory).incoming.iterdir())


async def test_the_same_list_twice_changes_nothing(node: House) -> None:
    await imported(node, FIRST)
    before = await rows(node, "SELECT origin, size FROM log WHERE origin LIKE '%/stream/%'")
    assert counts(await imported(node, FIRST)) == (0, 0, 0, 3)
    after = await rows(node, "SELECT origin, size FROM log WHERE origin LIKE '%/stream/%'")
    assert before == after


async def test_a_newer_edition_is_applied_as_a_delta(node: House) -> None:
    await imported(node, FIRST)
    ids = set(await live(node))
    newer = edition((1001, "Zanbar"), (1002, "Timdum-Nar"), (1004, "Wanhud"))
    assert counts(await imported(node, newer)) == (1, 1, 1, 1)
    now = await live(node)
    assert len(set(now) & ids) == 2
    assert sorted(now.values()) == [1, 1, 2]
    assert counts(await imported(node, newer)) == (0, 0, 0, 3)


async def test_a_file_that_is_cut_short_withdraws_nothing(node: House) -> None:
    await imported(node, FIRST)
    before = await live(node)
    cut = FIRST[: FIRST.index(b"1002")]
    with pytest.raises(RemoteError) as caught:
        await imported(node, cut)
    assert caught.value.code == "MQ-IMPORT-MALFORMED"
    assert "line" in caught.value.why
    assert await live(node) == before


async def test_an_entry_that_cannot_be_read_stays_as_it_was_and_is_named(node: House) -> None:
    await imported(node, FIRST)
    before = await live(node)
    broken = wrapped(
        individual(1001) + individual(1002, "<NEW_ELEMENT>x</NEW_ELEMENT>", first="Timdum")
    )
    answer = await imported(node, broken)
    assert [(fault.reference, fault.code) for fault in answer.faults] == [
        ("1002", "MQ-IMPORT-ENTRY")
    ]
    # 1003 is missing and withdrawn, 1002 could not be read and stays.
    assert counts(answer) == (0, 0, 1, 1)
    assert len(await live(node)) == len(before) - 1


async def test_while_an_entry_without_a_reference_is_unread_nothing_is_withdrawn(
    node: House,
) -> None:
    await imported(node, FIRST)
    answer = await imported(node, wrapped(individual(1001) + individual("none")))
    assert counts(answer)[2] == 0
    assert len(await live(node)) == 3


async def test_an_import_that_was_cut_short_goes_on_and_issues_nothing_twice(node: House) -> None:
    await imported(node, FIRST)
    # As a kill leaves it between the issuing of an alert and the note of it.
    await node.home.database.write(
        lambda each: each.exec_driver_sql(
            "UPDATE node_import_entry SET version = 0, content_hash = x'' WHERE reference = '1002'"
        )
    )
    before = set(await live(node))
    answer = await imported(node, FIRST)
    assert counts(answer) == (0, 1, 0, 2)
    assert set(await live(node)) == before


async def test_an_import_that_was_killed_before_issuing_uses_the_id_it_had_noted(
    node: House,
) -> None:
    noted = "tn-dgsn-01J00000000000000000000000"
    await node.home.database.write(
        lambda each: each.exec_driver_sql(
            "INSERT INTO node_import_entry (format, reference, content_hash, alert_id, version) "
            "VALUES ('unsc', '1001', x'', ?, 0)",
            (noted,),
        )
    )
    assert counts(await imported(node, FIRST)) == (3, 0, 0, 0)
    assert noted in await live(node)


async def test_what_an_officer_withdrew_by_hand_is_not_put_back_by_the_same_edition(
    node: House,
) -> None:
    await imported(node, FIRST)
    alert_id = min(await live(node))
    request = local_pb2.WithdrawAlertRequest(alert_id=alert_id, reason="error")
    await call(node, "kiosk", "AlertService/WithdrawAlert", request)
    assert counts(await imported(node, FIRST)) == (0, 0, 0, 3)
    assert alert_id not in await live(node)


async def test_a_file_larger_than_the_limit_is_refused_and_not_kept(
    sanctions: Federation, tmp_path: Path
) -> None:
    large = edition(*((number, "Zanbar") for number in range(1001, 1011)))
    limits = NodeLimits(import_size_bytes_max=len(large))
    house = settle(sanctions, "tn-dgsn", tmp_path / "node", limits=limits)
    async with house.served():
        await house.admit("kiosk", Role.SYSTEM)
        with pytest.raises(RemoteError, match="MQ-LIMIT-IMPORT-SIZE"):
            await imported(house, large + b"\n")
        assert not list(NodeFolder(house.config.directory).incoming.iterdir())
        assert counts(await imported(house, large)) == (10, 0, 0, 0)


async def test_one_list_at_a_time(node: House) -> None:
    going = asyncio.Event()
    end = asyncio.Event()

    async def slow() -> AsyncIterator[local_pb2.ImportListRequest]:
        yield local_pb2.ImportListRequest(format="unsc", chunk=FIRST)
        going.set()
        await end.wait()

    async with node.as_user("kiosk") as channel:
        first = alerts(channel).ImportList(slow(), timeout=30)

        async def drained() -> int:
            return len([answer async for answer in first])

        running = asyncio.create_task(drained())
        await going.wait()
        await asyncio.sleep(0.1)
        with pytest.raises(RemoteError, match="MQ-IMPORT-RUNNING"):
            await imported(node, FIRST)
        end.set()
        assert await running
    assert counts(await imported(node, FIRST)) == (0, 0, 0, 3)


@pytest.mark.parametrize("user", ["kiosk", "officer"])
async def test_who_is_still_sending_when_refused_learns_why(
    sanctions: Federation, tmp_path: Path, user: str
) -> None:
    limits = NodeLimits(import_size_bytes_max=1024)
    house = settle(sanctions, "tn-dgsn", tmp_path / "node", limits=limits)
    async with house.served():
        await house.admit("kiosk", Role.SYSTEM)
        await house.admit("officer", Role.OFFICER)
        expected = {"kiosk": "MQ-LIMIT-IMPORT-SIZE", "officer": "MQ-IDENTITY-ROLE"}[user]
        for _ in range(5):
            async with house.as_user(user) as channel:
                stream = alerts(channel).ImportList(_each(parts(bytes(4_000_000), 1_000_000)))
                with pytest.raises(grpc.RpcError) as caught:
                    async for _ in stream:
                        pass
            assert from_rpc_error(caught.value).code == expected


async def test_a_format_that_nobody_knows_is_refused(node: House) -> None:
    async with node.as_user("kiosk") as channel:
        request = local_pb2.ImportListRequest(format="interpol", chunk=FIRST)
        with pytest.raises(grpc.RpcError) as caught:
            async for _ in alerts(channel).ImportList(_each(iter([request])), timeout=10):
                pass
    assert from_rpc_error(caught.value).code == "MQ-REQUEST-INVALID"


async def test_a_stale_registry_stops_the_import_instead_of_naming_every_entry(
    node: House,
) -> None:
    limit = node.home.registry.policy.freshness_limit
    node.clock.ahead = limit + timedelta(minutes=1)
    with pytest.raises(RemoteError, match="MQ-EXCH-REGISTRY-STALE"):
        await imported(node, FIRST)


async def test_an_import_is_logged_as_a_whole_and_alert_by_alert(node: House) -> None:
    await imported(node, FIRST)
    (issued,) = await logged(node, Operation.ISSUE)
    assert len({ref.alert_id for ref in issued.records}) == 3
    whole = next(
        entry
        for entry in await logged(node, Operation.ADMINISTER)
        if entry.subject.startswith("list unsc")
    )
    assert "new 3 changed 0 withdrawn 0 unchanged 0" in whole.subject


def editions() -> list[tuple[bytes, bytes]]:
    """Return a large made-up list and its successor, and the published ones where they lie."""
    older = edition(*((number, f"Zanbar{number}") for number in range(1, 601)))
    newer = edition(*((number, f"Zanbar{number // 2}") for number in range(100, 701)))
    published = [path.read_bytes() for path in PUBLISHED[:2]]
    return [(older, newer), *([(published[0], published[1])] if len(published) == 2 else [])]


@pytest.mark.parametrize(("older", "newer"), editions(), ids=lambda data: str(len(data)))
async def test_large_lists_go_in_one_after_the_other(
    node: House, older: bytes, newer: bytes
) -> None:
    first = await imported(node, older, size=262_144)
    second = await imported(node, newer, size=262_144)
    again = await imported(node, newer, size=262_144)
    assert first.entries_new == first.entries_read
    assert second.entries_new + second.entries_changed + second.entries_unchanged == (
        second.entries_read
    )
    assert counts(again) == (0, 0, 0, second.entries_read)
    assert len(await live(node)) == second.entries_read
