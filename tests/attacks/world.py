"""Two nodes behind an evil hub, and what every attack is asked for at its end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from mithaq.agreements.terms import Agreement
from mithaq.certs.registry import Registry
from mithaq.node.config import NodeIntervals
from mithaq.node.exchange.acts import ActResult
from mithaq.node.exchange.housekeeping import opened_sizes
from mithaq.node.exchange.out_stream import STREAM
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import VerifiedEvidence, verify_evidence
from mithaq.store.tables import LOG
from tests.attacks.evil_hub import EvilHub, evil_hub
from tests.exchange.nodes import WAIT_S, Clock, Node
from tests.federation import Federation
from tests.hub.running import prepare, three_members

CAIRO, TUNIS, GENEVA = "eg-moi", "tn-dgsn", "int-iom"
# One stream is attacked; the other goes on.
ATTACKED, OTHER = (TUNIS,), (GENEVA, TUNIS)
QUICK = NodeIntervals(upkeep_s=0.1, freeze_s=0.1, witness_s=0.2)
LISTS_EVERY = timedelta(seconds=60)


@dataclass
class World:
    """A federation, its evil hub, and nodes that know nothing of that."""

    federation: Federation
    evil: EvilHub
    folder: Path
    clock: Clock
    stack: AsyncExitStack
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])

    @property
    def cairo(self) -> Node:
        return self.nodes[CAIRO]

    @property
    def tunis(self) -> Node:
        return self.nodes[TUNIS]

    @property
    def agreement(self) -> Agreement:
        return self.cairo.home.registry.agreement("test-agreement").agreement

    async def join(self, member: str) -> Node:
        """Let a member's node begin a session with the hub."""
        node = Node(
            self.federation, member, self.folder / member, clock=self.clock, intervals=QUICK
        ).open()
        self.stack.callback(node.close)
        await self.stack.enter_async_context(node.session_to(lambda: self.evil.front))
        await node.until(lambda: node.session.connected)
        self.nodes[member] = node
        return node

    # --- what honest members do -----------------------------------------------------

    async def send(self, recipients: tuple[str, ...] = ATTACKED, *, count: int = 1) -> ActResult:
        """Let Cairo issue alerts in one batch; return the first's result."""
        alerts = [self.cairo.alert() for _ in range(count)]
        results = await self.cairo.issue(*alerts, recipients=recipients)
        return results[0]

    async def begun(self, recipients: tuple[str, ...] = ATTACKED) -> bytes:
        """Let one alert arrive before the attack; return its stream."""
        result = await self.send(recipients)
        await self.arrived(result)
        await self.settled()
        return result.disclosures[0].stream_id

    async def settled(self, *senders: str) -> None:
        """Return when all that these senders (or all) sent is opened; then time may pass."""
        async with asyncio.timeout(WAIT_S):
            for sender in senders or self.nodes:
                node = self.nodes[sender]
                while await node.home.database.read(_is_owed):  # noqa: ASYNC110 - rows don't tell
                    await asyncio.sleep(0.02)

    async def accepted(self) -> None:
        """Return when the hub has accepted all that Cairo sent; its freeze lists name that."""
        await self.cairo.until(lambda: not self.cairo.session.publisher.unaccepted_entries)

    async def arrived(self, result: ActResult, member: str = TUNIS) -> None:
        """Return when a member has opened an alert."""
        await self.nodes[member].until_counted("node_record", _live(result))

    async def has(self, result: ActResult, member: str = TUNIS) -> bool:
        return bool(await self.nodes[member].count("node_record", _live(result)))

    async def passes(self, minutes: int) -> None:
        """Let minutes pass for everybody; each brings its freeze lists (PROTOCOL 5.7)."""
        for _ in range(minutes):
            self.clock.ahead += LISTS_EVERY
            await asyncio.sleep(0.25)

    # --- what every attack is asked for ---------------------------------------------

    async def alarms(self) -> dict[str, set[str]]:
        """Return the names of the alarms that each node has raised."""
        found = {
            member: {str(name) for (name,) in await node.query("SELECT name FROM node_alarm")}
            for member, node in self.nodes.items()
        }
        return {member: names for member, names in found.items() if names}

    async def caught(
        self, alarm: str, *members: str, also: dict[str, str] | None = None, through: str = TUNIS
    ) -> VerifiedEvidence:
        """Return what a third party finds in the evidence of the first of those alarmed.

        The alarm is raised at `members` (or Tunis), what `also` says of others, and nothing
        else; and other streams go on, to the member `through`.
        """
        expected = {**(also or {}), **dict.fromkeys(members or (TUNIS,), alarm)}
        for member, name in expected.items():
            await self.nodes[member].until_counted("node_alarm", f"name = '{name}'")
        await self.goes_on(through)
        found = await self.alarms()
        assert found == {member: {name} for member, name in expected.items()}, found
        return await self.proof((members or (TUNIS,))[0])

    async def unharmed(self) -> None:
        """Check that nobody was alarmed, and that all streams go on."""
        await self.goes_on()
        found = await self.alarms()
        assert not found, found

    async def goes_on(self, through: str = TUNIS) -> None:
        """Check that a record on another stream still arrives."""
        await self.arrived(await self.send(OTHER), through)

    async def evidence(self, member: str) -> Evidence:
        """Return the file of a node's first alarm."""
        ((name,),) = await self.nodes[member].query(
            "SELECT evidence FROM node_alarm ORDER BY alarm_no LIMIT 1"
        )
        return Evidence.from_json((self.nodes[member].home.evidence / name).read_bytes())

    async def proof(self, member: str) -> VerifiedEvidence:
        return verify_evidence(await self.evidence(member), third_party(self.federation))


def third_party(federation: Federation) -> Registry:
    """Return the registry as somebody replays it who has the pin, the leaves and the time."""
    registry = Registry.start(federation.leaves[0], federation.pin)
    registry.extend(federation.leaves[1:], federation.checkpoint())
    return registry


def _is_owed(connection: sa.Connection) -> bool:
    """Tell whether the hub or a reader hasn't answered yet for all of a node's streams."""
    opened = opened_sizes(connection)
    rows = connection.execute(
        sa.select(STREAM.c.log_no, STREAM.c.audience, LOG.c.size)
        .join(LOG, LOG.c.log_no == STREAM.c.log_no)
        .where(STREAM.c.own.is_(True))
    )
    return any(
        opened.get((row.log_no, reader), 0) < row.size
        for row in rows
        for reader in row.audience.split()
    )


def _live(result: ActResult) -> str:
    return f"alert_id = '{result.alert_id}' AND status = 'live' AND own = 0"


@asynccontextmanager
async def world_in(folder: Path, *members: str) -> AsyncGenerator[World]:
    """Run an evil hub and these members' nodes while the block lasts."""
    federation, clock = three_members(), Clock()
    config = prepare(federation, folder / "hub")
    async with AsyncExitStack() as stack:
        evil = await stack.enter_async_context(evil_hub(federation, config, clock=clock))
        world = World(federation, evil, folder, clock, stack)
        for member in members:
            await world.join(member)
        yield world
