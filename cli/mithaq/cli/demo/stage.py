"""The demo's stage: folders, ports, processes and members, and how acts reach them.

The one rule: whoever starts a process here has it stopped here, whatever happens in
between.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import grpc

from mithaq.cli.demo.cast import Role
from mithaq.cli.demo.commands import command
from mithaq.cli.demo.processes import Process, free_ports, stop_together
from mithaq.cli.errors import CliError
from mithaq.cli.profile import connected
from mithaq.v1 import hub_pb2, hub_pb2_grpc, local_pb2, local_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from datetime import timedelta
    from pathlib import Path
    from random import Random

    from mithaq.node.records.model import ParsedRecord

    Status = local_pb2.GetNodeStatusResponse
    Statuses = Mapping[str, Status]

FEDERATION: Final = "euroarab.example"
AGREEMENT: Final = "rabat-2026"
CALL_SECONDS: Final = 120.0
# A node that is busy or was stopped is asked again.
STATUS_SECONDS: Final = 5.0
HUB_PORTS: Final = 4
FIXED_PORTS: Final = 2 + HUB_PORTS
PORTS_PER_NODE: Final = 2
# Raised where a node was down or a reader slow; the demo kills a node on purpose.
EXPECTED_ALARMS: Final = frozenset({"stale: sender or hub"})


@dataclass(frozen=True, slots=True)
class Member:
    """A member on the stage."""

    role: Role
    folder: Path
    process: Process

    @property
    def name(self) -> str:
        """The member's id."""
        return self.role.member

    def profile(self, user: str) -> Path:
        """Return the profile of one of its users."""
        return self.folder / "profiles" / user


@dataclass(slots=True)
class Issued:
    """What was issued, and what should therefore be opened where."""

    records: int = 0
    by_member: Counter[str] = field(default_factory=Counter[str])
    # Of a list only samples.
    alerts: dict[str, list[ParsedRecord]] = field(default_factory=dict[str, list["ParsedRecord"]])
    expected: dict[str, int] = field(default_factory=dict[str, int])
    denied: int = 0
    killed_at: int = 0


