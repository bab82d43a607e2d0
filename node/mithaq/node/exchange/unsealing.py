"""A piece of bodies from arrival to `opened`: delivery, opening, keeping, receipt.

PROTOCOL 2.6, 5.4, 5.5. Pieces that came together are one transaction, each checked for
itself. What must wait (a stale registry, headers still on their way) is given back, and
nothing of it is lost, because the cursor did not move. The one rule: a stream whose hub
shows it wrong bodies stops; a sender who sealed wrong ones is refused, entry by entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.lists import REFUSED_BY_HUB, refusal_list_hash
from mithaq.ledger.names import stream_origin
from mithaq.node.exchange import in_stream
from mithaq.node.exchange.accusing import accuse_bodies, accuse_sender
from mithaq.node.exchange.alarms import ALARM, AUDIT_SHORTER, KEY_ELSEWHERE, raise_alarm
from mithaq.node.exchange.bodies import (
    ArrivedBodies,
    Delivered,
    check_delivery,
    in_groups,
    joined,
)
from mithaq.node.exchange.errors import (
    BodyOrderError,
    HeadersBehindError,
    ReceptionKeyLostError,
    RegistryStaleError,
    StreamUnknownError,
)
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.exchange.in_stream import InStream
from mithaq.node.exchange.inbox import is_mldsa_due, save_receipts
from mithaq.node.exchange.keeping import Keeper
from mithaq.node.exchange.omissions import REFUSED as OMITTED_AS_REFUSED
from mithaq.node.exchange.opening import Opener, Refused
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.pieces import FAULTS, by_stream, in_turn, writing
from mithaq.node.exchange.receipts import OPENED, Receipt, sign_receipt, to_message
from mithaq.node.exchange.refusal_lists import save_refusals
from mithaq.node.exchange.refusals import Refusal, check_refusals, sign_refusals
from mithaq.service.logging import declare, logger
from mithaq.store.audit import root_at
from mithaq.store.statement import Statement
from mithaq.v1 import exchange_pb2

_WAITS: Final = (HeadersBehindError, RegistryStaleError, ReceptionKeyLostError)
SET_BACK: Final = declare("own receipt beyond own store", "stream", "lost")
_OPENED_TO: Final = Statement(
    sa.update(STREAM)
    .where(STREAM.c.log_no == sa.bindparam("log"))
    .values(opened_size=sa.bindparam("size"), refusals_head=sa.bindparam("refusals"))
)


class OpenedReceipt(NamedTuple):
    """Our `opened` with the signed lists of what was refused since the last one."""

    receipt: Receipt
    lists: tuple[exchange_pb2.RefusalList, ...]


@dataclass(slots=True)
class Unsealed:
    """What a transaction opened: receipts to send, pieces that wait, streams that failed."""

    receipts: list[OpenedReceipt] = field(default_factory=list[OpenedReceipt])
    waiting: list[ArrivedBodies] = field(default_factory=list[ArrivedBodies])
    failed: dict[bytes, Exception] = field(default_factory=dict[bytes, Exception])


def open_bodies(
    connection: sa.Connection,
    home: Home,
    arrived: Sequence[ArrivedBodies],
    *,
    reception: Mapping[bytes, ReceptionKey],
    at: datetime,
) -> Unsealed:
    """Open and keep pieces of bodies; a stream that fails leaves its neighbours alone.

    Raises HalfWrittenError for what only the whole transaction can undo.
    """
    unsealed = Unsealed()

    def opened(group: Sequence[ArrivedBodies]) -> OpenedReceipt:
        return _open(connection, home, joined(group), reception=reception, at=at)

    for stream_id, pieces in by_stream(arrived).items():
        done = 0
        try:
            for group in in_groups(pieces):
                for count, receipt in in_turn(group, opened):
                    unsealed.receipts.append(receipt)
                    done += count
        except _WAITS:
            unsealed.waiting += pieces[done:]
        except FAULTS as fault:
            unsealed.failed[stream_id] = fault
            accuse_bodies(connection, home, pieces[done], fault)
    return unsealed


def _open(
    connection: sa.Connection,
    home: Home,
    arrived: ArrivedBodies,
    *,
    reception: Mapping[bytes, ReceptionKey],
    at: datetime,
) -> OpenedReceipt:
    try:
        home.registry.check_fresh(at)
    except TrustError as fault:
        # PROTOCOL 2.6: under a stale registry nothing new is opened.
        raise RegistryStaleError(str(fault)) from fault
    _check_own_key(home, reception)
    stream = in_stream.find(connection, arrived.stream_id)
    if stream is None:
        raise StreamUnknownError("bodies of a stream whose headers never came")
    if arrived.through_size <= stream.opened_size:
        if not stream.opened_size:
            # No receipt is over nothing: a hub that got one would end the connection, each time.
            raise BodyOrderError("bodies of no entry at all")
        return _answer(connection, home, stream, stream.opened_size, [], at=at)
    held_size = stream.head.size
    delivered = check_delivery(connection, home, stream, arrived, held_size=held_size, at=at)
    opener = Opener(connection, home, stream, reception, at)
    results = opener.open_all(delivered.entries)
    with writing():
        if delivered.own is not None:
            _note_set_back(connection, home, stream, delivered, delivered.own)
        opener.save_epochs()
        keeper = Keeper(connection, home, stream, at)
        keeper.keep_all(results)
        denied = _refused_by_hub(arrived, delivered, home)
        size = arrived.through_size
        lists = _answer_for(connection, home, stream, keeper.refused, denied, size=size, at=at)
        if delivered.entries:
            home.audit.append(connection, keeper.audit_entries())
        return _answer(connection, home, stream, size, lists, at=at)


def _answer(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    size: int,
    lists: Sequence[exchange_pb2.RefusalList],
    *,
    at: datetime,
) -> OpenedReceipt:
    """Note how far a stream is opened, and sign it with the newest list of refusals."""
    refusals_head = stream.refusals_head
    if lists:
        refusals_head = refusal_list_hash(lists[-1].SerializeToString(deterministic=True))
    if size > stream.opened_size:
        _OPENED_TO.run(connection, log=stream.log_no, size=size, refusals=refusals_head)
    receipt = _sign_opened(connection, home, stream, size, refusals_head=refusals_head, at=at)
    save_receipts(connection, [(stream.log_no, receipt)])
    return OpenedReceipt(receipt, tuple(lists))


def _refused_by_hub(arrived: ArrivedBodies, delivered: Delivered, home: Home) -> list[Refusal]:
    """Return what the hub refused to give us, for the sender to hold against what it was told.

    PROTOCOL 5.5. The hub's own list, which it showed us, stays here as the proof.
    """
    if not arrived.omissions:
        return []
    return [
        Refusal(each.entry.sequence, REFUSED_BY_HUB, home.registry.size)
        for each in delivered.entries
        if each.body is None and arrived.omissions[each.entry.sequence].reason == OMITTED_AS_REFUSED
    ]


def _check_own_key(home: Home, reception: Mapping[bytes, ReceptionKey]) -> None:
    """Raise ReceptionKeyLostError while others seal to a key of ours that is not here.

    After a backup was restored. What is opened only when another key stands in the registry
    is refused under that size, and so told anew under the new key (PROTOCOL 2.5, 4.8).
    """
    keys = home.registry.reception_keys(home.member)
    if keys and not keys[-1].revoked and keys[-1].key_id not in reception:
        raise ReceptionKeyLostError("the newest reception key that was announced is not here")


def _note_set_back(
    connection: sa.Connection, home: Home, stream: InStream, delivered: Delivered, own: Receipt
) -> None:
    """Keep our own receipt over what is not here, and raise an alarm unless that is explained.

    A backup that was restored shows in the audit log as well: it was found shorter than
    witnessed since we signed. Without that, somebody else may be signing with our key.
    """
    save_receipts(connection, [(stream.log_no, own)])
    lost = sum(each.lost for each in delivered.entries)
    logger().warning(SET_BACK, stream=stream.stream_id.hex()[:16], lost=lost)
    explained = sa.select(ALARM.c.alarm_no).where(
        ALARM.c.name == AUDIT_SHORTER, ALARM.c.at_ms >= milliseconds(own.at)
    )
    if connection.execute(explained.limit(1)).first() is None:
        raise_alarm(
            connection,
            home,
            KEY_ELSEWHERE,
            subject=f"{stream.stream_id.hex()[:16]}/opened/{own.size}",
            stream_id=stream.stream_id,
            evidence={
                "sender": stream.sender,
                "receipt": to_message(own).SerializeToString(deterministic=True),
                "opened_size": stream.opened_size,
                "checkpoint": stream.head.checkpoint or b"",
            },
        )


def _sign_opened(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    size: int,
    *,
    refusals_head: bytes,
    at: datetime,
) -> Receipt:
    """Return our `opened` for a size of a stream that is opened so far."""
    origin = stream_origin(home.federation, stream.stream_id)
    # Opening appends nothing to it.
    head = stream.head
    root = head.root if head.size == size else root_at(connection, stream.log_no, size)
    checkpoint = Checkpoint(origin, size, root)
    return sign_receipt(
        checkpoint,
        stream_id=stream.stream_id,
        role=OPENED,
        name=(home.federation, home.member),
        keys=home.receipts,
        at=at,
        with_mldsa=is_mldsa_due(connection, home, stream.log_no, OPENED, at=at),
        refusals_head=refusals_head,
    )


def _answer_for(
    connection: sa.Connection,
    home: Home,
    stream: InStream,
    refused: Sequence[Refused],
    denied: Sequence[Refusal],
    *,
    size: int,
    at: datetime,
) -> list[exchange_pb2.RefusalList]:
    """Sign what was refused, here or by the hub; keep it; raise the alarms about the sender."""
    if not refused and not denied:
        return []
    own = [Refusal(each.entry.sequence, each.reason, home.registry.size) for each in refused]
    lists = sign_refusals(
        [*own, *denied],
        stream_id=stream.stream_id,
        signer=home.member,
        key=home.receipts.opened,
        previous=stream.refusals_head,
    )
    checked = [
        check_refusals(
            each,
            stream_id=stream.stream_id,
            signer=home.member,
            size=size,
            public=home.receipts.opened.public,
        )
        for each in lists
    ]
    # What the hub refused has its row by the hub's own list.
    rows = [
        each._replace(refusals=tuple(one for one in each.refusals if one.reason != REFUSED_BY_HUB))
        for each in checked
    ]
    save_refusals(connection, stream.log_no, rows, at=at)
    accuse_sender(connection, home, stream, refused, signed=lists)
    return lists
