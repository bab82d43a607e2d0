"""`mithaq agreement`: draft, lint, sign, submit, list, show, explain and suspend."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mithaq.agreements import yaml_form
from mithaq.agreements.errors import YamlFormError
from mithaq.agreements.lint import lint as lint_agreement
from mithaq.agreements.terms import Agreement
from mithaq.certs.entries import (
    AgreementSuspended,
    EntrySigner,
    NarrowingReason,
    SignedEntry,
    draw_up,
    sign_agreement,
    sign_entry,
)
from mithaq.cli.errors import EXIT_USAGE, CliError
from mithaq.cli.offlinekeys import key_option, load_duty, load_pair
from mithaq.cli.output import day, json_option, note, present, present_rows
from mithaq.cli.package import Package, read_package
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.screen import PROSE, WORDS, Column
from mithaq.v1 import local_pb2, local_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIVE: Final = "active"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _conditions(row: Mapping[str, Any]) -> str:
    return " ".join(row["conditions"])


AGREEMENTS: Final = (
    Column("agreement"),
    Column("version"),
    Column("parties", fold=WORDS),
    Column("status"),
    Column("suspended_by", fold=WORDS),
    Column("effective_from", "from", spare=True),
    Column("expires"),
    Column("title", fold=PROSE, spare=True),
)
FLOWS: Final = (
    Column("sender", "from"),
    Column("recipient", "to"),
    Column("category"),
    Column("allowed"),
    Column("clauses", fold=WORDS),
    Column("reason"),
    Column("purposes", fold=PROSE, spare=True),
    Column("conditions", text=_conditions, fold=PROSE, spare=True),
)


@click.group()
def agreement() -> None:
    """Draft, sign, submit, explain and suspend agreements."""


@agreement.command()
@click.argument("agreement_id")
@click.option("--federation", required=True)
@click.option("--member", "members", multiple=True, required=True, help="A party; at least two.")
@click.option("--years", default=3, show_default=True, type=click.IntRange(1, 10))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@json_option
def draft(
    *,
    agreement_id: str,
    federation: str,
    members: tuple[str, ...],
    years: int,
    out: Path,
    as_json: bool,
) -> None:
    """Write draft terms as YAML, for people to change."""
    begins = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    drafted = yaml_form.template(
        federation,
        members,
        agreement_id=agreement_id,
        effective_from=begins,
        expires_at=begins + timedelta(days=365 * years),
    )
    out.write_text(drafted, encoding="utf-8")
    row = {"agreement": agreement_id, "file": str(out), "parties": list(members)}
    present("agreement.draft", row, as_json=as_json, title="Draft")
    if not as_json:
        note("next: read it, change it, then `mithaq agreement lint`")


@agreement.command()
@click.argument("file", type=_FILE)
@json_option
def lint(*, file: Path, as_json: bool) -> int:
    """Check terms in YAML before anybody signs.

    Finds what can never apply, what overlaps, and what is missing.
    """
    terms = _terms_in(file)
    rows = [
        {"severity": str(each.severity), "clause": each.clause_id, "finding": each.message}
        for each in lint_agreement(terms)
    ]
    present_rows("agreement.lint", "findings", rows, as_json=as_json, title=f"Findings in {file}")
    return EXIT_USAGE if any(row["severity"] == "error" for row in rows) else 0


@agreement.command()
@click.argument("file", type=_FILE)
@click.option("--member", required=True, help="For which party.")
@click.option("--name", required=True, help="Which of its signatories.")
@click.option("--package", type=click.Path(dir_okay=False, path_type=Path), required=True)
@key_option
@json_option
def sign(
    *,
    file: Path,
    member: str,
    name: str,
    package: Path,
    key_file: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Sign the terms in FILE into a package.

    FILE is YAML; if the package exists, others have signed it, and its terms are signed.
    """
    signed = read_package(package) if package.exists() else _new_package(file)
    signature = sign_agreement(
        signed.terms,
        federation=signed.agreement.federation,
        member=member,
        name=name,
        pair=load_pair(key_file, passphrase_file),
    )
    signed = signed.with_signature(signature)
    signed.write(package)
    row = {
        "agreement": signed.agreement.id,
        "hash": signed.agreement.hash.hex(),
        "signed_by": [f"{each.member}/{each.name}" for each in signed.signatures],
        "missing": [f"{count} of {each}" for each, count in signed.missing().items()],
    }
    present("agreement.sign", row, as_json=as_json, title="Agreement")


def _new_package(file: Path) -> Package:
    return Package(_terms_in(file).to_bytes())


