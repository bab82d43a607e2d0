"""The inbox's first half: headers are judged, held and answered by a receipt.

PROTOCOL 5.4. Pieces of headers that came together are kept in one transaction, each
judged for itself. A withdrawal takes effect when its header is held, not later. The one
rule: `held` is signed over what this transaction made durable, and sent after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.ledger.cosignature import Cosignature, Role
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.names import HUB, stream_origin
from mithaq.node.exchange import in_stream
from mithaq.node.exchange.alarms import FORK, raise_alarm
from mithaq.node.exchange.errors import ExchangeError, ProofRefusedError, RegistryBehindError
from mithaq.node.exchange.home import Home, instant, milliseconds
from mithaq.node.exchange.in_stream import InStream
from mithaq.node.exchange.judge import HeaderPiece, judge_headers
from mithaq.node.exchange.receipts import HELD, Receipt, sign_receipt
from mithaq.node.exchange.refusals import RefusalList, check_refusals
from mithaq.node.exchange.taking_back import take_back
from mithaq.node.tables import AcceptanceRow, ReceiptRow, RefusalListRow, RefusalRow
from mithaq.store.engine import bulk_insert
from mithaq.store.tables import table_of
from mithaq.v1 import exchange_pb2

RECEIPT: Final = table_of(ReceiptRow)
ACCEPTANCE: Final = table_of(AcceptanceRow)
REFUSAL: Final = table_of(RefusalRow)
REFUSAL_LIST: Final = table_of(RefusalListRow)
MLDSA_INTERVAL: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ArrivedHeaders:
    """Headers as they came, with the hub's refusals among them, not yet judged."""

    piece: HeaderPiece
    refusals: tuple[exchange_pb2.RefusalList, ...]

    @property
    def stream_id(self) -> bytes:
        """The stream that they are of."""
        return self.piece.stream_id


@dataclass(slots=True)
class Held:
    """What a transaction held: receipts to send, pieces that wait, streams that failed."""

    receipts: list[Receipt] = field(default_factory=list)
    waiting: list[ArrivedHeaders] = field(default_factory=list)
    failed: dict[bytes, Exception] = field(default_factory=dict)
    # Whether content was erased for a withdrawal: the write-ahead log still holds it.
    erased: bool = False


def hold_headers(
    connection: sa.Connection, home: Home, arrived: Sequence[ArrivedHeaders], *, at: datetime
) -> Held:
    """Judge and keep pieces of headers; a stream that fails leaves its neighbours alone."""
    held = Held()
    newest: dict[bytes, Receipt] = {}
    behind: set[bytes] = set()
    for each in arrived:
        stream_id = each.stream_id
        if stream_id in held.failed:
            continue
        if stream_id in behind:
            held.waiting.append(each)
            continue
        try:
            newest[stream_id] = _hold(connection, home, each, held, at=at)
        except RegistryBehindError:
            behind.add(stream_id)
            held.waiting.append(each)
        except (LedgerError, ExchangeError, TrustError) as fault:
            held.failed[stream_id] = fault
            _accuse(connection, home, each.piece, fault)
    held.receipts = list(newest.values())
    save_receipts(connection, [(_log_no(connection, each), each) for each in held.receipts])
    return held


def _hold(
    connection: sa.Connection,
    home: Home,
    arrived: ArrivedHeaders,
    held: Held,
    *,
    at: datetime,
) -> Receipt:
    piece = arrived.piece
    stream = in_stream.find(connection, piece.stream_id)
    known = None if stream is None else in_stream.known(connection, stream)
    judged = judge_headers(piece, known, registry=home.registry, reader=home.member)
    lists = _check_hub_refusals(home, arrived, size=judged.state.size)
    checkpoint = judged.state.checkpoint()
    if judged.hashes:
        log_no = in_stream.hold(connection, stream, judged, note=piece.checkpoint)
        _save_acceptance(connection, log_no, judged.state.size, piece.acceptance)
        save_refusals(connection, log_no, lists, at=at)
        for each in in_stream.withdrawals(judged):
            held.erased |= take_back(connection, home, log_no, each, at=at)
    return sign_receipt(
        checkpoint,
        stream_id=piece.stream_id,
        role=HELD,
        name=(home.federation, home.member),
        keys=home.receipts,
        at=at,
        with_mldsa=stream is None or _is_mldsa_due(connection, home, stream, HELD, at=at),
    )


def _check_hub_refusals(home: Home, arrived: ArrivedHeaders, *, size: int) -> list[RefusalList]:
    return [
        check_refusals(
            each,
            stream_id=arrived.piece.stream_id,
            signer=HUB,
            size=size,
            public=home.registry.hub.cosign_ed25519,
        )
        for each in arrived.refusals
    ]


