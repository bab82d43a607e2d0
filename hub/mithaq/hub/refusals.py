"""Refusals: signed lists of headers that were kept while their bodies were dropped.

An entry that is denied keeps its place, or one refusal would end its stream and with it
every later withdrawal (PROTOCOL 5.2). The hub signs what it refused, a reader what it
refused on opening; both say sequence, reason code and the registry size judged by. The
rule: a list names one stream and one signer, and nothing about a person.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mithaq.certs.keys import verify_ed25519
from mithaq.hub.errors import ReceiptRefusedError
from mithaq.ledger.checkpoint import Signer
from mithaq.ledger.lists import (
    REFUSED_BY_HUB,
    fault_of_refusals,
    refusal_list_bytes,
    refusal_list_hash,
)
from mithaq.v1 import exchange_pb2

HUB = "hub"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry whose body was dropped, by its sequence, and the stable code that says why."""

    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReaderRefusals:
    """A reader's list, its signature verified; the exact bytes go on to the sender.

    `by_hub` are the entries of which it says that the hub refused them.
    """

    list_bytes: bytes
    by_hub: tuple[int, ...] = ()

    @property
    def list_hash(self) -> bytes:
        """What keeps one list from being stored twice."""
        return refusal_list_hash(self.list_bytes)


def signed_refusals(
    refusals: Sequence[Refusal], *, stream_id: bytes, registry_size: int, signer: Signer
) -> bytes:
    """Return the hub's signed RefusalList, or nothing where nothing was refused."""
    if not refusals:
        return b""
    message = exchange_pb2.RefusalList(
        stream_id=stream_id,
        signer=HUB,
        refusals=[
            exchange_pb2.Refusal(
                sequence=each.sequence, reason=each.reason, registry_size=registry_size
            )
            for each in refusals
        ],
    )
    message.signature = signer.sign(refusal_list_bytes(message))
    return message.SerializeToString(deterministic=True)


def check_reader_refusals(
    message: exchange_pb2.RefusalList, *, stream_id: bytes, reader: str, size: int, public: bytes
) -> ReaderRefusals:
    """Return a reader's list of refusals below `size`, once its signature has verified.

    Raises:
        ReceiptRefusedError: another stream or signer, or not of its form.
        SignatureInvalidError: not signed by the reader's receipt key.

    """
    if message.stream_id != stream_id or message.signer != reader:
        raise ReceiptRefusedError("a list of refusals names another stream or signer")
    if fault := fault_of_refusals(message, size=size):
        raise ReceiptRefusedError(fault)
    verify_ed25519(public, refusal_list_bytes(message), message.signature)
    by_hub = tuple(each.sequence for each in message.refusals if each.reason == REFUSED_BY_HUB)
    return ReaderRefusals(message.SerializeToString(deterministic=True), by_hub)


def parse_lists(lists: Iterable[bytes]) -> list[exchange_pb2.RefusalList]:
    """Return the messages of stored lists; what can't be read is left out."""
    return [each for each in map(_parsed, lists) if each is not None]


def _parsed(list_bytes: bytes) -> exchange_pb2.RefusalList | None:
    if not list_bytes:
        return None
    try:
        return exchange_pb2.RefusalList.FromString(list_bytes)
    except DecodeError:
        return None
