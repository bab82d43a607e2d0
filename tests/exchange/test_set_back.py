"""A reader that was set back to an older backup, and a hub that only says that one was."""

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.entry import EntryKind, WithdrawReason
from mithaq.node.exchange.alarms import AUDIT_SHORTER, raise_alarm
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.errors import BodyWithheldError, ReceiptConflictError
from mithaq.node.exchange.omissions import OPENED, Omission
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import HELD, to_message
from mithaq.node.exchange.reception import due_announcement
from mithaq.node.exchange.retelling import LOST_PER_DAY_MAX
from mithaq.node.exchange.unsealing import Unsealed
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import Node, next_version
from tests.exchange.relay import Desk, accept, bodies_of, headers_of, kinds
from tests.exchange.test_answers import receipt, take
from tests.exchange.test_inbox import ready, sent
from tests.exchange.test_late_joiner import retell
from tests.federation import Federation
from tests.hub.running import RunningHub, prepare, running, three_members


def left_out(
    batch: Batch, *sequences: int, opened: exchange_pb2.Receipt | None = None
) -> ArrivedBodies:
    """Return a batch's bodies but for some that are said to have been opened already."""
    whole = bodies_of(batch)
    gone = sequences or tuple(whole.bodies)
    return dataclasses.replace(
        whole,
        bodies={key: body for key, body in whole.bodies.items() if key not in gone},
        omissions={each: Omission(each, OPENED, 0) for each in gone},
        opened=opened,
    )


def set_back(tunis: Desk, batch: Batch, *sequences: int) -> Unsealed:
    """Let Tunis hold a batch again, and be shown its own receipt for bodies that are gone."""
    assert not tunis.hold(headers_of(tunis.federation, batch)).failed
    opened = receipt(tunis.federation, batch)
    unsealed = tunis.open_bodies(left_out(batch, *sequences, opened=opened))
    assert not unsealed.failed, unsealed.failed
    return unsealed


def tell(cairo: Desk, unsealed: Unsealed) -> None:
    """Bring a reader's last receipt and what it refused to the sender."""
    last = unsealed.receipts[-1]
    assert take(cairo, to_message(last.receipt), lists=last.lists) == []


def reasons(unsealed: Unsealed) -> list[tuple[int, str]]:
    return [
        (each.sequence, each.reason)
        for opened in unsealed.receipts
        for signed in opened.lists
        for each in signed.refusals
    ]


# --- an honest reader -------------------------------------------------------------------


