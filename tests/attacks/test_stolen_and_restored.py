"""A backup that signs, and keys in the wrong hands."""

import asyncio
import dataclasses
import shutil
from pathlib import Path

from mithaq.certs.keys import Ed25519Key, SigningPair
from mithaq.ledger.checkpoint import parse_checkpoint_text
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.note import parse_note
from mithaq.node.exchange import outbox
from mithaq.node.exchange.acts import IssueItem
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import verify_evidence
from mithaq.v1 import exchange_pb2
from tests.attacks.evil_member import EvilMember
from tests.attacks.test_evil_members import hub_evidence, refused
from tests.attacks.world import ATTACKED, CAIRO, GENEVA, OTHER, QUICK, TUNIS, World, third_party
from tests.exchange.nodes import OFFICER, Node
from tests.federation import now
from tests.hub.running import Reader

KEY_ELSEWHERE, CONFLICT = "key used elsewhere", "receipt conflict"
AUDIT_SHORTER = "audit shorter than witnessed"


async def copied(node: Node, to: Path) -> None:
    await asyncio.to_thread(node.home.database.truncate_wal)
    shutil.copy(node.folder / "node.db", to)


async def witnessed(node: Node) -> None:
    """Return when the hub has cosigned all of a node's audit log, up to a second after it grew."""
    home = node.home
    size = await home.database.read(lambda each: home.audit.head(each).size)
    await node.until(lambda: node.session.witness.known_size >= size)


async def restored(world: World, backup: Path) -> Node:
    """Return Cairo's node as its backup remembers it, which has signed before it asked."""
    folder = world.folder / "restored"
    folder.mkdir()
    shutil.copy(backup, folder / "node.db")
    node = Node(
        world.federation,
        CAIRO,
        folder,
        clock=world.clock,
        intervals=QUICK,
        storage=world.cairo.storage,
    ).open()
    world.stack.callback(node.close)
    item = IssueItem(node.alert(), None, ATTACKED, OFFICER)
    await outbox.Outbox(node.home, lambda _: None).issue([item])
    return node


async def end(node: Node) -> None:
    node.running.cancel()
    await asyncio.gather(node.running, return_exceptions=True)


async def test_a_restored_backup_signs(world: World) -> None:
    await world.begun()
    backup = world.folder / "backup.db"
    await copied(world.cairo, backup)
    true = await world.send()
    await world.arrived(true)
    await world.settled()
    await end(world.cairo)
    again = await restored(world, backup)
    await world.stack.enter_async_context(again.session_to(lambda: world.evil.front))
    await again.until(lambda: again.session.outbox.halted)
    assert await again.count("node_alarm", f"name = '{KEY_ELSEWHERE}'") == 1
    names = {str(name) for (name,) in await again.query("SELECT name FROM node_alarm")}
    assert names == {KEY_ELSEWHERE}
    (file,) = again.home.evidence.iterdir()
    verified = verify_evidence(Evidence.from_json(file.read_bytes()), third_party(world.federation))
    (fork,) = verified.contradictions
    assert "checkpoint and known_checkpoint name different roots" in fork
    # What the others have stands, and they go on with one another.
    assert await world.has(true)
    (sent,) = await world.tunis.issue(recipients=(GENEVA,))
    await world.arrived(sent, GENEVA)


async def test_a_restored_backup_signs_and_the_hub_hides_its_heads(world: World) -> None:
    await world.begun()
    backup = world.folder / "backup.db"
    await copied(world.cairo, backup)
    true = await world.send()
    await world.arrived(true)
    await world.settled()
    await witnessed(world.cairo)
    await end(world.cairo)

    def nothing(member: str, response: object) -> object:
        hides = member == CAIRO and isinstance(response, exchange_pb2.ListHeadsResponse)
        return exchange_pb2.ListHeadsResponse() if hides else response

    world.evil.answer = nothing
    again = await restored(world, backup)
    await world.stack.enter_async_context(again.session_to(lambda: world.evil.front))
    # Its audit log was witnessed. Readers' receipts are over another history, and are a
    # conflict once it has signed as far as they reach: not in every run within this time.
    await again.until_counted("node_alarm", f"name = '{AUDIT_SHORTER}'")
    names = {str(name) for (name,) in await again.query("SELECT name FROM node_alarm")}
    assert names <= {AUDIT_SHORTER, CONFLICT}
    # No reader was brought to take the second history.
    assert await world.alarms() == {}
    assert await world.tunis.count("node_record", "own = 0") == 2
    assert await world.has(true)
    (sent,) = await world.tunis.issue(recipients=(GENEVA,))
    await world.arrived(sent, GENEVA)


def forged(headers: exchange_pb2.Headers, world: World) -> exchange_pb2.Receipt:
    """Return Geneva's `held` over the very head that came, by a key that is not Geneva's."""
    head = parse_checkpoint_text(parse_note(headers.checkpoint).text)
    line = cosign_ed25519(
        head,
        name=cosigner_name(world.federation.name, Role.HELD, GENEVA),
        signer=Ed25519Key.generate(),
        at=now(),
    )
    return exchange_pb2.Receipt(
        stream_id=headers.stream_id,
        reader=GENEVA,
        role=exchange_pb2.RECEIPT_ROLE_HELD,
        size=head.size,
        root=head.root,
        cosignature=line.line(),
    )


async def reads_nothing(world: World) -> None:
    """Listen by Geneva's TLS identity: headers, which say little, and no body for a forgery."""
    reader = Reader(world.federation, world.evil.node(GENEVA), GENEVA)
    await reader.hello()
    headers = await reader.answer("headers")
    await reader.call.write(exchange_pb2.SubscribeRequest(receipt=forged(headers, world)))
    assert (await reader.answer("reject")).code == "MQ-LEDGER-SIGNATURE-MISSING"
    assert "bodies" not in await reader.silence()


async def caught_at_the_hub(world: World, message: str) -> None:
    """Check the hub's one alarm, which shows what Geneva did not sign, and that all go on."""
    await world.unharmed()
    (found,) = hub_evidence(world)
    assert (found.alarm, found.accused) == (KEY_ELSEWHERE, GENEVA)
    verified = verify_evidence(found, third_party(world.federation))
    assert [(each.message, each.holds) for each in verified.statements] == [(message, False)]
    assert verified.contradictions == ()


async def test_a_thief_of_a_tls_key_signs_and_reads_nothing(league: World) -> None:
    result = await league.send(OTHER)
    await league.arrived(result)
    for ordinal in (9, 10):
        thief = EvilMember(league.federation, GENEVA, (TUNIS,), ordinal=ordinal)
        agency = league.federation.agencies[GENEVA]
        thief.writer.agency = dataclasses.replace(agency, log=SigningPair.generate())
        thief.epoch()
        assert await refused(league, GENEVA, thief.writer.batch()) == "MQ-LEDGER-SIGNATURE-MISSING"
    await reads_nothing(league)
    # However much it tries: once a day.
    await caught_at_the_hub(league, "checkpoint")
    assert await league.tunis.count("node_record", f"issuer = '{GENEVA}'") == 0


async def test_a_thief_of_a_tls_key_forges_receipts_alone(league: World) -> None:
    result = await league.send(OTHER)
    await league.arrived(result)
    await reads_nothing(league)
    await caught_at_the_hub(league, "receipt")
    assert await league.cairo.count("node_receipt", f"reader = '{GENEVA}'") == 0
