"""Evidence: what a member signed and what it contradicts, checked as a third party would."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from mithaq.hub import tables
from mithaq.hub.errors import BatchFormatError, StreamForkError, StreamTakenError
from mithaq.hub.evidence import KEPT_PER_STREAM_MAX, write_evidence
from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint
from mithaq.ledger.run import Run
from mithaq.ledger.tree import Frontier
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import verify_evidence
from mithaq.v1 import exchange_pb2
from tests.hub.core import Core, spoilt_note
from tests.streams import StreamWriter, open_terms

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


def opened(core: Core) -> StreamWriter:
    """Return a stream with an epoch and four records."""
    writer = StreamWriter.to(core.federation, SENDER, OTHER, READER)
    writer.epoch()
    writer.put(4)
    core.accept(writer)
    return writer


def kept(core: Core, act: Callable[[], object]) -> list[Evidence]:
    """Return the evidence that a refused act leaves."""
    found: list[Evidence] = []
    act()
    raw = core.database.read_sync(
        lambda each: list(each.scalars(sa.select(tables.EVIDENCE.c.evidence)))
    )
    found += [Evidence.from_json(each) for each in raw]
    return found


def root_from(evidence: Evidence, entries: str) -> Checkpoint:
    """Compute, as a third party would, the head that the evidence's entries give."""
    frontier = Frontier.from_bytes(evidence.messages["frontier"])
    batch = exchange_pb2.Batch.FromString(evidence.messages[entries])
    for run in batch.runs:
        frontier = frontier.extend(Run(run.terms, run.own_size, run.own).leaf_hashes())
    origin = f"test.example/stream/{evidence.stream_id.hex()}"
    return Checkpoint(origin, frontier.size, frontier.root())


def signed_head(core: Core, evidence: Evidence, note: str) -> Checkpoint:
    """Open a note of the evidence with the accused member's keys from the registry."""
    member = core.federation.registry.member(evidence.accused)
    return open_checkpoint(
        evidence.messages[note],
        origin=f"test.example/stream/{evidence.stream_id.hex()}",
        ed25519_public=member.log_ed25519,
        mldsa_public=member.log_mldsa,
    ).checkpoint


def test_two_histories_of_one_stream_are_kept_as_evidence_that_anybody_can_check(
    core: Core, tmp_path: Path
) -> None:
    writer = opened(core)
    other = StreamWriter(core.federation, open_terms(core.federation, SENDER, [OTHER, READER]))
    other.epoch()
    other.put(4)
    forked = other.batch()
    refused: list[object] = []
    (evidence,) = kept(core, lambda: refused.append(core.publish(forked, sender=SENDER)))
    assert isinstance(refused[0], StreamForkError)
    assert (evidence.alarm, evidence.accused) == ("fork", SENDER)
    first = signed_head(core, evidence, "known_checkpoint")
    second = signed_head(core, evidence, "checkpoint")
    assert first == writer.state.checkpoint()
    assert (first.size, first.root != second.root) == (second.size, True)
    assert root_from(evidence, "known_entries") == first
    assert root_from(evidence, "entries") == second
    verified = verify_evidence(evidence, core.federation.registry)
    assert all(each.holds for each in verified.statements), verified.statements
    assert verified.contradictions == (
        f"checkpoint and known_checkpoint name different roots at size {first.size}",
    )
    folder = tmp_path / "evidence"
    write_evidence(folder, [evidence])
    assert [path.name for path in folder.iterdir()] == [evidence.file_name]


def test_another_root_signed_for_the_same_entries_is_a_fork(core: Core) -> None:
    writer = opened(core)
    writer.put(1)
    message = writer.batch()
    core.publish(message, sender=SENDER)
    again = exchange_pb2.Batch()
    again.CopyFrom(message)
    again.checkpoint = spoilt_note(core.federation, writer, root=bytes(32))
    refused: list[object] = []
    (evidence,) = kept(core, lambda: refused.append(core.publish(again, sender=SENDER)))
    assert isinstance(refused[0], StreamForkError)
    assert evidence.alarm == "fork"
    assert signed_head(core, evidence, "checkpoint").root == bytes(32)


