"""Nodes of a test federation: real keys, a real database, a real session with a real hub."""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import mithaq.node
from mithaq.ledger.entry import WithdrawReason
from mithaq.node.config import NodeIntervals
from mithaq.node.exchange.acts import ActResult, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.home import Actor, Home
from mithaq.node.exchange.receipts import ReceiptSigners
from mithaq.node.exchange.reception import keep_key
from mithaq.node.exchange.session import Session
from mithaq.node.lookup.keys import IndexKey
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.synthetic import made_up_alert
from mithaq.node.sealing.at_rest import StorageKey
from mithaq.service.channel import open_channel
from mithaq.service.tls import channel_credentials
from mithaq.store.audit import AuditLog
from mithaq.store.registry_store import RegistryStore
from tests.federation import Federation
from tests.hub.running import RunningHub
from tests.migrated import open_migrated

MIGRATIONS = Path(mithaq.node.__file__).parent / "migrations"
OFFICER = Actor(
    "officer-1",
    "officer",
    purpose="BORDER_CONTROL",
    legal_basis="Article 1",
    case_reference="CASE-1",
    justification="a case of the tests",
)
WAIT_S = 10.0
CHANCE = random.Random(7)  # noqa: S311 - which synthetic person, not a secret


class Clock:
    """The real clock, moved on as a test asks."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Node:
    """A member's node in this process: its database outlives its sessions."""

    federation: Federation
    member: str
    folder: Path
    url: str = ""
    clock: Clock = field(default_factory=Clock)
    intervals: NodeIntervals = field(default_factory=NodeIntervals)
    storage: bytes = field(default_factory=lambda: os.urandom(32))
    home: Home = field(init=False)
    session: Session = field(init=False)
    running: "asyncio.Task[None]" = field(init=False)

    def open(self) -> "Node":
        """Open the database and what stands in it, as a start of the process does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        database = open_migrated(self.url or f"sqlite:///{self.folder / 'node.db'}", MIGRATIONS)
        agency = self.federation.agencies[self.member]
        trust = database.write_sync(self._trust)
        audit = database.write_sync(
            lambda each: AuditLog.open(each, federation=self.federation.name, party=self.member)
        )
        self.home = Home(
            federation=self.federation.name,
            member=self.member,
            database=database,
            trust=trust,
            audit=audit,
            log=agency.log,
            receipts=ReceiptSigners(agency.held, agency.opened, agency.receipt_mldsa),
            storage=StorageKey(self.storage),
            index_key=IndexKey(bytes(32)),
            evidence=self.folder / "evidence",
            clock=self.clock,
            random=os.urandom,
        )
        database.write_sync(
            lambda each: keep_key(each, self.home, agency.reception, at=self.clock())
        )
        return self

    def _trust(self, connection: sa.Connection) -> RegistryStore:
        federation = self.federation
        origin = federation.registry.origin
        found = connection.execute(sa.text("SELECT 1 FROM log WHERE origin = :o"), {"o": origin})
        if found.first() is None:
            return RegistryStore.found(
                connection, genesis_leaf=federation.leaves[0], genesis_hash=federation.pin
            )
        return RegistryStore.load(
            connection, federation=federation.name, genesis_hash=federation.pin
        )

    def close(self) -> None:
        self.home.database.close()

    @asynccontextmanager
    async def connected(self, hub: RunningHub) -> AsyncGenerator["Node"]:
        """Run a session with a hub while the block lasts."""
        async with self.session_to(lambda: hub.address):
            await self.until(lambda: self.session.connected)
            yield self

    @asynccontextmanager
    async def session_to(self, address: Callable[[], str]) -> AsyncGenerator["Node"]:
        """Run a session that dials an address, whether or not anybody answers there."""
        tls = self.federation.node_tls(self.member)
        self.session = Session(
            self.home,
            lambda: open_channel(address(), channel_credentials(tls)),
            chance=lambda: 0.5,
            intervals=self.intervals,
        )
        self.running = asyncio.create_task(self.session.run())
        try:
            yield self
        finally:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            await self.session.outbox.settled()

    async def until(self, condition: Callable[[], Any], *, within_s: float = WAIT_S) -> None:
        """Return when a condition holds; raise TimeoutError."""
        async with asyncio.timeout(within_s):
            while not condition():
                if self.running.done():
                    self.running.result()
                await asyncio.sleep(0.01)

    async def until_counted(self, table: str, where: str = "1=1", *, count: int = 1) -> None:
        """Return when a table has so many rows."""
        async with asyncio.timeout(WAIT_S):
            while await self.count(table, where) < count:  # noqa: ASYNC110 - rows don't tell
                await asyncio.sleep(0.02)

    async def count(self, table: str, where: str = "1=1") -> int:
        return int((await self.query(f"SELECT count(*) FROM {table} WHERE {where}"))[0][0])  # noqa: S608

    async def query(self, statement: str) -> Sequence[Any]:
        """Return the rows of a look at the database."""
        return await self.home.database.read(lambda each: each.execute(sa.text(statement)).all())

    # --- what officers do -------------------------------------------------------------

    def alert(self, category: str = "ARREST") -> ParsedRecord:
        return made_up_alert(CHANCE, issuer=self.member, category=category, at=self.clock())

    async def issue(
        self, *records: ParsedRecord, recipients: tuple[str, ...] | None = None
    ) -> list[ActResult]:
        """Issue alerts, or one made up; raise what refused one."""
        items = [IssueItem(each, None, recipients, OFFICER) for each in records or (self.alert(),)]
        results: list[ActResult] = []
        for outcome in await self.session.outbox.issue(items):
            if isinstance(outcome, Exception):
                raise outcome
            results.append(outcome)
        return results

    async def update(self, record: ParsedRecord) -> ActResult:
        return await self.session.outbox.update(UpdateItem(record, OFFICER))

    async def withdraw(
        self, alert_id: str, reason: WithdrawReason = WithdrawReason.WITHDRAWN
    ) -> ActResult:
        return await self.session.outbox.withdraw(WithdrawItem(alert_id, reason, OFFICER))


def next_version(record: ParsedRecord) -> ParsedRecord:
    """Return the next version of an alert, with another reason."""
    message = type(record.message)()
    message.CopyFrom(record.message)
    message.alert.version += 1
    message.alert.reason = f"{message.alert.reason} (version {message.alert.version})"
    return seal_in(message)
