"""The list of alerts and the trace of one: which there are and how far they came.

No line carries personal data, so neither asks for grounds; both are logged. The rule:
a page is cut by the record's own number, so that nothing is shown twice or left out.
"""

from typing import Any, Final

import sqlalchemy as sa

from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.local.access import Caller
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.views import alert_row
from mithaq.service.errors import InvalidRequestError
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2

PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 1000
_DIGITS_MAX: Final = 18


async def list_alerts(
    desk: Desk, caller: Caller, request: local_pb2.ListAlertsRequest
) -> local_pb2.ListAlertsResponse:
    """List alerts held here, newest first; raise InvalidRequestError for a wrong page token."""
    before = _token(request.page_token)
    wanted = _wanted(request)
    size = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)

    def look(connection: sa.Connection) -> tuple[list[Any], int]:
        page = sa.select(RECORD).where(*wanted).order_by(RECORD.c.record_no.desc())
        if before:
            page = page.where(RECORD.c.record_no < before)
        rows = connection.execute(page.limit(size + 1)).all()
        total = connection.execute(sa.select(sa.func.count()).where(*wanted)).scalar_one()
        return list(rows), total

    rows, total = await desk.home.database.read(look)
    shown = rows[:size]
    await desk.log(
        entry_of(
            actor_of(caller),
            Operation.CONSULT,
            at=desk.now(),
            certificate=caller.tls_fingerprint,
            subject="list of alerts",
            result_count=len(shown),
        )
    )
    return local_pb2.ListAlertsResponse(
        alerts=[alert_row(row) for row in shown],
        next_page_token=str(shown[-1].record_no) if len(rows) > size else "",
        total=total,
    )


def _wanted(request: local_pb2.ListAlertsRequest) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [RECORD.c.kind == ALERT]
    if request.category:
        wanted.append(RECORD.c.category == request.category)
    if request.issuer:
        wanted.append(RECORD.c.issuer == request.issuer)
    if request.status:
        wanted.append(RECORD.c.status == request.status)
    return wanted


def _token(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise InvalidRequestError(("page_token", "must be one that a list gave"))
    return int(text)
