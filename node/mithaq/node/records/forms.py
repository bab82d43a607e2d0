"""Alerts as people write and read them: YAML, or JSON, which is YAML too.

Keys are the fields of the .proto, words of an enum go without their prefix, instants
as 2027-01-01T00:00:00Z or a day, a date of birth as 1980-03-07, 1980-03, 1980,
1955..1958, `about 1980` or `unknown`, a state as its three letters. Both ways round
are exact. What may be left out is filled in by `drafts`. The rule: an error names the
field and the line, never what was written there.
"""

import difflib
import io
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from mithaq.agreements.errors import YamlFormError
from mithaq.agreements.yaml_tree import Keyed, Leaf, Listed, Node, compose
from mithaq.node.records.errors import FormError
from mithaq.v1.record_pb2 import Record
from mithaq.v1.subject_pb2 import (
    DATE_PRECISION_DAY,
    DATE_PRECISION_MONTH,
    DATE_PRECISION_UNKNOWN,
    DATE_PRECISION_YEAR,
    DATE_PRECISION_YEAR_RANGE,
    DATE_QUALIFIER_APPROXIMATE,
    DATE_QUALIFIER_UNSPECIFIED,
    Country,
    PartialDate,
)

# Lines are never folded: the library loses blanks where it folds at two of them.
_WIDTH_CHARS: Final = 2**20
_INSTANTS: Final = frozenset(
    {
        "created_at",
        "valid_from",
        "review_by",
        "expires_at",
        "as_of",
        "warrant_issued_at",
        "valid_to",
        "withdrawn_at",
    }
)
_DAY: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?Z)?")
_DATE: Final = re.compile(r"(about )?(\d{4})(?:-(\d{2})(?:-(\d{2}))?|\.\.(\d{4}))?")
_UNKNOWN: Final = "unknown"
_ABOUT: Final = "about "
# Records count seconds from its beginning.
_FIRST_YEAR: Final = 1970
_UINT32_MAX: Final = 2**32 - 1


def load(text: str) -> Record:
    """Return the alert that a text says, complete or not; raise FormError with the field."""
    try:
        node = compose(text)
    except YamlFormError as error:
        # The library's own words may quote the text.
        raise FormError(
            f"line {error.line}: the text is no YAML or JSON that alerts are written in"
        ) from None
    record = Record()
    record.alert.SetInParent()
    _fill(record.alert, node, path="alert")
    return record


def dump(record: Record) -> str:
    """Return the text of an alert, to be read by people and by `load`."""
    yaml: Any = YAML()
    yaml.width = _WIDTH_CHARS
    yaml.allow_unicode = True
    stream = io.StringIO()
    yaml.dump(_table(record.alert), stream)
    return stream.getvalue()


def _fill(message: Message, node: Node, *, path: str) -> None:
    """Set the fields of a message that a table of keys names."""
    if not isinstance(node, Keyed):
        raise _wrong(node, path, "a table of fields")
    # The stubs say that it may hold either of two classes of descriptor.
    fields = cast("Mapping[str, FieldDescriptor]", message.DESCRIPTOR.fields_by_name)
    seen: set[str] = set()
    for key_node, value in node.pairs:
        key = key_node.text if isinstance(key_node, Leaf) else None
        if key is None or key not in fields:
            raise _wrong(key_node, path, f"a known field{_nearest(key or '', list(fields))}")
        if key in seen:
            raise _wrong(key_node, f"{path}.{key}", "a field once")
        seen.add(key)
        _set(message, fields[key], value, path=f"{path}.{key}")


def _set(message: Message, field: FieldDescriptor, node: Node, *, path: str) -> None:
    if not field.is_repeated:
        if field.message_type is not None:
            _fill_value(getattr(message, field.name), node, path=path)
        else:
            setattr(message, field.name, _scalar(field, node, path=path))
        return
    if not isinstance(node, Listed):
        raise _wrong(node, path, "a list")
    values = getattr(message, field.name)
    for i, item in enumerate(node.items):
        if field.message_type is not None:
            _fill_value(values.add(), item, path=f"{path}[{i}]")
        else:
            values.append(_scalar(field, item, path=f"{path}[{i}]"))


def _fill_value(message: Message, node: Node, *, path: str) -> None:
    """Fill a message from its short form, if it has one and that was written, or its fields."""
    if isinstance(node, Leaf) and node.text is not None:
        if isinstance(message, PartialDate):
            message.CopyFrom(_partial_date(node, path=path))
            return
        if isinstance(message, Country):
            message.code = node.text
            return
    # An empty table is still something said.
    message.SetInParent()
    _fill(message, node, path=path)


