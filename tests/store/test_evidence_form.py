"""Evidence files: their one form, and what a third party finds in them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.hub.batch import run_message
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.run import Run
from mithaq.ledger.tlog_proof import TlogProof
from mithaq.ledger.tree import Frontier
from mithaq.store.errors import EvidenceFormatError
from mithaq.store.evidence import FILE_SIZE_BYTES_MAX, Evidence
from mithaq.store.evidence_check import verify_evidence
from mithaq.v1 import exchange_pb2
from tests.federation import standard_federation
from tests.streams import StreamWriter

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUFFIXES = (
    "checkpoint",
    "acceptance",
    "receipt",
    "freeze_list",
    "refusals",
    "entries",
    "entry_proof",
)


def evidence(**changes: object) -> Evidence:
    fields: dict[str, object] = {
        "alarm": "fork",
        "accused": "eg-moi",
        "at": AT,
        "explanation": "two roots",
        "messages": {"checkpoint": b"\x00note"},
        "stream_id": bytes(32),
        "facts": {"sender": "eg-moi", "size": 3},
        "subject": "x/1",
        "kept_by": "tn-dgsn",
        "registry_size": 7,
    }
    return Evidence(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_file_reads_back_as_it_was_written(tmp_path: Path) -> None:
    name = evidence().write(tmp_path / "evidence")
    path = tmp_path / "evidence" / name
    assert Evidence.from_json(path.read_bytes()) == evidence()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_proved_names_the_file_and_the_instant_does_not(tmp_path: Path) -> None:
    later = evidence(at=AT.replace(year=2027))
    assert later.file_name == evidence().file_name
    assert evidence(messages={}).file_name != evidence().file_name
    assert later.write(tmp_path) == evidence().write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        evidence().to_json().replace(b'"version": 2', b'"version": 1'),
        evidence().to_json().replace(b"+00:00", b""),
        evidence().to_json().replace(b'"size": 3', b'"size": true'),
        evidence().to_json().replace(b'"AG5vdGU="', b'"?"'),
        # Numbers that are none, and half a character wherever a text may stand.
        evidence().to_json().replace(b'"registry_size": 7', b'"registry_size": 1e999'),
        evidence().to_json().replace(b'"registry_size": 7', b'"registry_size": 7.0'),
        *(
            evidence().to_json().replace(text, b'"\\ud800"')
            for text in (
                b'"fork"',
                b'"eg-moi"',
                b'"x/1"',
                b'"tn-dgsn"',
                b'"checkpoint"',
                b'"sender"',
            )
        ),
        b" " * (FILE_SIZE_BYTES_MAX + 1),
    ],
)
def test_what_is_no_evidence_file_is_refused(content: bytes) -> None:
    with pytest.raises(EvidenceFormatError):
        Evidence.from_json(content)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_refused_and_nothing_else(content: bytes) -> None:
    with pytest.raises(EvidenceFormatError):
        Evidence.from_json(content)


FEDERATION = standard_federation("eg-moi", "tn-dgsn")


@given(st.sampled_from(SUFFIXES), st.binary(max_size=120))
def test_a_message_that_does_not_verify_is_said_to_and_is_no_error(
    name: str, content: bytes
) -> None:
    facts = {"sender": "eg-moi", "size": 3, "root": bytes(32).hex()}
    hostile = evidence(messages={name: content, "entry": content}, facts=facts)
    found = verify_evidence(hostile, FEDERATION.registry)
    assert [each.holds for each in found.statements] == [False]
    assert found.contradictions == ()


NOTE = f"test.example/stream/{'00' * 32}\n5\n{'A' * 43}=\n\n\u2014 x AAAAAAAA\n".encode()


@pytest.mark.parametrize(
    ("facts", "messages"),
    [
        ({"root": "zz", "size": 3}, {"acceptance": b"x"}),
        ({"root": "00", "size": 3}, {"acceptance": b"x"}),
        ({"root": "00" * 32, "size": "3"}, {"acceptance": b"x"}),
        ({"root": "00" * 32, "size": -1}, {"acceptance": b"x"}),
        ({"root": "00" * 32}, {"acceptance": b"x"}),
        ({}, {"entries": b"", "checkpoint": NOTE}),
        ({}, {"entries": b"", "checkpoint": NOTE, "frontier": b"x"}),
    ],
)
def test_hostile_facts_and_missing_neighbours_are_no_error_either(
    facts: dict[str, object], messages: dict[str, bytes]
) -> None:
    found = verify_evidence(
        evidence(facts={"sender": "eg-moi", **facts}, messages=messages), FEDERATION.registry
    )
    assert not any(each.holds for each in found.statements)
    assert found.contradictions == ()


def test_entries_contradict_no_note_that_nobody_signed() -> None:
    writer = StreamWriter.to(FEDERATION, "eg-moi", "tn-dgsn")
    entries = writer.batch().SerializeToString()
    messages = {
        "entries": entries,
        "checkpoint": NOTE,
        "frontier": Frontier.empty().to_bytes(),
    }
    found = verify_evidence(evidence(messages=messages), FEDERATION.registry)
    assert not any(each.holds for each in found.statements)
    assert found.contradictions == ()


@pytest.mark.parametrize(
    ("terms", "text"), [(b"", "OPEN"), (b"\xffno terms", "of no kind that there is")]
)
def test_an_entry_is_told_by_its_kind_and_one_of_none_was_signed_all_the_same(
    terms: bytes, text: str
) -> None:
    federation = standard_federation()
    writer = StreamWriter.to(federation, "eg-moi", "tn-dgsn")
    (run,) = writer.runs
    run = Run(terms or run.terms_bytes, run.own_size, run.own_bytes)
    head = Checkpoint(writer.state.origin, 1, run.leaf_hashes()[0])
    log = federation.agencies["eg-moi"].log
    note = sign_checkpoint(head, ed25519=log.ed25519, mldsa=log.mldsa, at=AT)
    messages = {
        "entry": exchange_pb2.Batch(runs=[run_message(run)]).SerializeToString(),
        "entry_proof": TlogProof(0, (), note).to_bytes(),
    }
    verified = verify_evidence(evidence(messages=messages), federation.registry)
    (statement,) = verified.statements
    assert statement.holds
    assert statement.text == f"eg-moi signed entry 0 of {writer.state.origin}: {text}"
