"""A sender and a reader in a process that is to be killed; then what is left is checked.

`work FOLDER` issues, updates, withdraws and receives for ever, and prints every answer.
`check FOLDER` opens the same folder again, lets the reader catch up, and prints what it
finds as JSON. Run by test_killed.py; the keys lie in the folder, they guard nothing.
"""

import asyncio
import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SigningPair
from mithaq.ledger.checkpoint import parse_checkpoint_text
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.entry import WithdrawReason
from mithaq.ledger.note import parse_note
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import Act, ActResult, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.home import Home
from mithaq.node.exchange.in_stream import with_bodies
from mithaq.node.exchange.inbox import ArrivedHeaders, hold_headers
from mithaq.node.exchange.judge import HeaderPiece
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.outbox import Outbox
from mithaq.node.exchange.receipts import ReceiptSigners
from mithaq.node.exchange.reception import keep_key, load_keys
from mithaq.node.exchange.reconcile import reconcile
from mithaq.node.exchange.sending import Sendable, read_sendable
from mithaq.node.exchange.unsealing import open_bodies
from mithaq.node.lookup.keys import IndexKey
from mithaq.node.records.synthetic import made_up_alert
from mithaq.node.sealing.at_rest import StorageKey
from mithaq.store import log_store, migrations
from mithaq.store.audit import AuditLog
from mithaq.store.engine import open_database
from mithaq.store.registry_store import RegistryStore
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import CHANCE, MIGRATIONS, OFFICER, Clock, next_version
from tests.federation import Federation, agreement

SENDER, READER = "eg-moi", "tn-dgsn"


def found(folder: Path) -> None:
    """Write the keys and the registry of a new federation into the folder."""
    federation = Federation.found()
    federation.enrol(SENDER, READER)
    hub = federation.enrol_hub()
    federation.agree(agreement(SENDER, READER))
    kept: dict[str, Any] = {
        "name": federation.name,
        "pin": federation.pin,
        "leaves": federation.leaves,
        "checkpoint": federation.checkpoint(),
        "hub": hub.cosigning.to_bytes(),
    }
    for member, agency in federation.agencies.items():
        kept[member] = [
            agency.log.to_bytes(),
            agency.held.to_bytes(),
            agency.opened.to_bytes(),
            agency.receipt_mldsa.to_bytes(),
            agency.reception.to_bytes(),
        ]
    (folder / "keys").write_bytes(pickle.dumps(kept))


def home_of(folder: Path, kept: dict[str, Any], member: str) -> Home:
    """Open a member's node as it stands in the folder."""
    log, held, opened, mldsa, reception = kept[member]
    database = open_database(f"sqlite:///{folder / member}.db")
    migrations.upgrade(database, MIGRATIONS)
    clock = Clock()

    def trusted(connection: sa.Connection) -> RegistryStore:
        if log_store.find_log(connection, f"{kept['name']}/registry") is None:
            return RegistryStore.found(
                connection, genesis_leaf=kept["leaves"][0], genesis_hash=kept["pin"]
            )
        return RegistryStore.load(connection, federation=kept["name"], genesis_hash=kept["pin"])

    trust = database.write_sync(trusted)
    audit = database.write_sync(
        lambda each: AuditLog.open(each, federation=kept["name"], party=member)
    )
    home = Home(
        federation=kept["name"],
        member=member,
        database=database,
        trust=trust,
        audit=audit,
        log=SigningPair.from_bytes(log),
        receipts=ReceiptSigners(
            Ed25519Key.from_bytes(held), Ed25519Key.from_bytes(opened), MlDsa44Key.from_bytes(mldsa)
        ),
        storage=StorageKey(bytes(32)),
        index_key=IndexKey(bytes(32)),
        evidence=folder / f"{member}-evidence",
        clock=clock,
        random=os.urandom,
    )
    fresh = kept["leaves"][trust.registry.size :]
    database.write_sync(lambda each: trust.extend(each, fresh, kept["checkpoint"]))
    key = ReceptionKey.from_bytes(reception)
    database.write_sync(lambda each: keep_key(each, home, key, at=clock()))
    return home


def say(word: str, *values: object) -> None:
    # Read by the test that kills this process.
    sys.stdout.write(" ".join(map(str, (word, *values))) + "\n")
    sys.stdout.flush()