@dataclass(slots=True)
class Stage:
    """Everything the acts share."""

    folder: Path
    records: int
    roles: tuple[Role, ...]
    rng: Random
    hub_database: str = ""
    # MITHAQ_… settings of the processes, and deadlines of the agreement, by name.
    hub_settings: dict[str, str] = field(default_factory=dict[str, str])
    node_settings: dict[str, str] = field(default_factory=dict[str, str])
    deadlines: dict[str, timedelta] = field(default_factory=dict[str, "timedelta"])
    ports: list[int] = field(default_factory=list[int])
    issued: Issued = field(default_factory=Issued)
    expected_alarms: frozenset[str] = EXPECTED_ALARMS
    # Member, name and subject of alarms that were there before.
    known_alarms: set[tuple[str, str, str]] = field(
        default_factory=set[tuple[str, str, str]], init=False
    )
    members: dict[str, Member] = field(init=False)
    registrar: Process = field(init=False)
    hub: Process = field(init=False)
    _started: list[Process] = field(default_factory=list[Process], init=False)
    _starting: threading.Lock = field(default_factory=threading.Lock, init=False)
    is_closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Choose the ports once: addresses are written into the registry."""
        if not self.ports:
            self.ports = free_ports(FIXED_PORTS + PORTS_PER_NODE * len(self.roles))
        registrar, hub = self.folder / "registrar", self.hub_folder
        self.registrar = Process(
            "registrar",
            ("trust", "run", str(registrar)),
            self.logs / "registrar.log",
            self.ports[1],
        )
        # The hub's log lies in its own folder: it is searched for texts like the rest.
        self.hub = Process(
            "hub", ("hub", "run", str(hub)), hub / "hub.log", self.ports[5], self.hub_settings
        )
        self.members = {
            role.member: self._member(role, number) for number, role in enumerate(self.roles)
        }

    def _member(self, role: Role, number: int) -> Member:
        folder = self.folder / role.member
        process = Process(
            role.member,
            ("node", "run", str(folder)),
            self.logs / f"{role.member}.log",
            self.node_ports(number)[1],
            self.node_settings,
        )
        return Member(role, folder, process)

    def node_ports(self, number: int) -> tuple[int, int]:
        """Return the ports of a node's local API and of its health page."""
        first = FIXED_PORTS + PORTS_PER_NODE * number
        return self.ports[first], self.ports[first + 1]

    @property
    def logs(self) -> Path:
        """Where the processes write."""
        return self.folder / "logs"

    @property
    def hub_folder(self) -> Path:
        """The hub's folder: its database, its keys and its log."""
        return self.folder / "hub"

    @property
    def passphrase(self) -> Path:
        """The file with the passphrase of all offline keys of the demo."""
        return self.folder / "passphrase"

    @property
    def root_pin(self) -> Path:
        """The file with the federation's root pin."""
        return self.folder / "root-pin"

    @property
    def trust_profile(self) -> Path:
        """The registrar's local API."""
        return self.folder / "registrar" / "profiles" / "administrator"

    @property
    def hub_profile(self) -> Path:
        """The hub's local API."""
        return self.hub_folder / "operator"

    # --- processes ------------------------------------------------------------------

    @property
    def processes(self) -> list[Process]:
        """All parts: the registrar, the hub, then the nodes."""
        return [self.registrar, self.hub, *(each.process for each in self.members.values())]

    def start(self, *processes: Process) -> None:
        """Start processes, as many at a time as there are processors, until all are ready."""
        pool = ThreadPoolExecutor(os.cpu_count() or 1)
        try:
            for _ in pool.map(self._start, processes):
                pass
        except BaseException:
            # Ctrl-C as well: those that are starting are stopped, so that no thread waits.
            self.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _start(self, process: Process) -> None:
        with self._starting:
            if self.is_closed:
                raise CliError("MQ-DEMO-STOPPED", f"{process.name} is not started: the demo stops")
            self._started.append(process)
            process.start()
        process.wait_ready()

    def stop(self) -> None:
        """Stop every process that was started here; none is started afterwards."""
        with self._starting:
            self.is_closed = True
        nodes = [each for each in self._started if each not in (self.hub, self.registrar)]
        stop_together(nodes)
        stop_together([self.hub, self.registrar])

    # --- calls ----------------------------------------------------------------------

    @contextmanager
    def alerts(self, member: str, user: str) -> Generator[local_pb2_grpc.AlertServiceStub]:
        """Yield a client of a member's alert service."""
        with connected(self.members[member].profile(user)) as channel:
            yield local_pb2_grpc.AlertServiceStub(channel)

    def statuses(self) -> dict[str, Status]:
        """Return the status of every node that answers in time; all are asked at once."""
        request = local_pb2.GetNodeStatusRequest()
        with ExitStack() as stack:
            asked: dict[str, Any] = {}
            for name, member in self.members.items():
                channel = stack.enter_context(connected(member.profile("administrator")))
                stub = local_pb2_grpc.NodeServiceStub(channel)
                asked[name] = stub.GetNodeStatus.future(request, timeout=STATUS_SECONDS)
            return {
                name: each.result()
                for name, each in asked.items()
                if not isinstance(each.exception(), grpc.RpcError)
            }

    def node_roots(self, member: str) -> dict[bytes, tuple[int, bytes]]:
        """Return the roots that a node recomputes from its own store, by stream."""
        with connected(self.members[member].profile("administrator")) as channel:
            answer = local_pb2_grpc.NodeServiceStub(channel).RecomputeRoots(
                local_pb2.RecomputeRootsRequest(), timeout=CALL_SECONDS
            )
        return {row.stream_id: (row.size, row.root) for row in answer.streams}

    def hub_roots(self) -> dict[bytes, tuple[int, bytes]]:
        """Return the roots that the hub recomputes from its own store, by stream."""
        with connected(self.hub_profile) as channel:
            answer = hub_pb2_grpc.HubServiceStub(channel).GetHubRoots(
                hub_pb2.GetHubRootsRequest(), timeout=CALL_SECONDS
            )
        return {row.stream_id: (row.size, row.recomputed_root) for row in answer.roots}

    def command_as(
        self, member: str, user: str, *arguments: str, expect: int = 0
    ) -> dict[str, Any]:
        """Run a command with a user's profile at a member."""
        profile = str(self.members[member].profile(user))
        return command(*arguments, "--profile", profile, expect=expect)
