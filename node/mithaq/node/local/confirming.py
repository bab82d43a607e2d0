"""Confirming or rejecting a match: what a person has compared, never a program.

A confirmed match becomes a hit report to the alert's issuer, in the return stream to it
alone; match, hit and report are one act of the outbox. The rule: a match is settled
once, by one person (LED Art. 11, DOMAIN 4 T17).
"""

import hmac
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from grpc import StatusCode

from mithaq.node.exchange.acts import AnswerItem
from mithaq.node.exchange.answering import HIT, MATCH
from mithaq.node.exchange.home import seconds
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.stored import RECORD
from mithaq.node.local import views
from mithaq.node.local.access import Caller, Role
from mithaq.node.local.acting import Outcome
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.finding import OPEN, reader_of
from mithaq.node.local.grounds import actor_of, purpose_of
from mithaq.node.local.hitrows import OUTCOMES, hit_row, match_row
from mithaq.node.local.judging import judge_row
from mithaq.node.local.showing import ReadingDeniedError
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.sealing.errors import ErasedError
from mithaq.node.tables import RecordStatus
from mithaq.service.errors import MithaqError
from mithaq.store.audit_entry import Operation, RecordRef
from mithaq.v1 import local_pb2, record_pb2, subject_pb2

# Where no action was possible, nothing was acted on that a case file could be about.
_ACTED: Final = frozenset({"taken", "partly"})
CONFIRMED: Final = "confirmed"
REJECTED: Final = "rejected"
LISTED_MAX: Final = 1000
_OFFICER_LABEL: Final = b"mithaq/officer-reference/v1\x00"


class MatchMissingError(MithaqError):
    """No match of this number waits at this node."""

    code = "MQ-MATCH-MISSING"
    public_message = "No match with this number waits here."
    fix = "Search again: each search gives its matches new numbers."
    grpc_status = StatusCode.NOT_FOUND


class MatchSettledError(MithaqError):
    """The match was confirmed or rejected before, or somebody is doing so."""

    code = "MQ-CONFLICT-MATCH"
    public_message = "This match was confirmed or rejected before."
    fix = "See `mithaq hit list` for what became of it."
    grpc_status = StatusCode.FAILED_PRECONDITION


class MatchGoneError(MithaqError):
    """The alert behind the match was withdrawn meanwhile."""

    code = "MQ-MATCH-GONE"
    public_message = "The alert was withdrawn or replaced since the search."
    fix = "Search again, and act only on what is found then."
    grpc_status = StatusCode.FAILED_PRECONDITION


