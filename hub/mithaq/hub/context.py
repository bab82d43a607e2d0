"""What every service of the hub works with, and the questions that all of them ask.

One value, made at start and handed to each servicer, so that nothing is global. The rule:
who is calling is asked of the registry at every call, here and nowhere else.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import grpc

from mithaq.agreements.grant import no_standing
from mithaq.certs.errors import UnknownAgreementError, UnknownMemberError
from mithaq.certs.keys import SigningPair
from mithaq.certs.participants import Principal, PrincipalKind
from mithaq.certs.registry import Registry
from mithaq.hub.allowance import HeaderAllowance
from mithaq.hub.committer import Committer
from mithaq.hub.config import HubConfig, HubIntervals, HubLimits
from mithaq.hub.desk import RegistrarDesk
from mithaq.hub.directory import Directory, HeldStream
from mithaq.hub.errors import CallerRefusedError, RegistryBehindError
from mithaq.hub.evidence import store_evidence, write_evidence
from mithaq.hub.journal import Journal
from mithaq.hub.metrics import HubMetrics
from mithaq.hub.relay import RegistryRelay
from mithaq.hub.work_folder import keep_roots
from mithaq.ledger.kinds import StreamRole
from mithaq.service.identity import HasPeer, LiveCalls, peer_principal
from mithaq.service.logging import declare, logger
from mithaq.store.audit_entry import Operation
from mithaq.store.engine import Database
from mithaq.store.evidence import Evidence
from mithaq.store.witness import WitnessStore

# gRPC's handlers take any message; each servicer's own signature says which.
Context = grpc.aio.ServicerContext[Any, Any]

STRANGER = "A certificate of the federation's CA, of the SHA-256 in `certificate_sha256`, was \
shown to the hub. The registry, replayed to `registry_size`, has entered it for nobody."
# Of strangers that wait to be kept; one certificate is kept once.
STRANGERS_MAX = 256
BODIES_MISSING = declare("bodies missing", "stream", "count")


@dataclass(slots=True)
class HubContext:
    """The parts of a running hub."""

    config: HubConfig
    database: Database
    directory: Directory
    committer: Committer
    relay: RegistryRelay
    journal: Journal
    desk: RegistrarDesk
    witness: WitnessStore
    metrics: HubMetrics
    live: LiveCalls
    clock: Callable[[], datetime]
    keys: SigningPair = field(repr=False)
    # Senders whose oldest waiting body is older than the limit; set by the sweeper.
    overdue_senders: set[str] = field(default_factory=set[str])
    # Set after every transaction of ours: what other replicas want to hear of.
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    # Whether bodies were erased that the write-ahead log may still hold.
    erased: bool = False
    # Certificates of our CA that the registry doesn't know, until they are kept as evidence.
    strangers: dict[bytes, datetime] = field(default_factory=dict[bytes, datetime])
    allowance: HeaderAllowance = field(init=False)
    # Members that follow the registry now.
    following: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        """Begin with a full allowance for everybody."""
        self.allowance = HeaderAllowance(
            self.limits.bare_headers_per_second, self.limits.bare_headers_at_once
        )

    @property
    def federation(self) -> str:
        """The federation's name."""
        return self.config.federation

    @property
    def limits(self) -> HubLimits:
        """What one hub takes on."""
        return self.config.limits

    @property
    def intervals(self) -> HubIntervals:
        """How often the hub does things by itself."""
        return self.config.intervals

    @property
    def registry(self) -> Registry:
        """The registry as it is committed."""
        return self.relay.registry

    def known(self, fingerprint: bytes) -> Principal:
        """Return whose certificate this is, if that party may act now; else count and raise."""
        try:
            return self.registry.by_tls_fingerprint(fingerprint)
        except UnknownMemberError as stranger:
            # PROTOCOL 6, `unknown member`: the CA vouches for it and the registry doesn't.
            self.metrics.alarms.labels(str(stranger.alarm)).inc()
            if len(self.strangers) < STRANGERS_MAX:
                self.strangers.setdefault(fingerprint, self.clock())
            raise

    def principal(self, context: Context) -> Principal:
        """Return who is calling; raise UnknownMemberError or MemberInactiveError."""
        return peer_principal(cast("HasPeer", context), self.registry.by_tls_fingerprint)

    def member(self, context: Context) -> str:
        """Return the member whose node is calling; raise CallerRefusedError for others."""
        principal = self.principal(context)
        if principal.kind is not PrincipalKind.NODE:
            raise CallerRefusedError(f"{principal.kind} calls what is for nodes")
        return principal.member

    def check_registrar(self, context: Context) -> None:
        """Raise CallerRefusedError unless the registrar is calling."""
        principal = self.principal(context)
        if principal.kind is not PrincipalKind.REGISTRAR:
            raise CallerRefusedError(f"{principal.kind} calls what is for the registrar")

    def registry_grew(self) -> None:
        """Let everybody feel what the registry says now: cut who may no longer be connected."""
        cut = self.live.recheck(self.registry.by_tls_fingerprint)
        if cut:
            self.journal.note(self.journal.entry(Operation.ADMINISTER, subject=f"{cut} calls cut"))
        keep_roots(self.config, self.registry.ca_certificates)
        # Releases may have stopped, or may go on.
        self.directory.wake_all()

    async def keep_evidence(self, *evidence: Evidence) -> None:
        """Keep evidence that no transaction of the committer has found."""
        kept = await self.database.write(lambda each: store_evidence(each, evidence))
        write_evidence(self.config.evidence, kept)

    async def keep_strangers(self) -> None:
        """Raise `unknown member` for certificates that called and that nobody has entered."""
        strangers, self.strangers = self.strangers, {}
        await self.keep_evidence(
            *(
                Evidence(
                    alarm="unknown member",
                    accused="",
                    at=at,
                    explanation=STRANGER,
                    messages={},
                    facts={"certificate_sha256": fingerprint.hex()},
                    subject=fingerprint.hex(),
                    registry_size=self.registry.size,
                )
                for fingerprint, at in strangers.items()
            )
        )

    async def await_registry(self, size: int) -> None:
        """Wait until the registry has this size; raise RegistryBehindError if it takes too long."""
        try:
            async with asyncio.timeout(self.intervals.registry_wait_s):
                while self.registry.size < size:
                    await self.relay.news.wait()
        except TimeoutError:
            raise RegistryBehindError(
                f"size {size} is named, the hub has {self.registry.size}"
            ) from None

    def backlog_is_full(self, sender: str) -> bool:
        """Tell whether a sender's readers are too far behind for more (PROTOCOL 5.3a)."""
        stored = self.directory.backlog_bytes(sender)
        return stored > self.limits.backlog_bytes_max or sender in self.overdue_senders

    def may_release(self, stream: HeldStream, reader: str) -> bool:
        """Tell whether bodies of a stream may go to a reader now.

        Disclosures wait while an agreement is not in force: a suspension may be lifted.
        Answers go on; what may not be answered was refused on its way in (PROTOCOL 3.7).
        """
        if stream.role is StreamRole.RETURN:
            return True
        try:
            record = self.registry.agreement(stream.state.opening.agreement_id)
        except UnknownAgreementError:
            return False
        now = self.clock()
        refusal = no_standing(
            record.in_force(at=now), record.status, sender=stream.sender, recipient=reader, at=now
        )
        return refusal is None

    def expired_at(self) -> int:
        """Return the earlier of both clocks, in seconds since 1970 (PROTOCOL 5.8)."""
        local, registry = self.clock(), self.registry.time
        return int(min(local, registry).timestamp()) if registry else 0

    def note_missing(self, stream: HeldStream, sequences: Sequence[int]) -> None:
        """Log that the hub itself lacks bodies that it should have: readers will raise an alarm."""
        logger().error(BODIES_MISSING, stream=stream.state.stream_id.hex(), count=len(sequences))
        self.metrics.alarms.labels("body withheld").inc()

    def note_refusal(self, error: BaseException, *, member: str) -> None:
        """Count and log what was refused outright, with its alarm if it raises one."""
        self.metrics.rejected.labels(str(getattr(error, "code", "MQ-INTERNAL"))).inc()
        alarm = getattr(error, "alarm", None)
        if isinstance(alarm, str):
            self.metrics.alarms.labels(alarm).inc()
        self.journal.refused(error, member=member)
