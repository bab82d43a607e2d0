"""Canary texts and secrets, searched for in all that a hub under load keeps and holds.

Its folder (database and write-ahead log as they stand at that moment), its log, its metrics,
its temporary files, and its memory as a core dump would write it. The one rule: each search
finds first what the hub may have, or it proves nothing.
"""

import asyncio
import base64
import json
import os
import secrets
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mithaq.certs.keystore import Keystore
from mithaq.cli.demo.checks import record_texts
from mithaq.cli.demo.processes import free_ports
from mithaq.cli.demo.searching import Needles, files_below
from mithaq.hub.work_folder import COSIGNING_KEY
from mithaq.node.exchange.epochs import EPOCH, secret_name
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.records.model import ParsedRecord, seal_in
from tests.attacks.world import CAIRO, GENEVA, TUNIS
from tests.exchange.nodes import Node
from tests.federation import Federation
from tests.hub.running import prepare, three_members
from tests.hub.test_faults import RUN, START_S

# Written in both scripts, so that each way of writing a text is met.
LATIN, ARABIC = "Kanarienvogel", "كناري الحدود"
BATCH = 8
BATCHES = 12
CHUNK_BYTES = 64 * 1024


@dataclass
class HubProcess:
    """A hub in a process of its own, and where it writes."""

    pid: int
    port: int
    metrics_port: int
    folder: Path
    log: Path
    temporary: Path


@dataclass
class Crowd:
    """The nodes that talk to it, and what they said in secret."""

    nodes: list[Node]
    records: list[ParsedRecord] = field(default_factory=list[ParsedRecord])

    async def work(self) -> None:
        """Let every node issue canaries, all at once, until told to stop."""
        for _ in range(BATCHES):
            batches = [[self.canary(node) for _ in range(BATCH)] for node in self.nodes]
            self.records += [each for batch in batches for each in batch]
            await asyncio.gather(
                *(node.issue(*batch) for node, batch in zip(self.nodes, batches, strict=True))
            )

    def canary(self, node: Node) -> ParsedRecord:
        """Return an alert whose texts stand nowhere else in the world."""
        alert = node.alert("ARREST")
        message = type(alert.message)()
        message.CopyFrom(alert.message)
        mark = secrets.token_hex(6)
        message.alert.reason = f"{LATIN} {mark} {ARABIC} {mark}"
        message.alert.necessity = f"{ARABIC} {secrets.token_hex(6)}"
        return seal_in(message)

    def texts(self) -> set[str]:
        """Return all texts of some records of each node, first ones and last ones."""
        some = self.records[: 3 * BATCH : 4] + self.records[-3 * BATCH :: 12]
        return {text for each in some for text in (*record_texts(each), each.alert.necessity)}

    def secrets(self) -> dict[bytes, str]:
        """Return what opens or signs: epoch secrets, storage, reception and signing keys."""
        found: dict[bytes, str] = {}
        for node in self.nodes:
            agency = node.federation.agencies[node.member]
            found[node.storage] = "storage key"
            found[agency.reception.to_bytes()] = "reception key"
            for key in (agency.log.ed25519, agency.held, agency.opened):
                found[key.to_bytes()] = "signing key"
            for secret in epoch_secrets(node):
                found[secret] = "epoch secret"
        return found


def epoch_secrets(node: Node) -> Iterator[bytes]:
    """Yield the secrets of the epochs that a node sends or reads under."""
    rows = node.home.database.read_sync(
        lambda each: each.execute(
            EPOCH.join(STREAM, STREAM.c.log_no == EPOCH.c.log_no)
            .select()
            .with_only_columns(STREAM.c.stream_id, EPOCH.c.epoch, EPOCH.c.secret)
        ).all()
    )
    for stream_id, epoch, wrapped in rows:
        if wrapped is not None:
            kept = node.home.storage.unwrap(wrapped, name=secret_name(stream_id, epoch))
            # Its salt, which goes before it, is as secret until it is opened.
            yield kept[-32:]


def of_bytes(kept: dict[bytes, str]) -> dict[bytes, str]:
    """Return the ways in which bytes may stand somewhere, each with what they are."""
    forms: dict[bytes, str] = {}
    for content, what in kept.items():
        forms[content] = f"{what}, raw"
        forms[content.hex().encode()] = f"{what}, hex"
        forms[content.hex().upper().encode()] = f"{what}, HEX"
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + content)[4 if shift else 0 : -4]
            forms[encoded] = f"{what}, base64 at {shift}"
    return forms


