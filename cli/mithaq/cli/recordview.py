"""A record as fields to print: dotted paths, only what is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from google.protobuf.json_format import MessageToDict

if TYPE_CHECKING:
    from google.protobuf.message import Message


def record_fields(record: Message) -> dict[str, Any]:
    """Return every set field of a message by its dotted path."""
    content = MessageToDict(record, preserving_proto_field_name=True)
    return dict(_walk("", content))


def _walk(path: str, value: object) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return [
            row
            for name, inner in fields.items()
            for row in _walk(f"{path}.{name}" if path else name, inner)
        ]
    if isinstance(value, list):
        items = cast("list[object]", value)
        if any(isinstance(item, dict) for item in items):
            return [
                row
                for number, inner in enumerate(items, start=1)
                for row in _walk(f"{path}[{number}]", inner)
            ]
        return [(path, items)]
    return [(path, value)]
