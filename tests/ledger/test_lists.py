"""What the signatures of lists are over, by vectors that this code did not make."""

import json
from pathlib import Path

from mithaq.ledger.lists import (
    REASON_LENGTH_MAX,
    fault_of_refusals,
    freeze_list_bytes,
    refusal_list_bytes,
)
from mithaq.v1 import exchange_pb2

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "mithaq" / "lists.json").read_text("utf-8")
)


def vector(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


def test_a_refusal_list_is_signed_under_its_label_stream_and_signer() -> None:
    message = exchange_pb2.RefusalList.FromString(vector("refusal_list"))
    assert message.SerializeToString(deterministic=True) == vector("refusal_list")
    assert refusal_list_bytes(message) == vector("refusal_list_signed")


def test_a_freeze_list_is_signed_under_its_label_without_its_signatures() -> None:
    message = exchange_pb2.FreezeList.FromString(vector("freeze_list"))
    assert message.SerializeToString(deterministic=True) == vector("freeze_list")
    assert freeze_list_bytes(message) == vector("freeze_list_signed")


def test_a_list_is_left_as_it_was() -> None:
    message = exchange_pb2.RefusalList.FromString(vector("refusal_list"))
    refusal_list_bytes(message)
    assert len(message.signature) == 64


def test_a_reason_is_a_code_and_not_a_text() -> None:
    message = exchange_pb2.RefusalList(refusals=[exchange_pb2.Refusal(sequence=2)])
    for length, right in ((0, False), (1, True), (REASON_LENGTH_MAX, True)):
        message.refusals[0].reason = "X" * length
        assert (fault_of_refusals(message, size=3) is None) is right
    message.refusals[0].reason = "X" * (REASON_LENGTH_MAX + 1)
    assert fault_of_refusals(message, size=3) is not None