@dataclass(slots=True)
class HitDesk:
    """Matches and hits of one node."""

    desk: Desk
    _settling: set[str] = field(default_factory=set[str])

    async def confirm(
        self, caller: Caller, request: local_pb2.ConfirmHitRequest
    ) -> local_pb2.ConfirmHitResponse:
        """Report a hit to the issuer; an own alert's hit is only logged.

        Raises:
            MatchMissingError, MatchSettledError, MatchGoneError: nothing to confirm.
            ReadingDeniedError: no clause lets this person read it now.
            ExchangeError: the report can't be sent now; nothing was settled.

        """
        purpose_of(request.grounds)
        with self._settled_once(request.match_id):
            row = await self._open_match(request.match_id)
            if row.own:
                await self._settle(caller, row, request.grounds, status=CONFIRMED)
                return local_pb2.ConfirmHitResponse()
            await self._check_readable(caller, row, request.grounds)
            report = _report(self.desk, caller, row, request)
            result = await self.desk.outbox.answer(
                AnswerItem(
                    peer=row.sender,
                    agreement_id=row.agreement_id,
                    record=report,
                    actor=actor_of(caller, request.grounds),
                    match_id=row.match_id,
                )
            )
            if request.action_taken in _ACTED:
                await self._retain(caller, row, request.grounds)
        return local_pb2.ConfirmHitResponse(
            hit_id=report.message.hit_report.hit_id,
            disclosure=views.disclosures(result.disclosures)[0],
        )

    async def reject(self, caller: Caller, request: local_pb2.RejectHitRequest) -> None:
        """Note that the one compared is somebody or something else; nobody is told."""
        purpose_of(request.grounds)
        with self._settled_once(request.match_id):
            row = await self._open_match(request.match_id)
            await self._settle(caller, row, request.grounds, status=REJECTED)

    async def listed(
        self, caller: Caller, request: local_pb2.ListHitsRequest
    ) -> local_pb2.ListHitsResponse:
        """List hits and what waits or was rejected, newest first; an officer sees own matches."""

        def look(connection: sa.Connection) -> list[local_pb2.HitRow]:
            rows = [hit_row(row) for row in connection.execute(_hits(request.alert_id))]
            matches = _matches(request.alert_id)
            if caller.role is Role.OFFICER:
                matches = matches.where(MATCH.c.user == caller.user)
            rows += [match_row(row) for row in connection.execute(matches)]
            return sorted(rows, key=lambda row: row.at_ms, reverse=True)[:LISTED_MAX]

        rows = await self.desk.home.database.read(look)
        await self.desk.log(
            entry_of(
                actor_of(caller),
                Operation.CONSULT,
                at=self.desk.now(),
                certificate=caller.tls_fingerprint,
                subject="list of hits",
                result_count=len(rows),
            )
        )
        return local_pb2.ListHitsResponse(hits=rows)

    @contextmanager
    def _settled_once(self, match_id: str) -> Generator[None]:
        # One process serves a node, so that two people at once meet here.
        if match_id in self._settling:
            raise MatchSettledError
        self._settling.add(match_id)
        try:
            yield
        finally:
            self._settling.discard(match_id)

    async def _open_match(self, match_id: str) -> Any:  # noqa: ANN401 - a joined row
        row = await self.desk.home.database.read(
            lambda each: each.execute(
                _joined(_MATCH_COLUMNS, STREAM.c.sender, STREAM.c.stream_id).where(
                    MATCH.c.match_id == match_id
                )
            ).one_or_none()
        )
        if row is None:
            raise MatchMissingError
        if row.match_status != OPEN:
            raise MatchSettledError(f"match {match_id} is {row.match_status}")
        if row.status != RecordStatus.LIVE.value:
            raise MatchGoneError(f"the record is {row.status}")
        return row

    async def _check_readable(
        self,
        caller: Caller,
        row: Any,  # noqa: ANN401 - a joined row
        grounds: local_pb2.Grounds,
    ) -> None:
        """Ask the agreement again: it may have been suspended since the search."""
        reader = reader_of(self.desk, caller, grounds)

        def judge(_connection: sa.Connection) -> None:
            try:
                judged = judge_row(row, self.desk.home.storage, reader)
            except ErasedError:
                raise MatchGoneError("erased since the search") from None
            if not judged.decision.allowed:
                raise ReadingDeniedError(judged.decision)

        await self.desk.home.database.write(judge)

    async def _retain(
        self,
        caller: Caller,
        row: Any,  # noqa: ANN401 - a joined row
        grounds: local_pb2.Grounds,
    ) -> None:
        """Mark what was acted on for this bureau's case file, if its settings say so."""
        case_files = self.desk.config.case_files
        if not case_files.legal_ground:
            return
        at = self.desk.now()
        until = seconds(at + timedelta(days=case_files.days))
        ground = f"{case_files.legal_ground}; case {grounds.case_reference}"
        entry = replace(
            entry_of(
                actor_of(caller, grounds),
                Operation.COMBINE,
                at=at,
                certificate=caller.tls_fingerprint,
                subject=f"retained in case file until {until}",
            ),
            records=(RecordRef(row.alert_id, row.version),),
            agreement_id=row.agreement_id,
        )

        def mark(connection: sa.Connection) -> tuple[Outcome, None]:
            connection.execute(
                sa.update(RECORD)
                .where(RECORD.c.record_no == row.record_no)
                .values(retain_ground=ground, retain_until=until)
            )
            return Outcome(entry), None

        await self.desk.act(mark)

    async def _settle(
        self,
        caller: Caller,
        row: Any,  # noqa: ANN401 - a joined row
        grounds: local_pb2.Grounds,
        *,
        status: str,
    ) -> None:
        entry = replace(
            entry_of(
                actor_of(caller, grounds),
                Operation.COMBINE,
                at=self.desk.now(),
                certificate=caller.tls_fingerprint,
                subject=f"match {row.match_id} {status}",
            ),
            records=(RecordRef(row.alert_id, row.version),),
            agreement_id=row.agreement_id,
        )

        def settle(connection: sa.Connection) -> tuple[Outcome, None]:
            connection.execute(
                sa.update(MATCH).where(MATCH.c.match_id == row.match_id).values(status=status)
            )
            return Outcome(entry), None

        await self.desk.act(settle)


