"""What the registrar calls: it hands the registry over and takes what waits for it.

Only the registrar's certificate may. What it hands over is applied because each entry
carries its own signatures, not because it comes from the registrar (PROTOCOL 2.1, 2.2).
"""

from collections.abc import AsyncIterator

from mithaq.certs.registry import Applied
from mithaq.hub.connection import Inbox, Outbox, run_until_over
from mithaq.hub.context import Context, HubContext
from mithaq.service.identity import Draining, current_call
from mithaq.service.validation import check_message
from mithaq.store.audit_entry import Operation
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc


class OrderingServicer(exchange_pb2_grpc.OrderingServiceServicer):
    """Serves OrderingService."""

    def __init__(self, hub: HubContext) -> None:
        self._hub = hub

    async def Order(  # type: ignore[override]  # noqa: N802 - gRPC's name; it writes itself
        self, request_iterator: AsyncIterator[exchange_pb2.OrderRequest], context: Context
    ) -> None:
        """Hand over ordered entries, take submissions."""
        del request_iterator
        self._hub.check_registrar(context)
        await Ordering(self._hub, context).run()


class Ordering:
    """One Order call of the registrar."""

    def __init__(self, hub: HubContext, context: Context) -> None:
        self._hub = hub
        self._inbox = Inbox[exchange_pb2.OrderRequest](context.read)
        self._outbox = Outbox[exchange_pb2.OrderResponse](
            context.write, counted=hub.metrics.count_sent
        )

    async def run(self) -> None:
        """Serve the call until it is over."""
        try:
            over = await run_until_over(current_call(), [self._orders(), self._news()])
            if over is not None and not isinstance(over, Draining):
                await self._inbox.discard()
                raise over
        finally:
            self._inbox.close()

    async def _orders(self) -> None:
        while (request := await self._inbox.next()) is not None:
            check_message(request)
            if request.HasField("registry"):
                await self._extend(request.registry)
            await self._hub.desk.settle(request.taken, request.decisions)
            await self._answer()

    async def _extend(self, registry: exchange_pb2.FollowResponse) -> None:
        applied = await self._hub.relay.extend(
            registry.first_index, list(registry.entries), registry.checkpoint
        )
        if applied:
            self._hub.registry_grew()
            for each in applied:
                self._note(each)

    def _note(self, applied: Applied) -> None:
        act = applied.body.act
        member = str(getattr(act, "member", ""))
        self._hub.journal.note(
            self._hub.journal.entry(
                Operation.ADMINISTER,
                subject=type(act).__name__,
                counterparts=[member] if member else [],
                agreement_id=str(getattr(act, "agreement_id", "")),
            )
        )

    async def _news(self) -> None:
        while True:
            await self._hub.desk.news.wait()
            await self._answer()

    async def _answer(self) -> None:
        await self._outbox.send(
            exchange_pb2.OrderResponse(
                registry_size=self._hub.registry.size,
                submissions=await self._hub.desk.waiting(),
                verified=[
                    exchange_pb2.VerifiedSize(member=member, size=size)
                    for member, size in sorted(self._hub.desk.verified.items())
                ],
                cosignature=self._hub.relay.cosignature,
            )
        )