def _is_mldsa_due(
    connection: sa.Connection, home: Home, stream: InStream, role: Role, *, at: datetime
) -> bool:
    """Tell whether a receipt of type 0x06 is due: once a day per stream (PROTOCOL 1.4)."""
    last = connection.execute(
        sa.select(sa.func.max(RECEIPT.c.at_ms)).where(
            RECEIPT.c.log_no == stream.log_no,
            RECEIPT.c.reader == home.member,
            RECEIPT.c.role == str(role),
            RECEIPT.c.cosignature_mldsa != "",
        )
    ).scalar()
    return last is None or at - instant(last) >= MLDSA_INTERVAL


def is_mldsa_due(
    connection: sa.Connection, home: Home, stream: InStream, role: Role, *, at: datetime
) -> bool:
    """Tell whether our next receipt of a role carries the daily ML-DSA-44 signature."""
    return _is_mldsa_due(connection, home, stream, role, at=at)


def _log_no(connection: sa.Connection, receipt: Receipt) -> int:
    found = in_stream.find(connection, receipt.stream_id)
    if found is None:
        raise ProofRefusedError("a receipt is for a stream that is not here")
    return found.log_no


def save_receipts(connection: sa.Connection, receipts: Sequence[tuple[int, Receipt]]) -> None:
    """Keep receipts by log number; one of the same reader, role and size is kept once."""
    for log_no, receipt in receipts:
        seen = connection.execute(
            sa.select(RECEIPT.c.size).where(
                RECEIPT.c.log_no == log_no,
                RECEIPT.c.reader == receipt.reader,
                RECEIPT.c.role == str(receipt.role),
                RECEIPT.c.size == receipt.size,
            )
        ).scalar()
        if seen is None:
            connection.execute(
                sa.insert(RECEIPT),
                {
                    "log_no": log_no,
                    "reader": receipt.reader,
                    "role": str(receipt.role),
                    "size": receipt.size,
                    "root": receipt.root,
                    "at_ms": milliseconds(receipt.at),
                    "cosignature": receipt.cosignature,
                    "cosignature_mldsa": receipt.cosignature_mldsa,
                },
            )


def _save_acceptance(connection: sa.Connection, log_no: int, size: int, line: str) -> None:
    connection.execute(
        sa.insert(ACCEPTANCE),
        {
            "log_no": log_no,
            "size": size,
            "at_ms": milliseconds(Cosignature.parse(line).at),
            "cosignature": line,
        },
    )


def save_refusals(
    connection: sa.Connection, log_no: int, lists: Sequence[RefusalList], *, at: datetime
) -> None:
    """Keep signed lists of refusals; what was kept before stays as it was."""
    for signed in lists:
        known = set(
            connection.scalars(
                sa.select(REFUSAL.c.sequence).where(
                    REFUSAL.c.log_no == log_no,
                    REFUSAL.c.signer == signed.signer,
                    REFUSAL.c.sequence.in_([each.sequence for each in signed.refusals]),
                )
            )
        )
        fresh = [each for each in signed.refusals if each.sequence not in known]
        if not fresh:
            continue
        list_no = connection.execute(
            sa.insert(REFUSAL_LIST).returning(REFUSAL_LIST.c.list_no),
            {"log_no": log_no, "signer": signed.signer, "message": signed.list_bytes},
        ).scalar_one()
        bulk_insert(
            connection,
            REFUSAL,
            [
                {
                    "log_no": log_no,
                    "sequence": each.sequence,
                    "signer": signed.signer,
                    "reason": each.reason,
                    "registry_size": each.registry_size,
                    "at_ms": milliseconds(at),
                    "list_no": list_no,
                }
                for each in fresh
            ],
        )


def _accuse(connection: sa.Connection, home: Home, piece: HeaderPiece, fault: Exception) -> None:
    """Raise the alarm that a fault stands for, with what was signed and delivered."""
    alarm: str | None = getattr(fault, "alarm", None)
    if alarm is None:
        return
    evidence: dict[str, bytes | str | int] = {
        "origin": stream_origin(home.federation, piece.stream_id),
        "first_sequence": piece.first_sequence,
        "checkpoint": piece.checkpoint,
        "acceptance": piece.acceptance,
        "fault": str(fault),
    }
    for at, run in enumerate(piece.runs):
        evidence[f"run_{at}_terms"] = run.terms_bytes
        evidence[f"run_{at}_own"] = run.own_bytes
    own = in_stream.find(connection, piece.stream_id)
    if alarm == FORK and own is not None:
        evidence["held_note"] = in_stream.held_note(connection, own) or b""
    subject = f"{piece.stream_id.hex()[:16]}/{piece.first_sequence}"
    raise_alarm(connection, home, alarm, subject=subject, evidence=evidence)
