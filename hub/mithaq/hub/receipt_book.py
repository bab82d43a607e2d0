"""Each reader's newest receipts of each stream, as they travel, in the order they came.

A receipt is told to many: its sender, and once a minute the whole audience (PROTOCOL 5.5,
5.6). So it is kept as the bytes of its message, and numbered, so that each connection asks
only for what has come since it asked last. The rule: what is newest never goes back.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple, Protocol

from mithaq.ledger.lists import RECEIPTS_PER_MESSAGE_MAX
from mithaq.v1 import exchange_pb2


@dataclass(frozen=True, slots=True)
class HeldReceipt:
    """A reader's newest receipt of a role; `role` is the number of exchange.proto."""

    log_no: int
    reader: str
    role: int
    size: int
    # Of an opened: which list of refusals its reader signed as its newest; empty for none.
    refusals_head: bytes
    # All of it as an exchange_pb2.Receipt, without the daily line and without lists.
    message: bytes


def held_receipt(
    log_no: int,
    reader: str,
    role: int,
    size: int,
    *,
    stream_id: bytes,
    root: bytes,
    cosignature: str,
    refusals_head: bytes,
) -> HeldReceipt:
    """Return a receipt that was verified, ready to be told."""
    message = exchange_pb2.Receipt(
        stream_id=stream_id,
        reader=reader,
        role=exchange_pb2.ReceiptRole.ValueType(role),
        size=size,
        root=root,
        cosignature=cosignature,
        refusals_head=refusals_head,
    )
    return HeldReceipt(log_no, reader, role, size, refusals_head, message.SerializeToString())


class _Numbered(NamedTuple):
    number: int
    receipt: HeldReceipt


class ReceiptBook:
    """The newest receipts of all streams, of each (stream, reader, role) one."""

    def __init__(self) -> None:
        # Of each stream in the order of their numbers: one that is replaced goes to the end.
        self._known: dict[int, dict[tuple[str, int], _Numbered]] = {}
        self._number = 0

    @property
    def number(self) -> int:
        """The number of the receipt that came last."""
        return self._number

    def put(self, receipt: HeldReceipt) -> None:
        """Take a receipt in, unless it is known or a newer one is."""
        known = self._known.setdefault(receipt.log_no, {})
        key = receipt.reader, receipt.role
        older = known.get(key)
        if older is not None and not _says_more(receipt, older.receipt):
            return
        known.pop(key, None)
        self._number += 1
        known[key] = _Numbered(self._number, receipt)

    def one(self, log_no: int, reader: str, role: int) -> HeldReceipt | None:
        """Return a reader's newest receipt of a role, if there is one."""
        found = self._known.get(log_no, {}).get((reader, role))
        return None if found is None else found.receipt

    def since(self, log_no: int, number: int) -> list[HeldReceipt]:
        """Return what came of a stream behind a number, oldest first; behind 0 all."""
        known = self._known.get(log_no, {})
        news = takewhile(lambda each: each.number > number, reversed(known.values()))
        return [each.receipt for each in news][::-1]


def _says_more(receipt: HeldReceipt, older: HeldReceipt) -> bool:
    if receipt.size == older.size:
        return receipt.refusals_head != older.refusals_head
    return receipt.size > older.size


class _Field(Protocol):
    """A repeated field of receipts."""

    def add(self) -> Any:  # noqa: ANN401 - protobuf's own
        """Append an empty receipt."""
        ...


def in_messages(receipts: Sequence[HeldReceipt]) -> Iterator[Sequence[HeldReceipt]]:
    """Yield receipts in the portions that one message may have."""
    for start in range(0, len(receipts), RECEIPTS_PER_MESSAGE_MAX):
        yield receipts[start : start + RECEIPTS_PER_MESSAGE_MAX]


def tell(field: _Field, receipts: Iterable[HeldReceipt]) -> None:
    """Append receipts to a message's repeated field."""
    for each in receipts:
        field.add().MergeFromString(each.message)
