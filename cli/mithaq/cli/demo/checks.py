"""The last act: roots are compared, and texts are looked for in all that the hub keeps."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mithaq.cli.demo.hub_database import control_planted, find_in_database
from mithaq.cli.demo.searching import Found, Needles, find_bytes, writings
from mithaq.cli.demo.watching import CheckFailedError, check_alarms

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from mithaq.cli.demo.stage import Stage
    from mithaq.node.records.model import ParsedRecord

    Say = Callable[[str], None]
    Heads = dict[bytes, tuple[int, bytes]]

CONTROL: Final = "a control text that was planted: مراقبة"
# Records whose texts are looked for, of all members together.
SAMPLES_MAX: Final = 60
SETTLE_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.5


def compare_roots(stage: Stage, say: Say) -> int:
    """Compare roots that sender, hub and readers each recompute from their own store.

    Returns the number of streams that more than one of them has; raises CheckFailedError
    on any difference.
    """
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        hub = stage.hub_roots()
        views = {name: stage.node_roots(name) for name in stage.members}
        behind = [part for name, view in views.items() for part in _behind(name, view, hub)]
        if not behind:
            break
        if time.monotonic() > deadline:
            raise CheckFailedError(", ".join(behind[:3]), alarm="root mismatch")
        # An answer may still be on its way.
        time.sleep(POLL_SECONDS)
    compared = sum(any(stream in view for view in views.values()) for stream in hub)
    say(f"roots are equal at sender, hub and readers in {compared} streams")
    return compared


def _behind(name: str, view: Heads, hub: Heads) -> Iterator[str]:
    """Yield streams that differ in size; raise CheckFailedError where one differs in its root."""
    for stream, (size, root) in view.items():
        if stream not in hub:
            raise CheckFailedError(f"{name} has a stream that the hub has not", alarm="fork")
        hub_size, hub_root = hub[stream]
        if size != hub_size:
            yield f"{name} has {size} entries of stream {stream.hex()[:8]}, the hub {hub_size}"
        elif root != hub_root:
            raise CheckFailedError(
                f"{name} and the hub differ on stream {stream.hex()[:8]}", alarm="root mismatch"
            )


def search_hub(stage: Stage, extra: Iterable[str], say: Say) -> list[Found]:
    """Look for texts of the records in all that the hub keeps; return those that stand there.

    Raises CheckFailedError where the search does not even find a control.
    """
    with _control(stage):
        seen = {each.writing for each in _found(stage, Needles.of([CONTROL]))}
        if missing := writings(CONTROL).keys() - seen:
            raise CheckFailedError(f"the search does not see {', '.join(sorted(missing))}")
    texts = {text for record in _samples(stage) for text in record_texts(record)} | set(extra)
    found = _found(stage, Needles.of(texts))
    say(f"{len(texts)} texts of records looked for in all that the hub keeps: {len(found)} found")
    return found


def _found(stage: Stage, needles: Needles) -> list[Found]:
    found = find_bytes(needles, stage.hub_folder)
    return found + (find_in_database(stage.hub_database, needles) if stage.hub_database else [])


@contextmanager
def _control(stage: Stage) -> Generator[None]:
    """Have the control stand in the hub's folder, and in its database if that is elsewhere."""
    forms = list(writings(CONTROL).values())
    if stage.hub_database:
        with control_planted(stage.hub_database, forms):
            yield
        return
    file = stage.hub_folder / "control"
    file.write_bytes(b"\n".join(forms))
    try:
        yield
    finally:
        file.unlink()


def _samples(stage: Stage) -> Iterable[ParsedRecord]:
    each_max = max(1, SAMPLES_MAX // len(stage.issued.alerts))
    for alerts in stage.issued.alerts.values():
        yield from alerts[:: -(-len(alerts) // each_max)]


def record_texts(record: ParsedRecord) -> list[str]:
    """Return names, numbers and reasons that a record holds."""
    alert = record.alert
    texts = [alert.reason, alert.decision_reference, alert.listing.comments]
    if alert.HasField("travel_document"):
        texts.append(alert.travel_document.number)
    for name in (*alert.person.names, *alert.entity.names):
        texts += [name.surname, name.forenames, name.full, name.original_script, name.mrz]
    texts += [document.number for document in alert.person.documents]
    return [text for text in texts if text]


def check_quiet(stage: Stage) -> None:
    """Raise CheckFailedError where a node does not answer, or has an alarm."""
    statuses = stage.statuses()
    check_alarms(stage, statuses)
    if silent := stage.members.keys() - statuses.keys():
        raise CheckFailedError(f"{', '.join(sorted(silent))} do not answer")