def _terms_in(file: Path) -> Agreement:
    """Return the terms of a YAML file; raise YamlFormError."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise YamlFormError("the file is not in UTF-8", fix="save it as UTF-8", line=1) from None
    return yaml_form.load(text)


@agreement.command()
@click.argument("package", type=_FILE)
@profile_option
@json_option
def submit(*, package: Path, profile: Path, as_json: bool) -> None:
    """Submit a package that all parties have signed.

    It then waits for the trust administrators, who admit it.
    """
    signed = read_package(package)
    if missing := signed.missing():
        raise CliError(
            "MQ-USAGE-UNSIGNED",
            "not all parties have signed",
            why=", ".join(f"{count} of {member}" for member, count in missing.items()),
            fix="have them sign the same package with `mithaq agreement sign`",
        )
    body = draw_up(signed.act(), federation=signed.agreement.federation, at=_now())
    answer = _submit(profile, SignedEntry(body, ()))
    row = {"agreement": signed.agreement.id, "waiting": answer.body_hash.hex()}
    present("agreement.submit", row, as_json=as_json, title="Submitted")


def _submit(profile: Path, entry: SignedEntry) -> local_pb2.SubmitAgreementResponse:
    with connected(profile) as channel:
        return local_pb2_grpc.AgreementServiceStub(channel).SubmitAgreement(
            local_pb2.SubmitAgreementRequest(entry=entry.to_bytes()), timeout=DEADLINE_SECONDS
        )


@agreement.command("list")
@profile_option
@json_option
def list_agreements(*, profile: Path, as_json: bool) -> None:
    """List the agreements of this member."""
    with connected(profile) as channel:
        answer = local_pb2_grpc.AgreementServiceStub(channel).ListAgreements(
            local_pb2.ListAgreementsRequest(), timeout=DEADLINE_SECONDS
        )
    rows = [_row(each) for each in answer.agreements]
    present_rows(
        "agreement.list",
        "agreements",
        rows,
        as_json=as_json,
        title="Agreements",
        columns=AGREEMENTS,
    )


def _row(row: local_pb2.AgreementRow) -> dict[str, Any]:
    return {
        "agreement": row.agreement_id,
        "version": row.version,
        "title": row.title,
        "parties": list(row.parties),
        "status": row.status,
        "suspended_by": list(row.suspended_by),
        "effective_from": day(row.effective_from),
        "expires": day(row.expires_at),
        "registry_size": row.registry_size,
    }


@agreement.command()
@click.argument("agreement_id")
@profile_option
@json_option
def show(*, agreement_id: str, profile: Path, as_json: bool) -> None:
    """Show an agreement's terms as YAML."""
    answer = _get(agreement_id, profile)
    terms = yaml_form.dump(Agreement.from_bytes(answer.terms))
    if as_json:
        present("agreement.show", {**_row(answer.row), "terms": terms}, as_json=True)
        return
    click.echo(terms)


def _get(agreement_id: str, profile: Path) -> local_pb2.GetAgreementResponse:
    with connected(profile) as channel:
        return local_pb2_grpc.AgreementServiceStub(channel).GetAgreement(
            local_pb2.GetAgreementRequest(agreement_id=agreement_id), timeout=DEADLINE_SECONDS
        )


@agreement.command()
@click.argument("agreement_id")
@click.option("--from", "sender", default="", help="Only this sender.")
@click.option("--to", "recipient", default="", help="Only this recipient.")
@click.option("--category", default="", help="Only this category.")
@profile_option
@json_option
def explain(
    *, agreement_id: str, sender: str, recipient: str, category: str, profile: Path, as_json: bool
) -> None:
    """Explain what may flow from whom to whom, and under which clause."""
    from mithaq.agreements.explain import explain as explain_agreement

    answer = _get(agreement_id, profile)
    terms = Agreement.from_bytes(answer.terms)
    if answer.row.status != ACTIVE and not as_json:
        by = f" by {', '.join(answer.row.suspended_by)}" if answer.row.suspended_by else ""
        note(f"caution: {agreement_id} is {answer.row.status}{by}: no new record flows under it")
    rows = [
        {
            "sender": each.sender,
            "recipient": each.recipient,
            "category": each.category,
            "allowed": each.allowed,
            "clauses": list(each.clause_ids),
            "reason": str(each.reason),
            "action": each.action,
            "purposes": list(each.purposes),
            "fields": list(each.fields),
            "conditions": list(each.conditions),
        }
        for each in explain_agreement(terms)
        if sender in {"", each.sender}
        and recipient in {"", each.recipient}
        and category in {"", each.category}
    ]
    present_rows(
        "agreement.explain",
        "rows",
        rows,
        as_json=as_json,
        title=f"What may flow under {agreement_id}",
        columns=FLOWS,
    )


@agreement.command()
@click.argument("agreement_id")
@click.option("--member", required=True, help="The party that suspends.")
@click.option(
    "--reason",
    type=click.Choice([each.name.lower() for each in NarrowingReason]),
    default=NarrowingReason.OWN_REQUEST.name.lower(),
    show_default=True,
)
@key_option
@profile_option
@json_option
def suspend(
    *,
    agreement_id: str,
    member: str,
    reason: str,
    key_file: Path,
    passphrase_file: Path | None,
    profile: Path,
    as_json: bool,
) -> None:
    """Suspend an agreement at once, with the member's duty key."""
    federation = Agreement.from_bytes(_get(agreement_id, profile).terms).federation
    act = AgreementSuspended(agreement_id, NarrowingReason[reason.upper()], member)
    body = draw_up(act, federation=federation, at=_now())
    signer = EntrySigner.duty(member, load_duty(key_file, passphrase_file))
    answer = _submit(profile, sign_entry(body, [signer]))
    row = {"agreement": agreement_id, "suspended_by": member, "entry": answer.body_hash.hex()}
    present("agreement.suspend", row, as_json=as_json, title="Suspended")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
