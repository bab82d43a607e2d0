import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.vocabulary import Purpose
from mithaq.certs import acts
from mithaq.certs.entries import EntrySigner
from mithaq.node.app import run_node, serve
from mithaq.node.config import CONFIG_FILE, NodeConfig
from mithaq.node.folder import NodeFolder
from mithaq.node.local.access import Role
from mithaq.node.records.model import ParsedRecord
from mithaq.service.exit_codes import exit_code_of
from mithaq.service.profile import write_private
from mithaq.v1 import local_pb2
from tests.federation import Federation, agreement, clause
from tests.hub.running import prepare, running
from tests.local.calls import call
from tests.local.house import House, grounds, made_up, settle

MEMBERS = ("eg-moi", "tn-dgsn", "int-iom")
WAIT_S = 20


async def until(condition: Callable[[], Awaitable[Any]], *, within_s: float = WAIT_S) -> Any:  # noqa: ANN401
    """Return what a condition gives once it gives anything; raise TimeoutError."""
    async with asyncio.timeout(within_s):
        while not (found := await condition()):  # noqa: ASYNC110 - no event of ours tells it
            await asyncio.sleep(0.05)
        return found


# --- one process on a folder ------------------------------------------------------------


def refusal(act: Callable[[], object]) -> tuple[str, int]:
    """Return the code of the error that an act ends with, and its exit code."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - several families of errors
        act()
    return str(getattr(caught.value, "code", caught.value)), int(exit_code_of(caught.value))


async def test_a_second_process_on_the_same_folder_is_refused(house: House) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of the store
        await serve(house.config, asyncio.Event())
    assert getattr(caught.value, "code", "") == "MQ-STORE-IN-USE"
    status = await call(
        house, "officer", "NodeService/GetNodeStatus", local_pb2.GetNodeStatusRequest()
    )
    assert status.member == "tn-dgsn"


def test_a_folder_without_a_node_is_named(tmp_path: Path) -> None:
    assert refusal(lambda: run_node(tmp_path)) == ("MQ-CONFIG-INVALID", 3)


def test_a_folder_of_another_layout_is_left_alone(federation: Federation, tmp_path: Path) -> None:
    settle(federation, "tn-dgsn", tmp_path / "node")
    (tmp_path / "node" / "mithaq-node").write_text("2\n")
    assert refusal(lambda: run_node(tmp_path / "node")) == ("MQ-CONFIG-FOLDER-VERSION", 3)


async def test_a_database_of_a_newer_version_is_left_alone(
    federation: Federation, tmp_path: Path
) -> None:
    house = settle(federation, "tn-dgsn", tmp_path / "node")
    with sqlite3.connect(tmp_path / "node" / "node.db") as file:
        file.execute("UPDATE alembic_version SET version_num = 'node9999'")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of the store
        await serve(house.config, asyncio.Event())
    assert getattr(caught.value, "code", "") == "MQ-STORE-VERSION"


async def test_nodes_may_be_made_side_by_side_in_one_process(
    federation: Federation, tmp_path: Path
) -> None:
    makings = [
        asyncio.to_thread(settle, federation, member, tmp_path / member) for member in MEMBERS
    ]
    houses = await asyncio.gather(*makings)
    assert [house.config.member for house in houses] == list(MEMBERS)


async def test_a_port_that_is_taken_is_an_error_and_the_folder_is_free_again(
    house: House, federation: Federation, tmp_path: Path
) -> None:
    assert house.running is not None
    other = settle(federation, "eg-moi", tmp_path / "other")
    taken = other.config.model_copy(
        update={"local_listen": f"127.0.0.1:{house.running.local_port}"}
    )
    for _ in range(2):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - of the service room
            await serve(taken, asyncio.Event())
        assert getattr(caught.value, "code", "") == "MQ-PORT-IN-USE"
    async with other.served():
        pass


def test_a_setting_that_nobody_knows_names_the_nearest(
    federation: Federation, tmp_path: Path
) -> None:
    house = settle(federation, "tn-dgsn", tmp_path / "node")
    text = house.config.to_toml() + "[limits]\nmatches_per_serch_max = 3\n"
    write_private(tmp_path / "node" / CONFIG_FILE, text.encode())
    with pytest.raises(Exception, match="matches_per_search_max"):
        run_node(tmp_path / "node")


def test_the_settings_of_a_join_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    config = NodeConfig(
        federation="test.example",
        member="eg-moi",
        directory=tmp_path,
        hub_address="hub.test.example:7443",
        local_listen="127.0.0.1:7999",
        metrics_port=7998,
        database="postgresql://node@db/mithaq",
    )
    (tmp_path / CONFIG_FILE).write_text(config.to_toml())
    assert NodeConfig.read(tmp_path).value == config


async def test_the_health_page_says_that_officers_are_served_while_the_hub_is_away(
    house: House,
) -> None:
    assert house.running is not None
    page = f"http://127.0.0.1:{house.running.metrics_port}"

    def get(path: str) -> tuple[int, str]:
        with urllib.request.urlopen(page + path, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()

    assert (await asyncio.to_thread(get, "/readyz"))[0] == 200
    assert (await asyncio.to_thread(get, "/livez"))[0] == 200
    await call(house, "officer", "NodeService/GetNodeStatus", local_pb2.GetNodeStatusRequest())
    assert "mithaq_rpc_finished_total" in (await asyncio.to_thread(get, "/metrics"))[1]


# --- killed -----------------------------------------------------------------------------


@asynccontextmanager
async def process_of(house: House, port: int, metrics_port: int) -> AsyncGenerator[Any]:
    """Run the node as its own process, as the command line does."""
    config = house.config.model_copy(
        update={"local_listen": f"127.0.0.1:{port}", "metrics_port": metrics_port}
    )
    write_private(config.directory / CONFIG_FILE, config.to_toml().encode())
    with (config.directory / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it outlives the call
            [sys.executable, "-m", "mithaq.cli", "node", "run", str(config.directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "MITHAQ_LIMITS__MATCHES_PER_SEARCH_MAX": "7"},
        )
    try:
        await until(lambda: asyncio.to_thread(_is_ready, metrics_port), within_s=30)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 20)


def _is_ready(metrics_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def test_what_was_answered_is_there_after_a_kill_and_a_signal_stops_it_tidily(
    federation: Federation, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    house = settle(federation, "tn-dgsn", tmp_path / "node")
    async with house.served():
        await house.admit("officer", Role.OFFICER)
    record = made_up(1, issuer="tn-dgsn")
    port, metrics_port = free_port(), free_port()
    remote = House(house.config)
    async with process_of(house, port, metrics_port) as process:
        remote.port = port
        request = local_pb2.IssueRequest(record=record.raw)
        answer = await call(remote, "officer", "AlertService/Issue", request)
        assert answer.disclosures
        process.kill()
        await asyncio.to_thread(process.wait, 10)
    async with process_of(house, port, metrics_port) as process:
        listing = await call(
            remote, "officer", "AlertService/ListAlerts", local_pb2.ListAlertsRequest()
        )
        assert [row.alert_id for row in listing.alerts] == [record.alert_id]
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
        assert time.monotonic() - started < 10
    log = (tmp_path / "node" / "log").read_text()
    name = record.alert.person.names[0]
    assert not any(text in log for text in (name.surname, name.forenames, record.alert_id))


# --- two nodes and a hub ----------------------------------------------------------------


@asynccontextmanager
async def two_nodes(
    tmp_path: Path, *, database: str = ""
) -> AsyncGenerator[tuple[House, House, Any]]:
    """Yield the nodes of eg-moi and tn-dgsn, connected by a real hub."""
    federation = Federation.found()
    federation.enrol(*MEMBERS)
    everything = replace(
        clause("C1", senders=MEMBERS, recipients=MEMBERS),
        categories=frozenset({Category.ARREST}),
        purposes=frozenset({Purpose.BORDER_CONTROL, Purpose.ARREST_SURRENDER}),
    )
    federation.agree(agreement(*MEMBERS, clauses=(everything,)))
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        houses = [
            settle(federation, member, tmp_path / member, hub_address=hub.address)
            for member in ("eg-moi", "tn-dgsn")
        ]
        if database:
            houses[1] = settle(
                federation,
                "tn-dgsn",
                tmp_path / "tn-postgres",
                hub_address=hub.address,
                database=database,
            )
        async with houses[0].served(), houses[1].served():
            for house in houses:
                await house.admit("officer", Role.OFFICER)
                await house.admit("auditor", Role.AUDITOR)
            yield houses[0], houses[1], hub


async def _found(house: House, record: ParsedRecord) -> list[local_pb2.Match]:
    number = record.alert.person.documents[0].number
    request = local_pb2.FindAlertsRequest(document_number=number, grounds=grounds())
    return list((await call(house, "officer", "AlertService/FindAlerts", request)).matches)


async def _steps(house: House, alert_id: str) -> list[local_pb2.TraceStep]:
    request = local_pb2.TraceAlertRequest(alert_id=alert_id)
    return list((await call(house, "officer", "AlertService/TraceAlert", request)).steps)


async def walk(egypt: House, tunisia: House) -> None:
    """Issue, find, confirm, report, update, withdraw: an alert's whole life between two nodes."""
    record = made_up(1, issuer="eg-moi")
    request = local_pb2.IssueRequest(record=record.raw)
    answer = await call(egypt, "officer", "AlertService/Issue", request)
    assert answer.disclosures
    (match,) = await until(lambda: _found(tunisia, record))
    confirmation = local_pb2.ConfirmHitRequest(
        match_id=match.match_id, grounds=grounds(), action_taken="partly", place="Gate 4"
    )
    hit = await call(tunisia, "officer", "HitService/ConfirmHit", confirmation)

    async def received() -> list[local_pb2.HitRow]:
        rows = await call(egypt, "officer", "HitService/ListHits", local_pb2.ListHitsRequest())
        return [row for row in rows.hits if row.status == "received"]

    (row,) = await until(received)
    assert (row.hit_id, row.reporter, row.action_taken) == (hit.hit_id, "tn-dgsn", "partly")
    shown = await call(
        egypt,
        "officer",
        "HitService/ShowHit",
        local_pb2.ShowHitRequest(hit_id=row.hit_id, grounds=grounds()),
    )
    assert shown.record.hit_report.place.city == "Gate 4"
    withdrawal = local_pb2.WithdrawAlertRequest(alert_id=record.alert_id, reason="executed")
    await call(egypt, "officer", "AlertService/WithdrawAlert", withdrawal)

    async def erased() -> bool:
        steps = await _steps(egypt, record.alert_id)
        return "tn-dgsn" in {step.reader for step in steps if step.step == "erased"}

    await until(erased)
    assert await _found(tunisia, record) == []
    steps = await _steps(egypt, record.alert_id)
    by_tunisia = [step.step for step in steps if step.reader == "tn-dgsn"]
    assert by_tunisia == ["held", "opened", "erased"]
    assert any(step.step == "accepted" and "/hub/" in step.signer for step in steps)


