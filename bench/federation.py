"""A federation in a folder: work folders of a hub and of nodes, as their operators would have.

Registry, agreement and keys are made in this process by the builders that the tests use,
which sign every entry for real; the processes replay and verify them as always. No
registrar runs, so the genesis policy takes its last word as fresh for as long as a
measurement may last. The rule: nothing is set that an operator could not set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from mithaq.certs.acts import Policy
from mithaq.cli.demo.processes import Process, free_ports
from mithaq.node.config import NodeConfig
from mithaq.node.folder import NodeFolder
from mithaq.node.local import officers
from mithaq.node.local.access import Role
from mithaq.node.opening import open_node_database
from mithaq.service.local_api import LocalApi
from tests.federation import Federation, agreement
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
class Site:
    """A hub, a sender and its readers, not yet started."""

    hub: Process
    sender: Place
    readers: tuple[Place, ...]


def found(folder: Path, *, readers: int) -> Site:
    """Make every work folder; all members may share with all under one agreement."""
    folder.mkdir(parents=True)
    members = (SENDER, *(f"tn-r{number:02}" for number in range(1, readers + 1)))
    federation = Federation.found(policy=Policy(freshness_limit=FRESH))
    federation.enrol(*members)
    federation.agree(agreement(*members))
    exchange, enrolment, local, metrics = free_ports(4)
    prepare(federation, folder / "hub")
    hub = _process(
        "hub",
        folder,
        metrics,
        {
            "MITHAQ_LISTEN": f"127.0.0.1:{exchange}",
            "MITHAQ_ENROLMENT_LISTEN": f"127.0.0.1:{enrolment}",
            "MITHAQ_LOCAL_LISTEN": f"127.0.0.1:{local}",
            "MITHAQ_METRICS_PORT": str(metrics),
        },
    )
    sender, *others = [
        _place(federation, folder, member, hub_address=f"127.0.0.1:{exchange}")
        for member in members
    ]
    return Site(hub, sender, tuple(others))


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
