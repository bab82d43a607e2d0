"""Refusals that the hub keeps from a sender: named and not come, or not told of at all."""

import pytest
import sqlalchemy as sa

from mithaq.ledger.lists import REFUSED_BY_HUB
from mithaq.ledger.names import HUB
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.errors import RefusalWithheldError
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import OPENED
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.exchange.withheld import ALARMS_PER_DAY_MAX
from mithaq.store.errors import DiskFullError
from mithaq.v1 import exchange_pb2
from tests.exchange.relay import Desk, accept, acceptance_of
from tests.exchange.test_answers import hash_of, issued, receipt, refusals, take
from tests.federation import Federation

WITHHELD = "refusal withheld"
BY_HUB = Refusal(2, REFUSED_BY_HUB, 7)


def opened(cairo: Desk) -> object:
    return cairo.number(f"SELECT count(*) FROM node_receipt WHERE role = '{OPENED}'")  # noqa: S608


def told(federation: Federation, batch: Batch, *sequences: int) -> exchange_pb2.Acceptance:
    """Return the hub's acceptance with what it says that it refused."""
    assert federation.hub is not None
    (signed,) = sign_refusals(
        [Refusal(each, "NO_CLAUSE", 7) for each in sequences],
        stream_id=batch.stream_id,
        signer=HUB,
        key=federation.hub.cosigning.ed25519,
    )
    return exchange_pb2.Acceptance(
        stream_id=batch.stream_id,
        size=batch.segment.state.size,
        cosignature=acceptance_of(federation, batch),
        refusals=signed,
    )


def keep(cairo: Desk, acceptance: exchange_pb2.Acceptance) -> None:
    faults = cairo.home.database.write_sync(
        lambda each: keep_answers(each, cairo.home, Answers([acceptance]), at=cairo.clock())
    )
    assert faults == []


# --- lists that do not come -------------------------------------------------------------


