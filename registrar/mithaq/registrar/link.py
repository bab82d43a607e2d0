"""The registrar's connection to the hub: entries and time out, submissions in.

The registrar dials the hub as a node does. The hub orders nothing and stamps
nothing: it takes what is handed to it, and says how far it and each node are.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Final

from mithaq.certs.authority import IssuedCertificate
from mithaq.certs.errors import ClockSkewError, TrustError
from mithaq.certs.registrar import DECISION_AGE_MAX
from mithaq.certs.registrar_state import Decision, Step
from mithaq.ledger.errors import LedgerError
from mithaq.registrar.office import Office
from mithaq.service.logging import declare, logger
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc

ENTRIES_PER_MESSAGE: Final = 64
# As exchange.proto has it.
DECISIONS_PER_MESSAGE: Final = 256
TAKEN_PER_MESSAGE: Final = 1024
IDLE_SECONDS: Final = 5.0
HUB: Final = "hub"

SUBMISSION_REFUSED: Final = declare("submission refused", "code")


class HubLink:
    """One connection to the hub, until it ends."""

    def __init__(self, office: Office, stub: "exchange_pb2_grpc.OrderingServiceAsyncStub") -> None:
        self._office = office
        self._stub = stub
        self._hub_size: int | None = None
        self._taken: list[int] = []
        self._sent_note = b""
        self._sent_decisions: set[bytes] = set()
        self._fault: Exception | None = None

    async def run(self) -> None:
        """Hand over and take until the hub ends the call; raise what went wrong here."""
        call = self._stub.Order(self._requests())
        try:
            async for response in call:
                await self._take(response)
        finally:
            call.cancel()
        if self._fault is not None:
            raise self._fault

    async def _requests(self) -> AsyncIterator[exchange_pb2.OrderRequest]:
        # The first message says nothing but that we are here; the answer says how far the hub is.
        yield exchange_pb2.OrderRequest()
        try:
            while True:
                await self._office.wait_for(self._something_to_say, seconds=IDLE_SECONDS)
                if self._something_to_say():
                    yield await self._next_request()
        except Exception as fault:  # noqa: BLE001 - raised again by `run`
            # gRPC would cancel the call, and with it, unheard, the task that keeps the link.
            self._fault = fault

    def _something_to_say(self) -> bool:
        if self._hub_size is None:
            return False
        log = self._office.log
        note = log.registry.checkpoint
        return bool(
            self._taken
            # What counts and is not signed yet cannot be said.
            or (note is not None and self._hub_size < note.checkpoint.size)
            or (note is not None and note.note_bytes != self._sent_note)
            or next(self.unsent_decisions(), None)
        )

    def unsent_decisions(self) -> Iterator[Decision]:
        """Yield what this hub was not told on this connection; the old it was told before."""
        since = self._office.now() - DECISION_AGE_MAX
        for request_hash, each in self._office.log.state.decisions.items():
            if request_hash not in self._sent_decisions and each.decided_at >= since:
                yield each

    async def _next_request(self) -> exchange_pb2.OrderRequest:
        taken, self._taken = self._taken[:TAKEN_PER_MESSAGE], self._taken[TAKEN_PER_MESSAGE:]
        request = exchange_pb2.OrderRequest(taken=taken)
        unsent = list(islice(self.unsent_decisions(), DECISIONS_PER_MESSAGE))
        request.decisions.extend(_decision(each) for each in unsent)
        self._sent_decisions.update(each.request_hash for each in unsent)
        await self._add_registry(request)
        return request

    async def _add_registry(self, request: exchange_pb2.OrderRequest) -> None:
        registry = self._office.log.registry
        start, signed = self._hub_size or 0, registry.checkpoint
        if signed is None:
            return
        if start < signed.checkpoint.size:
            leaves, note = await self._office.piece(start, entries_max=ENTRIES_PER_MESSAGE)
        elif signed.note_bytes != self._sent_note:
            leaves, note = [], signed.note_bytes
        else:
            return
        request.registry.first_index = start
        request.registry.entries.extend(leaves)
        request.registry.checkpoint = note
        self._hub_size, self._sent_note = start + len(leaves), note

    async def _take(self, response: exchange_pb2.OrderResponse) -> None:
        if self._hub_size is None:
            self._hub_size = response.registry_size
        self._office.hub_size = response.registry_size
        self._office.verified[HUB] = response.registry_size
        for each in response.verified:
            self._office.verified[each.member] = each.size
        for submission in response.submissions:
            await self._take_submission(submission)
        await self._office.wake()

    async def _take_submission(self, submission: exchange_pb2.Submission) -> None:
        at = self._office.now()
        try:
            if submission.WhichOneof("item") == "enrolment":
                await self._office.act(
                    lambda log: (None, log.take_request(submission.enrolment, at=at))
                )
            else:
                await self._office.act(lambda log: (None, log.take_entry(submission.entry, at=at)))
        except ClockSkewError:
            # Nothing is wrong with it: it is taken when the clock is right.
            raise
        except (TrustError, LedgerError) as error:
            logger().warning(SUBMISSION_REFUSED, code=error.code)
            await self._refuse(submission, error.code)
        self._taken.append(submission.number)

    async def _refuse(self, submission: exchange_pb2.Submission, code: str) -> None:
        if submission.WhichOneof("item") != "enrolment":
            return
        request_hash = hashlib.sha256(submission.enrolment).digest()
        if request_hash in self._office.log.state.decisions:
            return
        at = self._office.now()
        decision = Decision(
            request_hash, approved=False, decided_at=at.replace(microsecond=0), reason=code
        )
        await self._office.act(lambda _log: (None, Step(decision=decision)))
        # Anybody can ask and be refused: what strangers were told is not kept for ever.
        self._sent_decisions -= await self._office.tidy()


def _decision(decision: Decision) -> exchange_pb2.EnrolmentDecision:
    chain = IssuedCertificate(decision.certificate).pem.decode() if decision.certificate else ""
    return exchange_pb2.EnrolmentDecision(
        request_hash=decision.request_hash,
        approved=decision.approved,
        certificate_chain=chain,
        reason=decision.reason,
    )
