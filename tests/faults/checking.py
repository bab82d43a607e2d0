"""What must hold, whatever broke: judged by what was acknowledged, and by nothing else.

At the end, with everything running and quiet: each acknowledged record stands exactly once
at every entitled reader, in its sender's order; all roots are equal, recomputed by sender,
hub and readers from their own stores; receipts are complete; audit logs verify and
reconcile; no alarm stands but those that the faults explain. While it runs: no reader holds
a body without a receipt that the hub has. The one rule: what does not hold is told with the
place where it was seen, and nothing of a record's content.
"""

import itertools
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from mithaq.cli.demo.checks import search_hub
from mithaq.cli.demo.commands import command
from mithaq.cli.demo.life import AUDITOR, GROUNDS
from mithaq.cli.demo.stage import EXPECTED_ALARMS, Stage
from tests.faults.load import BY_ORGANISATIONS, Acknowledged, Member
from tests.faults.parts import Parts
from tests.faults.plan import MEMBERS

# PROTOCOL 5.5, 5.7, 5.9: what is late while a part is down; each must be lifted at the end.
EXPLAINED: Final = EXPECTED_ALARMS | {"receipt overdue", "erasure overdue"}
FOR_ORGANISATIONS: Final = frozenset((*BY_ORGANISATIONS, "CHILD_ABDUCTION_RISK"))
STILL_S_MAX: Final = 150.0
QUIET_S: Final = 3.0
POLL_S: Final = 0.5
SHOWN_MAX: Final = 5
LIVE: Final = "live"
GONE: Final = frozenset({"withdrawn", "erased"})

Heads = dict[bytes, tuple[int, bytes]]
# Stream and sequence, to alert, version, status, whether there is a body, and its number.
Standing = dict[tuple[bytes, int], tuple[str, int, str, bool, int]]


@dataclass(slots=True)
class Findings:
    """What does not hold."""

    faults: list[str] = field(default_factory=list[str])
    figures: dict[str, int] = field(default_factory=dict[str, int])

    def expect(self, holds: object, what: str) -> None:
        """Note what was expected and does not hold."""
        if not holds:
            self.faults.append(what)

    def expect_all(self, wrong: Iterator[str]) -> None:
        """Note the first few of what is wrong, and how many there are."""
        found = list(wrong)
        self.faults += found[:SHOWN_MAX]
        if len(found) > SHOWN_MAX:
            self.faults.append(f"… and {len(found) - SHOWN_MAX} more like it")


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a look at a database that another process uses."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(statement).fetchall()


# --- while it runs ----------------------------------------------------------------------

UNSIGNED: Final = """
    SELECT s.stream_id, max(d.sequence) FROM node_disclosure d
    JOIN node_stream s ON s.log_no = d.log_no AND NOT s.own
    JOIN node_record r ON r.record_no = d.record_no AND r.body IS NOT NULL
    GROUP BY s.stream_id
"""
OWN_HELD: Final = """
    SELECT s.stream_id, max(t.size) FROM node_receipt t
    JOIN node_stream s ON s.log_no = t.log_no AND NOT s.own
    WHERE t.role = 'held' AND t.reader = '{member}' GROUP BY s.stream_id
"""
HUB_HELD: Final = """
    SELECT s.stream_id, max(t.size) FROM hub_receipt t
    JOIN hub_stream s ON s.log_no = t.log_no WHERE t.reader = '{member}' GROUP BY s.stream_id
"""


def unsigned_bodies(parts: Parts, member: str) -> Iterator[str]:
    """Yield streams of which a reader holds a body that no receipt covers (PROTOCOL 5.4).

    The reader's store is looked at before the hub's: what the hub released, it had covered.
    """
    path = parts.database(member)
    newest = dict(rows(path, UNSIGNED))
    own = dict(rows(path, OWN_HELD.format(member=member)))
    at_hub = dict(_hub_rows(parts.stage, HUB_HELD.format(member=member)))
    yield from uncovered(member, newest, own=own, at_hub=at_hub)


def uncovered(
    member: str,
    newest: Mapping[bytes, int],
    *,
    own: Mapping[bytes, int],
    at_hub: Mapping[bytes, int],
) -> Iterator[str]:
    """Yield newest bodies, by stream, that lie beyond the size of a receipt."""
    for stream, sequence in newest.items():
        name = bytes(stream).hex()[:8]
        if own.get(stream, 0) <= sequence:
            yield f"{member} has body {sequence} of {name} without a held receipt of its own"
        if at_hub.get(stream, 0) <= sequence:
            yield f"{member} has body {sequence} of {name}, and the hub no receipt for it"