async def test_an_alert_lives_and_ends_between_two_nodes(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (egypt, tunisia, _):
        await walk(egypt, tunisia)


async def test_an_alert_lives_and_ends_at_a_node_on_postgresql(
    tmp_path: Path, postgres_url: str
) -> None:
    async with two_nodes(tmp_path, database=postgres_url) as (egypt, tunisia, _):
        await walk(egypt, tunisia)
        verified = await call(
            tunisia, "auditor", "AuditService/VerifyAudit", local_pb2.VerifyAuditRequest()
        )
        assert verified.ok


async def test_the_hub_cosigns_what_the_audit_log_holds(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (egypt, _, _):

        async def witnessed() -> bool:
            verified = await call(
                egypt, "auditor", "AuditService/VerifyAudit", local_pb2.VerifyAuditRequest()
            )
            assert verified.ok
            return bool(verified.witnessed_size)

        assert await until(witnessed)


def suspension(federation: Federation, agreement_id: str, member: str) -> bytes:
    """Return a suspension that a party's duty key has signed, not entered."""
    signer = EntrySigner.duty(member, federation.agencies[member].duty)
    reason = acts.NarrowingReason.AGREEMENT_BREACH
    return federation.entry(acts.AgreementSuspended(agreement_id, reason, member), [signer])


async def test_an_entry_is_handed_to_the_registrar_through_the_hub(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (egypt, _, hub):
        await egypt.admit("supervisor", Role.DUTY_SUPERVISOR)
        entry = suspension(hub.federation, "test-agreement", "eg-moi")
        request = local_pb2.SubmitAgreementRequest(entry=entry)
        answer = await call(egypt, "supervisor", "AgreementService/SubmitAgreement", request)
        assert len(answer.body_hash) == 32
        (waiting,) = await hub.hub.context.desk.waiting()
        assert waiting.entry == entry


async def test_the_outbox_is_sent_once_the_hub_comes(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (egypt, tunisia, _):
        record = made_up(3, issuer="eg-moi")
        await call(
            egypt, "officer", "AlertService/Issue", local_pb2.IssueRequest(record=record.raw)
        )
        await until(lambda: _found(tunisia, record))

        async def sent() -> bool:
            status = await call(
                egypt, "officer", "NodeService/GetNodeStatus", local_pb2.GetNodeStatusRequest()
            )
            return bool(status.connected) and status.outbox_entries == 0

        assert await until(sent)
        assert NodeFolder(egypt.config.directory).evidence.is_dir()
