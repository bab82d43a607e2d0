"""Refusals that a sender was never told of: named by a reader, and kept back by the hub.

PROTOCOL 5.5. A reader's lists of refusals in a stream are a chain, and its `opened` covers
the newest; so a list that does not come is missed by its hash. What the hub refused to a
reader stands in that reader's list, too, and is held against what the hub told the sender.
The one rule: what is compared is signed, and an entry counts only once the hub has answered
for it, for until then it has told nobody anything.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.lists import REFUSED_BY_HUB
from mithaq.ledger.names import HUB
from mithaq.node.exchange.alarms import ALARM, REFUSAL_WITHHELD, Evidence, raise_alarm
from mithaq.node.exchange.epochs import REFUSAL
from mithaq.node.exchange.errors import RefusalsTooManyError, RefusalWithheldError
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.exchange.inbox import ACCEPTANCE
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.receipts import Receipt
from mithaq.node.exchange.refusal_lists import (
    REFUSAL_LIST,
    check_weight,
    has_room,
    is_list_known,
    save_refusals,
)
from mithaq.node.exchange.refusals import RefusalList
from mithaq.store import log_store
from mithaq.store.audit import root_at
from mithaq.store.engine import after_commit
from mithaq.store.parts import in_parts
from mithaq.store.statement import Statement
from mithaq.v1 import exchange_pb2

# About one reader's lists: it names in them what it likes, and each alarm has its file.
ALARMS_PER_DAY_MAX: Final = 16
DAY: Final = timedelta(days=1)
LIST_MISSING: Final = "`receipt`, or `refusals`, was signed by a reader and names its list of \
refusals before it, which the hub has not handed on; `known_refusals` is the newest that came."
ENTRY_UNTOLD: Final = "`refusals` was signed by a reader and names entries that the hub refused \
to it. The hub accepted them from their sender in `acceptance`; its own lists of refusals \
that it told the sender are here, and do not name all of them."
_SETTLE: Final = Statement(
    sa.update(REFUSAL)
    .where(
        REFUSAL.c.log_no == sa.bindparam("log"),
        REFUSAL.c.sequence == sa.bindparam("at"),
        REFUSAL.c.signer == sa.bindparam("by"),
    )
    .values(settled=sa.true())
)


def keep_list(
    connection: sa.Connection,
    home: Home,
    log_no: int,
    signed: RefusalList,
    *,
    size: int,
    at: datetime,
) -> None:
    """Keep a reader's list about an own stream of this size.

    Raise the alarm where the list before it is missing, and RefusalsTooManyError for one that
    goes beyond what the reader's lists may weigh.
    """
    check_weight(connection, log_no, [signed], size=size)
    if signed.previous and not is_list_known(connection, log_no, signed.signer, signed.previous):
        _accuse(
            connection,
            home,
            log_no,
            signed.signer,
            what=signed.previous.hex()[:16],
            evidence={
                "refusals": signed.list_bytes,
                "known_refusals": _newest(connection, log_no, signed.signer),
            },
            explanation=LIST_MISSING,
        )
    by_hub = {each.sequence for each in signed.refusals if each.reason == REFUSED_BY_HUB}
    # What the hub told us itself needs no second row: the list is there for whoever asks.
    told = by_hub & _by_hub(connection, log_no, by_hub).keys() if by_hub else set[int]()
    news = tuple(each for each in signed.refusals if each.sequence not in told)
    save_refusals(connection, log_no, [signed._replace(refusals=news)], at=at)


def check_named(
    connection: sa.Connection,
    home: Home,
    receipt: Receipt,
    *,
    message: exchange_pb2.Receipt,
    log_no: int,
    size: int,
) -> None:
    """Raise the alarm, and RefusalWithheldError, where a receipt names a list that never came.

    Raise RefusalsTooManyError instead where the reader itself has filled what its lists may
    weigh in a stream of this size: then the list may have come, and not have been taken.
    """
    head = receipt.refusals_head
    if not head or is_list_known(connection, log_no, receipt.reader, head):
        return
    if not has_room(connection, log_no, receipt.reader, size=size):
        raise RefusalsTooManyError(f"{receipt.reader} names a list for which there is no room")
    _accuse(
        connection,
        home,
        log_no,
        receipt.reader,
        what=head.hex()[:16],
        evidence={
            "receipt": message.SerializeToString(deterministic=True),
            "known_refusals": _newest(connection, log_no, receipt.reader),
        },
        explanation=LIST_MISSING,
        accused=HUB,
    )
    raise RefusalWithheldError(f"{receipt.reader} names a list of refusals that has not come")


def unanswered(connection: sa.Connection, home: Home) -> set[int]:
    """Return the own streams that `check_told` looks at; after a start, as the rows say."""
    if home.refusals_unanswered is None:
        # The hub, of all, must not be relied on to hand these lists on once more.
        rows = connection.scalars(
            sa.select(REFUSAL.c.log_no)
            .join(STREAM, STREAM.c.log_no == REFUSAL.c.log_no)
            .where(STREAM.c.own.is_(True), REFUSAL.c.settled.is_(False))
            .where(REFUSAL.c.reason == REFUSED_BY_HUB)
            .distinct()
        )
        home.refusals_unanswered = set(rows)
    return home.refusals_unanswered


def check_told(connection: sa.Connection, home: Home) -> None:
    """Hold what readers say that the hub refused against what the hub has told this sender."""
    streams = unanswered(connection, home)
    for log_no in sorted(streams):
        accepted_size: int = connection.execute(
            sa.select(STREAM.c.accepted_size).where(STREAM.c.log_no == log_no)
        ).scalar_one()
        said = connection.execute(
            sa.select(REFUSAL).where(
                REFUSAL.c.log_no == log_no,
                REFUSAL.c.reason == REFUSED_BY_HUB,
                REFUSAL.c.settled.is_(False),
            )
        ).all()
        due = [row for row in said if row.sequence < accepted_size]
        told = _by_hub(connection, log_no, {row.sequence for row in due})
        _settle(connection, log_no, due)
        untold = {row.list_no: row for row in due if row.sequence not in told}
        for row in untold.values():
            _accuse_untold(connection, home, log_no, row)
        if len(due) == len(said):
            after_commit(connection, partial(streams.discard, log_no))


def _by_hub(connection: sa.Connection, log_no: int, sequences: set[int]) -> dict[int, int]:
    """Return which of these entries the hub told us that it refused, and in which list."""
    return {
        row.sequence: row.list_no
        for part in in_parts(sequences)
        for row in connection.execute(
            sa.select(REFUSAL.c.sequence, REFUSAL.c.list_no).where(
                REFUSAL.c.log_no == log_no,
                REFUSAL.c.signer == HUB,
                REFUSAL.c.sequence.in_(part),
            )
        )
    }


def _settle(
    connection: sa.Connection, log_no: int, rows: Sequence[sa.Row[tuple[object, ...]]]
) -> None:
    _SETTLE.run_many(
        connection,
        [{"log": log_no, "at": row.sequence, "by": row.signer} for row in rows],
    )


def _accuse_untold(
    connection: sa.Connection, home: Home, log_no: int, row: sa.Row[tuple[object, ...]]
) -> None:
    """Accuse the hub by a reader's list, beside all of its own about the same entries."""
    raw = _list_bytes(connection, [row.list_no])[0]
    named = {each.sequence for each in exchange_pb2.RefusalList.FromString(raw).refusals}
    own = sorted(set(_by_hub(connection, log_no, named).values()))
    evidence: dict[str, bytes | str | int] = {"refusals": raw}
    for number, each in enumerate(_list_bytes(connection, own)):
        evidence[f"hub_{number}_refusals"] = each
    _accuse(
        connection,
        home,
        log_no,
        str(row.signer),
        what=str(row.sequence),
        evidence=evidence,
        explanation=ENTRY_UNTOLD,
        accused=HUB,
    )


