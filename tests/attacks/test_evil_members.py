"""Members that lie in their own name, alone or in league with the hub."""

import os

import pytest

from mithaq.ledger.kinds import WithdrawReason, WithdrawScope
from mithaq.node.records.model import ParsedRecord, serialise
from mithaq.node.sealing.body import SealedBody
from mithaq.node.sealing.epoch import EpochSecret
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import verify_evidence
from mithaq.v1 import exchange_pb2
from tests.attacks.evil_member import EvilMember, receipt_over
from tests.attacks.world import CAIRO, GENEVA, TUNIS, World, third_party
from tests.exchange.nodes import next_version
from tests.federation import agreement
from tests.hub.running import Publisher, Reader


def evil(world: World, *readers: str) -> EvilMember:
    member = EvilMember(world.federation, GENEVA, readers)
    member.epoch()
    return member


def hub_evidence(world: World) -> list[Evidence]:
    folder = world.evil.hub.context.config.evidence
    files = sorted(folder.glob("*.json")) if folder.exists() else []
    return [Evidence.from_json(each.read_bytes()) for each in files]


async def refused(world: World, member: str, batch: exchange_pb2.Batch) -> str:
    """Return the code with which the honest hub refuses a member's batch."""
    publisher = Publisher(world.evil.node(member))
    await publisher.send(batch)
    return str((await publisher.answer("reject")).code)


async def test_a_sender_shows_two_readers_two_secrets_under_one_ciphertext(league: World) -> None:
    member = EvilMember(league.federation, GENEVA, (CAIRO, TUNIS))
    other = EpochSecret.of(os.urandom(64))
    member.epoch({TUNIS: other})
    record = member.alert()
    member.put(record)
    await member.publish(league.evil)
    live = f"alert_id = '{record.alert_id}' AND status = 'live'"
    await league.cairo.until_counted("node_record", live)
    evidence = await league.caught("commitment mismatch")
    # The entry commits to one secret; its reader signs that it was sealed another.
    assert (await league.evidence(TUNIS)).accused == GENEVA
    assert evidence.holds("entry_proof")
    assert evidence.holds("refusals")
    assert await league.tunis.count("node_record", f"alert_id = '{record.alert_id}'") == 0


async def test_a_sender_signs_one_sequence_twice(league: World) -> None:
    one, other = evil(league, TUNIS), EvilMember(league.federation, GENEVA, (TUNIS,))
    one.put(one.alert())
    await one.publish(league.evil)
    await league.tunis.until_counted("node_record", "status = 'live'")
    other.epoch()
    other.put(other.alert())
    assert await refused(league, GENEVA, other.writer.batch()) == "MQ-HUB-FORK"
    await league.unharmed()
    (found,) = hub_evidence(league)
    assert (found.alarm, found.accused) == ("fork", GENEVA)
    assert verify_evidence(found, third_party(league.federation)).contradictions
    assert await league.tunis.count("node_record", f"issuer = '{GENEVA}'") == 1


async def test_a_member_writes_to_anothers_stream(league: World) -> None:
    result = await league.send()
    await league.arrived(result)
    stream = result.disclosures[0].stream_id
    own = evil(league, TUNIS)
    batch = own.writer.batch()
    batch.stream_id = stream
    assert await refused(league, GENEVA, batch)
    await league.unharmed()
    # In league with the hub it reaches the reader, whom its signature doesn't deceive.
    own = EvilMember(league.federation, GENEVA, (TUNIS,), ordinal=10)
    own.epoch()
    told = own.headers(league.evil, own.writer.batch())
    told.headers.stream_id = stream
    await league.evil.tell(TUNIS, told)
    await league.caught("root mismatch")


async def test_a_member_uses_an_agreement_of_others(league: World) -> None:
    league.federation.agree(agreement(CAIRO, TUNIS, agreement_id="of-others"))
    await league.evil.order(league.federation.leaves[-1])
    size = len(league.federation.leaves)
    await league.tunis.until(lambda: league.tunis.home.registry.size == size)
    member = EvilMember(league.federation, GENEVA, (TUNIS,), agreement_id="of-others")
    member.epoch()
    member.put(member.alert())
    batch = member.writer.batch()
    told = member.headers(league.evil, batch)
    assert await refused(league, GENEVA, batch)
    await league.unharmed()
    await league.evil.tell(TUNIS, told)
    evidence = await league.caught("outside agreement")
    # Geneva signed the stream, and the hub let it in.
    assert evidence.holds("checkpoint")
    assert evidence.holds("acceptance")
    assert await league.tunis.count("node_record", f"issuer = '{GENEVA}'") == 0


async def test_a_member_widens_an_audience(league: World) -> None:
    league.federation.enrol("it-int")
    await league.evil.order(league.federation.leaves[-1])
    await league.join("it-int")
    member = EvilMember(league.federation, GENEVA, ("it-int", TUNIS))
    member.epoch()
    batch = member.writer.batch()
    told = member.headers(league.evil, batch)
    assert await refused(league, GENEVA, batch)
    await league.unharmed()
    await league.evil.tell("it-int", told)
    evidence = await league.caught("outside agreement", "it-int")
    assert evidence.holds("checkpoint")
    assert evidence.holds("acceptance")


