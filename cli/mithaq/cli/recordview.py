"""A record as programs and as people get it.

Programs: every field that is set, by its dotted path, with the values of the wire.
People: the field's words, the action to be taken and the warnings first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from google.protobuf.json_format import MessageToDict

from mithaq.cli.output import instant

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from mithaq.v1 import local_pb2


def record_fields(record: Message) -> dict[str, Any]:
    """Return every set field of a message by its dotted path."""
    content = MessageToDict(record, preserving_proto_field_name=True)
    return dict(_walk("", content))


def alert_lines(answer: local_pb2.ShowAlertResponse) -> list[tuple[str, str]]:
    """Return an alert that is shown, line by line."""
    # Imported here: the words load the agreements' categories.
    from mithaq.node.records.render import rows_of

    row = answer.row
    return [
        ("action to be taken", answer.action_to_be_taken),
        *(("caution", text) for text in answer.cautions),
        *((each.label, each.text) for each in rows_of(answer.record.alert)),
        ("this version", f"{row.status}, made {instant(row.created_at * 1000)}"),
        ("shown under", _granted(answer)),
    ]


def _granted(answer: local_pb2.ShowAlertResponse) -> str:
    clauses = ", ".join(answer.clause_ids)
    if answer.row.own:
        return "own alert"
    return f"{answer.row.agreement_id}, clause {clauses}" if clauses else answer.row.agreement_id


def hit_lines(answer: local_pb2.ShowHitResponse) -> list[tuple[str, str]]:
    """Return a hit report, line by line."""
    from mithaq.node.records.render import hit_rows

    rows = hit_rows(answer.record.hit_report)
    return [*((each.label, each.text) for each in rows), ("status", answer.row.status)]


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
