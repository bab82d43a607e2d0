"""The generator of a record's values writes what it knows and refuses all else."""

from collections.abc import Callable

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from buf.validate import validate_pb2 as validate
from value_code import RuleUnknownError, code_of

Change = Callable[[DescriptorProto], object]
IMPORTED = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2, validate)


def made(change: Change) -> Descriptor:
    """Return a message type with one text, of nine characters at most, after a change."""
    file = descriptor_pb2.FileDescriptorProto(
        name="made.proto", package="made", syntax="proto3", dependency=[validate.DESCRIPTOR.name]
    )
    message = file.message_type.add(name="Made")
    field = message.field.add(name="text", number=1)
    field.type, field.label = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.LABEL_OPTIONAL
    rules(message).string.max_len = 9
    gaps = file.enum_type.add(name="Gaps")
    gaps.value.add(name="NONE", number=0)
    gaps.value.add(name="TWO", number=2)
    change(message)
    pool = descriptor_pool.DescriptorPool()
    for known in IMPORTED:
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    found: Descriptor = pool.FindMessageTypeByName("made.Made")
    return found


def rules(message: DescriptorProto) -> validate.FieldRules:
    return message.field[0].options.Extensions[validate.field]


def without_rules(message: DescriptorProto) -> None:
    message.field[0].options.ClearExtension(validate.field)


def retyped(kind: FieldDescriptorProto.Type.ValueType, name: str = "") -> Change:
    def change(message: DescriptorProto) -> None:
        without_rules(message)
        message.field[0].type = kind
        if name:
            message.field[0].type_name = name

    return change


def ruled(change: Change, then: Callable[[validate.FieldRules], object]) -> Change:
    def both(message: DescriptorProto) -> None:
        change(message)
        then(rules(message))

    return both


def listed(message: DescriptorProto) -> None:
    message.field[0].label = FieldDescriptorProto.LABEL_REPEATED
    without_rules(message)


def optional(message: DescriptorProto) -> None:
    message.field[0].proto3_optional = True
    message.field[0].oneof_index = 0
    message.oneof_decl.add(name="_text")


def chosen(message: DescriptorProto) -> None:
    without_rules(message)
    message.field[0].oneof_index = 0
    message.oneof_decl.add(name="either")


NUMBER = retyped(FieldDescriptorProto.TYPE_INT64)
BYTES = retyped(FieldDescriptorProto.TYPE_BYTES)
GAPS = retyped(FieldDescriptorProto.TYPE_ENUM, ".made.Gaps")
REAL = retyped(FieldDescriptorProto.TYPE_DOUBLE)
LEFT_OUT_TEXT = validate.FieldRules(
    string=validate.StringRules(), ignore=validate.IGNORE_IF_ZERO_VALUE
)
LEFT_OUT_NUMBER = validate.FieldRules(
    int64=validate.Int64Rules(gt=3), ignore=validate.IGNORE_IF_ZERO_VALUE
)
UNKNOWN: dict[str, Change] = {
    "no rule at all": without_rules,
    "another rule of texts": lambda m: setattr(rules(m).string, "email", True),
    "a text with a least length only": ruled(
        without_rules, lambda r: setattr(r.string, "min_len", 1)
    ),
    "a text with an ignore only": ruled(without_rules, lambda r: r.MergeFrom(LEFT_OUT_TEXT)),
    "a pattern with a choice outside": lambda m: setattr(rules(m).string, "pattern", "^a|b$"),
    "a pattern without anchors": lambda m: setattr(rules(m).string, "pattern", "[a-z]"),
    "a pattern with a class of the engine": lambda m: setattr(
        rules(m).string, "pattern", r"^\\d+$"
    ),
    "an expression on a field": lambda m: rules(m).cel.add(expression="true"),
    "an expression of a field without a type": ruled(
        without_rules, lambda r: r.cel.add(expression="true")
    ),
    "always ignored": lambda m: setattr(rules(m), "ignore", validate.IGNORE_ALWAYS),
    "a required scalar": lambda m: setattr(rules(m), "required", True),
    "an optional scalar": optional,
    "a choice that may be empty": chosen,
    "a list without a limit": listed,
    "a list with another rule": ruled(listed, lambda r: setattr(r.string, "max_len", 1)),
    "a number that may be negative": ruled(NUMBER, lambda r: setattr(r.int64, "lt", 3)),
    "a number from below 0": ruled(NUMBER, lambda r: setattr(r.int64, "gte", -3)),
    "a number of a set": ruled(NUMBER, lambda r: getattr(r.int64, "in").append(3)),
    "a number that may be left out": ruled(NUMBER, lambda r: r.MergeFrom(LEFT_OUT_NUMBER)),
    "another kind of number": ruled(REAL, lambda r: setattr(r.double, "gt", 3)),
    "another rule of bytes": ruled(BYTES, lambda r: setattr(r.bytes, "max_len", 3)),
    "an enum with gaps": ruled(GAPS, lambda r: setattr(r.enum, "defined_only", True)),
    "an enum without its definition": ruled(GAPS, lambda r: r.enum.not_in.append(0)),
}


def test_a_known_rule_is_written_out() -> None:
    assert "        len(text) <= 9\n" in code_of(made(lambda _: None))


@pytest.mark.parametrize("change", UNKNOWN.values(), ids=UNKNOWN)
def test_a_rule_that_is_not_known_is_refused(change: Change) -> None:
    with pytest.raises(RuleUnknownError):
        code_of(made(change))


def test_a_message_with_an_expression_is_left_to_protovalidate() -> None:
    def expressed(message: DescriptorProto) -> None:
        message.options.Extensions[validate.message].cel.add(id="a", expression="true")

    code = code_of(made(expressed))
    assert "not protovalidate.collect_violations(m)" in code
    assert "len(text)" not in code


def test_another_rule_of_a_message_is_refused() -> None:
    def ruled_whole(message: DescriptorProto) -> None:
        message.options.Extensions[validate.message].oneof.add(fields=["text"])

    with pytest.raises(RuleUnknownError):
        code_of(made(ruled_whole))