@pytest.mark.parametrize("repeated", [False, True], ids=["new entries", "known entries"])
def test_a_note_of_another_size_accuses_nobody(core: Core, *, repeated: bool) -> None:
    writer = opened(core)
    writer.put(1)
    message = writer.batch()
    if repeated:
        core.publish(message, sender=SENDER)
    writer.put(1)
    message.checkpoint = writer.note()
    refused: list[object] = []
    assert kept(core, lambda: refused.append(core.publish(message, sender=SENDER))) == []
    assert isinstance(refused[0], BatchFormatError)


def test_a_root_that_its_entries_do_not_give_is_kept_as_evidence(core: Core) -> None:
    writer = opened(core)
    writer.put(1)
    note = spoilt_note(core.federation, writer, root=bytes(32))
    message = writer.batch(checkpoint=note)
    (evidence,) = kept(core, lambda: core.publish(message, sender=SENDER))
    assert evidence.alarm == "root mismatch"
    claimed, given = signed_head(core, evidence, "checkpoint"), root_from(evidence, "entries")
    assert claimed != given
    assert given == writer.state.checkpoint()
    verified = verify_evidence(evidence, core.federation.registry)
    assert verified.holds("checkpoint")
    assert verified.contradictions == ("entries give another root than is signed",)


def test_the_same_contradiction_is_kept_once_however_often_it_is_sent(core: Core) -> None:
    writer = opened(core)
    writer.put(1)
    note = spoilt_note(core.federation, writer, root=bytes(32))
    message = writer.batch(checkpoint=note)

    def three_times() -> None:
        for _ in range(3):
            core.publish(message, sender=SENDER)

    assert len(kept(core, three_times)) == 1


def test_of_one_partys_contradictions_in_one_stream_the_first_few_are_kept(core: Core) -> None:
    """Each is signed anew, so each is another; a hub's disk is not for one member to fill."""
    writer, next_one = opened(core), StreamWriter.to(core.federation, SENDER, OTHER, ordinal=1)
    next_one.epoch()
    core.accept(next_one)

    def forks(of: StreamWriter, count: int) -> None:
        of.put(1)
        message = of.batch()
        core.publish(message, sender=SENDER)
        for _ in range(count):
            message.checkpoint = spoilt_note(core.federation, of, root=bytes(32))
            core.publish(message, sender=SENDER)

    assert len(kept(core, lambda: forks(writer, KEPT_PER_STREAM_MAX + 4))) == KEPT_PER_STREAM_MAX
    # One stream's say nothing against those of another.
    assert len(kept(core, lambda: forks(next_one, 1))) == KEPT_PER_STREAM_MAX + 1


def test_what_nobody_signed_accuses_nobody(core: Core) -> None:
    writer = opened(core)
    other = StreamWriter(core.federation, open_terms(core.federation, SENDER, [OTHER, READER]))
    other.epoch()
    other.put(4)
    forged = other.batch(checkpoint=spoilt_note(core.federation, writer, signer=OTHER))
    assert kept(core, lambda: core.publish(forged, sender=SENDER)) == []


def test_a_senders_batch_sent_by_another_member_shows_that_its_key_is_used_elsewhere(
    core: Core,
) -> None:
    writer = opened(core)
    writer.put(1)
    message = writer.batch()
    (evidence,) = kept(core, lambda: core.publish(message, sender=OTHER))
    assert (evidence.alarm, evidence.accused) == ("key used elsewhere", SENDER)


def test_a_reader_that_sends_back_what_it_was_delivered_accuses_nobody(core: Core) -> None:
    """Every reader has its sender's notes; that one comes from it says nothing of a key."""
    writer = opened(core)
    writer.put(1)
    message = writer.batch()
    core.publish(message, sender=SENDER)
    refused: list[object] = []
    assert kept(core, lambda: refused.append(core.publish(message, sender=OTHER))) == []
    assert isinstance(refused[0], StreamTakenError)


def test_evidence_holds_no_body(core: Core) -> None:
    opened(core)
    other = StreamWriter(core.federation, open_terms(core.federation, SENDER, [OTHER, READER]))
    other.epoch()
    other.put(4)
    canary = next(iter(other.sent.values()))
    (evidence,) = kept(core, lambda: core.publish(other.batch(), sender=SENDER))
    assert all(canary not in message for message in evidence.messages.values())
