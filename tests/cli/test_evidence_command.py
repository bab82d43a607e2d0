"""What a third party is told of an evidence file that it was handed."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mithaq.cli.main import run
from mithaq.ledger.checkpoint import sign_checkpoint
from mithaq.store.audit_bundle import sign_bundle
from mithaq.store.evidence import Evidence
from tests.federation import Federation
from tests.store.bundles import (
    NOW,
    SENDER,
    STREAM_ID,
    both_ends,
    entry_hashes,
    small_federation,
    stream_head,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A federation, a bundle of one of its parties, and files that accuse another."""

    federation: Federation
    folder: Path

    def note(self, *, forked_from: int | None = None) -> bytes:
        """Return the sender's checkpoint over its stream, or over another history of it."""
        log = self.federation.agencies[SENDER].log
        head = stream_head(self.federation, entry_hashes(9, forked_from=forked_from))
        return sign_checkpoint(head, ed25519=log.ed25519, mldsa=log.mldsa, at=NOW)

    def asked(self, *options: str, pin: bytes | None = None, **messages: bytes) -> int:
        """Run the command on a file with these messages, and return its exit code."""
        evidence = Evidence(
            alarm="fork",
            accused=SENDER,
            at=NOW,
            explanation="two roots",
            messages=messages,
            stream_id=STREAM_ID,
            facts={"sender": SENDER},
        )
        file = self.folder / evidence.write(self.folder)
        pinned = (pin or self.federation.pin).hex()
        bundle = str(self.folder / "auditor.bundle")
        call = ["audit", "evidence", str(file), "--bundle", bundle, "--root-pin", pinned]
        return run([*call, *options])


@pytest.fixture
def case(tmp_path: Path) -> Case:
    federation = small_federation()
    end, _ = both_ends(federation)
    whole = replace(
        end.bundle(),
        registry=tuple(federation.leaves),
        registry_checkpoint=federation.checkpoint(),
    )
    (tmp_path / "auditor.bundle").write_bytes(sign_bundle(whole, end.agency.log))
    return Case(federation, tmp_path)


def test_two_histories_that_one_sender_signed_are_a_contradiction(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = {"known_checkpoint": case.note(), "checkpoint": case.note(forked_from=4)}
    assert case.asked("--json", **notes) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["proves"]
    assert all(each["holds"] for each in row["statements"])
    assert row["contradictions"] == [
        "checkpoint and known_checkpoint name different roots at size 9"
    ]


def test_one_history_contradicts_nothing(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.asked(known_checkpoint=case.note(), checkpoint=case.note()) == 0
    assert "none among what is signed" in capsys.readouterr().out


def test_a_file_that_nobody_signed_proves_nothing(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.asked(checkpoint=case.note().replace(b"\n9\n", b"\n8\n", 1)) == 8
    assert "NOT verified" in capsys.readouterr().out


def test_under_another_root_pin_nothing_is_verified(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.asked(checkpoint=case.note(), pin=bytes(32)) == 8
    assert capsys.readouterr().out == ""