_MATCH_COLUMNS: Final = (
    MATCH.c.match_id,
    MATCH.c.status.label("match_status"),
    MATCH.c.at_ms,
    *(column for column in RECORD.c if column.name != "at_ms"),
)


def _joined(columns: Any, *more: Any) -> Any:  # noqa: ANN401 - columns, and a statement
    return (
        sa.select(*columns, *more)
        .select_from(MATCH)
        .join(RECORD, RECORD.c.record_no == MATCH.c.record_no)
        .outerjoin(STREAM, STREAM.c.log_no == RECORD.c.log_no)
    )


def _hits(alert_id: str) -> sa.Select[Any]:
    wanted = sa.select(HIT).order_by(HIT.c.at_ms.desc()).limit(LISTED_MAX)
    return wanted.where(HIT.c.alert_id == alert_id) if alert_id else wanted


def _matches(alert_id: str) -> Any:  # noqa: ANN401 - a statement of the joined columns
    # A match that was reported stands in the list as its hit.
    wanted = _joined(_MATCH_COLUMNS).where(
        sa.or_(MATCH.c.status != CONFIRMED, RECORD.c.own.is_(True))
    )
    wanted = wanted.order_by(MATCH.c.at_ms.desc()).limit(LISTED_MAX)
    return wanted.where(RECORD.c.alert_id == alert_id) if alert_id else wanted


def officer_reference(key: bytes, user: str) -> str:
    """Return a code for a user that this agency can resolve and nobody else can."""
    return hmac.digest(key, _OFFICER_LABEL + user.encode(), "sha256").hex()[:16]


def _report(
    desk: Desk,
    caller: Caller,
    row: Any,  # noqa: ANN401 - a joined row
    request: local_pb2.ConfirmHitRequest,
) -> ParsedRecord:
    now = int(desk.now().timestamp())
    return seal_in(
        record_pb2.Record(
            hit_report=record_pb2.HitReport(
                # The match's own number: confirming twice can't make two hits.
                hit_id=f"{desk.home.member}-{row.match_id}",
                reporter=desk.home.member,
                alert_id=row.alert_id,
                alert_version=row.version,
                matched=record_pb2.DisclosureName(stream_id=row.stream_id, sequence=row.sequence),
                found_at=row.at_ms // 1000,
                created_at=now,
                place=subject_pb2.Place(city=request.place),
                outcome=OUTCOMES[request.action_taken],
                outcome_note=request.note,
                officer_reference=officer_reference(desk.terms_key, caller.user),
                case_reference=request.grounds.case_reference,
                handling=record_pb2.HANDLING_H0,
                urgent=row.category in _URGENT,
            )
        )
    )


_URGENT: Final = frozenset({"ARREST", "CHILD_ABDUCTION_RISK", "CHILD_EXPLOITATION_RISK"})
