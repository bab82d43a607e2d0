"""The values of a message read one by one, whatever rules it breaks: slow and plain."""

from typing import Any

from google.protobuf.message import Message

from buf.validate import validate_pb2 as validate
from mithaq.v1 import record_values


def plain(message: Message) -> Any:  # noqa: ANN401 - the tuple of the message's type
    """Return the tuple of a message; what a rule requires is there, if only empty."""
    found: dict[str, object] = {}
    for each in message.DESCRIPTOR.fields:
        value, is_part = getattr(message, each.name), each.message_type is not None
        if each.is_repeated:
            found[each.name] = tuple(map(plain, value) if is_part else value)
        elif each.has_presence and not message.HasField(each.name):
            required = each.GetOptions().Extensions[validate.field].required
            found[each.name] = plain(value) if required else None
        else:
            found[each.name] = plain(value) if is_part else value
    return getattr(record_values, message.DESCRIPTOR.name)(**found)
