"""A federation in a folder: work folders of a hub and of nodes, as their operators would have.

Registry, agreement and keys are made in this process by the builders that the tests use,
which sign every entry for real; the processes replay and verify them as always. No
registrar runs, so the genesis policy takes its last word as fresh for as long as a
measurement may last. The rule: nothing is set that an operator could not set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from mithaq.agreements.categories import Category
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import Purpose
from mithaq.certs.acts import Policy
from mithaq.cli.demo.processes import Process, free_ports
from mithaq.node.config import NodeConfig
from mithaq.node.folder import NodeFolder
from mithaq.node.local import officers
from mithaq.node.local.access import Role
from mithaq.node.opening import open_node_database
from mithaq.service.local_api import LocalApi
from tests.federation import Federation, agreement, clause
from tests.hub.running import prepare
from tests.local.house import settle

SENDER: Final = "eg-moi"
FRESH: Final = timedelta(hours=12)
# A national system: it issues in bulk, and looks up travellers.
USER: Final = "system"


@dataclass(frozen=True, slots=True)
class Place:
    """A node: its process, its folder, and where its local API is."""

    member: str
    folder: Path
    process: Process
    local_port: int

    @property
    def database(self) -> Path:
        """Its database."""
        return self.folder / "node.db"

    @property
    def profile(self) -> Path:
        """Credentials of the user that measures."""
        return NodeFolder(self.folder).profiles / USER


@dataclass(frozen=True, slots=True)
class Members:
    """Who takes part beside the sender, and where the hub keeps what it has (SQLite if empty).

    Readers are given everything that is measured. Others have an agreement of another
    category with all; newcomers have none yet.
    """

    readers: int = 1
    others: int = 0
    newcomers: int = 0
    hub_database: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A hub, a sender, its readers, and who is kept back; none is started yet."""

    federation: Federation
    exchange_port: int
    hub: Process
    sender: Place
    readers: tuple[Place, ...]
    others: tuple[Place, ...]
    newcomers: tuple[Place, ...]


def found(folder: Path, members: Members) -> Site:
    """Make every work folder; sender and readers may share with all under one agreement."""
    folder.mkdir(parents=True)
    readers = _names("tn-r", members.readers)
    others, newcomers = _names("it-o", members.others), _names("cy-n", members.newcomers)
    federation = Federation.found(policy=Policy(freshness_limit=FRESH))
    federation.enrol(SENDER, *readers, *others, *newcomers)
    federation.agree(agreement(SENDER, *readers))
    if others:
        federation.agree(_second_agreement((SENDER, *readers, *others)))
    exchange, hub = _hub(federation, folder, database=members.hub_database)

    def places(names: Sequence[str]) -> tuple[Place, ...]:
        address = f"127.0.0.1:{exchange}"
        return tuple(_place(federation, folder, each, hub_address=address) for each in names)

    (sender,) = places((SENDER,))
    return Site(
        federation, exchange, hub, sender, places(readers), places(others), places(newcomers)
    )


def _names(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}{number:02}" for number in range(1, count + 1))


def _second_agreement(members: Sequence[str]) -> Agreement:
    other_category = clause(
        "C1",
        senders=members,
        recipients=members,
        categories=(Category.MISSING_LOCATE,),
        purposes=(Purpose.BORDER_CONTROL, Purpose.MISSING_PERSONS),
    )
    return agreement(*members, clauses=(other_category,), agreement_id="second-agreement")


def _hub(federation: Federation, folder: Path, *, database: str) -> tuple[int, Process]:
    """Return the port of the exchange, and the process."""
    exchange, enrolment, local, metrics = free_ports(4)
    prepare(federation, folder / "hub", database=database)
    settings = {
        "MITHAQ_LISTEN": f"127.0.0.1:{exchange}",
        "MITHAQ_ENROLMENT_LISTEN": f"127.0.0.1:{enrolment}",
        "MITHAQ_LOCAL_LISTEN": f"127.0.0.1:{local}",
        "MITHAQ_METRICS_PORT": str(metrics),
    }
    return exchange, _process("hub", folder, metrics, settings)


def _place(federation: Federation, folder: Path, member: str, *, hub_address: str) -> Place:
    house = settle(federation, member, folder / member, hub_address=hub_address)
    _admit(house.config)
    local, metrics = free_ports(2)
    settings = {
        "MITHAQ_LOCAL_LISTEN": f"127.0.0.1:{local}",
        "MITHAQ_METRICS_PORT": str(metrics),
    }
    process = _process(member, folder, metrics, settings)
    return Place(member, folder / member, process, local)


def _process(name: str, folder: Path, metrics_port: int, settings: Mapping[str, str]) -> Process:
    kind = "hub" if name == "hub" else "node"
    return Process(
        name,
        (kind, "run", str(folder / name)),
        folder / f"{name}.log",
        metrics_port,
        dict(settings),
    )


def _admit(config: NodeConfig) -> None:
    """Give the user that measures a profile and the role of a system."""
    folder, at = NodeFolder(config.directory), datetime.now(UTC)
    api = LocalApi(folder.local, config.federation, config.member)
    mark = api.new_profile(folder.profiles / USER, user=USER, address=config.local_listen, at=at)
    database = open_node_database(config)
    try:
        database.write_sync(
            lambda each: officers.add(
                each, user=USER, role=Role.SYSTEM, tls_fingerprint=mark, at=at
            )
        )
    finally:
        database.close()
