"""Finding: a document or a name is looked up, each candidate judged, and all of it logged.

Candidates come from the index by a reader's snapshot; they are opened, compared and
judged in the writer's transaction that also keeps the matches and the audit entry. So a
node killed between log and answer has lost the answer, never the log (DESIGN 11). The
rule: the audit log learns of search terms only as a keyed hash, and of every record
that was judged, shown or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from mithaq.agreements.reason import Decision
from mithaq.agreements.vocabulary import SubjectType
from mithaq.node.exchange.answering import MATCH
from mithaq.node.exchange.home import milliseconds, seconds
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.local.access import Caller
from mithaq.node.local.acting import Outcome
from mithaq.node.local.bulk import Look
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import READING_ROLES, actor_of, purpose_of
from mithaq.node.local.judging import (
    Judged,
    Reader,
    Scope,
    judge_row,
    search_cautions,
    search_scope,
    stale_cautions,
)
from mithaq.node.local.query import Query, fit, parse_query
from mithaq.node.local.views import action_to_be_taken, alert_row
from mithaq.node.lookup.match import SCORE_MIN, Score
from mithaq.node.lookup.search import by_document, by_name
from mithaq.node.records.identifiers import new_ulid
from mithaq.node.records.wording import summary_of, warnings_of
from mithaq.node.sealing.errors import ErasedError
from mithaq.node.tables import RecordStatus
from mithaq.store import audit_entry
from mithaq.store.audit_entry import Operation, RecordRef
from mithaq.store.engine import bulk_insert
from mithaq.v1 import local_pb2, record_pb2

OPEN: Final = "open"
NO_IDENTIFICATION: Final = "A match is no identification: compare, then confirm or reject it."
MORE: Final = "More records fit than are shown: give more of what you know."


@dataclass(frozen=True, slots=True)
class Hit:
    """A candidate that fits and may be shown."""

    match_id: str
    row: Any
    shown: record_pb2.Record
    score: Score


@dataclass(frozen=True, slots=True)
class Looked:
    """What a search concluded: what may be shown, every decision, and whether there is more."""

    hits: tuple[Hit, ...]
    refs: tuple[RecordRef, ...]
    scopes: tuple[Scope, ...]
    more: bool


async def find(
    desk: Desk, caller: Caller, request: local_pb2.FindAlertsRequest
) -> local_pb2.FindAlertsResponse:
    """Look up a document or a name, and log the search before the answer.

    Raises:
        InvalidRequestError: no such purpose, or nothing to look for.
        BulkReadError: more searches than an hour allows; logged, with an alarm.

    """
    query = parse_query(request)
    reader = reader_of(desk, caller, request.grounds)
    await desk.count(caller, Look.SEARCH, actor=actor_of(caller, request.grounds))
    candidates = await desk.home.database.read(lambda each: _candidates(each, desk, query))

    def search(connection: sa.Connection) -> tuple[Outcome, local_pb2.FindAlertsResponse]:
        looked = _look(connection, desk, reader, query, candidates)
        _keep(connection, desk, caller, request.grounds, looked.hits)
        entry = replace(
            entry_of(
                actor_of(caller, request.grounds),
                Operation.SEARCH,
                at=reader.at,
                certificate=caller.tls_fingerprint,
                result_count=len(looked.hits),
                registry_size=reader.registry.size,
            ),
            records=looked.refs,
            query_kind=query.kind,
            query_hash=audit_entry.query_hash(desk.terms_key, kind=query.kind, terms=query.terms),
        )
        return Outcome(entry), _answer(looked, reader)

    return await desk.act(search)


def reader_of(desk: Desk, caller: Caller, grounds: local_pb2.Grounds) -> Reader:
    """Return who reads and for what; raise InvalidRequestError for a purpose that is none."""
    return Reader(
        member=desk.home.member,
        registry=desk.home.registry,
        purpose=purpose_of(grounds),
        role=READING_ROLES[caller.role],
        at=desk.now(),
        staleness_limit=desk.config.limits.staleness,
        units=frozenset(desk.config.units),
    )


def select_alerts() -> sa.Select[Any]:
    """Return the statement for alerts' rows with the `sender` whose stream brought them."""
    joined = RECORD.outerjoin(STREAM, STREAM.c.log_no == RECORD.c.log_no)
    return sa.select(RECORD, STREAM.c.sender).select_from(joined).where(RECORD.c.kind == ALERT)


def reference(judged: Judged) -> RecordRef:
    """Return how the audit log names a record that was judged."""
    return RecordRef(
        alert_id=judged.row.alert_id, version=judged.row.version, decision=told(judged.decision)
    )


