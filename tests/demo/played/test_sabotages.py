"""The demo can fail: each sabotage ends it with an exit code and the alarm's own name."""

import pytest

from mithaq.cli.demo.checks import record_texts
from mithaq.cli.demo.stage import Stage
from mithaq.cli.errors import EXIT_VERIFICATION
from tests.demo.played.conftest import performed
from tests.demo.played.sabotage import (
    erasing_prevented,
    flipped_when_it_waits,
    leaf_changed,
    paused,
    planted,
)

# All on one federation, which is founded once for each process of the test run.
pytestmark = pytest.mark.timeout(400)
READER = "int-iom"
STATE = "tn-dgsn"


def assert_fails(stage: Stage, act: str, *, alarm: str) -> str:
    exit_code, printed = performed(stage, acts=[act])
    assert (exit_code, printed["ok"]) == (EXIT_VERIFICATION, False)
    assert printed["alarm"] == alarm, printed["failed"]
    assert alarm in printed["failed"]
    return str(printed["failed"])


def test_a_byte_flipped_in_a_body_at_the_hub_is_a_body_mismatch(stage: Stage) -> None:
    with flipped_when_it_waits(stage, READER):
        failed = assert_fails(stage, "update", alarm="body mismatch")
    assert "raised by" in failed


def test_a_receipt_held_back_is_overdue(stage: Stage) -> None:
    with paused(stage.members[READER].process):
        failed = assert_fails(stage, "update", alarm="receipt overdue")
    assert failed.endswith(f"/{READER})")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_text_planted_in_a_hub_file_is_found(stage: Stage, encoding: str) -> None:
    text = next(text for text in record_texts(stage.issued.alerts[READER][0]) if len(text) > 8)
    note = b"a note of the operator: " + text.encode(encoding)
    with planted(stage.hub_folder / "note", note):
        failed = assert_fails(stage, "search", alarm="plaintext at the hub")
    assert "stands in note" in failed
    assert text not in failed


def test_a_record_that_is_not_erased_though_its_receipt_says_so_is_found(stage: Stage) -> None:
    with erasing_prevented(stage.members[STATE].folder):
        failed = assert_fails(stage, "withdraw", alarm="erasure overdue")
    assert failed.startswith(f"erasure overdue: {STATE} has signed")


def test_an_erasure_that_nobody_receipts_is_overdue(stage: Stage) -> None:
    with paused(stage.members[STATE].process):
        failed = assert_fails(stage, "withdraw", alarm="erasure overdue")
    assert failed.endswith(f"/{STATE})")


def test_a_leaf_changed_in_the_hubs_log_is_a_root_mismatch(stage: Stage) -> None:
    with leaf_changed(stage.hub_folder):
        assert_fails(stage, "compare", alarm="root mismatch")
