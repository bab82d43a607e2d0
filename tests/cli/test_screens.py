"""The screens of officers, auditors and administrators, from answers that are made up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from mithaq.cli import alertview, auditview, hit, node, screen
from mithaq.cli.errors import describe
from mithaq.cli.main import cli
from mithaq.cli.output import fit, instant, present
from mithaq.cli.recordview import alert_lines, hit_lines
from mithaq.hub import setup
from mithaq.service.errors import PLAIN_FAULTS, InvalidRequestError
from mithaq.v1 import local_pb2
from mithaq.v1 import record_pb2 as wire
from tests.node_records.alerts import alert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mithaq.cli.screen import Column

WIDTHS = (80, 140)
AT_MS = 1_795_294_122_480
SECONDS = AT_MS // 1000
STREAM = bytes(range(32))
ALERT = "int-iom-01M7ZXWMDZQD9NPH2N1V3QXTGQ"
MATCH = "01M7ZZ4NQVRCKQHZ2X77CPSCWD"
HIT = "tn-dgsn-01M7ZXWTG29HAFSFDTTS8HMN0W"


def alert_row(**changes: Any) -> local_pb2.AlertRow:  # noqa: ANN401 (fields of a message)
    row = local_pb2.AlertRow(
        alert_id=ALERT,
        version=12,
        issuer="int-iom",
        category="CHILD_ABDUCTION_RISK",
        subject_type="PERSON",
        status="live",
        created_at=SECONDS,
        expires_at=SECONDS,
        agreement_id="rabat-2026",
    )
    row.MergeFrom(local_pb2.AlertRow(**changes))
    return row


def matches() -> list[dict[str, Any]]:
    found = local_pb2.Match(
        match_id=MATCH,
        row=alert_row(),
        action_to_be_taken="Prevent travel, protect the child and call the authority.",
        score=97,
        explanation="name: 0.97 by its Arabic letters; date of birth: the year",
        warnings=["armed", "H2: no further dissemination without leave of the issuer"],
        summary="AL-WANHABBAR, Sifjun / سيفجون بارجون الوانحاببار; born 1986; EGY",
    )
    return [alertview.match(found)]


def steps() -> list[dict[str, Any]]:
    signers = ("eg-moi", "euroarab.example/hub/hub", "euroarab.example/opened/tn-dgsn")
    return [
        alertview.trace_step(
            local_pb2.TraceStep(
                version=1,
                stream_id=STREAM,
                sequence=123_456,
                step=step,
                at_ms=AT_MS,
                signer=signer,
                detail="size 123457",
            )
        )
        for step, signer in zip(("sealed", "accepted", "opened"), signers, strict=True)
    ]


def hits() -> list[dict[str, Any]]:
    row = local_pb2.HitRow(
        hit_id=HIT, alert_id=ALERT, reporter="tn-dgsn", status="confirmed", at_ms=AT_MS
    )
    return [hit.hit_row(row)]


def looks(**changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401 (fields of a message)
    row = local_pb2.AuditRow(
        index=4711,
        at_ms=AT_MS,
        actor="h.zanbar",
        role="duty-supervisor",
        operation="consult",
        purpose="BORDER_CONTROL",
        case_reference="TUN-2026-0042",
        justification="Passport presented at the ferry terminal, number found in an alert",
        alert_ids=[ALERT],
        counterparts=["eg-moi"],
        clause_ids=["C2"],
        agreement_id="rabat-2026",
        outcome="done",
        decision="allowed",
    )
    row.MergeFrom(local_pb2.AuditRow(**changes))
    return [auditview.audit_fields(row)]


def streams() -> list[dict[str, Any]]:
    answer = local_pb2.GetNodeStatusResponse(
        streams=[
            local_pb2.StreamRow(
                stream_id=STREAM,
                sender="eg-moi",
                audience=["int-iom", "tn-dgsn"],
                role="disclosure",
                size=16,
                accepted_size=16,
            )
        ],
        readers=[
            local_pb2.ReaderRow(stream_id=STREAM, reader="tn-dgsn", held_size=16, opened_size=14)
        ],
    )
    return [node.stream_fields(row, answer) for row in answer.streams]


Rows = list[dict[str, Any]]
SCREENS: dict[str, tuple[Callable[[], Rows], Sequence[Column], str]] = {
    "alert list": (lambda: [alertview.row(alert_row())], alertview.ALERTS, ALERT),
    "alert find": (matches, alertview.MATCHES, MATCH),
    "alert trace": (steps, alertview.STEPS, STREAM.hex()[:8]),
    "hit list": (hits, hit.HITS, HIT),
    "audit list": (looks, auditview.AUDIT_OF_ALL, ALERT),
    "node status": (streams, node.OWN_STREAMS, "tn-dgsn:16/14"),
}


def drawn(rows: list[dict[str, Any]], columns: Sequence[Column], width: int) -> list[str]:
    return [line.text for line in screen.table(rows, columns, width=width)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_fits_the_terminal_with_ids_whole_and_times_readable(
    name: str, width: int
) -> None:
    rows, columns, whole = SCREENS[name]
    lines = drawn(rows(), columns, width)
    assert all(cell_len(line) <= width for line in lines)
    assert any(whole in line for line in lines)
    assert str(SECONDS) not in "\n".join(lines)


@pytest.mark.parametrize("name", ["alert list", "alert trace"])
def test_lists_of_officers_are_one_line_each_at_eighty_columns(name: str) -> None:
    rows, columns, _ = SCREENS[name]
    assert len(drawn(rows(), columns, 80)) == 2 + len(rows())


def test_matches_are_a_grid_where_there_is_room() -> None:
    assert drawn(matches(), alertview.MATCHES, 80)[0].startswith(f"{MATCH}  97  CHILD_")
    assert drawn(matches(), alertview.MATCHES, 180)[0].startswith("match id ")


def test_an_instant_is_as_precise_as_it_was_signed() -> None:
    assert instant(AT_MS) == "2026-11-21 20:48:42.480Z"
    assert instant(SECONDS * 1000) == "2026-11-21 20:48:42Z"
    assert instant(0) == "–"


def test_programs_get_whole_stream_ids_and_signers() -> None:
    step = steps()[2]
    assert step["stream"] == STREAM.hex()
    assert step["signer"] == "euroarab.example/opened/tn-dgsn"
    assert streams()[0]["readers"] == [{"reader": "tn-dgsn", "held": 16, "opened": 14}]


def test_a_reader_that_has_signed_nothing_is_shown_all_the_same() -> None:
    assert any("int-iom:0/0" in line for line in drawn(streams(), node.OWN_STREAMS, 80))


@pytest.mark.parametrize("width", WIDTHS)
def test_an_auditor_reads_who_when_why_with_whom_and_under_which_clause(width: int) -> None:
    shown = " ".join(" ".join(drawn(looks(), auditview.AUDIT_OF_ALL, width)).split())
    for part in (
        "h.zanbar (duty-supervisor)",
        "2026-11-21 20:48:42.480Z",
        "consult",
        "BORDER_CONTROL",
        "TUN-2026-0042",
        ALERT,
        "eg-moi",
        "allowed, clause C2 of",
    ):
        assert part in shown
    for word in looks()[0]["why"].split():
        assert word in shown


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decision": "refused", "reasons": ["AGREEMENT_SUSPENDED"]}, "refused (AGREEMENT_SUSP"),
        ({"outcome": "MQ-ALERT-MISSING"}, "MQ-ALERT-MISSING"),
    ],
)
def test_a_look_that_showed_nothing_says_so(changes: dict[str, Any], said: str) -> None:
    assert said in "\n".join(drawn(looks(**changes), auditview.AUDIT, 140))


def test_an_alert_is_shown_with_the_action_first_and_in_words() -> None:
    record = alert("CHILD_ABDUCTION_RISK")
    answer = local_pb2.ShowAlertResponse(
        row=alert_row(),
        record=record.message,
        action_to_be_taken="Prevent travel.",
        cautions=["for child protection only"],
        clause_ids=["C4"],
    )
    lines = alert_lines(answer)
    assert [label for label, _ in lines[:2]] == ["action to be taken", "caution"]
    assert lines[-1] == ("shown under", "rabat-2026, clause C4")
    drawn_lines = [line.text for line in screen.sheet(lines, width=80)]
    assert all(cell_len(line) <= 80 for line in drawn_lines)
    assert not re.search(r"\b1[0-9]{9}\b", "\n".join(drawn_lines))
    name = record.alert.person.names[0]
    assert any(
        line.split() == ["own", "script", *name.original_script.split()] for line in drawn_lines
    )


def test_an_own_alert_says_that_it_is_own() -> None:
    answer = local_pb2.ShowAlertResponse(row=alert_row(own=True))
    assert alert_lines(answer)[-1] == ("shown under", "own alert")


def test_a_hit_report_is_shown_in_words() -> None:
    report = wire.HitReport(hit_id=HIT, outcome=wire.ACTION_OUTCOME_TAKEN, found_at=SECONDS)
    answer = local_pb2.ShowHitResponse(record=wire.Record(hit_report=report))
    lines = dict(hit_lines(answer))
    assert lines["action"] == "taken"
    assert lines["found"] == "2026-11-21 20:48Z"


def test_lines_in_peoples_words_go_to_a_pipe_too(capsys: pytest.CaptureFixture[str]) -> None:
    present("alert.show", {"x": 1}, as_json=False, lines=[("action", "Be aware."), ("name", "B")])
    assert capsys.readouterr().out == "action\tBe aware.\nname\tB\n"


def test_a_request_that_breaks_a_rule_names_the_option() -> None:
    fault = InvalidRequestError(("grounds.justification", "must be at least 10 characters"))
    text, exit_code = describe(fault)
    assert "  why: --justification: must be at least 10 characters" in text.splitlines()
    assert exit_code == 2


def test_no_fix_names_a_command_that_does_not_exist() -> None:
    for fault in PLAIN_FAULTS.values():
        for words in re.findall(r"`mithaq ([a-z]+)", fault.fix):
            assert words in cli.list_commands(click.Context(cli))


def in_a_terminal(*arguments: str, width: int) -> str:
    """Return what a command writes to a terminal of some width."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    environment |= {"TERM": "xterm-256color", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mithaq.cli", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # a terminal whose other end was closed
            while part := os.read(ours, 65_536):
                written += part
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("width", WIDTHS[:1])
def test_a_real_terminal_gets_no_colour_and_no_line_that_is_too_wide(
    tmp_path: Path, width: int
) -> None:
    setup.init(
        tmp_path / "hub",
        federation="euroarab.example",
        exchange_address="127.0.0.1:7443",
        enrolment_address="127.0.0.1:7444",
        at=datetime.now(UTC).replace(microsecond=0),
    )
    arguments = ("config", "show", str(tmp_path / "hub"), "--origin")
    written = in_a_terminal(*arguments, width=width)
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", written)
    lines = re.sub("\x1b\\[[0-9;]*m", "", written).splitlines()
    assert lines[0] == str(tmp_path / "hub")
    assert any("euroarab.example" in line for line in lines)
    assert all(cell_len(line) <= width for line in lines[1:])


def test_lines_for_people_are_whole_where_standard_error_is_no_terminal() -> None:
    long = "word " * 40
    assert fit(long) == long


@pytest.mark.parametrize("group", ["alert", "hit", "audit", "agreement", "node", "config", "demo"])
def test_the_help_of_a_group_cuts_no_sentence_at_eighty_columns(group: str) -> None:
    result = CliRunner().invoke(cli, [group, "--help"], terminal_width=80)
    commands = result.output.partition("Commands:")[2]
    assert "..." not in commands
    assert all(len(line) <= 80 for line in result.output.splitlines())
