"""Issuing and updating alerts: decided for each recipient, sealed once for each stream.

PROTOCOL 3.3 to 3.6, DESIGN 7. A next version goes to the streams that carry the alert as
long as all who read there may still have it; from the others it is taken back. The one
rule: nothing is asked of the transaction before every decision about the act is made.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from mithaq.agreements.status import AgreementStatus
from mithaq.ledger.entry import Priority, WithdrawReason, WithdrawScope, day_from
from mithaq.node.exchange.acts import ActResult, Disclosure, IssueItem, UpdateItem
from mithaq.node.exchange.disclosures import LiveDisclosure, live_disclosures, readers_of
from mithaq.node.exchange.draft import PutDraft, PutTerms, WithdrawDraft
from mithaq.node.exchange.errors import (
    AlertExistsError,
    AlertUnknownError,
    AlertVersionError,
    NotOurAlertError,
)
from mithaq.node.exchange.home import seconds
from mithaq.node.exchange.out_stream import OwnStream
from mithaq.node.exchange.routing import Plan, RecipientDecision, Share
from mithaq.node.exchange.stored import new_row, new_seed, set_status
from mithaq.node.exchange.transaction import Finished, Transaction
from mithaq.node.exchange.versions import Version, Versions
from mithaq.node.records.model import ParsedRecord, RecordKind
from mithaq.node.tables import RecordStatus

Outcome = Callable[[Finished], ActResult]


_TERMS_CACHED_MAX: Final = 4096


@lru_cache(maxsize=_TERMS_CACHED_MAX)
def put_terms(category: str, priority: int, expiry: datetime) -> PutTerms:
    """Return what the header of an alert's PUT says of it; many alerts expire on one day."""
    return PutTerms(category, Priority(priority), day_from(expiry))


def issue(tx: Transaction, item: IssueItem, known: Versions) -> Outcome:
    """Disclose a new alert to whom the agreements allow.

    Raises:
        ExchangeError: one of its kinds says why not; nothing was asked of the transaction.

    """
    record = item.record
    _check_ours(record, tx.home.member)
    if record.version != 1:
        raise AlertVersionError(f"a new alert has version 1, not {record.version}")
    if record.alert_id in known:
        raise AlertExistsError("an alert of this id was issued before")
    plan = tx.planner.plan(record, agreement_id=item.agreement_id, recipients=item.recipients)
    ways = [(share, tx.routes.reach(share)) for share in plan.shares]
    record_no, seed = _keep(tx, record, plan)
    for share, streams in ways:
        for stream in streams:
            tx.put(stream, share.status, _draft(record, record_no, seed))
    return _outcome(record, record_no, plan.decisions)


def update(tx: Transaction, item: UpdateItem, known: Versions) -> Outcome:
    """Disclose the next version of an own alert, and take it back where it may not go.

    Raises:
        ExchangeError: one of its kinds says why not; nothing was asked of the transaction.

    """
    record = item.record
    _check_ours(record, tx.home.member)
    current = _live_version(known, record.alert_id)
    if record.version != current.version + 1:
        raise AlertVersionError(f"version {current.version + 1} is next, not {record.version}")
    plan = tx.planner.plan(record, agreement_id=None, recipients=None)
    standing = live_disclosures(tx.connection, [each.record_no for each in known[record.alert_id]])
    route = _next_version_routes(tx, plan, standing)
    record_no, seed = _keep(tx, record, plan)
    for stream, share, target in route.puts:
        tx.put(stream, share.status, _draft(record, record_no, seed, target=target))
    for each, status in route.withdrawals:
        draft = WithdrawDraft(
            each.first_sequence, WithdrawReason.WITHDRAWN, WithdrawScope.DISCLOSURE
        )
        tx.withdraw(each.stream, status, draft)
    set_status(tx.connection, [current.record_no], status=RecordStatus.SUPERSEDED)
    return _outcome(record, record_no, plan.decisions)


class _Route(NamedTuple):
    """Where a next version goes, and from where the alert is taken back."""

    puts: list[tuple[OwnStream, Share, int | None]]
    withdrawals: list[tuple[LiveDisclosure, AgreementStatus]]


def _next_version_routes(tx: Transaction, plan: Plan, standing: Sequence[LiveDisclosure]) -> _Route:
    """Choose streams as for a new alert; where it stands already, it is a next version there."""
    route = _Route([], [])
    first_puts = {each.stream.log_no: each.first_sequence for each in standing}
    for share in plan.shares:
        for stream in tx.routes.reach(share):
            route.puts.append((stream, share, first_puts.get(stream.log_no)))
    allowed = {share.agreement.id: share.recipients for share in plan.shares}
    for each in standing:
        agreement_id = each.stream.key.agreement_id
        # Whoever could open it there, and may not have it any more, loses it.
        readers = readers_of(tx.connection, each.stream.log_no, each.first_sequence)
        if not readers <= allowed.get(agreement_id, frozenset()):
            status = tx.home.registry.agreement(agreement_id).status
            route.withdrawals.append((each, status))
    taken = {each.stream.log_no for each, _ in route.withdrawals}
    puts = [
        (stream, share, None if stream.log_no in taken else target)
        for stream, share, target in route.puts
    ]
    return _Route(puts, route.withdrawals)


def _check_ours(record: ParsedRecord, member: str) -> None:
    if record.kind is not RecordKind.ALERT or record.issuer != member:
        raise NotOurAlertError("only alerts in this member's own name are issued here")


def _live_version(known: Versions, alert_id: str) -> Version:
    versions = known.get(alert_id, [])
    if not versions or versions[-1].status is not RecordStatus.LIVE:
        raise AlertUnknownError("no live alert of this id")
    return versions[-1]


def _keep(tx: Transaction, record: ParsedRecord, plan: Plan) -> tuple[int, bytes]:
    record_no, seed = tx.new_record_no(), new_seed(tx.home.random)
    for share in plan.shares if plan.counted else ():
        for recipient in share.recipients:
            tx.quotas.use(
                share.agreement,
                sender=tx.home.member,
                category=record.category,
                recipient=recipient,
            )
    agreements = {share.agreement.id for share in plan.shares}
    row = new_row(
        record,
        record_no=record_no,
        seed=seed,
        own=True,
        agreement_id=agreements.pop() if len(agreements) == 1 else "",
        place=None,
        registry_size=tx.home.registry.size,
        expires_at=seconds(record.expiry),
        status=RecordStatus.LIVE,
        home=tx.home,
        at=tx.at,
    )
    tx.keep(row, record)
    return record_no, seed


def _draft(
    record: ParsedRecord, record_no: int, seed: bytes, *, target: int | None = None
) -> PutDraft:
    terms = put_terms(record.category, record.values.priority, record.expiry)
    return PutDraft(record_no, terms, record.raw, seed, target)


def _outcome(
    record: ParsedRecord, record_no: int, decisions: tuple[RecipientDecision, ...]
) -> Outcome:
    def told(finished: Finished) -> ActResult:
        places = finished.places.get(record_no, [])
        return ActResult(
            alert_id=record.alert_id,
            version=record.version,
            disclosures=tuple(
                Disclosure(stream.stream_id, placed.sequence, stream.key.agreement_id, readers)
                for stream, placed, readers in places
            ),
            decisions=decisions,
        )

    return told