def test_what_our_own_receipt_shows_to_be_opened_is_signed_as_lost_and_the_stream_goes_on(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    unsealed = set_back(tunis, batch)
    assert reasons(unsealed) == [(1, "LOST"), (2, "LOST")]
    assert unsealed.receipts[-1].receipt.size == batch.segment.state.size
    assert tunis.number("SELECT count(*) FROM node_record") == 0


def test_what_was_lost_is_disclosed_anew_to_the_reader_alone_and_once(
    cairo: Desk, tunis: Desk
) -> None:
    record = cairo.alert()
    batch = ready(cairo, tunis, record)
    accept(cairo, batch)
    tell(cairo, set_back(tunis, batch))
    assert retell(cairo) == 1
    batches = cairo.take_batches()
    puts = [each for each in batches if EntryKind.PUT in kinds(each)]
    assert [each.segment.state.opening.audience for each in puts] == [("tn-dgsn",)]
    tunis.receive(*batches)
    assert tunis.rows("SELECT alert_id, status FROM node_record") == [(record.alert_id, "live")]
    assert retell(cairo) == 0


def test_a_lost_epoch_is_followed_by_a_new_one(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    accept(cairo, batch)
    unsealed = set_back(tunis, batch)
    # Before the sender knows: what comes under the lost epoch is lost as well.
    (underway,) = sent(cairo)
    assert kinds(underway) == [EntryKind.PUT]
    assert reasons(tunis.receive(underway)) == [(3, "LOST")]
    tell(cairo, unsealed)
    (following,) = sent(cairo)
    assert kinds(following) == [EntryKind.EPOCH, EntryKind.PUT]
    assert reasons(tunis.receive(following)) == []


def test_a_body_that_is_still_there_is_opened_under_an_epoch_that_is_not_lost(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis, cairo.alert(), cairo.alert())
    last = max(bodies_of(batch).bodies)
    assert reasons(set_back(tunis, batch, last)) == [(last, "LOST")]


def test_a_reader_that_always_loses_is_told_a_few_times_a_day_and_no_more(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    told = 0
    for _ in range(LOST_PER_DAY_MAX + 2):
        accept(cairo, batch)
        tell(cairo, set_back(tunis, batch))
        retell(cairo)
        puts = [each for each in cairo.take_batches() if EntryKind.PUT in kinds(each)]
        if not puts:
            break
        for each in puts[:-1]:
            tunis.receive(each)
        batch = puts[-1]
        told += 1
    assert told == LOST_PER_DAY_MAX


def test_a_reader_whose_newest_key_is_lost_announces_another_before_it_opens_anything(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    federation.announce("tn-dgsn", ReceptionKey.generate())
    cairo.learn()
    tunis.learn()
    batch = sent(cairo)[-1]
    tunis.hold(headers_of(federation, batch))
    assert tunis.open_bodies(bodies_of(batch)).waiting
    entry = tunis.home.database.write_sync(
        lambda each: due_announcement(each, tunis.home, at=tunis.clock())
    )
    assert entry is not None


def test_a_backup_that_the_audit_log_explains_is_no_second_alarm(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    shown = receipt(tunis.federation, batch)
    tunis.clock.ahead = tunis.clock.ahead.resolution * 2_000_000
    tunis.home.database.write_sync(
        lambda each: raise_alarm(each, tunis.home, AUDIT_SHORTER, subject="x", evidence={})
    )
    tunis.hold(headers_of(tunis.federation, batch))
    assert not tunis.open_bodies(left_out(batch, opened=shown)).failed
    assert tunis.alarms() == ["audit shorter than witnessed"]


def test_an_own_receipt_that_nothing_explains_says_that_the_key_is_used_elsewhere(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    set_back(tunis, batch)
    assert tunis.alarms() == ["key used elsewhere"]
    _, verified = tunis.proof()
    assert verified.holds("receipt")


# --- a hub that lies --------------------------------------------------------------------


def test_opened_already_without_our_receipt_is_a_body_withheld(cairo: Desk, tunis: Desk) -> None:
    batch = ready(cairo, tunis)
    tunis.hold(headers_of(tunis.federation, batch))
    fault = tunis.open_bodies(left_out(batch)).failed[batch.stream_id]
    assert isinstance(fault, BodyWithheldError)
    assert tunis.alarms() == ["body withheld"]


def test_opened_already_with_a_receipt_that_does_not_reach_so_far_is_a_body_withheld(
    cairo: Desk, tunis: Desk
) -> None:
    first = ready(cairo, tunis)
    tunis.receive(first)
    (second,) = sent(cairo)
    tunis.hold(headers_of(tunis.federation, second))
    evil = left_out(second, opened=receipt(tunis.federation, first))
    assert isinstance(tunis.open_bodies(evil).failed[second.stream_id], BodyWithheldError)
    assert tunis.alarms() == ["body withheld"]


@pytest.mark.parametrize("lie", ["held", "held as opened", "another reader", "another stream"])
def test_opened_already_with_another_receipt_than_our_opened_is_a_body_withheld(
    cairo: Desk, tunis: Desk, lie: str
) -> None:
    batch = ready(cairo, tunis)
    tunis.hold(headers_of(tunis.federation, batch))
    shown = receipt(tunis.federation, batch, HELD)
    shown.cosignature_mldsa = ""
    if lie == "held as opened":
        shown.role = exchange_pb2.RECEIPT_ROLE_OPENED
        shown.cosignature = shown.cosignature.replace("/held/", "/opened/")
    elif lie == "another reader":
        shown = receipt(tunis.federation, batch, reader="int-iom")
    elif lie == "another stream":
        shown = receipt(tunis.federation, batch)
        shown.stream_id = bytes(32)
    fault = tunis.open_bodies(left_out(batch, opened=shown)).failed[batch.stream_id]
    assert isinstance(fault, BodyWithheldError)
    assert tunis.alarms() == ["body withheld"]
    # The neighbours go on, and so does this stream once the body comes.
    assert not tunis.open_bodies(bodies_of(batch)).failed


def test_another_history_than_the_one_that_we_opened_is_a_conflict_of_receipts(
    cairo: Desk, tunis: Desk
) -> None:
    batch = ready(cairo, tunis)
    tunis.hold(headers_of(tunis.federation, batch))
    shown = receipt(tunis.federation, batch, root=bytes(32))
    fault = tunis.open_bodies(left_out(batch, opened=shown)).failed[batch.stream_id]
    assert isinstance(fault, ReceiptConflictError)
    assert tunis.alarms() == ["receipt conflict"]


# --- all of it --------------------------------------------------------------------------


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_a_restored_reader_recovers_every_live_record(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    hub = await stack.enter_async_context(running(federation, config))
    cairo, tunis, iom = (
        Node(federation, each, tmp_path / each).open() for each in ("eg-moi", "tn-dgsn", "int-iom")
    )
    for each in (cairo, iom):
        stack.callback(each.close)
        await stack.enter_async_context(each.connected(hub))
    records = [cairo.alert() for _ in range(4)]
    async with tunis.connected(hub):
        await cairo.issue(records[0])
        await tunis.until_counted("node_record")
        await asyncio.to_thread(tunis.home.database.truncate_wal)
        backup = tmp_path / "backup.db"
        shutil.copy(tunis.folder / "node.db", backup)
        await cairo.issue(*records[1:])
        await cairo.update(next_version(records[1]))
        await cairo.withdraw(records[2].alert_id, WithdrawReason.EXECUTED)
        await tunis.until_counted("node_withdrawal")
        await tunis.until_counted("node_record", "status = 'live' AND kind = 'alert'", count=3)
        await gone_from(hub)
        await witnessed(tunis)
    tunis.close()
    for file in tunis.folder.glob("node.db*"):
        file.unlink()
    shutil.copy(backup, tunis.folder / "node.db")
    again = Node(federation, "tn-dgsn", tunis.folder, storage=tunis.storage).open()
    stack.callback(again.close)
    await stack.enter_async_context(again.connected(hub))
    await again.until_counted("node_record", "status = 'live' AND kind = 'alert'", count=3)
    live = await again.query(
        "SELECT alert_id, version FROM node_record WHERE status = 'live' AND NOT own"
        " ORDER BY alert_id"
    )
    wanted = [(records[0].alert_id, 1), (records[1].alert_id, 2), (records[3].alert_id, 1)]
    assert [tuple(each) for each in live] == sorted(wanted)
    assert [each for (each,) in await again.query("SELECT name FROM node_alarm")] == [
        "audit shorter than witnessed"
    ]
    # What follows goes on under an epoch that it can open.
    await cairo.issue()
    await again.until_counted("node_record", "status = 'live' AND kind = 'alert'", count=4)


async def gone_from(hub: RunningHub) -> None:
    """Return when the hub has erased what everybody has opened."""
    directory = hub.hub.context.directory
    await hub.until(lambda: not any(directory.stored_bytes(each.log_no) for each in directory))


async def witnessed(node: Node) -> None:
    """Return when the hub has witnessed the whole audit log."""
    async with asyncio.timeout(10):
        while True:
            head = await node.home.database.read(node.home.audit.head)
            if node.session.witness.known_size == head.size:
                return
            await asyncio.sleep(0.05)
