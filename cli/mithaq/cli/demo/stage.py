"""The demo's stage: folders, ports, processes and members, and how acts reach them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from mithaq.cli.demo.cast import Role
from mithaq.cli.demo.commands import command
from mithaq.cli.demo.processes import Process, free_ports
from mithaq.cli.profile import connected
from mithaq.v1 import hub_pb2, hub_pb2_grpc, local_pb2, local_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

FEDERATION: Final = "euroarab.example"
AGREEMENT: Final = "rabat-2026"
ADMINISTRATORS: Final = ("cairo", "tunis", "geneva")
THRESHOLD: Final = 2
WAIT_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 0.1
CALL_SECONDS: Final = 120.0
# Short, so that what is late shows while the demo plays.
NODE_SETTINGS: Final = {"MITHAQ_INTERVALS__UPKEEP_S": "1"}


class CheckFailedError(Exception):
    """A check of the demo failed; `alarm` is the name of PROTOCOL 6 where it has one."""

    code = "MQ-DEMO-CHECK"

    def __init__(self, what: str, *, alarm: str = "") -> None:
        """Say what did not hold."""
        super().__init__(f"{alarm}: {what}" if alarm else what)
        self.alarm = alarm


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
class Stage:
    """Everything the acts share."""

    folder: Path
    records: int
    roles: tuple[Role, ...]
    rng: Random
    hub_database: str = ""
    settings: dict[str, str] = field(default_factory=lambda: dict(NODE_SETTINGS))
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    processes: list[Process] = field(default_factory=list[Process])
    ports: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        """Choose the ports once: addresses are written into the registry."""
        self.ports = free_ports(6 + 2 * len(self.roles))

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

    def start(self, process: Process) -> Process:
        """Start a process and wait until it is ready."""
        process.start()
        if process not in self.processes:
            self.processes.append(process)
        process.wait_ready()
        return process

    def stop_all(self) -> None:
        """Stop every process that the demo started, the hub last."""
        for process in reversed(self.processes):
            process.stop()

    @contextmanager
    def alerts(self, member: str, user: str) -> Generator[local_pb2_grpc.AlertServiceStub]:
        """Yield a client of a member's alert service."""
        with connected(self.members[member].profile(user)) as channel:
            yield local_pb2_grpc.AlertServiceStub(channel)

    def status(self, member: str) -> local_pb2.GetNodeStatusResponse:
        """Return a node's status."""
        with connected(self.members[member].profile("administrator")) as channel:
            return local_pb2_grpc.NodeServiceStub(channel).GetNodeStatus(
                local_pb2.GetNodeStatusRequest(), timeout=CALL_SECONDS
            )

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

    def alarms(self, *, besides: frozenset[str] = frozenset()) -> list[str]:
        """Return the alarms of all nodes, as `member: name`."""
        return [
            f"{name}: {row.name}"
            for name in self.members
            for row in self.status(name).alarms
            if row.name not in besides
        ]


def wait_until(
    condition: Callable[[], bool], *, what: str, alarm: str = "", seconds: float = WAIT_SECONDS_MAX
) -> None:
    """Wait until a condition holds; raise CheckFailedError where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise CheckFailedError(what, alarm=alarm)
        time.sleep(POLL_SECONDS)