def _accuse(
    connection: sa.Connection,
    home: Home,
    log_no: int,
    reader: str,
    *,
    what: str,
    evidence: Evidence,
    explanation: str,
    accused: str = "",
) -> None:
    stream_id: bytes = connection.execute(
        sa.select(STREAM.c.stream_id).where(STREAM.c.log_no == log_no)
    ).scalar_one()
    since = milliseconds(home.clock() - DAY)
    raised = sa.select(sa.func.count()).where(
        ALARM.c.name == REFUSAL_WITHHELD,
        ALARM.c.at_ms > since,
        ALARM.c.subject.startswith(f"{reader}/", autoescape=True),
    )
    if (connection.execute(raised).scalar() or 0) >= ALARMS_PER_DAY_MAX:
        return
    raise_alarm(
        connection,
        home,
        REFUSAL_WITHHELD,
        subject=f"{reader}/{stream_id.hex()[:16]}/{what}",
        stream_id=stream_id,
        evidence={
            **evidence,
            "sender": home.member,
            "checkpoint": log_store.head(connection, log_no).checkpoint or b"",
            **_accepted(connection, log_no),
        },
        accused=accused,
        explanation=explanation,
    )


def _accepted(connection: sa.Connection, log_no: int) -> Evidence:
    """Return the hub's newest acceptance of an own stream, with the head that it is over."""
    row = connection.execute(
        sa.select(ACCEPTANCE)
        .where(ACCEPTANCE.c.log_no == log_no)
        .order_by(ACCEPTANCE.c.size.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return {}
    root = root_at(connection, log_no, row.size).hex()
    return {"acceptance": row.cosignature.encode(), "size": row.size, "root": root}


def _newest(connection: sa.Connection, log_no: int, signer: str) -> bytes:
    """Return a signer's newest list in a stream, or nothing."""
    newest = (
        sa.select(REFUSAL_LIST.c.message)
        .where(REFUSAL_LIST.c.log_no == log_no, REFUSAL_LIST.c.signer == signer)
        .order_by(REFUSAL_LIST.c.list_no.desc())
        .limit(1)
    )
    return connection.execute(newest).scalar() or b""


def _list_bytes(connection: sa.Connection, numbers: Iterable[object]) -> list[bytes]:
    rows = connection.scalars(
        sa.select(REFUSAL_LIST.c.message)
        .where(REFUSAL_LIST.c.list_no.in_(list(numbers)))
        .order_by(REFUSAL_LIST.c.list_no)
    )
    return [bytes(each) for each in rows]
