"""Changes to a message field by field, so that what is changed is still a message.

A parser that demands one spelling refuses nearly every change of a byte at its first
line. Here a field takes another value, comes twice, goes, or changes places; messages
that travel within others as bytes are changed as messages too.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from mithaq.v1 import (
    agreement_pb2,
    audit_pb2,
    enrolment_pb2,
    entry_pb2,
    record_pb2,
    registry_pb2,
)

ChangeBytes = Callable[[bytes, int], bytes]

WITHIN: Mapping[str, type[Message]] = {
    "mithaq.v1.AgreementAdmitted.terms": agreement_pb2.AgreementTerms,
    "mithaq.v1.AuditBundle.entries": audit_pb2.AuditEntry,
    "mithaq.v1.AuditBundle.registry": registry_pb2.SignedEntry,
    "mithaq.v1.EnrolmentRequest.body": enrolment_pb2.EnrolmentBody,
    "mithaq.v1.EntryRun.terms": entry_pb2.EntryTerms,
    "mithaq.v1.FollowResponse.entries": registry_pb2.SignedEntry,
    "mithaq.v1.HubApproval.entries": registry_pb2.SignedEntry,
    "mithaq.v1.HubRequest.body": enrolment_pb2.HubRequestBody,
    "mithaq.v1.IssueRequest.record": record_pb2.Record,
    "mithaq.v1.RenewalRequest.body": enrolment_pb2.RenewalBody,
    "mithaq.v1.SignedAuditBundle.bundle": audit_pb2.AuditBundle,
    "mithaq.v1.SignedEntry.body": registry_pb2.RegistryBody,
}
EDGES = (0, 1, 2, 255, 256, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
FIELD_SIZE_BYTES_MAX = 4096
BYTES_ONLY = 0.2
DEEPER = 0.85


def mutated(
    kind: type[Message], data: bytes, size_max: int, *, seed: int, change_bytes: ChangeBytes
) -> bytes:
    """Return the bytes with a few changes, of at most `size_max` bytes."""
    chance = Random(seed)  # noqa: S311 - which change, not a secret
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return change_bytes(data, size_max)
    if chance.random() < BYTES_ONLY:
        return change_bytes(data, size_max)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        Changer(chance, change_bytes).change(message)
    changed = message.SerializeToString(deterministic=True)
    return changed if len(changed) <= size_max else change_bytes(data, size_max)


class Changer:
    """Makes one change somewhere in a message."""

    def __init__(self, chance: Random, change_bytes: ChangeBytes) -> None:
        self._chance = chance
        self._change_bytes = change_bytes

    def change(self, message: Message) -> None:
        """Change one field of a message, or of one that lies in it."""
        descriptor = cast("Descriptor", message.DESCRIPTOR)
        fields = [field for field, _ in message.ListFields()]
        # What is there is changed more often than what is not.
        if not fields or self._chance.random() < 1 - DEEPER:
            fields = list(descriptor.fields)
        if not fields:
            return
        field = self._chance.choice(fields)
        if field.is_repeated:
            self._change_list(message, field)
        elif field.message_type is not None:
            self._change_message(message, field)
        else:
            value = getattr(message, field.name)
            setattr(message, field.name, self._value(field, value))

    def _change_message(self, message: Message, field: FieldDescriptor) -> None:
        if self._chance.random() < 1 - DEEPER:
            message.ClearField(field.name)
            return
        child: Message = getattr(message, field.name)
        child.SetInParent()
        self.change(child)

    def _change_list(self, message: Message, field: FieldDescriptor) -> None:
        if _is_map(field):
            message.ClearField(field.name)
            return
        values: Any = getattr(message, field.name)
        place = self._chance.randrange(len(values)) if values else 0
        what = self._chance.choice(("change", "change", "change", "drop", "double", "swap", "add"))
        if not values or what == "add":
            self._add(values, field)
        elif what == "drop":
            del values[place]
        elif what == "double":
            values.append(values[place])
        elif what == "swap":
            self._swap(values, place, field)
        elif field.message_type is not None:
            self.change(values[place])
        else:
            values[place] = self._value(field, values[place])

    def _add(self, values: Any, field: FieldDescriptor) -> None:  # noqa: ANN401 - a container
        if field.message_type is not None:
            self.change(values.add())
        else:
            values.append(self._value(field, values[-1] if values else field.default_value or 0))

    def _swap(self, values: Any, place: int, field: FieldDescriptor) -> None:  # noqa: ANN401
        other = self._chance.randrange(len(values))
        if field.message_type is None:
            values[place], values[other] = values[other], values[place]
            return
        kept = type(values[place])()
        kept.CopyFrom(values[place])
        values[place].CopyFrom(values[other])
        values[other].CopyFrom(kept)

    def _value(self, field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - a field's
        if field.enum_type is not None:
            return self._chance.choice([*(each.number for each in field.enum_type.values), 99])
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._bytes(field, value or b"")
        if field.type == FieldDescriptor.TYPE_STRING:
            data = self._change_bytes((value or "").encode(), FIELD_SIZE_BYTES_MAX)
            return data.decode(errors="ignore")
        if field.type == FieldDescriptor.TYPE_BOOL:
            return not value
        low, high = _INTEGERS.get(field.cpp_type, (0, 1))
        near = (value - 1, value + 1, -value, value ^ 1 << self._chance.randrange(63))
        return min(max(self._chance.choice((*EDGES, *near)), low), high)

    def _bytes(self, field: FieldDescriptor, value: bytes) -> bytes:
        kind = WITHIN.get(field.full_name)
        if kind is not None and self._chance.random() < DEEPER:
            return mutated(
                kind,
                value,
                max(len(value) * 2, FIELD_SIZE_BYTES_MAX),
                seed=self._chance.getrandbits(32),
                change_bytes=self._change_bytes,
            )
        return self._change_bytes(value, max(len(value), FIELD_SIZE_BYTES_MAX))


def _is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)