def test_a_receipt_whose_lists_have_come_is_taken(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    accept(cairo, batch)
    first = refusals(federation, batch, Refusal(2, "NO_CLAUSE", 7))
    second = refusals(federation, batch, Refusal(1, "LOST", 7), previous=hash_of(first[0]))
    assert take(cairo, receipt(federation, batch, lists=second), lists=[*first, *second]) == []
    assert opened(cairo) == 1
    assert cairo.alarms() == []
    # On the next connection all of it comes again.
    assert take(cairo, receipt(federation, batch, lists=second), lists=[*first, *second]) == []
    assert cairo.alarms() == []


def test_a_receipt_that_names_a_list_that_did_not_come_is_not_taken(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    accept(cairo, batch)
    first = refusals(federation, batch, Refusal(1, "NO_CLAUSE", 7))
    second = refusals(federation, batch, Refusal(2, "LOST", 7), previous=hash_of(first[0]))
    (fault,) = take(cairo, receipt(federation, batch, lists=second), lists=first)
    assert isinstance(fault, RefusalWithheldError)
    assert opened(cairo) == 0
    assert cairo.alarms() == [WITHHELD]
    evidence, verified = cairo.proof()
    assert evidence.accused == HUB
    for message in ("receipt", "known_refusals", "checkpoint", "acceptance"):
        assert verified.holds(message), verified
    assert verified.contradictions == (
        f"the list of refusals {hash_of(second[0]).hex()} is named and is not here",
    )


def test_a_list_whose_predecessor_did_not_come_is_kept_and_raises_the_alarm(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = refusals(federation, batch, Refusal(2, "NO_CLAUSE", 7), previous=bytes(32))
    assert take(cairo, receipt(federation, batch, lists=lists), lists=lists) == []
    assert cairo.alarms() == [WITHHELD]
    evidence, verified = cairo.proof()
    assert evidence.accused == "", "the reader may have named what never was"
    assert verified.holds("refusals")
    assert verified.contradictions == (
        f"the list of refusals {bytes(32).hex()} is named and is not here",
    )


def test_a_reader_set_back_goes_on_from_an_older_list(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    first = refusals(federation, batch, Refusal(1, "NO_CLAUSE", 7))
    branches = [
        refusals(federation, batch, Refusal(2, reason, 7), previous=hash_of(first[0]))
        for reason in ("NO_CLAUSE", "LOST")
    ]
    for lists in (first, *branches):
        assert take(cairo, receipt(federation, batch, lists=lists), lists=lists) == []
    assert cairo.alarms() == []


# --- what the hub refused to a reader -----------------------------------------------------


def test_what_the_hub_refused_and_said_so_is_no_alarm(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    keep(cairo, told(federation, batch, 2))
    lists = refusals(federation, batch, BY_HUB)
    assert take(cairo, receipt(federation, batch, lists=lists), lists=lists) == []
    assert cairo.alarms() == []
    # Said once by the hub, it is not told again for each reader.
    assert cairo.rows("SELECT signer, reason FROM node_refusal") == [("hub", "NO_CLAUSE")]


def test_what_the_hub_refused_to_a_reader_and_told_its_sender_nothing_of_is_an_alarm(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    keep(cairo, told(federation, batch, 1))
    lists = refusals(federation, batch, Refusal(1, REFUSED_BY_HUB, 7), BY_HUB)
    assert take(cairo, receipt(federation, batch, lists=lists), lists=lists) == []
    assert cairo.alarms() == [WITHHELD]
    evidence, verified = cairo.proof()
    assert evidence.accused == HUB
    for message in ("refusals", "hub_0_refusals", "checkpoint", "acceptance"):
        assert verified.holds(message), verified
    assert verified.contradictions == (
        "a reader says that the hub refused entry 2, and the hub's lists here do not",
    )
    # The sender knows now who has not read what.
    assert ("tn-dgsn", 2, REFUSED_BY_HUB) in cairo.rows(
        "SELECT signer, sequence, reason FROM node_refusal"
    )
    take(cairo, receipt(federation, batch, lists=lists), lists=lists)
    assert cairo.alarms() == [WITHHELD], "it is told once"


def test_an_entry_that_the_hub_has_not_answered_for_waits_for_the_answer(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = refusals(federation, batch, BY_HUB)
    assert take(cairo, receipt(federation, batch, lists=lists), lists=lists) == []
    assert cairo.alarms() == []
    keep(cairo, told(federation, batch, 2))
    assert cairo.alarms() == []


def test_an_answer_that_comes_without_what_a_reader_was_refused_is_an_alarm(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = refusals(federation, batch, BY_HUB)
    take(cairo, receipt(federation, batch, lists=lists), lists=lists)
    accept(cairo, batch)
    assert cairo.alarms() == [WITHHELD]


def test_a_hub_that_answers_after_a_restart_and_sends_no_list_again_is_caught(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = refusals(federation, batch, BY_HUB)
    take(cairo, receipt(federation, batch, lists=lists), lists=lists)
    cairo.home.database.close()
    cairo.open()
    accept(cairo, batch)
    assert cairo.alarms() == [WITHHELD]
    accept(cairo, batch)
    assert cairo.alarms() == [WITHHELD], "it is told once"


def test_what_a_hub_did_not_tell_is_not_forgotten_with_a_transaction_that_failed(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = refusals(federation, batch, BY_HUB)
    take(cairo, receipt(federation, batch, lists=lists), lists=lists)
    answers = Answers([told(federation, batch, 1)])

    def cut_off(connection: sa.Connection) -> None:
        assert keep_answers(connection, cairo.home, answers, at=cairo.clock()) == []
        raise DiskFullError("no room")

    with pytest.raises(DiskFullError):
        cairo.home.database.write_sync(cut_off)
    assert cairo.alarms() == []
    keep(cairo, told(federation, batch, 1))
    assert cairo.alarms() == [WITHHELD]


def test_one_reader_raises_so_many_alarms_a_day(cairo: Desk, federation: Federation) -> None:
    batch = issued(cairo)
    for number in range(ALARMS_PER_DAY_MAX + 2):
        lists = refusals(
            federation, batch, Refusal(2, "NO_CLAUSE", 7), previous=number.to_bytes(32, "little")
        )
        take(cairo, lists=lists)
    assert cairo.alarms() == [WITHHELD] * ALARMS_PER_DAY_MAX
