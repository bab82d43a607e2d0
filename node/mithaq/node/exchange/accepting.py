"""What the hub answers a sender: acceptances, refusals, and the readers' receipts.

PROTOCOL 5.2, 5.3, 5.5, 5.6. Each is verified against the root that this node itself has
at that size, and kept. The one rule: an answer over another root than ours is never kept
as proof; it is evidence against whoever signed it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

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
from mithaq.node.exchange.inbox import ACCEPTANCE, save_receipts
from mithaq.node.exchange.judge import check_accepted, member_of
from mithaq.node.exchange.out_stream import (
    DISCLOSURE,
    OUT_BODY,
    OWN_CHECKPOINT,
    STREAM,
    WITHDRAWAL,
)
from mithaq.node.exchange.receipts import Receipt, verify_receipt
from mithaq.node.exchange.refusal_lists import check_weight, is_list_known, save_refusals
from mithaq.node.exchange.refusals import check_refusals
from mithaq.node.exchange.withheld import check_named, check_told, keep_list, unanswered
from mithaq.store import log_store
from mithaq.store.audit import root_at
from mithaq.store.rows import insert_tuples
from mithaq.store.statement import Statement
from mithaq.store.tables import LOG
from mithaq.v1 import exchange_pb2

M = TypeVar("M")
_OWN_HEAD: Final = Statement(
    sa.select(STREAM.c.log_no, STREAM.c.stream_id, LOG.c.size, STREAM.c.accepted_size)
    .join(LOG, LOG.c.log_no == STREAM.c.log_no)
    .where(STREAM.c.stream_id == sa.bindparam("named"), STREAM.c.own.is_(True))
)
_ADVANCE: Final = Statement(
    sa.update(STREAM)
    .where(STREAM.c.log_no == sa.bindparam("log"))
    .values(accepted_size=sa.bindparam("through"))
)
_FORGET_SIGNED: Final = Statement(
    sa.delete(OWN_CHECKPOINT).where(
        OWN_CHECKPOINT.c.log_no == sa.bindparam("log"),
        OWN_CHECKPOINT.c.size <= sa.bindparam("through"),
    )
)
_JUST_WITHDRAWN: Final = (
    sa.select(DISCLOSURE.c.sequence)
    .join(WITHDRAWAL, WITHDRAWAL.c.target == DISCLOSURE.c.first_sequence)
    .where(
        DISCLOSURE.c.log_no == sa.bindparam("log"),
        WITHDRAWAL.c.log_no == sa.bindparam("log"),
        # Those below were forgotten when they were accepted.
        WITHDRAWAL.c.sequence >= sa.bindparam("before"),
        WITHDRAWAL.c.sequence < sa.bindparam("through"),
    )
)
_FORGET_WITHDRAWN: Final = Statement(
    sa.delete(OUT_BODY).where(
        OUT_BODY.c.log_no == sa.bindparam("log"), OUT_BODY.c.sequence.in_(_JUST_WITHDRAWN)
    )
)
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
    # What they take in memory while they wait, as whoever gathers them counts it.
    size_bytes: int = 0

    @property
    def stream_ids(self) -> set[bytes]:
        """The streams that anything is said about."""
        return {
            *(each.stream_id for each in self.acceptances),
            *(each.stream_id for each in self.receipts),
            *(each.stream_id for each in self.lists),
        }

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
    desk = _Desk(connection, home, _own_heads(connection, answers.stream_ids), at)
    for acceptance in _newest(answers.acceptances):
        desk.attempt(desk.accept, acceptance)
    desk.write_accepted()
    for acceptance in answers.acceptances:
        if acceptance.HasField("refusals"):
            desk.attempt(desk.note_hub_refusals, acceptance)
    for signed in answers.lists:
        desk.attempt(desk.note_reader_refusals, signed)
    # Newest first, so that what an older one of the same reader says is known when it comes.
    for receipt in sorted(answers.receipts, key=lambda each: -each.size):
        desk.attempt(desk.receive, receipt)
    desk.write_receipts()
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


class _OwnHead(NamedTuple):
    """An own stream that answers are about: how far it is here, and at the hub."""

    log_no: int
    stream_id: bytes
    size: int
    accepted_size: int


def _own_heads(connection: sa.Connection, stream_ids: Iterable[bytes]) -> dict[bytes, _OwnHead]:
    found = [_OWN_HEAD.run(connection, named=each).fetchone() for each in stream_ids]
    heads = [_OwnHead(*row) for row in found if row is not None]
    return {each.stream_id: each for each in heads}


def accepted_sizes(connection: sa.Connection, stream_ids: Iterable[bytes]) -> dict[int, int]:
    """Return how far the hub has accepted these own streams, as it has proven, by log number."""
    return {each.log_no: each.accepted_size for each in _own_heads(connection, stream_ids).values()}


class _Accepted(NamedTuple):
    """A cosignature of the hub over an own stream, verified."""

    own: _OwnHead
    size: int
    at: datetime
    line: str


class _Signed(NamedTuple):
    """What a reader's receipt covers: a size, and its list of refusals that it names."""

    size: int
    refusals_head: bytes


_NOTHING: Final = _Signed(0, b"")


