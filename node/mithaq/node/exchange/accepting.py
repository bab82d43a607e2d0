"""What the hub answers a sender: acceptances, refusals, and the readers' receipts.

PROTOCOL 5.2, 5.3, 5.5, 5.6. Each is verified against the root that this node itself has
at that size, and kept. The one rule: an answer over another root than ours is never kept
as proof; it is evidence against whoever signed it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.lists import REFUSED_BY_HUB, refusal_list_hash
from mithaq.ledger.names import HUB, stream_origin
from mithaq.node.exchange.alarms import RECEIPT_CONFLICT, raise_alarm
from mithaq.node.exchange.errors import (
    ExchangeError,
    ProofRefusedError,
    ReceiptConflictError,
    StreamUnknownError,
)
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.exchange.inbox import ACCEPTANCE, is_list_known, save_receipts, save_refusals
from mithaq.node.exchange.judge import check_accepted, member_of
from mithaq.node.exchange.out_stream import (
    DISCLOSURE,
    OUT_BODY,
    OWN_CHECKPOINT,
    STREAM,
    WITHDRAWAL,
    OwnStream,
    own_stream,
)
from mithaq.node.exchange.receipts import Receipt, verify_receipt
from mithaq.node.exchange.refusals import check_refusals
from mithaq.node.exchange.withheld import check_named, check_told, keep_list
from mithaq.store import log_store
from mithaq.store.audit import root_at
from mithaq.v1 import exchange_pb2

M = TypeVar("M")
_REFUSED = (LedgerError, ExchangeError, TrustError)


@dataclass(slots=True)
class Answers:
    """Answers that came since the last transaction."""

    acceptances: list[exchange_pb2.Acceptance] = field(
        default_factory=list[exchange_pb2.Acceptance]
    )
    receipts: list[exchange_pb2.Receipt] = field(default_factory=list[exchange_pb2.Receipt])
    # Readers' lists of refusals; each came before the receipts that name it.
    lists: list[exchange_pb2.RefusalList] = field(default_factory=list[exchange_pb2.RefusalList])

    @property
    def refuse(self) -> bool:
        """Whether anybody refuses anything in them."""
        return bool(self.lists) or any(each.HasField("refusals") for each in self.acceptances)

    def __bool__(self) -> bool:
        return bool(self.acceptances or self.receipts or self.lists)


def keep_answers(
    connection: sa.Connection, home: Home, answers: Answers, *, at: datetime
) -> list[Exception]:
    """Verify and keep answers; return what was wrong with those that were not kept."""
    desk = _Desk(connection, home, at)
    for acceptance in _newest(answers.acceptances):
        desk.attempt(desk.accept, acceptance)
    for acceptance in answers.acceptances:
        if acceptance.HasField("refusals"):
            desk.attempt(desk.note_hub_refusals, acceptance)
    for signed in answers.lists:
        desk.attempt(desk.note_reader_refusals, signed)
    for receipt in answers.receipts:
        desk.attempt(desk.receive, receipt)
    check_told(connection, home)
    return desk.faults


def _newest(
    acceptances: Sequence[exchange_pb2.Acceptance],
) -> Iterable[exchange_pb2.Acceptance]:
    """Return the largest of each stream: it proves the smaller ones, too."""
    newest: dict[bytes, exchange_pb2.Acceptance] = {}
    for each in acceptances:
        kept = newest.get(each.stream_id)
        if kept is None or each.size > kept.size:
            newest[each.stream_id] = each
    return newest.values()


@dataclass(slots=True)
class _Desk:
    """Takes the answers of one transaction, one after the other."""

    connection: sa.Connection
    home: Home
    at: datetime
    faults: list[Exception] = field(default_factory=list[Exception])

    def attempt(self, take: Callable[[M], None], message: M) -> None:
        """Take one answer; what is wrong with it is noted and harms no other."""
        try:
            take(message)
        except _REFUSED as fault:
            self.faults.append(fault)

    def accept(self, message: exchange_pb2.Acceptance) -> None:
        """Keep the hub's cosignature, and forget what it makes needless to keep."""
        stream, accepted_size = self._stream(message.stream_id)
        if message.size <= accepted_size:
            return
        checkpoint = self._checkpoint(stream, message.size)
        cosignature = check_accepted(checkpoint, message.cosignature, registry=self.home.registry)
        log_no = stream.log_no
        self.connection.execute(
            sa.insert(ACCEPTANCE),
            {
                "log_no": log_no,
                "size": message.size,
                "at_ms": milliseconds(cosignature.at),
                "cosignature": message.cosignature,
            },
        )
        self.connection.execute(
            sa.update(STREAM).where(STREAM.c.log_no == log_no).values(accepted_size=message.size)
        )
        self.connection.execute(
            sa.delete(OWN_CHECKPOINT).where(
                OWN_CHECKPOINT.c.log_no == log_no, OWN_CHECKPOINT.c.size <= message.size
            )
        )
        self._drop_withdrawn(log_no, message.size)

    def note_hub_refusals(self, message: exchange_pb2.Acceptance) -> None:
        """Keep the hub's signed list of what it would not pass on."""
        stream, _ = self._stream(message.stream_id)
        signed = check_refusals(
            message.refusals,
            stream_id=message.stream_id,
            signer=HUB,
            size=message.size,
            public=self.home.registry.hub.cosign_ed25519,
        )
        save_refusals(self.connection, stream.log_no, [signed], at=self.at)

    def note_reader_refusals(self, message: exchange_pb2.RefusalList) -> None:
        """Keep a reader's signed list of what it did not open, unless it is kept already."""
        stream, _ = self._stream(message.stream_id)
        member = member_of(self.home.registry, message.signer)
        list_hash = refusal_list_hash(message.SerializeToString(deterministic=True))
        if not is_list_known(self.connection, stream.log_no, member.id, list_hash):
            signed = check_refusals(
                message,
                stream_id=message.stream_id,
                signer=member.id,
                size=log_store.head(self.connection, stream.log_no).size,
                public=member.opened_ed25519,
            )
            keep_list(self.connection, self.home, stream.log_no, signed, at=self.at)
        if any(each.reason == REFUSED_BY_HUB for each in message.refusals):
            self.home.refusals_unanswered.add(stream.log_no)

    def receive(self, message: exchange_pb2.Receipt) -> None:
        """Keep a reader's receipt; one over another root accuses somebody.

        So does one that names a list of refusals which has not come: it is not taken, for
        what its reader has not opened is not known (PROTOCOL 5.5).
        """
        stream, _ = self._stream(message.stream_id)
        member = member_of(self.home.registry, message.reader)
        receipt = verify_receipt(
            message,
            federation=self.home.federation,
            origin=stream_origin(self.home.federation, message.stream_id),
            member=member,
        )
        try:
            self._check_root(stream, receipt)
        except ReceiptConflictError:
            accuse_receipt(self.connection, self.home, receipt, message=message)
            raise
        check_named(self.connection, self.home, receipt, message=message, log_no=stream.log_no)
        save_receipts(self.connection, [(stream.log_no, receipt)])

    def _stream(self, stream_id: bytes) -> tuple[OwnStream, int]:
        row = self.connection.execute(
            sa.select(STREAM).where(STREAM.c.stream_id == stream_id, STREAM.c.own.is_(True))
        ).one_or_none()
        if row is None:
            raise StreamUnknownError("an answer names a stream that is not ours")
        return own_stream(row), row.accepted_size

    def _checkpoint(self, stream: OwnStream, size: int) -> Checkpoint:
        held = log_store.head(self.connection, stream.log_no).size
        if size > held:
            raise ProofRefusedError(f"size {size} was accepted, the stream has {held}")
        origin = stream_origin(self.home.federation, stream.stream_id)
        return Checkpoint(origin, size, root_at(self.connection, stream.log_no, size))

    def _check_root(self, stream: OwnStream, receipt: Receipt) -> None:
        if receipt.root != self._checkpoint(stream, receipt.size).root:
            raise ReceiptConflictError(f"{receipt.reader} signed another root")

    def _drop_withdrawn(self, log_no: int, size: int) -> None:
        """Forget bodies that were taken back: they had to be sent once (PROTOCOL 5.9)."""
        places = (
            sa.select(DISCLOSURE.c.sequence)
            .join(
                WITHDRAWAL,
                sa.and_(
                    WITHDRAWAL.c.log_no == DISCLOSURE.c.log_no,
                    WITHDRAWAL.c.target == DISCLOSURE.c.first_sequence,
                ),
            )
            .where(DISCLOSURE.c.log_no == log_no, WITHDRAWAL.c.sequence < size)
        )
        self.connection.execute(
            sa.delete(OUT_BODY).where(OUT_BODY.c.log_no == log_no, OUT_BODY.c.sequence.in_(places))
        )


def accuse_receipt(
    connection: sa.Connection, home: Home, receipt: Receipt, *, message: exchange_pb2.Receipt
) -> None:
    """Raise the alarm that a reader and this node have different roots at one size."""
    log = log_store.log_no(connection, stream_origin(home.federation, receipt.stream_id))
    raise_alarm(
        connection,
        home,
        RECEIPT_CONFLICT,
        subject=f"{receipt.stream_id.hex()[:16]}/{receipt.size}/{receipt.reader}",
        evidence={
            "sender": _sender_of(connection, log),
            "receipt": message.SerializeToString(deterministic=True),
            "known_root": root_at(connection, log, receipt.size).hex(),
            "known_checkpoint": log_store.head(connection, log).checkpoint or b"",
        },
        stream_id=receipt.stream_id,
        accused=receipt.reader,
    )


def _sender_of(connection: sa.Connection, log: int) -> str:
    sender: str = connection.execute(
        sa.select(STREAM.c.sender).where(STREAM.c.log_no == log)
    ).scalar_one()
    return sender