@asynccontextmanager
async def hub_process(federation: Federation, folder: Path) -> AsyncGenerator[HubProcess]:
    """Run a hub while the block lasts; its log and temporary files have places of their own."""
    home, log, temporary = folder / "hub", folder / "log" / "hub.log", folder / "temporary"
    prepare(federation, home)
    for each in (log.parent, temporary):
        each.mkdir()
    (metrics_port,) = free_ports(1)
    settings = {"TMPDIR": str(temporary), "MITHAQ_METRICS_PORT": str(metrics_port)}
    with log.open("wb") as file:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, str(home), stderr=file, env={**os.environ, **settings}
        )
    try:
        port = await asyncio.to_thread(_started, log)
        yield HubProcess(started.pid, port, metrics_port, home, log, temporary)
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def _started(log: Path) -> int:
    """Return the port that a hub says in its first line."""
    until = time.monotonic() + START_S
    while not (lines := log.read_bytes().splitlines(keepends=True)) or b"\n" not in lines[0]:
        assert time.monotonic() < until, "the hub has not started"
        time.sleep(0.05)
    line = json.loads(lines[0])
    assert line["event"] == "hub started"
    return int(line["exchange_port"])


@asynccontextmanager
async def crowd(federation: Federation, hub: HubProcess, folder: Path) -> AsyncGenerator[Crowd]:
    """Connect three members' nodes to a hub while the block lasts."""
    async with AsyncExitStack() as stack:
        nodes: list[Node] = []
        for member in (CAIRO, TUNIS, GENEVA):
            node = Node(federation, member, folder / member).open()
            stack.callback(node.close)
            await stack.enter_async_context(node.session_to(lambda: f"127.0.0.1:{hub.port}"))
            await node.until(lambda: node.session.connected)  # noqa: B023 - asked at once
            nodes.append(node)
        yield Crowd(nodes)


def write_memory(pid: int, target: Path) -> int:
    """Write all memory that a process can write to into a file, as a core dump does.

    Returns the bytes written; raises PermissionError for whoever may not.
    """
    written = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory, target.open("wb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="ascii").splitlines():
            span, flags, *_ = line.split()
            if not flags.startswith("rw"):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            for at in range(start, end, CHUNK_BYTES):
                try:
                    memory.seek(at)
                    chunk = memory.read(min(CHUNK_BYTES, end - at))
                except OSError:
                    # Given back since the map was read.
                    continue
                # Most of it was never used, and nothing stands there.
                written += file.write(chunk) if any(chunk) else 0
    return written


def metrics(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.timeout(300)
async def test_nothing_secret_stands_in_what_a_hub_under_load_keeps_or_holds(
    tmp_path: Path,
) -> None:
    federation = three_members()
    kept = tmp_path / "kept"
    kept.mkdir()
    async with (
        hub_process(federation, tmp_path) as hub,
        crowd(federation, hub, tmp_path) as members,
    ):
        working = asyncio.create_task(members.work())
        await members.nodes[0].until_counted("node_record", "own = 0", count=BATCH)
        assert not working.done(), "it is under load"
        if os.geteuid():
            # Of the same user nobody reads it, whoever that is: PR_SET_DUMPABLE.
            with pytest.raises(PermissionError):
                await asyncio.to_thread(write_memory, hub.pid, kept / "memory")
        else:
            await asyncio.to_thread(write_memory, hub.pid, kept / "memory")
        (kept / "metrics").write_bytes(await asyncio.to_thread(metrics, hub.metrics_port))
        await working
        await members.nodes[2].until_counted("node_record", "own = 0", count=BATCH * BATCHES * 2)
        ((stream,),) = await members.nodes[0].query(
            "SELECT hex(stream_id) FROM node_stream LIMIT 1"
        )
        needles = {**Needles.of(members.texts()).forms, **of_bytes(members.secrets())}
        for place in (kept, hub.folder, hub.log.parent, hub.temporary):
            assert not await asyncio.to_thread(seen, needles, place)
        see_controls(hub, kept, bytes.fromhex(stream), canary=min(needles))


def see_controls(hub: HubProcess, kept: Path, stream: bytes, *, canary: bytes) -> None:
    """Check that the same search sees, in each place, what the hub may have there."""
    own = Keystore(hub.folder / "keys").load_pair(COSIGNING_KEY).ed25519.to_bytes()
    allowed = {stream: "stream", b"ARREST": "category", own: "its own key"}
    database = seen(allowed, hub.folder)
    assert {("hub.db", "stream"), ("hub.db", "category")} <= database | {
        (file.removesuffix("-wal"), what) for file, what in database
    }
    assert seen({b"mithaq_hub_": "metric"}, kept) >= {("metrics", "metric")}
    assert seen({b"hub started": "event"}, hub.log.parent) == {("hub.log", "event")}
    if not os.geteuid():
        # A key is found in memory where there is one: the hub signs acceptances with this.
        assert seen(allowed, kept) >= {("memory", what) for what in allowed.values()}
    # Nothing need stand among the temporary files: a canary is put there.
    (hub.temporary / "left").write_bytes(b"before" + canary + b"after")
    assert {file for file, _ in seen({canary: "canary"}, hub.temporary)} == {"left"}


def seen(forms: Mapping[bytes, str], folder: Path) -> set[tuple[str, str]]:
    """Return which of these bytes stand in which files: the file's name, and what they are."""
    return {
        (file.name, what)
        for file in files_below(folder)
        for content in [file.read_bytes()]
        for form, what in forms.items()
        if form in content
    }
