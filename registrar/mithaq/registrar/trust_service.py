"""The registrar's local API: invite, list, approve, enter, members."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final

from mithaq.certs.entries import SignedEntry, SignerRole, body_hash
from mithaq.certs.errors import EntryConflictError
from mithaq.certs.keys import PairSignature
from mithaq.certs.participants import MemberState
from mithaq.certs.registrar import RegistrarLog
from mithaq.certs.registrar_state import PendingItem, PendingKind, Step
from mithaq.certs.rejection import Rejection
from mithaq.certs.tls import fingerprint
from mithaq.registrar import rows
from mithaq.registrar.link import HUB
from mithaq.registrar.office import Office
from mithaq.v1 import trust_pb2, trust_pb2_grpc

ENFORCEMENT_SECONDS_MAX: Final = 110.0
REPORT_SECONDS: Final = 1.0
SIGNED_SECONDS_MAX: Final = 60.0
# gRPC's context has no type that says more.
Context = Any


class TrustService(trust_pb2_grpc.TrustServiceServicer):
    """What trust administrators call."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def Invite(  # noqa: N802 (named by the service)
        self, request: trust_pb2.InviteRequest, context: Context
    ) -> trust_pb2.InviteResponse:
        """Make an invitation; the answer holds its secret."""
        del context
        at = self._office.now()
        invitation = await self._office.act(
            lambda log: log.invite(
                request.member, valid_for=timedelta(seconds=request.valid_seconds), at=at
            )
        )
        return trust_pb2.InviteResponse(
            invitation=str(invitation), expires_at=int(invitation.expires_at.timestamp())
        )

    async def ListPending(  # noqa: N802
        self, request: trust_pb2.ListPendingRequest, context: Context
    ) -> trust_pb2.ListPendingResponse:
        """List what waits."""
        del request, context
        log = self._office.log
        items = sorted(log.state.pending.values(), key=lambda item: item.received_at)
        return trust_pb2.ListPendingResponse(items=[_pending(log, item) for item in items])

    async def AddHub(  # noqa: N802
        self, request: trust_pb2.AddHubRequest, context: Context
    ) -> trust_pb2.AddHubResponse:
        """Let a hub's request wait; the same one again is the same item."""
        del context
        at = self._office.now()

        def plan(log: RegistrarLog) -> tuple[str, Step]:
            step = log.take_hub_request(request.request, at=at)
            if step.pending is None:
                raise AssertionError("a hub's request always waits")
            for known in log.state.pending.values():
                if known.request_hash == step.pending.request_hash:
                    return known.id, Step()
            return step.pending.id, step

        return trust_pb2.AddHubResponse(item_id=await self._office.act(plan))

    async def Approve(  # noqa: N802
        self, request: trust_pb2.ApproveRequest, context: Context
    ) -> trust_pb2.ApproveResponse:
        """Add an administrator's signatures; enter the item once they are enough."""
        del context
        at = self._office.now()

        def plan(log: RegistrarLog) -> tuple[tuple[PendingItem, Step], Step]:
            item = log.item(request.item_id)
            step = log.approve(request.item_id, request.signed_entry, at=at)
            return (item, step), step

        item, step = await self._office.act(plan)
        entry = step.pending.entry if step.pending else SignedEntry.from_bytes(step.leaf or b"")
        return trust_pb2.ApproveResponse(
            signatures=_administrators(entry),
            threshold=self._office.log.registry.threshold,
            entered=step.leaf is not None,
            registry_size=self._office.log.registry.size,
            hub_approval=await self._hub_approval(item, step),
        )

    async def _hub_approval(self, item: PendingItem, step: Step) -> bytes:
        if item.kind is not PendingKind.HUB or step.decision is None:
            return b""
        # At once, but for a store that took the entry and then not the signature.
        await self._office.wait_for(self._office.is_signed, seconds=SIGNED_SECONDS_MAX)
        log = self._office.log
        signed = log.registry.checkpoint
        if signed is None:
            return b""
        leaves = await self._office.leaves(0, signed.checkpoint.size)
        return log.hub_approval(step.decision, tuple(leaves), signed.note_bytes)

    async def Propose(  # noqa: N802
        self, request: trust_pb2.ProposeRequest, context: Context
    ) -> trust_pb2.ProposeResponse:
        """Let an entry wait for the signatures that it lacks, or enter it."""
        del context
        at = self._office.now()
        entry = SignedEntry.from_bytes(request.signed_entry)

        def plan(log: RegistrarLog) -> tuple[Step, Step]:
            step = log.take_entry(request.signed_entry, at=at)
            if step == Step():
                raise EntryConflictError("the same waits already, drawn up by somebody else")
            return step, step

        step = await self._office.act(plan)
        known = step.pending.entry if step.pending else SignedEntry.from_bytes(step.leaf or b"")
        return trust_pb2.ProposeResponse(
            item_id=body_hash(entry.body)[:8].hex(),
            signatures=_administrators(known),
            threshold=self._office.log.registry.threshold,
            entered=step.leaf is not None,
            registry_size=self._office.log.registry.size,
        )

    async def Reject(  # noqa: N802
        self, request: trust_pb2.RejectRequest, context: Context
    ) -> trust_pb2.RejectResponse:
        """Drop what waits, because an administrator turned it down."""
        del context
        at = self._office.now()
        signature = PairSignature(request.ed25519, request.mldsa44)
        rejection = Rejection(request.administrator, signature)
        await self._office.act(lambda log: (None, log.reject(request.item_id, rejection, at=at)))
        return trust_pb2.RejectResponse()

    async def Enter(  # noqa: N802
        self, request: trust_pb2.EnterRequest, context: Context
    ) -> AsyncIterator[trust_pb2.EnterResponse]:
        """Enter a complete entry at once, then report who enforces it."""
        del context
        at = self._office.now()
        size = await self._office.act(
            lambda log: (log.registry.size + 1, log.take_entry(request.signed_entry, at=at))
        )
        seconds = 0.0
        while True:
            report = self._enforcement(size)
            yield report
            if report.complete or seconds >= ENFORCEMENT_SECONDS_MAX:
                return
            await self._office.wait_for(self._moved_from(report), seconds=REPORT_SECONDS)
            seconds += REPORT_SECONDS

    def _moved_from(self, report: trust_pb2.EnterResponse) -> Callable[[], bool]:
        return lambda: self._enforcement(report.registry_size) != report

    def _enforcement(self, size: int) -> trust_pb2.EnterResponse:
        registry = self._office.log.registry
        asked = [
            *([HUB] if registry.has_hub else []),
            # Whoever has no certificate left is cut already, and could not tell.
            *(
                each.id
                for each in registry.members()
                if each.state is MemberState.ACTIVE and each.tls_fingerprints
            ),
        ]
        enforced = [each for each in asked if self._office.verified.get(each, 0) >= size]
        awaited = [each for each in asked if each not in enforced]
        return trust_pb2.EnterResponse(
            registry_size=size, enforced_by=enforced, awaited=awaited, complete=not awaited
        )

    async def ListMembers(  # noqa: N802
        self, request: trust_pb2.ListMembersRequest, context: Context
    ) -> trust_pb2.ListMembersResponse:
        """List hub, registrar, members and the invited, with their keys."""
        del request, context
        log = self._office.log
        registry = log.registry
        at = registry.time
        return trust_pb2.ListMembersResponse(
            members=rows.member_rows(log, self._office.verified),
            registry_size=registry.size,
            registry_time_ms=int(at.timestamp() * 1000) if at is not None else 0,
            federation=registry.federation,
            administrators=rows.administrator_rows(registry),
            threshold=registry.threshold,
            ca_fingerprints=[fingerprint(each) for each in registry.ca_certificates],
        )


def _pending(log: RegistrarLog, item: PendingItem) -> trust_pb2.PendingItem:
    return trust_pb2.PendingItem(
        item_id=item.id,
        kind=item.kind.value,
        subject=item.subject,
        body=item.entry.body,
        signatures=_administrators(item.entry),
        threshold=log.registry.threshold,
        fingerprint=item.fingerprint,
    )


def _administrators(entry: SignedEntry) -> int:
    return sum(each.role is SignerRole.ADMINISTRATOR for each in entry.signatures)
