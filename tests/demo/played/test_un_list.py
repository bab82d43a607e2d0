"""The Security Council's list, issued at one node: every text of it is at its readers.

The texts of a file are compared with the records as the readers hold them: their stores
are opened with their own keys, and some are shown through their local API. The walker
shares no code with the importer.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from mithaq.cli.demo.issuing import ISSUER, wait_receipts
from mithaq.cli.demo.life import grounds
from mithaq.cli.demo.stage import Stage
from mithaq.cli.demo.watching import note_alarms
from mithaq.node.exchange.stored import RECORD, open_row
from mithaq.node.folder import NodeFolder
from mithaq.node.keyring import Keyring
from mithaq.v1 import local_pb2
from mithaq.v1.record_pb2 import Alert, Record
from tests.demo.played.conftest import OVERDUE, copy_database
from tests.imports.lists import PUBLISHED, individual, wrapped
from tests.imports.walker import Texts, file_texts, record_texts

pytestmark = pytest.mark.timeout(400)
READERS = ("at-border", "tn-dgsn")
CATEGORY = "UNSC_LISTED"
SHOWN = 8


class Edition(NamedTuple):
    """Two lists, the newer a delta of the older, and what was counted in them."""

    older: Callable[[], bytes]
    newer: Callable[[], bytes]
    entries: tuple[int, int]
    new: int
    withdrawn: int
    in_both: int
    equal: int


MADE_UP = Edition(
    lambda: wrapped(individual(1) + individual(2, first="Zan  bar") + individual(3)),
    lambda: wrapped(individual(2, first="Zan bar") + individual(3, first="Dum") + individual(4)),
    (3, 3),
    new=1,
    withdrawn=1,
    in_both=2,
    equal=1,
)
_FILES = {path.name: path for path in PUBLISHED}
_PAIR = ("un_consolidated_2018-10-29.xml", "un_consolidated_2025-08-02.xml")


def _editions() -> dict[str, Edition]:
    """Return the published pair where it is at hand; it says all that the made-up one says."""
    if not set(_PAIR) <= _FILES.keys():
        return {"made up": MADE_UP}
    older, newer = (_FILES[name].read_bytes for name in _PAIR)
    counts = {"new": 69, "withdrawn": 283, "in_both": 810, "equal": 162}
    return {"published": Edition(older, newer, (1093, 879), **counts)}


EDITIONS = _editions()


@pytest.mark.parametrize("edition", EDITIONS.values(), ids=EDITIONS.keys())
def test_every_text_of_both_editions_is_at_both_readers(
    stage: Stage, edition: Edition, tmp_path: Path
) -> None:
    # The deadlines are the sabotages': short of what a whole list may take.
    stage.expected_alarms |= OVERDUE
    older, newer = file_texts(edition.older()), file_texts(edition.newer())
    assert (len(older), len(newer)) == edition.entries

    told = issue(stage, tmp_path / "older.xml", edition.older())
    assert (told["new"], told["faults"]) == (edition.entries[0], [])
    for reader in READERS:
        held = held_by(stage, reader, tmp_path)
        assert differing(held, older) == []
        check_shown(stage, reader, held)

    told = issue(stage, tmp_path / "newer.xml", edition.newer())
    changed = edition.in_both - edition.equal
    assert told == {
        "schema": "mithaq.alert.import/1",
        "read": edition.entries[1],
        "new": edition.new,
        "changed": changed,
        "withdrawn": edition.withdrawn,
        "unchanged": edition.equal,
        "faults": [],
    }
    for reader in READERS:
        held = held_by(stage, reader, tmp_path)
        assert sorted(Counter(each.version for each in held.values()).items()) == [
            (1, edition.new + edition.equal),
            (2, changed),
        ]
        # What was equal but for white space and order was left as the older list wrote it.
        left = {name for name in newer if held[name].version == 1 and name in older}
        assert len(left) == edition.equal
        assert differing(held, {n: older[n] if n in left else newer[n] for n in newer}) == []
        assert [each for each in left if spaced(older[each]) != spaced(newer[each])] == []

    before = heads(stage)
    told = issue(stage, tmp_path / "newer.xml", edition.newer())
    assert (told["unchanged"], told["new"] + told["changed"] + told["withdrawn"]) == (
        edition.entries[1],
        0,
    )
    assert heads(stage) == before


class Held(NamedTuple):
    """An alert as a reader holds it, opened."""

    alert_id: str
    version: int
    alert: Alert


def issue(stage: Stage, path: Path, content: bytes) -> dict[str, Any]:
    """Import a list through the local API; return when every reader has opened all of it."""
    path.write_bytes(content)
    note_alarms(stage)
    told = stage.command_as(ISSUER, "system", "alert", "import", str(path))
    wait_receipts(stage)
    return told


def held_by(stage: Stage, reader: str, tmp_path: Path) -> dict[str, Held]:
    """Open a reader's store with its own keys; return its live alerts by DATAID."""
    folder = NodeFolder(stage.members[reader].folder)
    copy = tmp_path / f"{reader}.db"
    copy.unlink(missing_ok=True)
    copy_database(folder.path / "node.db", copy)
    storage = Keyring.load(folder.keys).storage
    wanted = sa.select(RECORD).where(RECORD.c.category == CATEGORY, RECORD.c.status == "live")
    engine = sa.create_engine(f"sqlite:///{copy}")
    with engine.connect() as connection:
        rows = connection.execute(wanted).all()
    engine.dispose()
    held: dict[str, Held] = {}
    for row in rows:
        alert = Record.FromString(open_row(row, storage).record).alert
        assert alert.origin.reference not in held
        held[alert.origin.reference] = Held(row.alert_id, row.version, alert)
    return held


def differing(held: Mapping[str, Held], said: Mapping[str, Texts]) -> list[str]:
    """Return the entries that are not at a reader as the file says them; never a text."""
    missing = held.keys() ^ said.keys()
    unequal = [
        name for name in held.keys() & said.keys() if record_texts(held[name].alert) != said[name]
    ]
    return sorted([*missing, *unequal])


def spaced(texts: Texts) -> Counter[tuple[str, str, str]]:
    """Return an entry's texts by path, without their order and the width of white space."""
    found: Counter[tuple[str, str, str]] = Counter()
    for (path, _, leaf, text), count in texts.items():
        found[path, leaf, " ".join(text.split())] += count
    return found


def check_shown(stage: Stage, reader: str, held: Mapping[str, Held]) -> None:
    """Have an officer of the reader look at some: the same texts."""
    with stage.alerts(reader, "officer") as stub:
        for each in list(held.values())[:: -(-len(held) // SHOWN)]:
            request = local_pb2.ShowAlertRequest(alert_id=each.alert_id, grounds=grounds())
            shown = stub.ShowAlert(request, timeout=30).record.alert
            same = record_texts(shown) == record_texts(each.alert)
            assert same, f"{reader} shows {each.alert_id} differently"


def heads(stage: Stage) -> dict[tuple[str, bytes], int]:
    """Return how long every stream is at every member."""
    return {
        (name, row.stream_id): row.size
        for name, status in stage.statuses().items()
        for row in status.streams
    }