async def work(sender: Home, reader: Home, hub: SigningPair) -> None:
    """Do one thing after the other until somebody kills us."""
    outbox = Outbox(sender, lambda _: None)
    sender.database.write_sync(lambda each: reconcile(each, sender, at=sender.clock()))
    while True:
        records = [
            made_up_alert(CHANCE, issuer=SENDER, category="ARREST", at=sender.clock())
            for _ in range(8)
        ]
        acts: list[Act] = [IssueItem(each, None, None, OFFICER) for each in records]
        for act, outcome in zip(acts, await outbox.submit_all(acts), strict=True):
            assert isinstance(outcome, ActResult), outcome
            say("issued", act.subject)
        await outbox.update(UpdateItem(next_version(records[0]), OFFICER))
        say("updated", records[0].alert_id)
        await outbox.withdraw(WithdrawItem(records[1].alert_id, WithdrawReason.WITHDRAWN, OFFICER))
        say("withdrawn", records[1].alert_id)
        receive(sender, reader, hub)


def pending(sender: Home) -> Iterator[Sendable]:
    """Yield what the hub has not accepted, as the sender's disk has it."""
    streams = sender.database.read_sync(
        lambda each: each.execute(sa.select(STREAM).where(STREAM.c.own.is_(True))).all()
    )
    for stream in streams:
        start = stream.accepted_size
        while (piece := next_of(sender, stream.log_no, stream.stream_id, start)) is not None:
            yield piece
            start = piece.size


def next_of(sender: Home, log_no: int, stream_id: bytes, start: int) -> Sendable | None:
    return sender.database.read_sync(
        lambda each: read_sendable(each, sender, log_no, stream_id=stream_id, start=start)
    )


def receive(sender: Home, reader: Home, hub: SigningPair) -> None:
    """Carry what is pending to the reader, and its acceptance to the sender."""
    for piece in list(pending(sender)):
        carry(piece, sender, reader, hub)


def carry(piece: Sendable, sender: Home, reader: Home, hub: SigningPair) -> None:
    at = reader.clock()
    line = cosign_ed25519(
        parse_checkpoint_text(parse_note(piece.checkpoint).text),
        name=cosigner_name(reader.federation, Role.HUB, "hub"),
        signer=hub.ed25519,
        at=at,
    ).line()
    headers = HeaderPiece(piece.stream_id, piece.first_sequence, piece.runs, piece.checkpoint, line)
    held = reader.database.write_sync(
        lambda each: hold_headers(each, reader, [ArrivedHeaders(headers, ())], at=at)
    )
    assert not held.failed, held.failed
    opened = reader.database.write_sync(
        lambda each: open_bodies(
            each, reader, [bodies_of(piece)], reception=load_keys(each, reader), at=at
        )
    )
    assert not opened.failed, opened.failed
    accepted = exchange_pb2.Acceptance(stream_id=piece.stream_id, size=piece.size, cosignature=line)
    faults = sender.database.write_sync(
        lambda each: keep_answers(each, sender, Answers([accepted], []), at=at)
    )
    assert not faults, faults


def bodies_of(piece: Sendable) -> ArrivedBodies:
    sequences = [each.sequence for run in piece.runs for each in with_bodies(run)]
    bodies = dict(zip(sequences, piece.bodies, strict=True))
    return ArrivedBodies(piece.stream_id, piece.size, bodies, {})


def check(sender: Home, reader: Home, hub: SigningPair) -> dict[str, Any]:
    """Return what stands in both databases, after the reader has caught up."""
    for home in (sender, reader):
        home.database.read_sync(
            lambda each: [
                log_store.check_log(each, log) for log in log_store.list_logs(each).values()
            ]
        )
    receive(sender, reader, hub)
    rows = "SELECT alert_id, version, status FROM node_record ORDER BY alert_id, version"
    ask = "SELECT count(*) FROM node_disclosure GROUP BY record_no HAVING count(*) > 1"

    def look(home: Home, statement: str) -> list[list[Any]]:
        found = home.database.read_sync(lambda each: each.exec_driver_sql(statement).all())
        return [list(row) for row in found]

    heads = "SELECT origin, size, hex(root) FROM log WHERE origin LIKE '%/stream/%' ORDER BY origin"
    return {
        "sent": look(sender, rows),
        "received": look(reader, rows),
        "twice": look(sender, ask) + look(reader, ask),
        "heads": [look(sender, heads), look(reader, heads)],
        "alarms": look(sender, "SELECT name FROM node_alarm")
        + look(reader, "SELECT name FROM node_alarm"),
        "acts": look(sender, "SELECT size FROM log WHERE origin LIKE '%/audit/%'"),
    }


def main() -> None:
    mode, folder = sys.argv[1], Path(sys.argv[2])
    if not (folder / "keys").exists():
        found(folder)
    kept = pickle.loads((folder / "keys").read_bytes())  # noqa: S301 - our own file
    sender, reader = home_of(folder, kept, SENDER), home_of(folder, kept, READER)
    hub = SigningPair.from_bytes(kept["hub"])
    say("ready")
    if mode == "work":
        asyncio.run(work(sender, reader, hub))
    else:
        say(json.dumps(check(sender, reader, hub)))


if __name__ == "__main__":
    main()