def _scalar(field: FieldDescriptor, node: Node, *, path: str) -> object:
    text = _text(node, path)
    if field.enum_type is not None:
        return _enum(field.enum_type, text, node, path=path)
    if field.name in _INSTANTS:
        return _seconds(text, node, path=path)
    if field.type == FieldDescriptor.TYPE_STRING:
        return text
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text not in {"true", "false"}:
            raise _wrong(node, path, "true or false")
        return text == "true"
    if field.type == FieldDescriptor.TYPE_BYTES:
        if not re.fullmatch(r"([0-9a-f]{2})*", text):
            raise _wrong(node, path, "hexadecimal digits")
        return bytes.fromhex(text)
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _UINT32_MAX:
        raise _wrong(node, path, "a whole number")
    return int(text)


def _enum(enum: EnumDescriptor, text: str, node: Node, *, path: str) -> int:
    prefix = _prefix(enum)
    words = [value.name.removeprefix(prefix) for value in enum.values if value.number]
    if text not in words:
        raise _wrong(node, path, f"one of {', '.join(words)}{_nearest(text, words)}")
    return enum.values_by_name[prefix + text].number


def _seconds(text: str, node: Node, *, path: str) -> int:
    try:
        if _INSTANT.fullmatch(text):
            instant = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
            if instant.year >= _FIRST_YEAR:
                return int(instant.timestamp())
    except ValueError:
        pass
    raise _wrong(node, path, "an instant of UTC such as 2027-01-01T00:00:00Z, or a day")


def _partial_date(node: Node, *, path: str) -> PartialDate:
    text = _text(node, path)
    if text == _UNKNOWN:
        return PartialDate(precision=DATE_PRECISION_UNKNOWN)
    found = _DATE.fullmatch(text)
    if found is None:
        raise _wrong(node, path, "a date such as 1980-03-07, 1980-03, 1980, 1955..1958 or unknown")
    about, year, month, day, year_to = found.groups()
    if year_to:
        precision = DATE_PRECISION_YEAR_RANGE
    elif day:
        precision = DATE_PRECISION_DAY
    else:
        precision = DATE_PRECISION_MONTH if month else DATE_PRECISION_YEAR
    return PartialDate(
        precision=precision,
        qualifier=DATE_QUALIFIER_APPROXIMATE if about else DATE_QUALIFIER_UNSPECIFIED,
        year=int(year),
        month=int(month or 0),
        day=int(day or 0),
        year_to=int(year_to or 0),
    )


def _table(message: Message) -> dict[str, object]:
    """Return the fields of a message that are set, as they are written."""
    return {
        field.name: [_written(field, item) for item in value]
        if field.is_repeated
        else _written(field, value)
        for field, value in message.ListFields()
    }


def _written(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401  a field's value
    if isinstance(value, Message):
        return _short(value) or _table(value)
    if field.enum_type is not None:
        enum = field.enum_type
        return enum.values_by_number[value].name.removeprefix(_prefix(enum))
    if field.name in _INSTANTS:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, str) and not value.isprintable():
        # Escaped: the library's other styles lose line separators.
        return DoubleQuotedScalarString(value)
    return value.hex() if isinstance(value, bytes) else value


def _short(message: Message) -> str:
    """Return the short form of a date or a state where it says all, else ""."""
    if isinstance(message, Country):
        return "" if message.as_written else message.code
    if not isinstance(message, PartialDate):
        return ""
    for text in _short_dates(message):
        if _partial_date(Leaf(1, text), path="") == message:
            return text
    return ""


def _short_dates(date: PartialDate) -> Iterator[str]:
    about = _ABOUT if date.qualifier == DATE_QUALIFIER_APPROXIMATE else ""
    if date.precision == DATE_PRECISION_UNKNOWN:
        yield _UNKNOWN
    elif date.year_to:
        yield f"{about}{date.year:04}..{date.year_to:04}"
    else:
        parts = (f"{date.month:02}" * bool(date.month), f"{date.day:02}" * bool(date.day))
        yield about + "-".join(filter(None, (f"{date.year:04}", *parts)))


def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def _text(node: Node, path: str) -> str:
    if isinstance(node, Leaf) and node.text is not None:
        return node.text
    raise _wrong(node, path, "a single value")


def _nearest(written: str, known: list[str]) -> str:
    close = difflib.get_close_matches(written, known, n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def _wrong(node: Node, path: str, expected: str) -> FormError:
    return FormError(f"line {node.line}: expected {expected}", path=path)
