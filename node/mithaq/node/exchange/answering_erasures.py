"""Receipts of erasure: owed since a withdrawal came, paid into the return stream.

PROTOCOL 5.9. The content is gone from the tables before this runs; the write-ahead log is
emptied first, then the receipt is signed. The one rule: an erasure is only confirmed when
its bytes are gone from what this node keeps on disk.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from mithaq.node.exchange.acts import AnswerItem
from mithaq.node.exchange.answering import ERASURE_TASK
from mithaq.node.exchange.erasing import empty_log
from mithaq.node.exchange.home import SYSTEM, Home
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.outbox import Outbox
from mithaq.node.records.model import seal_in
from mithaq.service.logging import declare, logger
from mithaq.v1 import record_pb2

TASKS_AT_ONCE_MAX: Final = 256
DELAYED: Final = declare("erasure receipt delayed", "code")


@dataclass(slots=True)
class ErasureAnswers:
    """Pays what is owed; one run at a time."""

    home: Home
    outbox: Outbox

    async def pay(self) -> int:
        """Answer withdrawals that were carried out; return how many were."""
        items = await self.home.database.read(self._owed)
        if not items:
            return 0
        if not await empty_log(self.home.database):
            return 0
        paid = 0
        for outcome in await self.outbox.submit_all(items):
            if isinstance(outcome, Exception):
                logger().warning(DELAYED, code=getattr(outcome, "code", ""))
            else:
                paid += 1
        return paid

    def _owed(self, connection: sa.Connection) -> list[AnswerItem]:
        rows = connection.execute(
            sa.select(ERASURE_TASK, STREAM.c.stream_id, STREAM.c.sender, STREAM.c.agreement_id)
            .join(STREAM, STREAM.c.log_no == ERASURE_TASK.c.log_no)
            .order_by(ERASURE_TASK.c.log_no, ERASURE_TASK.c.sequence)
            .limit(TASKS_AT_ONCE_MAX)
        ).all()
        return [
            AnswerItem(
                peer=row.sender,
                agreement_id=row.agreement_id,
                record=seal_in(
                    record_pb2.Record(
                        erasure_receipt=record_pb2.ErasureReceipt(
                            disclosure=record_pb2.DisclosureName(
                                stream_id=row.stream_id, sequence=row.sequence
                            ),
                            member=self.home.member,
                            outcome=record_pb2.ErasureOutcome.ValueType(row.outcome),
                            done_at=row.done_at,
                            ground=row.ground,
                            retained_until=row.until,
                        )
                    )
                ),
                actor=SYSTEM,
                erasure=(row.log_no, row.sequence),
            )
            for row in rows
        ]
