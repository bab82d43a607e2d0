"""Issuing, updating and withdrawing own alerts: from a request to the outbox.

The bytes that come are the record; only what the caller left to the node (id, issuer,
version, time) is filled in, and then it is parsed as strictly as a stranger's. What the
outbox answers is durable and logged. The rule: this node issues in its own name only.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from google.protobuf.message import DecodeError
from grpc import StatusCode

from mithaq.agreements.reason import Reason
from mithaq.agreements.streams import audience_for
from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.acts import ActResult, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.errors import DeniedByAgreementError
from mithaq.node.exchange.home import Actor
from mithaq.node.exchange.routing import RecipientDecision
from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.local import views
from mithaq.node.local.access import Caller
from mithaq.node.local.desk import Desk
from mithaq.node.local.grounds import actor_of
from mithaq.node.records.errors import RecordError
from mithaq.node.records.facts import facts_of
from mithaq.node.records.identifiers import new_alert_id
from mithaq.node.records.model import ParsedRecord, parse_record, serialise
from mithaq.service.errors import MithaqError, fault_of
from mithaq.v1 import exchange_pb2, local_pb2
from mithaq.v1.record_pb2 import Alert, Record

REASONS: Final = {
    "executed": WithdrawReason.EXECUTED,
    "withdrawn": WithdrawReason.WITHDRAWN,
    "expired": WithdrawReason.EXPIRED,
    "annulled": WithdrawReason.ANNULLED,
    "error": WithdrawReason.ERROR,
}


class RecordRefusedError(MithaqError):
    """The record does not follow the rules; the message names the field, never its value."""

    fix = "Correct the field named and repeat."
    grpc_status = StatusCode.INVALID_ARGUMENT

    def __init__(self, error: RecordError) -> None:
        """Say which rule of which field."""
        where = f" {error.path}:" if error.path else ""
        super().__init__(
            str(error),
            code=error.code,
            public_message=f"{error.public_message}{where} {error.expected}.",
        )


async def issue(
    desk: Desk, caller: Caller, request: local_pb2.IssueRequest
) -> local_pb2.IssueResponse:
    """Issue one alert; a denial is an answer that says every decision, and discloses nothing.

    Raises RecordRefusedError, or what else the outbox refused it with.
    """
    item = _issue_item(desk, actor_of(caller), request)
    try:
        return views.issued(await desk.outbox.act(item))
    except DeniedByAgreementError as denial:
        answer = _rejected(denial)
        answer.decisions.extend(views.decisions(explain_denial(desk, item)))
        return answer


async def issue_many(
    desk: Desk, caller: Caller, requests: Iterable[local_pb2.IssueRequest]
) -> local_pb2.IssueManyResponse:
    """Issue alerts; each is answered on its own, by its place or by the error it met."""
    actor = actor_of(caller)
    asked: list[IssueItem | MithaqError] = []
    for request in requests:
        try:
            asked.append(_issue_item(desk, actor, request))
        except MithaqError as error:
            asked.append(error)
    results = iter(await desk.outbox.issue([each for each in asked if isinstance(each, IssueItem)]))
    response = local_pb2.IssueManyResponse()
    for each in asked:
        outcome = next(results) if isinstance(each, IssueItem) else each
        answer = response.items.add()
        if isinstance(outcome, ActResult):
            views.write_issued(answer, outcome)
        else:
            answer.CopyFrom(_rejected(outcome))
    return response


async def update(
    desk: Desk, caller: Caller, request: local_pb2.UpdateAlertRequest
) -> local_pb2.UpdateAlertResponse:
    """Issue the next version; raise RecordRefusedError or what the outbox refused it with."""
    message = _read(request.record)
    alert = message.alert
    if alert.version == 0:
        alert.version = await desk.home.database.read(
            lambda each: _newest_version(each, alert.alert_id) + 1
        )
        alert.created_at = alert.created_at or _minute(desk.now())
    record = _parse(serialise(message) if message != _read(request.record) else request.record)
    result = await desk.outbox.update(UpdateItem(record, actor_of(caller)))
    return local_pb2.UpdateAlertResponse(
        alert_id=result.alert_id,
        version=result.version,
        disclosures=views.disclosures(result.disclosures),
    )


async def withdraw(
    desk: Desk, caller: Caller, request: local_pb2.WithdrawAlertRequest
) -> local_pb2.WithdrawAlertResponse:
    """Take an own alert back; raise what the outbox refused it with."""
    item = WithdrawItem(request.alert_id, REASONS[request.reason], actor_of(caller))
    result = await desk.outbox.withdraw(item)
    return local_pb2.WithdrawAlertResponse(disclosures=views.disclosures(result.disclosures))


def explain_denial(desk: Desk, item: IssueItem) -> list[RecipientDecision]:
    """Return what every agreement of this member says about the recipients asked for."""
    at, member = desk.now(), desk.home.member
    decisions: list[RecipientDecision] = []
    for standing in desk.home.registry.agreements():
        agreement = standing.in_force(at=at)
        if member not in agreement.members or item.agreement_id not in {None, agreement.id}:
            continue
        facts = facts_of(item.record, agreement=agreement, sender=member)
        _, found = audience_for(
            agreement, status=standing.status, sender=member, facts=facts, at=at
        )
        decisions += [
            RecipientDecision(name, each.allowed, each.reason, each.clause_ids, agreement.id)
            for name, each in found.items()
            if item.recipients is None or name in item.recipients
        ]
    named = {each.recipient for each in decisions}
    decisions += [
        RecipientDecision(name, False, Reason.RECIPIENT_NOT_PARTY, (), "")  # noqa: FBT003 - not allowed
        for name in item.recipients or ()
        if name not in named
    ]
    return decisions


def _issue_item(desk: Desk, actor: Actor, request: local_pb2.IssueRequest) -> IssueItem:
    record = _parse(_completed(desk, request.record))
    return IssueItem(
        record=record,
        agreement_id=request.agreement_id or None,
        recipients=tuple(request.recipients) or None,
        actor=actor,
    )


def _completed(desk: Desk, raw: bytes) -> bytes:
    """Return the record's bytes, with an id and a time where the caller gave none."""
    message = _read(raw)
    alert = message.alert
    if not message.HasField("alert") or alert.alert_id:
        return raw
    at = desk.now()
    alert.alert_id = new_alert_id(desk.home.member, at=at, randomness=desk.home.random)
    alert.issuer = alert.issuer or desk.home.member
    alert.version = alert.version or 1
    _fill_times(alert, at)
    return serialise(message)


def _fill_times(alert: Alert, at: datetime) -> None:
    alert.created_at = alert.created_at or _minute(at)
    alert.valid_from = alert.valid_from or alert.created_at


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60 * 60


def _read(raw: bytes) -> Record:
    message = Record()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        # The strict parser says what is wrong, without the values.
        _parse(raw)
    return message


def _parse(raw: bytes) -> ParsedRecord:
    try:
        return parse_record(raw)
    except RecordError as error:
        raise RecordRefusedError(error) from None


def _newest_version(connection: sa.Connection, alert_id: str) -> int:
    newest = connection.execute(
        sa.select(sa.func.max(RECORD.c.version)).where(
            RECORD.c.item_id == alert_id, RECORD.c.own.is_(True), RECORD.c.kind == ALERT
        )
    ).scalar()
    return newest or 0


def _rejected(error: BaseException) -> local_pb2.IssueResponse:
    fault = fault_of(error)
    reject = exchange_pb2.Reject(code=fault.code, public_message=fault.public_message)
    return local_pb2.IssueResponse(error=reject)
