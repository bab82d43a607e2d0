"""Bodies that are left out, and what proves each: the withdrawal, the refusal, the expiry.

PROTOCOL 5.4, 5.8. Each reason is checked against what this node itself holds. One of them
is this node's own: it has signed `opened` beyond the entry, so the hub has erased the
body, and a node that asks for it again was set back to an older backup. The one rule: the
hub's word alone proves nothing, and only our own signature says what we have opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.ledger.entry import EntryKind
from mithaq.ledger.names import HUB, stream_origin
from mithaq.node.exchange.epochs import EPOCH, REFUSAL
from mithaq.node.exchange.errors import (
    BodyWithheldError,
    HeadersBehindError,
    ProofRefusedError,
    ReceiptConflictError,
)
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.in_stream import Awaited, InStream
from mithaq.node.exchange.out_stream import WITHDRAWAL
from mithaq.node.exchange.receipts import OPENED as OPENED_ROLE
from mithaq.node.exchange.receipts import Receipt, verify_receipt
from mithaq.store.audit import root_at
from mithaq.v1 import exchange_pb2

WITHDRAWN: Final = exchange_pb2.OMISSION_REASON_WITHDRAWN
REFUSED: Final = exchange_pb2.OMISSION_REASON_REFUSED
EXPIRED: Final = exchange_pb2.OMISSION_REASON_EXPIRED
NOT_A_READER: Final = exchange_pb2.OMISSION_REASON_NOT_A_READER
OPENED: Final = exchange_pb2.OMISSION_REASON_OPENED


class Omission(NamedTuple):
    """A body that was left out, and what is said to prove it."""

    sequence: int
    reason: int
    withdrawn_by: int


@dataclass(frozen=True, slots=True)
class OmissionDesk:
    """Checks the omissions of one piece of bodies."""

    connection: sa.Connection
    home: Home
    stream: InStream
    held_size: int
    at: datetime

    def check_all(
        self, omitted: Sequence[Awaited], omissions: Mapping[int, Omission], own: Receipt | None
    ) -> None:
        """Check each omission; `own` is our receipt that came with them, verified.

        Raises:
            HeadersBehindError: what proves one is a header that has not come yet.
            BodyWithheldError: one is not proven (PROTOCOL 5.4).

        """
        for entry in omitted:
            omission = omissions[entry.sequence]
            if omission.reason == WITHDRAWN and omission.withdrawn_by >= self.held_size:
                raise HeadersBehindError("the header of a withdrawal has not come yet")
            if not self._is_proven(entry, omission, own):
                raise BodyWithheldError(f"entry {entry.sequence} was left out without proof")

    def own_receipt(self, message: exchange_pb2.Receipt | None) -> Receipt | None:
        """Return the receipt of ours that the hub shows, once it has verified.

        Raises:
            HeadersBehindError: it is over more than has been held here again so far.
            BodyWithheldError: it is not our `opened` of this stream (PROTOCOL 5.4).
            ReceiptConflictError: it is, but over another root than the hub shows now.

        """
        if message is None:
            return None
        member = self.home.registry.member(self.home.member)
        origin = stream_origin(self.home.federation, self.stream.stream_id)
        try:
            receipt = verify_receipt(
                message, federation=self.home.federation, origin=origin, member=member
            )
        except ProofRefusedError as fault:
            raise BodyWithheldError(f"no receipt of ours was shown: {fault}") from fault
        if receipt.role is not OPENED_ROLE or receipt.stream_id != self.stream.stream_id:
            raise BodyWithheldError("a receipt of another role or stream was shown")
        if receipt.size > self.held_size:
            raise HeadersBehindError("the headers that our receipt covers have not come yet")
        if receipt.root != root_at(self.connection, self.stream.log_no, receipt.size):
            raise ReceiptConflictError("we have opened another history than is shown now")
        return receipt

    def _is_proven(self, entry: Awaited, omission: Omission, own: Receipt | None) -> bool:
        if omission.reason == WITHDRAWN:
            return self._is_withdrawn(entry, by=omission.withdrawn_by)
        if omission.reason == REFUSED:
            return self._is_refused(entry)
        if omission.reason == EXPIRED:
            return self._is_expired(entry)
        if omission.reason == NOT_A_READER:
            return not self._is_reader(entry)
        if omission.reason == OPENED:
            return own is not None and entry.sequence < own.size
        return False

    def _is_withdrawn(self, entry: Awaited, *, by: int) -> bool:
        found = self.connection.execute(
            sa.select(WITHDRAWAL.c.sequence).where(
                WITHDRAWAL.c.log_no == self.stream.log_no,
                WITHDRAWAL.c.target == entry.first_sequence,
                WITHDRAWAL.c.sequence == by,
            )
        ).scalar()
        return found is not None and by > entry.sequence

    def _is_refused(self, entry: Awaited) -> bool:
        found = self.connection.execute(
            sa.select(REFUSAL.c.list_no).where(
                REFUSAL.c.log_no == self.stream.log_no,
                REFUSAL.c.sequence == entry.sequence,
                REFUSAL.c.signer == HUB,
            )
        ).scalar()
        return found is not None

    def _is_expired(self, entry: Awaited) -> bool:
        # PROTOCOL 5.8: the local clock and the registry's time both have to have passed.
        expires_at, registry_time = entry.terms.expires_at, self.home.registry.time
        return (
            expires_at is not None
            and registry_time is not None
            and expires_at <= min(self.at, registry_time)
        )

    def _is_reader(self, entry: Awaited) -> bool:
        if entry.terms.kind is EntryKind.EPOCH:
            return any(each.member == self.home.member for each in entry.terms.readers)
        readers = self.connection.execute(
            sa.select(EPOCH.c.readers).where(
                EPOCH.c.log_no == self.stream.log_no, EPOCH.c.epoch == entry.terms.epoch
            )
        ).scalar()
        # Without its EPOCH row nobody knows who read it, so it counts as ours.
        return readers is None or self.home.member in readers.split()