@dataclass(slots=True)
class _Desk:
    """Takes the answers of one transaction, one after the other, and writes them together."""

    connection: sa.Connection
    home: Home
    own_heads: Mapping[bytes, _OwnHead]
    at: datetime
    faults: list[Exception] = field(default_factory=list[Exception])
    _accepted: list[_Accepted] = field(default_factory=list[_Accepted])
    _receipts: list[tuple[int, Receipt]] = field(default_factory=list[tuple[int, Receipt]])
    # The newest that a reader has signed, by stream, reader and role on the wire.
    _signed: dict[tuple[bytes, str, int], _Signed] = field(
        default_factory=dict[tuple[bytes, str, int], _Signed]
    )

    def attempt(self, take: Callable[[M], None], message: M) -> None:
        """Take one answer; what is wrong with it is noted and harms no other."""
        try:
            take(message)
        except _REFUSED as fault:
            self.faults.append(fault)

    def accept(self, message: exchange_pb2.Acceptance) -> None:
        """Take the hub's cosignature of a size that it had not accepted before."""
        own = self._own(message.stream_id)
        if message.size > own.accepted_size:
            checkpoint = self._checkpoint(own, message.size)
            signed = check_accepted(checkpoint, message.cosignature, registry=self.home.registry)
            self._accepted.append(_Accepted(own, message.size, signed.at, message.cosignature))

    def note_hub_refusals(self, message: exchange_pb2.Acceptance) -> None:
        """Keep the hub's signed list of what it would not pass on."""
        own = self._own(message.stream_id)
        signed = check_refusals(
            message.refusals,
            stream_id=message.stream_id,
            signer=HUB,
            # It has refused nothing that we have not written, whatever size it names.
            size=min(message.size, own.size),
            public=self.home.registry.hub.cosign_ed25519,
        )
        check_weight(self.connection, own.log_no, [signed], size=own.size)
        save_refusals(self.connection, own.log_no, [signed], at=self.at)

    def note_reader_refusals(self, message: exchange_pb2.RefusalList) -> None:
        """Keep a reader's signed list of what it did not open, unless it is kept already."""
        own = self._own(message.stream_id)
        member = member_of(self.home.registry, message.signer)
        list_hash = refusal_list_hash(message.SerializeToString(deterministic=True))
        if not is_list_known(self.connection, own.log_no, member.id, list_hash):
            signed = check_refusals(
                message,
                stream_id=message.stream_id,
                signer=member.id,
                size=own.size,
                public=member.opened_ed25519,
            )
            keep_list(self.connection, self.home, own.log_no, signed, size=own.size, at=self.at)
        if any(each.reason == REFUSED_BY_HUB for each in message.refusals):
            unanswered(self.connection, self.home).add(own.log_no)

    def receive(self, message: exchange_pb2.Receipt) -> None:
        """Take a reader's receipt; one over another root accuses somebody.

        So does one that names a list of refusals which has not come: it is not taken, for
        what its reader has not opened is not known (PROTOCOL 5.5).
        """
        own = self._own(message.stream_id)
        if self._is_covered(own, message):
            return
        member = member_of(self.home.registry, message.reader)
        origin = stream_origin(self.home.federation, message.stream_id)
        receipt = verify_receipt(
            message, federation=self.home.federation, origin=origin, member=member
        )
        if receipt.root != self._checkpoint(own, receipt.size).root:
            accuse_receipt(self.connection, self.home, receipt, message=message)
            raise ReceiptConflictError(f"{receipt.reader} signed another root")
        check_named(
            self.connection,
            self.home,
            receipt,
            message=message,
            log_no=own.log_no,
            size=own.size,
        )
        self._receipts.append((own.log_no, receipt))
        signed = _Signed(receipt.size, message.refusals_head)
        self._signed.setdefault((own.stream_id, member.id, message.role), signed)

    def write_receipts(self) -> None:
        """Keep the receipts that were taken, in one statement."""
        save_receipts(self.connection, self._receipts)

    def _own(self, stream_id: bytes) -> _OwnHead:
        own = self.own_heads.get(stream_id)
        if own is None:
            raise StreamUnknownError("an answer names a stream that is not ours")
        return own

    def _checkpoint(self, own: _OwnHead, size: int) -> Checkpoint:
        if size > own.size:
            raise ProofRefusedError(f"size {size} was accepted, the stream has {own.size}")
        root = self.home.signed_roots.at(self.connection, own.log_no, size=size)
        return Checkpoint(stream_origin(self.home.federation, own.stream_id), size, root)

    def _is_covered(self, own: _OwnHead, message: exchange_pb2.Receipt) -> bool:
        """Tell whether a newer receipt that has just verified says all that this one says.

        Receipts are cumulative (PROTOCOL 5.5). One over another root is never passed over,
        nor one that names another list of refusals or has the daily signature of type 0x06.
        """
        signed = self._signed.get((own.stream_id, message.reader, message.role), _NOTHING)
        return (
            message.size <= signed.size
            and message.refusals_head in {b"", signed.refusals_head}
            and not message.cosignature_mldsa
            and message.root == self._checkpoint(own, message.size).root
        )

    def write_accepted(self) -> None:
        """Keep cosignatures, and forget what they make needless to keep."""
        if not self._accepted:
            return
        connection = self.connection
        insert_tuples(
            connection,
            ACCEPTANCE,
            ("log_no", "size", "at_ms", "cosignature"),
            [
                (each.own.log_no, each.size, milliseconds(each.at), each.line)
                for each in self._accepted
            ],
        )
        spans = [
            {"log": each.own.log_no, "before": each.own.accepted_size, "through": each.size}
            for each in self._accepted
        ]
        _ADVANCE.run_many(connection, spans)
        _FORGET_SIGNED.run_many(connection, spans)
        # Bodies that were taken back had to be sent once (PROTOCOL 5.9).
        _FORGET_WITHDRAWN.run_many(connection, spans)


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
