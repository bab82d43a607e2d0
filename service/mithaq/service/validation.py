"""Whether a message obeys the rules that its .proto file writes down.

A message that passes here may be parsed further; one that does not is answered with
the fields and rules that it breaks, never with the values that it held.
"""

from typing import Final

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from mithaq.service.errors import InvalidRequestError

# All faults of a message this long are told, of a longer one the first: a megabyte can hold
# a quarter of a million, and to find them takes seconds.
TOLD_WHOLE_BYTES_MAX: Final = 16 * 1024
_VALIDATOR = Validator()


def check_message(message: Message) -> None:
    """Raise InvalidRequestError naming the fields that break a rule."""
    violations = _VALIDATOR.collect_violations(message, fail_fast=True)
    if violations:
        if message.ByteSize() <= TOLD_WHOLE_BYTES_MAX:
            violations = _VALIDATOR.collect_violations(message)
        raise InvalidRequestError(*(field_and_rule(each) for each in violations))


def field_and_rule(violation: Violation) -> tuple[str, str]:
    """Return the path of a field, such as `streams.size`, and the rule that it breaks."""
    path = violation.proto.field
    names = [element.field_name for element in path.elements] if path else []
    return ".".join(names) or "message", violation.proto.message
