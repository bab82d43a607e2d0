"""A node of a federation in memory, served for real: keys, database, local API over TLS.

The hub is away unless a test brings one; what others would have sent is put in as the
inbox would keep it.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import grpc
import sqlalchemy as sa

from mithaq.certs.tls import tls_key_to_pem
from mithaq.ledger.entry import StreamRole
from mithaq.ledger.names import stream_origin
from mithaq.node.app import Running, serve
from mithaq.node.config import CaseFiles, NodeConfig, NodeLimits
from mithaq.node.exchange.home import Home, seconds
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.stored import RECORD, new_row, new_seed, next_record_no
from mithaq.node.folder import NodeFolder
from mithaq.node.founding import Approval, found_node
from mithaq.node.keyring import HELD, LOG, OPENED, RECEIPT_MLDSA, make_missing
from mithaq.node.local import officers
from mithaq.node.local.access import Role
from mithaq.node.lookup import index
from mithaq.node.lookup.keys import keys_of
from mithaq.node.lookup.runs import sorted_entries
from mithaq.node.opening import Clockwork
from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.synthetic import made_up_alert
from mithaq.node.tables import RecordStatus
from mithaq.service.local_api import LocalApi
from mithaq.service.profile import Profile, read_profile, write_private
from mithaq.store import log_store
from mithaq.v1 import local_pb2, local_pb2_grpc
from tests.federation import Agency, Federation

NOWHERE = "127.0.0.1:9"
PURPOSE = "BORDER_CONTROL"


def made_up(seed: int, category: str = "ARREST", issuer: str = "eg-moi") -> ParsedRecord:
    """Return an alert about nobody; equal seeds of one minute give equal persons."""
    rng = Random(seed)  # noqa: S311 - which synthetic person, not a secret
    return made_up_alert(rng, category=category, issuer=issuer, at=datetime.now(UTC))


@dataclass(slots=True)
class Clock:
    """A clock that a test sets forward; it runs otherwise."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def grounds(**changes: str) -> local_pb2.Grounds:
    given = {
        "purpose": PURPOSE,
        "case_reference": "CASE-2026-17",
        "justification": "Traveller at gate 4 with a damaged passport",
        **changes,
    }
    return local_pb2.Grounds(**given)


@dataclass(slots=True)
class House:
    """A node's work folder, and how to serve and reach it."""

    config: NodeConfig
    clock: Clock = field(default_factory=Clock)
    running: Running | None = None
    # Where another process serves it, if one does.
    port: int = 0

    @property
    def home(self) -> Home:
        assert self.running is not None
        return self.running.desk.home

    def profile(self, user: str) -> Profile:
        return read_profile(NodeFolder(self.config.directory).profiles / user)

    @asynccontextmanager
    async def served(self) -> AsyncGenerator["House"]:
        stop = asyncio.Event()
        started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        works = Clockwork(now=self.clock)
        task = asyncio.create_task(serve(self.config, stop, clockwork=works, started=started))
        # Whichever comes first: a node that can't start says why.
        task.add_done_callback(lambda _ended: started.cancel())
        await asyncio.wait([started])
        if task.done():
            task.result()
        self.running = started.result()
        try:
            yield self
        finally:
            stop.set()
            assert await task == 0

    @asynccontextmanager
    async def as_user(self, user: str) -> AsyncGenerator[grpc.aio.Channel]:
        port = self.running.local_port if self.running is not None else self.port
        profile = self.profile(user)
        credentials = grpc.ssl_channel_credentials(
            profile.server_ca, profile.key, profile.certificate
        )
        options = [("grpc.ssl_target_name_override", profile.server_name)]
        address = f"127.0.0.1:{port}"
        async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
            yield channel

    async def admit(self, user: str, role: Role) -> None:
        """Give a user access, with a profile of its own."""
        folder = NodeFolder(self.config.directory)
        api = LocalApi(folder.local, self.config.federation, self.config.member)
        at = datetime.now(UTC)
        mark = api.new_profile(folder.profiles / user, user=user, address=NOWHERE, at=at)

        def add(connection: sa.Connection) -> None:
            officers.add(connection, user=user, role=role, tls_fingerprint=mark, at=at)

        await self.home.database.write(add)
        assert self.running is not None
        await self.home.database.read(self.running.desk.officers.load)

    async def forget(self, user: str) -> None:
        """Drop a user's row as if it had never been there."""

        def drop(connection: sa.Connection) -> None:
            connection.execute(sa.text("DELETE FROM node_officer WHERE user = :u"), {"u": user})

        await self.home.database.write(drop)
        assert self.running is not None
        await self.home.database.read(self.running.desk.officers.load)

    async def receive(
        self,
        record: ParsedRecord,
        *,
        agreement_id: str = "test-agreement",
        status: RecordStatus = RecordStatus.LIVE,
    ) -> None:
        """Put a record in as the inbox keeps it when it has been opened."""
        await self.home.database.write(
            lambda each: keep_received(each, self.home, record, agreement_id, status)
        )

    def restarted(self) -> "House":
        return House(self.config, self.clock)


