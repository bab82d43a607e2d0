"""What is told of a message that breaks the rules of its .proto file."""

import pytest

from mithaq.service.errors import InvalidRequestError
from mithaq.service.validation import TOLD_WHOLE_BYTES_MAX, check_message
from mithaq.v1 import exchange_pb2


def request(*, longer: int) -> exchange_pb2.AddCheckpointRequest:
    """Return a request of some length with too many hashes, none of them one."""
    message = exchange_pb2.AddCheckpointRequest(proof=[b"no hash"] * 100)
    for _ in range(2):
        # The second time for what the lengths themselves take.
        message.checkpoint += b"x" * (TOLD_WHOLE_BYTES_MAX + longer - message.ByteSize())
        if message.ByteSize() > TOLD_WHOLE_BYTES_MAX + longer:
            message.checkpoint = message.checkpoint[
                : TOLD_WHOLE_BYTES_MAX + longer - message.ByteSize()
            ]
    assert message.ByteSize() == TOLD_WHOLE_BYTES_MAX + longer
    return message


def test_all_faults_of_a_short_message_are_told_and_the_first_of_a_long_one() -> None:
    with pytest.raises(InvalidRequestError) as short:
        check_message(request(longer=0))
    with pytest.raises(InvalidRequestError) as long:
        check_message(request(longer=1))
    assert str(short.value).count("must be 32 bytes") == 100
    assert str(long.value).count(": ") == 1


def test_what_obeys_the_rules_is_taken() -> None:
    check_message(exchange_pb2.AddCheckpointRequest(checkpoint=b"x" * 200, proof=[bytes(32)]))