def told(decision: Decision) -> audit_entry.Decision:
    """Return a decision as the audit log keeps it."""
    return audit_entry.Decision(decision.allowed, decision.reason.value, decision.clause_ids)


def _candidates(connection: sa.Connection, desk: Desk, query: Query) -> tuple[list[int], bool]:
    numbers: dict[int, None] = {}
    more = False
    key = desk.home.index_key
    if query.document:
        found = by_document(connection, key, number=query.document, state=query.state)
        numbers.update(dict.fromkeys(found.record_numbers))
        more |= found.more
    if query.name:
        found = by_name(connection, key, query.name_query)
        numbers.update(dict.fromkeys(found.record_numbers))
        more |= found.more
    return list(numbers), more


def _look(
    connection: sa.Connection,
    desk: Desk,
    reader: Reader,
    query: Query,
    candidates: tuple[Sequence[int], bool],
) -> Looked:
    """Open, compare and judge the candidates that are still live."""
    numbers, more = candidates
    # A name closes when the copy is stale, a document does not: each is asked apart.
    by_name = search_scope(reader, SubjectType.PERSON)
    by_document = search_scope(reader, SubjectType.TRAVEL_DOCUMENT)
    rows = connection.execute(
        select_alerts().where(
            RECORD.c.record_no.in_(numbers), RECORD.c.status == RecordStatus.LIVE.value
        )
    )
    hits: list[Hit] = []
    refs: list[RecordRef] = []
    for row in rows:
        allowed, closed = query, None
        if not row.own:
            allowed, closed = _allowed(query, row.agreement_id, by_name, by_document)
        if closed is not None:
            refs.append(RecordRef(row.alert_id, row.version, decision=told(closed)))
            continue
        try:
            judged = judge_row(row, desk.home.storage, reader)
        except ErasedError:
            continue
        score = fit(judged.record, allowed, desk.home.index_key)
        if score.value < SCORE_MIN:
            continue
        refs.append(reference(judged))
        if judged.shown is not None:
            match_id = new_ulid(at=reader.at, randomness=desk.home.random)
            hits.append(Hit(match_id, row, judged.shown, score))
    hits.sort(key=lambda hit: (-hit.score.value, -hit.row.created_at))
    kept = tuple(hits[: desk.config.limits.matches_per_search_max])
    scopes = tuple(
        scope for scope, asked in ((by_name, query.name), (by_document, query.document)) if asked
    )
    return Looked(kept, tuple(refs), scopes, more or len(hits) > len(kept))


def _allowed(
    query: Query, agreement_id: str, by_name: Scope, by_document: Scope
) -> tuple[Query, Decision | None]:
    """Return the part of a question that may be asked under an agreement, or the refusal."""
    name = by_name.refusal(agreement_id) if query.name else None
    document = by_document.refusal(agreement_id) if query.document else None
    left = replace(
        query,
        name="" if name else query.name,
        born=None if name else query.born,
        document="" if document else query.document,
    )
    return left, None if left.name or left.document else name or document


def _keep(
    connection: sa.Connection,
    desk: Desk,
    caller: Caller,
    grounds: local_pb2.Grounds,
    hits: Sequence[Hit],
) -> None:
    bulk_insert(
        connection,
        MATCH,
        [
            {
                "match_id": hit.match_id,
                "record_no": hit.row.record_no,
                "user": caller.user,
                "purpose": grounds.purpose,
                "case_reference": grounds.case_reference,
                "status": OPEN,
                "at_ms": milliseconds(desk.now()),
            }
            for hit in hits
        ],
    )


def _answer(looked: Looked, reader: Reader) -> local_pb2.FindAlertsResponse:
    cautions = stale_cautions(reader.registry, at=reader.at)
    cautions += search_cautions(looked.scopes)
    if looked.hits:
        cautions.append(NO_IDENTIFICATION)
    if looked.more:
        cautions.append(MORE)
    return local_pb2.FindAlertsResponse(
        matches=[_match(hit, reader) for hit in looked.hits], cautions=cautions
    )


def _match(hit: Hit, reader: Reader) -> local_pb2.Match:
    alert = hit.shown.alert
    return local_pb2.Match(
        match_id=hit.match_id,
        row=alert_row(hit.row),
        action_to_be_taken=action_to_be_taken(alert, member=reader.member, now=seconds(reader.at)),
        score=hit.score.value,
        explanation="; ".join(hit.score.reasons),
        warnings=warnings_of(alert),
        summary=summary_of(alert),
    )