def keep_received(
    connection: sa.Connection,
    home: Home,
    record: ParsedRecord,
    agreement_id: str,
    status: RecordStatus,
) -> None:
    number = next_record_no(connection)
    log_no = received_stream(connection, home, record.issuer, agreement_id)
    row = new_row(
        record,
        record_no=number,
        seed=new_seed(home.random),
        own=False,
        agreement_id=agreement_id,
        place=(log_no, number + 1),
        registry_size=home.registry.size,
        expires_at=seconds(record.expiry),
        status=status,
        home=home,
        at=home.clock(),
    )
    connection.execute(sa.insert(RECORD), row)
    index.append(connection, sorted_entries([(number, keys_of(record, home.index_key))]))


def received_stream(connection: sa.Connection, home: Home, sender: str, agreement_id: str) -> int:
    known = connection.scalar(
        sa.select(STREAM.c.log_no).where(
            STREAM.c.sender == sender, STREAM.c.agreement_id == agreement_id
        )
    )
    if known is not None:
        return int(known)
    stream_id = secrets.token_bytes(32)
    log_no = log_store.create_log(connection, stream_origin(home.federation, stream_id))
    connection.execute(
        sa.insert(STREAM),
        {
            "log_no": log_no,
            "stream_id": stream_id,
            "sender": sender,
            "agreement_id": agreement_id,
            "role": int(StreamRole.DISCLOSURE),
            "ordinal": 0,
            "audience": home.member,
            "purposes": "",
            "own": False,
            "predecessor": None,
            "accepted_size": 0,
            "opened_size": 0,
            "refusals_head": b"",
            "closed": False,
        },
    )
    return log_no


def settle(
    federation: Federation,
    member: str,
    folder: Path,
    *,
    hub_address: str = NOWHERE,
    limits: NodeLimits | None = None,
    database: str = "",
    case_files: CaseFiles | None = None,
) -> House:
    """Make the work folder of a member that has been enrolled, without a network."""
    agency = federation.agencies[member]
    places = NodeFolder(folder)
    places.prepare()
    _write_keys(places, agency)
    config = NodeConfig(
        federation=federation.name,
        member=member,
        directory=folder,
        hub_address=hub_address,
        local_listen="127.0.0.1:0",
        metrics_port=0,
        database=database,
        case_files=case_files or CaseFiles(),
        limits=limits or NodeLimits(),
    )
    approval = Approval(
        certificate_pem=agency.certificate.pem,
        ca_certificates=federation.registry.ca_certificates,
        leaves=federation.leaves,
        checkpoint=federation.checkpoint(),
        genesis_hash=federation.pin,
    )
    found_node(config, approval, administrator="admin", clockwork=Clockwork())
    return House(config)


def _write_keys(places: NodeFolder, agency: Agency) -> None:
    keys = places.keys
    keys.create(LOG, agency.log)
    keys.create(HELD, agency.held)
    keys.create(OPENED, agency.opened)
    keys.create(RECEIPT_MLDSA, agency.receipt_mldsa)
    keys.create("reception-first", agency.reception)
    make_missing(keys)
    write_private(places.tls.private_key, tls_key_to_pem(agency.tls_key))


def alerts(channel: grpc.aio.Channel) -> "local_pb2_grpc.AlertServiceAsyncStub":
    return local_pb2_grpc.AlertServiceStub(channel)


def audit(channel: grpc.aio.Channel) -> "local_pb2_grpc.AuditServiceAsyncStub":
    return local_pb2_grpc.AuditServiceStub(channel)