async def test_a_reader_signs_for_what_it_does_not_hold(league: World) -> None:
    result = await league.send((GENEVA, TUNIS))
    await league.arrived(result)
    stream = result.disclosures[0].stream_id
    lie = receipt_over(league.federation, GENEVA, stream, size=3, root=os.urandom(32))
    reader = Reader(league.federation, league.evil.node(GENEVA), GENEVA)
    await reader.hello()
    await reader.call.write(exchange_pb2.SubscribeRequest(receipt=lie))
    assert (await reader.answer("reject")).code == "MQ-HUB-RECEIPT-CONFLICT"
    told = exchange_pb2.Receipts(receipts=[lie])
    await league.evil.tell(CAIRO, exchange_pb2.PublishResponse(receipts=told))
    evidence = await league.caught("receipt conflict", CAIRO)
    assert (await league.evidence(CAIRO)).accused == GENEVA
    (conflict,) = evidence.contradictions
    assert conflict.startswith("known_checkpoint and receipt name different roots")
    assert await league.cairo.count("node_receipt", f"reader = '{GENEVA}'") == 0


def as_theirs(member: EvilMember, issuer: str, alert_id: str) -> tuple[ParsedRecord, SealedBody]:
    """Return an alert of the member's, sealed as one of this issuer under an id of another."""
    record = member.alert()
    message = record.message
    message.alert.issuer, message.alert.alert_id = issuer, alert_id
    return record, member.seal(serialise(message))


async def cairos_alert(world: World) -> str:
    ((alert_id,),) = await world.tunis.query(
        f"SELECT alert_id FROM node_record WHERE issuer = '{CAIRO}'"  # noqa: S608
    )
    return str(alert_id)


async def opened(world: World, member: EvilMember) -> None:
    """Return when Tunis has signed for all of a member's stream."""
    stream = f"(SELECT log_no FROM node_stream WHERE stream_id = x'{member.stream_id.hex()}')"  # noqa: S608
    signed = f"log_no = {stream} AND role = 'opened' AND size = {member.writer.size}"
    await world.tunis.until_counted("node_receipt", signed)


@pytest.mark.parametrize("issuer", [CAIRO, GENEVA])
async def test_a_member_withdraws_the_record_of_another(league: World, issuer: str) -> None:
    result = await league.send()
    await league.arrived(result)
    member = evil(league, TUNIS)
    # It puts what it says to be that alert into a stream of its own, and takes it back.
    record, sealed = as_theirs(member, issuer, await cairos_alert(league))
    sequence = member.put(record, sealed=sealed)
    await member.publish(league.evil)
    await opened(league, member)
    member.writer.withdraw(sequence, scope=WithdrawScope.RECORD, reason=WithdrawReason.WITHDRAWN)
    await member.publish(league.evil)
    await opened(league, member)
    evidence = await league.caught("outside agreement")
    assert (await league.evidence(TUNIS)).accused == GENEVA
    assert evidence.holds("entry_proof")
    assert evidence.holds("refusals")
    assert await league.has(result)
    assert await league.tunis.count("node_tombstone") == 0


async def test_a_member_withdraws_the_record_of_another_before_anybody_reads_it(
    league: World,
) -> None:
    result = await league.send()
    await league.arrived(result)
    member = evil(league, TUNIS)
    record, sealed = as_theirs(member, CAIRO, await cairos_alert(league))
    sequence = member.put(record, sealed=sealed)
    member.writer.withdraw(sequence, scope=WithdrawScope.RECORD, reason=WithdrawReason.WITHDRAWN)
    await member.publish(league.evil)
    await opened(league, member)
    # The hub has erased the body for the WITHDRAW: nobody can know what it was, or is harmed.
    await league.unharmed()
    assert await league.has(result)
    assert await league.tunis.count("node_tombstone") == 0


async def withdrawn(league: World) -> tuple[EvilMember, ParsedRecord]:
    """Let Geneva send a record in two versions, and take it back."""
    member = evil(league, TUNIS)
    record = member.alert()
    sequence = member.put(record)
    await member.publish(league.evil)
    await league.tunis.until_counted("node_record", "status = 'live'")
    member.put(next_version(record), target=sequence)
    member.writer.withdraw(sequence, scope=WithdrawScope.RECORD, reason=WithdrawReason.EXECUTED)
    return member, record


async def lives(league: World, record: ParsedRecord) -> bool:
    live = f"alert_id = '{record.alert_id}' AND status = 'live'"
    return bool(await league.tunis.count("node_record", live))


async def test_a_member_sends_an_old_version_after_its_withdrawal(league: World) -> None:
    member, record = await withdrawn(league)
    again = member.put(record)
    await member.publish(league.evil)
    await opened(league, member)
    evidence = await league.caught("outside agreement")
    assert (await league.evidence(TUNIS)).accused == GENEVA
    # Both stand in one stream, whose order Geneva signed; and Tunis stands by its word.
    assert all(each.holds for each in evidence.statements), evidence.statements
    assert evidence.holds("entry_proof")
    assert evidence.holds("withdrawal_entry_proof")
    assert evidence.holds("refusals")
    assert await league.tunis.count("node_refusal", f"sequence = {again}") == 1
    assert not await lives(league, record)


async def test_a_member_sends_an_old_version_by_another_stream_than_withdrew_it(
    league: World,
) -> None:
    member, record = await withdrawn(league)
    await member.publish(league.evil)
    await opened(league, member)
    other = EvilMember(league.federation, GENEVA, (TUNIS,), ordinal=10)
    other.epoch()
    again = other.put(record)
    await other.publish(league.evil)
    await opened(league, other)
    # Refused all the same (PROTOCOL 3.6); but it may have been put there before (ADR 0025).
    await league.unharmed()
    assert await league.tunis.count("node_refusal", f"sequence = {again}") == 1
    assert not await lives(league, record)
