"""A federation whose days pass as a test asks, and a hub that keeps what nobody fetches.

`Days` moves the clocks of nodes and registrar together, and delivers as an honest hub does
when somebody comes back. It is no network and no process: what takes forty days is over in
a second.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mithaq.certs import acts
from mithaq.certs.entries import EntrySigner
from mithaq.certs.keys import ReceptionKey
from mithaq.node.exchange import housekeeping
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.receipts import to_message
from mithaq.node.exchange.reception import destroy_spent, due_announcement, note_announced
from mithaq.node.records.model import ParsedRecord
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, accept
from tests.exchange.test_answers import take
from tests.exchange.test_late_joiner import catch_up
from tests.federation import Federation

DAY = timedelta(days=1)
SOON = timedelta(seconds=30)


@dataclass
class Days:
    """A sender that works every day, and a reader that is away."""

    federation: Federation
    sender: Desk
    reader: Desk
    kept_for_reader: list[Batch] = field(default_factory=list[Batch])
    issued: list[ParsedRecord] = field(default_factory=list[ParsedRecord])
    ahead: timedelta = timedelta()

    def at(self) -> datetime:
        """Return the time by everybody's clock."""
        return self.sender.clock().replace(microsecond=0)

    def pass_time(self, by: timedelta) -> None:
        """Move the clocks of both nodes on."""
        self.ahead += by
        self.sender.clock.ahead = self.reader.clock.ahead = self.ahead

    def learn(self, desk: Desk) -> None:
        """Replay the registry, whose newest time is now."""
        home = desk.home
        leaves = self.federation.leaves[home.registry.size :]
        note = self.federation.checkpoint(at=self.at())
        home.database.write_sync(lambda each: home.trust.extend(each, leaves, note))
        home.database.write_sync(lambda each: note_announced(each, home))
        desk.settle()

    def announce(self, member: str) -> None:
        """Let another member announce a key today, as a node does every week."""
        agency = self.federation.agencies[member]
        agency.reception = ReceptionKey.generate()
        act = acts.ReceptionKeyAnnounced(member, agency.reception.public)
        self.federation.enter(act, [EntrySigner.log(member, agency.log)], at=self.at())

    def issue(self) -> ParsedRecord:
        """Issue an alert for everybody who may have it today."""
        record = self.sender.alert()
        self.sender.done(IssueItem(record, None, None, OFFICER))
        self.issued.append(record)
        self.hand_over()
        return record

    def hand_over(self) -> None:
        """Let the hub accept what the sender has signed, and keep it for the reader."""
        batches = self.sender.take_batches()
        accept(self.sender, *batches)
        self.kept_for_reader += batches

    def look_for_what_is_overdue(self) -> list[str]:
        """Have the sender look; return whose receipts are overdue."""
        home = self.sender.home
        home.database.write_sync(
            lambda each: housekeeping.check_receipts(each, home, at=self.sender.clock())
        )
        rows = self.sender.rows("SELECT subject FROM node_alarm WHERE lifted_at_ms IS NULL")
        return sorted({str(subject).split("/")[1] for (subject,) in rows})

    def come_back(self) -> None:
        """Let the reader learn the registry, announce a key if one is due, and fetch all."""
        self.learn(self.reader)
        self.announce_if_due()
        self.fetch()

    def announce_if_due(self) -> None:
        """Let the reader's own announcement reach the registry."""
        home = self.reader.home
        entry = home.database.write_sync(
            lambda each: due_announcement(each, home, at=self.reader.clock())
        )
        if entry is not None:
            self.federation.registry.apply(entry)
            self.federation.leaves.append(entry)
            self.learn(self.reader)

    def fetch(self) -> None:
        """Deliver what the hub keeps for the reader, and its receipts to the sender."""
        kept, self.kept_for_reader = self.kept_for_reader, []
        for batch in kept:
            opened = self.reader.receive(batch).receipts
            take(
                self.sender,
                *(to_message(each.receipt) for each in opened),
                lists=[signed for each in opened for signed in each.lists],
            )

    def catch_up(self) -> int:
        """Let the sender see the new key and tell what the reader missed; deliver it."""
        for desk in (self.sender, self.reader):
            self.learn(desk)
        told = catch_up(self.sender)
        self.hand_over()
        self.fetch()
        return told

    def destroyed(self) -> list[bytes]:
        """Have the reader destroy keys that are spent; return their ids."""
        home = self.reader.home
        return home.database.write_sync(
            lambda each: destroy_spent(each, home, at=self.reader.clock())
        )

    def readable(self) -> list[str]:
        """Return the ids of all alerts that the reader can show, once for each row."""
        rows = self.reader.rows(
            "SELECT alert_id FROM node_record WHERE status = 'live' AND body IS NOT NULL"
            " ORDER BY alert_id"
        )
        return [str(alert_id) for (alert_id,) in rows]

    def alarms(self) -> list[tuple[object, ...]]:
        """Return what the reader is alarmed about."""
        return self.reader.rows("SELECT name, subject FROM node_alarm")
