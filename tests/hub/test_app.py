"""The hub as a process: set up in two steps, started, watched, stopped."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mithaq.hub import setup
from mithaq.hub.app import Hub
from mithaq.hub.config import HubConfig
from mithaq.hub.errors import HubFolderError
from mithaq.hub.work_folder import OPERATOR, load_config
from mithaq.ledger.cosignature import Role
from mithaq.service import logging
from mithaq.service.channel import open_channel
from mithaq.service.profile import read_profile
from mithaq.service.tls import TlsMaterial, channel_credentials
from mithaq.store.errors import StoreInUseError
from mithaq.v1 import hub_pb2, hub_pb2_grpc
from tests.federation import Federation
from tests.hub.running import Publisher, Reader, RunningHub, prepare, running, three_members
from tests.streams import StreamWriter

SENDER, READER = "eg-moi", "tn-dgsn"


def init(folder: Path, federation: Federation) -> bytes:
    request = setup.init(
        folder,
        federation=federation.name,
        exchange_address="127.0.0.1:7443",
        enrolment_address="127.0.0.1:7444",
        local_listen="127.0.0.1:0",
        metrics_port=0,
        at=datetime.now(UTC),
    )
    return request.read_bytes()


def test_a_hub_is_set_up_once(tmp_path: Path) -> None:
    federation = three_members()
    request = init(tmp_path / "hub", federation)
    with pytest.raises(HubFolderError):
        init(tmp_path / "hub", federation)
    approval = federation.approve_hub(request).to_bytes()
    setup.complete(tmp_path / "hub", approval, root_pin=federation.pin)
    with pytest.raises(HubFolderError):
        setup.complete(tmp_path / "hub", approval, root_pin=federation.pin)


def test_an_approval_of_another_federation_is_refused(tmp_path: Path) -> None:
    federation, other = three_members(), three_members()
    approval = other.approve_hub(init(tmp_path / "hub", federation)).to_bytes()
    with pytest.raises(Exception, match="pinned"):
        setup.complete(tmp_path / "hub", approval, root_pin=federation.pin)


def test_an_approval_for_another_hubs_keys_is_refused(tmp_path: Path) -> None:
    federation = three_members()
    init(tmp_path / "hub", federation)
    approval = federation.approve_hub(init(tmp_path / "other", federation)).to_bytes()
    with pytest.raises(Exception, match="other keys"):
        setup.complete(tmp_path / "hub", approval, root_pin=federation.pin)


async def test_a_hub_that_is_not_complete_does_not_start(tmp_path: Path) -> None:
    init(tmp_path / "hub", three_members())
    with pytest.raises(HubFolderError):
        await Hub.start(load_config(tmp_path / "hub").value)


async def test_a_second_hub_on_the_same_folder_does_not_start(tmp_path: Path) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    async with running(federation, config):
        with pytest.raises(StoreInUseError):
            await Hub.start(config)


def test_private_keys_are_their_owners_only(tmp_path: Path) -> None:
    init(tmp_path / "hub", three_members())
    keys = [
        path
        for path in (tmp_path / "hub").rglob("*")
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]
    assert keys
    assert {path.stat().st_mode & 0o077 for path in keys} == {0}


async def status(hub: RunningHub) -> hub_pb2.GetHubStatusResponse:
    answer: hub_pb2.GetHubStatusResponse = await operator(hub).GetHubStatus(
        hub_pb2.GetHubStatusRequest()
    )
    return answer


def operator(hub: RunningHub) -> "hub_pb2_grpc.HubServiceAsyncStub":
    """Return a stub of the operator's own API."""
    profile = read_profile(hub.folder / OPERATOR)
    tls = TlsMaterial(profile.key, profile.certificate, profile.server_ca)
    channel = open_channel(
        f"127.0.0.1:{hub.hub.ports.local}",
        channel_credentials(tls),
        server_name=profile.server_name,
    )
    hub.channels.append(channel)
    return hub_pb2_grpc.HubServiceStub(channel)


async def test_the_operator_sees_sizes_receipts_and_who_is_connected(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, SENDER, READER)
        writer.epoch()
        writer.put(2)
        await Publisher(hub.node(SENDER)).publish(writer)
        reader = Reader(federation, hub.node(READER), READER)
        await reader.hello()
        await reader.answer("headers")
        await reader.sign(writer, Role.HELD)
        await reader.answer("bodies")
        seen = await status(hub)
        (stream,) = seen.streams
        assert (stream.sender, stream.size, list(stream.audience)) == (SENDER, 4, [READER])
        assert [(each.member, each.held_size, each.opened_size) for each in stream.readers] == [
            (READER, 4, 0)
        ]
        assert stream.stored_bytes == sum(map(len, writer.sent.values()))
        assert (seen.entries_admitted, seen.entries_refused) == (4, 0)
        assert seen.registry_size == federation.registry.size
        assert seen.registry_fresh
        peers = {each.member: (each.publishing, each.subscribed) for each in seen.peers}
        assert peers == {SENDER: (True, False), READER: (False, True), "int-iom": (False, False)}


