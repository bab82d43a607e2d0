"""The last act: roots are compared, and texts are looked for in all of the hub's files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mithaq.cli.demo.searching import Found, find_texts, writings
from mithaq.cli.demo.stage import CheckFailedError, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mithaq.cli.demo.issuing import Issued
    from mithaq.node.records.model import ParsedRecord

    Say = Callable[[str], None]

CONTROL: Final = "a control text that was planted: مراقبة"
SAMPLES_PER_MEMBER: Final = 12


def compare_roots(stage: Stage, say: Say) -> int:
    """Compare roots that sender, hub and readers each recompute from their own store.

    Returns the number of streams; raises CheckFailedError on any difference.
    """
    hub = stage.hub_roots()
    views = {name: stage.node_roots(name) for name in stage.members}
    compared = 0
    for stream, (size, root) in hub.items():
        seen = {name: view[stream] for name, view in views.items() if stream in view}
        for name, head in seen.items():
            if head != (size, root):
                raise CheckFailedError(
                    f"{name} and the hub differ on stream {stream.hex()[:8]}", alarm="root mismatch"
                )
        compared += len(seen) > 1
    unknown = {stream for view in views.values() for stream in view} - hub.keys()
    if unknown:
        raise CheckFailedError("a node has a stream that the hub does not know", alarm="fork")
    say(f"roots are equal at sender, hub and readers in {compared} streams")
    return compared


def search_hub(stage: Stage, issued: Issued, extra: Iterable[str], say: Say) -> list[Found]:
    """Look for texts of the records in the hub's files; the control must be found."""
    control = stage.hub_folder / "control"
    control.write_bytes(b"\n".join(writings(CONTROL).values()))
    try:
        seen = {each.writing for each in find_texts([CONTROL], stage.hub_folder)}
        missing = writings(CONTROL).keys() - seen
        if missing:
            raise CheckFailedError(f"the search does not see {', '.join(sorted(missing))}")
    finally:
        control.unlink()
    texts = {text for record in _samples(issued) for text in record_texts(record)} | set(extra)
    found = find_texts(sorted(texts), stage.hub_folder)
    say(f"{len(texts)} texts of records looked for in the hub's files: {len(found)} found")
    return found


def _samples(issued: Issued) -> Iterable[ParsedRecord]:
    for alerts in issued.alerts.values():
        step = max(1, len(alerts) // SAMPLES_PER_MEMBER)
        yield from alerts[::step]


def record_texts(record: ParsedRecord) -> list[str]:
    """Return names, numbers and reasons that a record holds."""
    alert = record.alert
    texts = [alert.reason, alert.decision_reference]
    if alert.HasField("travel_document"):
        texts.append(alert.travel_document.number)
    if alert.HasField("person"):
        for name in alert.person.names:
            texts += [name.surname, name.forenames, name.original_script, name.mrz]
        texts += [document.number for document in alert.person.documents]
    return [text for text in texts if text]
