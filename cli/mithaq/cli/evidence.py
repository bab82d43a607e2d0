"""`mithaq audit evidence`: what the file of an alarm proves, offline, by the root pin alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mithaq.cli.errors import EXIT_VERIFICATION
from mithaq.cli.output import json_option, present
from mithaq.cli.pin import pin_of
from mithaq.store.audit_bundle import registry_of
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import VerifiedEvidence, verify_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("evidence")
@click.argument("file", type=_FILE)
@click.option(
    "--bundle", required=True, type=_FILE, help="Any party's audit bundle: it has the registry."
)
@click.option("--root-pin", required=True, help="The federation's root pin, in hex.")
@json_option
def verify_file(*, file: Path, bundle: Path, root_pin: str, as_json: bool) -> int:
    """Say what the evidence FILE of an alarm proves.

    Each message in it is verified by the registry's keys, and what signed ones say of one
    log is compared. Needs no network and no secret key. Whom the file accuses, and of what,
    is the word of who kept it: believe what verifies.
    """
    evidence = Evidence.from_json(file.read_bytes())
    registry = registry_of(bundle.read_bytes(), pinned_root_hash=pin_of(root_pin))
    found = verify_evidence(evidence, registry)
    row = _row(evidence, found)
    present("audit.evidence", row, as_json=as_json, title=evidence.alarm, lines=_lines(row))
    return 0 if row["proves"] else EXIT_VERIFICATION


def _row(evidence: Evidence, found: VerifiedEvidence) -> dict[str, Any]:
    return {
        # A file none of whose messages verifies could have been written by anybody.
        "proves": bool(found.contradictions) or any(each.holds for each in found.statements),
        "alarm": evidence.alarm,
        "accused": evidence.accused,
        "kept_by": evidence.kept_by,
        "at": evidence.at.isoformat(),
        "subject": evidence.subject,
        "explanation": evidence.explanation,
        "statements": [
            {"message": each.message, "holds": each.holds, "text": each.text}
            for each in found.statements
        ],
        "contradictions": list(found.contradictions),
    }


def _lines(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the same in words, a line for each message and each contradiction."""
    said = [
        ("kept by", f"{row['kept_by']}, {row['at']}"),
        ("accuses", row["accused"] or "nobody"),
        ("says", row["explanation"] or "nothing more"),
    ]
    for each in row["statements"]:
        word = "verified" if each["holds"] else "NOT verified"
        said.append((each["message"], f"{word}: {each['text']}"))
    contradictions = row["contradictions"] or ["none among what is signed"]
    return said + [("contradiction", each) for each in contradictions]