async def test_roots_are_recomputed_from_the_stored_entries(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, SENDER, READER)
        writer.epoch()
        writer.put(2)
        await Publisher(hub.node(SENDER)).publish(writer)
        request = hub_pb2.GetHubRootsRequest()
        (root,) = (await operator(hub).GetHubRoots(request)).roots
        assert root.recomputed_root == root.signed_root == writer.state.frontier.root()
        hub.hub.context.database.write_sync(
            lambda each: each.exec_driver_sql(
                "UPDATE log_page SET payload = "
                "CAST(substr(payload, 1, length(payload) - 1) || x'00' AS BLOB) WHERE packing = 2"
            )
        )
        (root,) = (await operator(hub).GetHubRoots(request)).roots
        assert root.recomputed_root != root.signed_root


async def page(hub: RunningHub, path: str) -> tuple[str, str]:
    """Return the status line and the body of a page for probes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.hub.ports.metrics)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    head, _, body = text.partition("\r\n\r\n")
    return head.partition("\r\n")[0], body


async def test_probes_and_counters_tell_how_the_hub_is(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, SENDER, READER)
        writer.epoch()
        writer.put(1, category="HEALTH_EVENT")
        await Publisher(hub.node(SENDER)).publish(writer)
        assert (await page(hub, "/livez"))[0] == "HTTP/1.1 200 OK"
        assert (await page(hub, "/readyz"))[0] == "HTTP/1.1 200 OK"
        _, metrics = await page(hub, "/metrics")
        assert "mithaq_hub_entries_total 3.0" in metrics
        assert 'mithaq_hub_refused_total{reason="NO_CLAUSE"} 1.0' in metrics
        assert "mithaq_hub_commit_seconds_count 1.0" in metrics
        assert SENDER not in metrics


async def test_the_exchange_tells_health_to_whoever_may_call(tmp_path: Path) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        stub: Any = health_pb2_grpc.HealthStub(hub.node(SENDER))
        request = health_pb2.HealthCheckRequest(service="mithaq.v1.PublishService")
        answer = await stub.Check(request)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_replicas_need_a_database_that_they_can_share(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="PostgreSQL"):
        HubConfig(federation="test.example", directory=tmp_path, replicas=True)
    HubConfig(
        federation="test.example",
        directory=tmp_path,
        replicas=True,
        database="postgresql://localhost/hub",
    )


async def test_a_stopping_hub_says_drain_and_is_gone_within_its_grace(tmp_path: Path) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    loop = asyncio.get_running_loop()
    async with running(federation, config) as hub:
        publisher = Publisher(hub.node(SENDER))
        reader = Reader(federation, hub.node(READER), READER)
        await reader.hello()
        await hub.until(lambda: len(hub.hub.context.live) == 2)
        began = loop.time()
        stopping = asyncio.ensure_future(hub.hub.stop())
        assert (await publisher.answer("drain")).retry_after_ms > 0
        assert (await reader.answer("drain")).retry_after_ms > 0
        await stopping
        assert loop.time() - began < config.intervals.stop_grace_s + 2


RUN = """
import pathlib, sys
from mithaq.hub.app import run_hub
sys.exit(run_hub(pathlib.Path(sys.argv[1])))
"""


def test_a_hub_process_starts_and_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    federation = three_members()
    folder = tmp_path / "hub"
    prepare(federation, folder)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = json.loads(process.stderr.readline())
        assert line["event"] == "hub started"
        os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        assert process.wait(timeout=deadline - time.monotonic()) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Send the log of this process to a buffer while a test runs."""
    lines = io.StringIO()
    logging.configure("hub", stream=lines)
    yield lines
    logging.silence()


async def test_a_refusal_is_logged_without_naming_stream_agreement_or_record(
    tmp_path: Path, log: io.StringIO
) -> None:
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as hub:
        writer = StreamWriter.to(federation, SENDER, READER)
        writer.epoch()
        message = writer.batch()
        message.bodies[0] = bytes(len(message.bodies[0]))
        publisher = Publisher(hub.node(SENDER))
        await publisher.send(message)
        assert (await publisher.answer("reject")).code == "MQ-HUB-BODY-MISMATCH"
    text = log.getvalue()
    assert {json.loads(each)["component"] for each in text.splitlines()} == {"hub"}
    assert "undeclared" not in text
    assert "[dropped]" not in text
    for secret in (SENDER, "test-agreement", writer.stream_id.hex()):
        assert secret not in text
