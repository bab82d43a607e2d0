"""After an erasure: neither the key nor the ciphertext is left in any file of the node."""

from pathlib import Path

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.acts import IssueItem, WithdrawItem
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, accept


def holds(folder: Path, content: bytes) -> list[str]:
    return [
        each.name for each in folder.rglob("*") if each.is_file() and content in each.read_bytes()
    ]


def test_nothing_of_an_erased_record_is_left_on_disk(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    batches = cairo.take_batches()
    tunis.receive(*batches)
    accept(cairo, *batches)
    before = {node.member: pieces_of(node) for node in (cairo, tunis)}
    for node in (cairo, tunis):
        assert all(holds(node.folder, each) for each in before[node.member]), "it stood there"
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    withdrawal = cairo.take_batches()
    tunis.receive(*withdrawal)
    accept(cairo, *withdrawal)
    for node in (cairo, tunis):
        node.home.database.truncate_wal()
        for each in before[node.member]:
            assert holds(node.folder, each) == []


def pieces_of(node: Desk) -> list[bytes]:
    """Return the wrapped key of the only record and the beginning of its ciphertext."""
    ((key, body),) = node.rows("SELECT wrapped_key, substr(body, 1, 64) FROM node_record")
    assert isinstance(key, bytes)
    assert isinstance(body, bytes)
    return [key, body]


def test_no_word_of_a_record_ever_stands_in_the_clear(cairo: Desk, tunis: Desk) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    tunis.receive(*cairo.take_batches())
    surname = record.alert.person.names[0].surname.encode()
    assert len(surname) >= 4
    for node in (cairo, tunis):
        node.home.database.truncate_wal()
        assert holds(node.folder, surname) == []
        assert holds(node.folder, record.raw[:64]) == []
