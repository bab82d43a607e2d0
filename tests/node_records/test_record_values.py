"""The rules of the protos as code: the same answer as protovalidate's, on both sides of each."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import protovalidate
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from buf.validate import validate_pb2 as validate
from mithaq.node.records.errors import RecordFieldError
from mithaq.node.records.model import field_error, serialise, values_of
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import record_values
from tests.node_records.alerts import alert
from tests.node_records.test_record_model import form, hit, receipt
from tests.node_records.values import plain

# A text for each pattern, and texts that miss it by little.
ID = "eg-moi-01HZZZZZZZZZZZZZZZZZZZZZZZ"
PATTERNS = {
    "-[0-7]": (ID, ["", f"{ID}0", f"{ID[:-1]}I", f"{ID}\n", f" {ID}", ID.replace("01", "81")]),
    "^[a-z]{2,3}-": ("eg-moi", ["", "e-moi", "EG-moi", "eg-", "eg-moi\n", f"eg-{'a' * 31}"]),
    "[A-Z][A-Z0-9_]{1,39}": ("ARREST", ["", "A", "aRREST", "ARREST\n", "A" * 41]),
    "[A-Z][a-z]{3}": ("Arab", ["arab", "Ara", "Arabi", "Arab\n", "Åaaa"]),
    "[A-Z<]+": ("A<<B", ["a", "A B", "A<\n", "É", "A" * 601]),
    "^[A-Z]{3}$": ("EGY", ["EG", "EGYP", "egy", "EGY\n", "ÉGY"]),
    "[A-Z][A-Z0-9_-]{0,31}": ("MITHAQ", ["", "9", "MITHAQ\n", "A" * 33]),
    "(en|fr|ar)": ("fr", ["", "de", "fren", "fr\n", "FR"]),
}


def kept(message: Message) -> bool:
    """Return what the code for this type of message says; what it reads is what is there."""
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in message.DESCRIPTOR.name)
    read: Callable[[Message], object] = getattr(record_values, name)
    try:
        values = read(message)
    except record_values.RuleBrokenError:
        return False
    assert values == plain(message)
    return True


def check_same(message: Message) -> bool:
    """Assert that both agree on a message, and return what they say."""
    verdict = not protovalidate.collect_violations(message)
    assert kept(message) is verdict, message.DESCRIPTOR.name
    return verdict


def descriptors(root: Descriptor = wire.Record.DESCRIPTOR) -> list[Descriptor]:
    found = {root.full_name: root}
    queue = [root]
    for descriptor in queue:
        for each in descriptor.fields:
            part = each.message_type
            if part is not None and part.full_name not in found:
                found[part.full_name] = part
                queue.append(part)
    return list(found.values())


def rules_of(each: FieldDescriptor) -> validate.FieldRules:
    return each.GetOptions().Extensions[validate.field]


def sample(pattern: str) -> tuple[str, list[str]]:
    return next(texts for part, texts in PATTERNS.items() if part in pattern)


def value_of(each: FieldDescriptor, rules: validate.FieldRules) -> Any:  # noqa: ANN401 - any field's
    """Return a value that keeps the rules of a field, or of an item of a list."""
    if each.message_type is not None:
        return valid(each.message_type)
    if each.type == FieldDescriptor.TYPE_STRING:
        text = rules.string
        return sample(text.pattern)[0] if text.pattern else "x" * max(1, text.min_len)
    return bytes(32) if each.type == FieldDescriptor.TYPE_BYTES else 1


def set_field(message: Message, each: FieldDescriptor, value: object) -> None:
    message.ClearField(each.name)
    if each.is_repeated:
        getattr(message, each.name).extend(value)
    elif each.message_type is not None:
        getattr(message, each.name).CopyFrom(value)
    else:
        setattr(message, each.name, value)


def valid(descriptor: Descriptor) -> Message:
    """Return a message of a type that keeps every rule; the erased receipt has no ground."""
    if descriptor is wire.ErasureReceipt.DESCRIPTOR:
        return receipt()
    message: Message = GetMessageClass(descriptor)()
    for each in descriptor.fields:
        rules = rules_of(each)
        if each.is_repeated:
            items = [value_of(each, rules.repeated.items)] * rules.repeated.min_items
            set_field(message, each, items)
        elif each.containing_oneof is not None and each.containing_oneof.fields[0] is not each:
            continue
        elif each.message_type is None or rules.required or each.containing_oneof:
            set_field(message, each, value_of(each, rules))
    if descriptor.full_name.endswith("TravelDocument"):
        message.ClearField("number_to")
    return message


def counts(low: int, high: int) -> list[int]:
    return sorted({0, 1, max(0, low - 1), low, high, high + 1})


def values_around(each: FieldDescriptor, rules: validate.FieldRules) -> Iterator[object]:
    """Yield values on both sides of every limit of a scalar."""
    kind = rules.WhichOneof("type")
    if kind == "string":
        yield from ("é" * count for count in counts(rules.string.min_len, rules.string.max_len))
        if rules.string.pattern:
            good, bad = sample(rules.string.pattern)
            yield from (good, *bad)
    elif kind == "bytes":
        yield from (bytes(count) for count in (0, 31, 32, 33))
    elif kind == "enum" and each.enum_type is not None:
        yield from range(-1, len(each.enum_type.values) + 1)
    else:
        assert kind is not None
        limits = [limit for _, limit in getattr(rules, kind).ListFields()]
        low = -1 if kind == "int64" else 0
        yield from (max(low, at + step) for at in (*limits, 0) for step in (-1, 0, 1))


def lists_around(each: FieldDescriptor, rules: validate.RepeatedRules) -> Iterator[list[object]]:
    item = value_of(each, rules.items)
    for count in counts(rules.min_items, rules.max_items):
        if not rules.unique:
            yield [item] * count
        elif each.type == FieldDescriptor.TYPE_STRING:
            letters = [f"{a}{b}A" for a in "ABCDEFGH" for b in "ABCDEFGHIJ"]
            yield list(letters[:count])
    if rules.unique:
        yield [item, item]
    if rules.HasField("items"):
        yield from ([value] for value in values_around(each, rules.items))


FIELDS = [
    (descriptor, each)
    for descriptor in descriptors()
    for each in descriptor.fields
    if rules_of(each).ListFields()
]


@pytest.mark.parametrize(("descriptor", "each"), FIELDS, ids=lambda it: it.full_name)
def test_every_rule_of_a_field_is_kept_up_to_its_limit_and_not_beyond(
    descriptor: Descriptor, each: FieldDescriptor
) -> None:
    rules = rules_of(each)
    verdicts: set[bool] = {check_same(valid(descriptor))}
    around: Iterator[object] = iter(())
    if each.is_repeated:
        around = lists_around(each, rules.repeated)
    elif each.message_type is None:
        around = values_around(each, rules)
    for value in around:
        message = valid(descriptor)
        set_field(message, each, value)
        verdicts.add(check_same(message))
    if rules.required:
        lacking = valid(descriptor)
        lacking.ClearField(each.name)
        verdicts.add(check_same(lacking))
    assert verdicts == {True, False}


def broken(descriptor: Descriptor) -> Message:
    """Return a message of a type that breaks one of its rules."""
    for each in descriptor.fields:
        rules = rules_of(each)
        values: Iterator[object] = iter(())
        if each.is_repeated:
            values = iter(lists_around(each, rules.repeated))
        elif each.message_type is None and rules.ListFields():
            values = values_around(each, rules)
        for value in values:
            message = valid(descriptor)
            set_field(message, each, value)
            if protovalidate.collect_violations(message):
                return message
    raise AssertionError(f"{descriptor.name} has nothing to break")


PARTS = [
    (descriptor, each)
    for descriptor in descriptors()
    for each in descriptor.fields
    if each.message_type is not None
]


@pytest.mark.parametrize(("descriptor", "each"), PARTS, ids=lambda it: it.full_name)
def test_a_fault_of_a_part_is_a_fault_of_the_whole(
    descriptor: Descriptor, each: FieldDescriptor
) -> None:
    part = each.message_type
    assert part is not None
    message, fault = valid(descriptor), broken(part)
    set_field(message, each, [valid(part), fault] if each.is_repeated else fault)
    assert not check_same(message)


def test_what_stands_in_a_oneof_must_be_there() -> None:
    assert not check_same(wire.Record())
    lacking = alert().message
    lacking.alert.ClearField("person")
    assert not check_same(lacking)


RECORDS = [alert(category).message for category in CATEGORIES] + [
    wire.Record(hit_report=hit()),
    wire.Record(form=form()),
    wire.Record(erasure_receipt=receipt()),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda it: it.WhichOneof("content"))
def test_valid_records_are_taken(record: wire.Record) -> None:
    assert check_same(record)


@given(st.sampled_from(RECORDS), st.randoms(use_true_random=False), st.integers(1, 4))
def test_changed_records_get_the_same_answer(
    record: wire.Record, chance: random.Random, changes: int
) -> None:
    changed = wire.Record()
    changed.CopyFrom(record)
    for _ in range(changes):
        change(changed, chance)
    check_same(changed)


def fields_of_type(descriptor: Any) -> list[FieldDescriptor]:  # noqa: ANN401 - two stubs differ
    return list(descriptor.fields)


def change(message: Message, chance: random.Random) -> None:
    """Set one field, somewhere in a message, to a value near a limit or to nothing."""
    each: FieldDescriptor = chance.choice([*fields_of_type(message.DESCRIPTOR)])
    value = getattr(message, each.name)
    if each.message_type is not None and chance.random() < 0.8:
        if each.is_repeated:
            change(value[chance.randrange(len(value))] if value else value.add(), chance)
        else:
            change(value, chance)
        return
    rules = rules_of(each)
    if each.message_type is not None or not rules.ListFields() or chance.random() < 0.2:
        message.ClearField(each.name)
    elif each.is_repeated:
        set_field(message, each, chance.choice(list(lists_around(each, rules.repeated))))
    else:
        set_field(message, each, chance.choice(list(values_around(each, rules))))


@given(st.binary(max_size=300))
def test_hostile_bytes_that_parse_get_the_same_answer(raw: bytes) -> None:
    record = wire.Record.FromString(serialise(alert().message))
    try:
        record.MergeFromString(raw)
    except Exception:  # noqa: BLE001 - what does not parse is not asked about
        return
    check_same(record)


def test_a_violation_that_only_the_code_sees_is_refused_all_the_same() -> None:
    assert isinstance(field_error([]), RecordFieldError)
    assert values_of(alert().message).alert is not None