def _hub_rows(stage: Stage, statement: str) -> list[tuple[Any, ...]]:
    if not stage.hub_database:
        return rows(stage.hub_folder / "hub.db", statement)
    engine = sa.create_engine(stage.hub_database, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


# --- at the end -------------------------------------------------------------------------


def await_quiet(parts: Parts) -> str:
    """Wait until all have caught up; return what is still missing when nothing moves any more."""
    seen: object = None
    still_since = time.monotonic()
    quiet_since: float | None = None
    while True:
        missing = _missing(parts.stage)
        quiet_since = (quiet_since or time.monotonic()) if not missing else None
        if quiet_since and time.monotonic() - quiet_since >= QUIET_S:
            return ""
        if missing != seen:
            seen, still_since = missing, time.monotonic()
        if time.monotonic() - still_since > STILL_S_MAX:
            return "; ".join(missing[:SHOWN_MAX])
        time.sleep(POLL_S)


def _missing(stage: Stage) -> list[str]:
    statuses = stage.statuses()
    found = [f"{name} does not answer" for name in MEMBERS if name not in statuses]
    for name, status in statuses.items():
        if not status.connected:
            found.append(f"{name} is not connected ({status.turned_away or status.standing})")
        if status.outbox_entries:
            found.append(
                f"{name} has {status.outbox_entries} entries that the hub has not accepted"
            )
        opened = {(row.stream_id, row.reader): row.opened_size for row in status.readers}
        for stream in status.streams:
            if stream.sender != name:
                continue
            for reader in stream.audience:
                size = opened.get((stream.stream_id, reader), 0)
                if size < stream.size:
                    short = stream.stream_id.hex()[:8]
                    found.append(f"{reader} has opened {size} of {stream.size} of {name}'s {short}")
    for name in MEMBERS:
        asked = "SELECT count(*) FROM node_erasure WHERE state = 'asked'"
        if owed := rows(stage.members[name].folder / "node.db", asked)[0][0]:
            found.append(f"{name} waits for {owed} receipts of erasure")
    return found


def check(parts: Parts, members: Mapping[str, Member], findings: Findings) -> None:
    """Check all that must hold at the end."""
    stage = parts.stage
    if missing := await_quiet(parts):
        findings.faults.append(f"it did not become quiet: {missing}")
    checks: list[tuple[str, Callable[[], Iterator[str]]]] = [
        ("bodies without a receipt", lambda: _all_unsigned(parts)),
        ("records", lambda: _wrong_records(parts, members, findings)),
        ("order", lambda: _wrong_order(parts, members)),
        ("roots", lambda: _wrong_roots(stage, findings)),
        ("audit logs", lambda: _wrong_audit(stage)),
        ("texts at the hub", lambda: _texts_at_hub(stage, members)),
        ("alarms", lambda: _unexplained_alarms(parts, findings)),
    ]
    for name, wrong in checks:
        try:
            findings.expect_all(f"{name}: {each}" for each in wrong())
        except Exception as error:  # noqa: BLE001 - a check that can't be made has not held
            findings.faults.append(f"{name} could not be checked: {type(error).__name__} {error}")


def _all_unsigned(parts: Parts) -> Iterator[str]:
    for member in MEMBERS:
        yield from unsigned_bodies(parts, member)


def _standing(path: Path, *, where: str = "1 = 1") -> Standing:
    """Return what stands at which place of which stream, at one node."""
    statement = f"""
        SELECT s.stream_id, d.sequence, r.item_id, r.version, r.status, r.body IS NOT NULL,
               r.record_no
        FROM node_disclosure d JOIN node_stream s ON s.log_no = d.log_no
        JOIN node_record r ON r.record_no = d.record_no WHERE r.kind = 'alert' AND {where}
    """  # noqa: S608 - our own words
    return {
        (bytes(stream), sequence): (item, version, status, bool(has_body), number)
        for stream, sequence, item, version, status, has_body, number in rows(path, statement)
    }


def _wrong_records(
    parts: Parts, members: Mapping[str, Member], findings: Findings
) -> Iterator[str]:
    standing = {name: _standing(parts.database(name)) for name in MEMBERS}
    by_alert = {name: _by_alert(each) for name, each in standing.items()}
    counts: Counter[str] = Counter()
    for sender, told in members.items():
        for alert_id, acknowledged in told.alerts.items():
            copies = {name: by_alert[name].get(alert_id, {}) for name in MEMBERS}
            yield from wrong_in_alert(sender, acknowledged, copies, counts)
    for name in MEMBERS:
        repeated = Counter((item, version) for item, version, *_ in standing[name].values())
        twice = [each for each, count in repeated.items() if count > 1]
        if twice:
            yield f"{name} has {len(twice)} versions at more than one place"
    findings.figures |= counts


def _by_alert(standing: Standing) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for place, row in standing.items():
        found.setdefault(row[0], {})[place] = row
    return found


def wrong_in_alert(
    sender: str,
    told: Acknowledged,
    copies: Mapping[str, Standing],
    counts: Counter[str],
) -> Iterator[str]:
    alert_id = told.record.alert_id
    own = copies[sender]
    entitled = {
        name
        for name in MEMBERS
        if name != sender
        and (not name.startswith("int-") or told.record.category in FOR_ORGANISATIONS)
    }
    versions = sorted({row[1] for row in own.values()})
    if versions != sorted(told.places):
        yield f"{sender} has versions {versions} of {alert_id}, not {sorted(told.places)}"
    for version, places in told.places.items():
        for place, readers in places.items():
            if own.get(place, ("", 0))[1] != version:
                yield f"{sender} has lost {alert_id} version {version} from its place"
            if set(readers) != entitled:
                yield f"{alert_id} was disclosed to {sorted(readers)}, not to {sorted(entitled)}"
    for reader in entitled:
        counts["records checked at readers"] += len(copies[reader])
        yield from _wrong_copy(reader, told, own, copies[reader])
    for stranger in set(MEMBERS) - entitled - {sender}:
        if copies[stranger]:
            yield f"{stranger} has {alert_id}, which is not for it"


def _wrong_copy(reader: str, told: Acknowledged, own: Standing, theirs: Standing) -> Iterator[str]:
    """Yield what is wrong with a reader's copy of one alert."""
    alert_id = told.record.alert_id
    if told.is_withdrawn:
        # What was taken back before it came has no row, and need not have one.
        if any(has_body or status not in GONE for _, _, status, has_body, _ in theirs.values()):
            yield f"{reader} still has {alert_id}, which was withdrawn"
        return
    if {place: row[:2] for place, row in own.items()} != {p: row[:2] for p, row in theirs.items()}:
        places = sorted(sequence for _, sequence in theirs)
        yield f"{reader} has {alert_id} at {places}, not at {sorted(s for _, s in own)}"
    live = [(row[1], row[3]) for row in theirs.values() if row[2] == LIVE]
    if live != [(told.version, True)]:
        yield f"{reader} has {alert_id} live in versions {live}, not in {told.version}"


def _wrong_order(parts: Parts, members: Mapping[str, Member]) -> Iterator[str]:
    for sender, told in members.items():
        for stream, answers in told.order.items():
            if any(max(one) >= min(next_) for one, next_ in itertools.pairwise(answers)):
                yield f"{sender} gave places of {stream.hex()[:8]} out of the order of its answers"
    for name in MEMBERS:
        stored: dict[bytes, list[tuple[int, int]]] = {}
        received = _standing(parts.database(name), where="NOT s.own")
        for (stream, sequence), (*_, number) in received.items():
            stored.setdefault(stream, []).append((sequence, number))
        for stream, pairs in stored.items():
            numbers = [number for _, number in sorted(pairs)]
            if numbers != sorted(numbers):
                yield f"{name} has stored {stream.hex()[:8]} in another order than its sender's"


def _wrong_roots(stage: Stage, findings: Findings) -> Iterator[str]:
    hub: Heads = stage.hub_roots()
    views: dict[str, Heads] = {name: stage.node_roots(name) for name in MEMBERS}
    statuses = stage.statuses()
    findings.figures["streams compared"] = len(hub)
    for name, status in statuses.items():
        for stream in status.streams:
            if stream.sender != name:
                continue
            heads = {
                "hub": hub.get(stream.stream_id),
                name: views[name].get(stream.stream_id),
                **{reader: views[reader].get(stream.stream_id) for reader in stream.audience},
            }
            if len(set(heads.values())) != 1:
                sizes = {who: head[0] if head else None for who, head in heads.items()}
                yield f"{name}'s {stream.stream_id.hex()[:8]} differs: {sizes}"
    findings.figures["entries in streams"] = sum(size for size, _ in hub.values())


def _wrong_audit(stage: Stage) -> Iterator[str]:
    for name in MEMBERS:
        if not stage.command_as(name, AUDITOR, "audit", "verify")["ok"]:
            yield f"the audit log of {name} does not verify"
    bundles = {name: stage.folder / f"{name}.audit-bundle" for name in MEMBERS}
    for name, path in bundles.items():
        path.unlink(missing_ok=True)
        stage.command_as(name, AUDITOR, "audit", "export", str(path), *GROUNDS)
    pin = stage.root_pin.read_text(encoding="ascii").strip()
    for one, other in itertools.combinations(MEMBERS, 2):
        both = (str(bundles[one]), str(bundles[other]))
        if not command("audit", "reconcile", *both, "--root-pin", pin)["reconciled"]:
            yield f"the audit logs of {one} and {other} do not reconcile"


def _texts_at_hub(stage: Stage, members: Mapping[str, Member]) -> Iterator[str]:
    """Look for texts of records in all that the hub keeps, its log of failures too."""
    for name, told in members.items():
        stage.issued.alerts[name] = [each.record for each in told.alerts.values()]
    for found in search_hub(stage, (), lambda _line: None):
        yield f"a text of a record stands in {found.file} as {found.writing}"


def _unexplained_alarms(parts: Parts, findings: Findings) -> Iterator[str]:
    for name in MEMBERS:
        for alarm, subject, lifted in rows(
            parts.database(name), "SELECT name, subject, lifted_at_ms FROM node_alarm"
        ):
            findings.figures[f"alarm {alarm}"] = findings.figures.get(f"alarm {alarm}", 0) + 1
            if alarm not in EXPLAINED:
                yield f"{name} raised {alarm} ({subject})"
            elif lifted is None and alarm.endswith("overdue"):
                yield f"{name} has not lifted {alarm} ({subject})"
    for alarm, accused in _hub_rows(parts.stage, "SELECT alarm, accused FROM hub_evidence"):
        yield f"the hub keeps evidence of {alarm} against {accused}"
