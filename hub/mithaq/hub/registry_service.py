"""What nodes call about the registry: follow it, and submit entries for the registrar.

Following is the first thing on every connection (PROTOCOL 2.3): entries, then the newest
checkpoint, again for each new one, at least every minute while the registrar lives. What a
node says that it has verified is kept, so that a revocation can show who enforces it.
"""

from collections import Counter
from collections.abc import AsyncIterator

from mithaq.certs.entries import SignedEntry, body_hash, parse_body
from mithaq.certs.errors import ReplayedEntryError, WrongFederationError
from mithaq.hub.connection import Inbox, Outbox, run_until_over
from mithaq.hub.context import Context, HubContext
from mithaq.hub.relay import RegistryPiece
from mithaq.service.identity import Draining, current_call
from mithaq.store.audit_entry import Operation
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc


class RegistryServicer(exchange_pb2_grpc.RegistryServiceServicer):
    """Serves RegistryService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub

    async def Follow(  # type: ignore[override]  # noqa: N802 - gRPC's name; it writes itself
        self, request_iterator: AsyncIterator[exchange_pb2.FollowRequest], context: Context
    ) -> None:
        """Follow the registry; each request acknowledges what is verified."""
        del request_iterator
        await Following(self._hub, context, member=self._hub.member(context)).run()

    async def SubmitEntry(  # noqa: N802 - gRPC's name
        self, request: exchange_pb2.SubmitEntryRequest, context: Context
    ) -> exchange_pb2.SubmitEntryResponse:
        """Submit an entry: a reception key, an agreement, a suspension."""
        member = self._hub.member(context)
        entry = SignedEntry.from_bytes(request.entry)
        body = parse_body(entry.body)
        if body.federation != self._hub.federation:
            raise WrongFederationError(f"the entry is for {body.federation}")
        if self._hub.registry.holds(entry.body):
            raise ReplayedEntryError("the same body was entered before")
        audited = self._hub.journal.entry(
            Operation.ADMINISTER, subject=type(body.act).__name__, counterparts=[member]
        )
        await self._hub.desk.submit(
            request.entry, body_hash=body_hash(entry.body), member=member, audited=audited
        )
        return exchange_pb2.SubmitEntryResponse(body_hash=body_hash(entry.body))


class Following:
    """One node's Follow call."""

    def __init__(self, hub: HubContext, context: Context, *, member: str) -> None:
        self._hub = hub
        self._member = member
        self._inbox = Inbox[exchange_pb2.FollowRequest](context.read)
        self._outbox = Outbox[exchange_pb2.FollowResponse](
            context.write, counted=hub.metrics.count_sent
        )

    async def run(self) -> None:
        """Serve the call until it is over."""
        self._hub.following[self._member] += 1
        try:
            first = await self._inbox.next()
            if first is None:
                return
            await self._hub.desk.note_verified(self._member, first.verified_size)
            over = await run_until_over(
                current_call(), [self._acknowledgements(), self._entries(first.verified_size)]
            )
            if over is not None and not isinstance(over, Draining):
                await self._inbox.discard()
                raise over
        finally:
            self._inbox.close()
            self._hub.following -= Counter([self._member])

    async def _acknowledgements(self) -> None:
        while (request := await self._inbox.next()) is not None:
            await self._hub.desk.note_verified(self._member, request.verified_size)

    async def _entries(self, sent_size: int) -> None:
        sent_checkpoint = b""
        while True:
            piece = await self._hub.relay.piece(sent_size)
            if piece.leaves or (piece.checkpoint and piece.checkpoint != sent_checkpoint):
                await self._outbox.send(follow_message(piece))
                sent_size, sent_checkpoint = piece.end, piece.checkpoint or sent_checkpoint
            else:
                await self._hub.relay.news.wait()


def follow_message(piece: RegistryPiece) -> exchange_pb2.FollowResponse:
    """Return a piece of the registry as it travels."""
    return exchange_pb2.FollowResponse(
        first_index=piece.first_index,
        entries=piece.leaves,
        checkpoint=piece.checkpoint,
        cosignature=piece.cosignature,
    )
