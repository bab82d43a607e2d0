"""A bundle proves what it says to whoever holds the registry's public keys, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mithaq.certs.errors import GenesisMismatchError
from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role
from mithaq.ledger.tree import Frontier
from mithaq.store import audit_export
from mithaq.store.audit import AuditLog, root_at
from mithaq.store.audit_bundle import (
    BundleKeys,
    Witness,
    registry_of,
    sign_bundle,
    verify_bundle,
)
from mithaq.store.audit_entry import Operation
from mithaq.store.audit_export import Signed, export_bundle, stream_evidence
from mithaq.store.audit_wire import Bundle, Side, SignedBytes, StreamEvidence, decode_bundle
from mithaq.store.engine import Database
from mithaq.store.errors import BundleInvalidError, LogRangeError
from mithaq.store.log_store import append, create_log, set_checkpoint
from mithaq.store.registry_store import RegistryStore
from mithaq.v1 import audit_pb2
from tests.federation import Federation
from tests.store.bundles import (
    NOW,
    READER,
    SENDER,
    STREAM_ID,
    THIRD,
    act,
    both_ends,
    entry_hashes,
    receipt,
    small_federation,
    stream_head,
)

Spoil = Callable[[Bundle], Bundle]


@pytest.fixture(scope="module")
def federation() -> Federation:
    return small_federation()


def test_a_bundle_proves_its_entries_witnesses_and_streams(federation: Federation) -> None:
    sender, _ = both_ends(federation)
    verified = sender.verified()
    assert verified.entries == tuple(sender.entries)
    assert verified.is_whole
    assert verified.witnesses == (Witness("test.example/hub/hub", NOW),) * 2
    (stream,) = verified.streams
    assert stream.checkpoint.checkpoint == stream_head(federation, sender.hashes)
    assert [(each.reader, each.role, each.size) for each in stream.receipts] == [
        (READER, Role.HELD, 20),
        (READER, Role.OPENED, 20),
    ]
    assert stream.contradictions == ()


def test_a_bundle_is_told_from_one_without_witnesses(federation: Federation) -> None:
    sender, _ = both_ends(federation)
    alone = sign_bundle(replace(sender.bundle(), cosignatures=()), sender.agency.log)
    assert verify_bundle(alone, BundleKeys.of(federation.registry)).witnesses == ()


def store_registry(database: Database, federation: Federation) -> None:
    """Keep the federation's registry as a node does."""
    store = database.write_sync(
        lambda c: RegistryStore.found(
            c, genesis_leaf=federation.leaves[0], genesis_hash=federation.pin
        )
    )
    note = federation.checkpoint()
    database.write_sync(lambda c: store.extend(c, federation.leaves[1:], note))


def signed_by(federation: Federation, origin: str, entries: tuple[bytes, ...]) -> bytes:
    """Return a checkpoint of another size and root under the sender's log key."""
    log = federation.agencies[SENDER].log
    head = Checkpoint(origin, len(entries), bytes(32))
    return sign_checkpoint(head, ed25519=log.ed25519, mldsa=log.mldsa, at=NOW)


def spoilt_stream(change: Callable[[StreamEvidence], StreamEvidence]) -> Spoil:
    return lambda bundle: replace(bundle, streams=(change(bundle.streams[0]),))


FORGED_ENTRY = act(Operation.CONSULT, (7,)).to_bytes()
SPOILS: dict[str, Spoil] = {
    "an entry changed": lambda b: replace(b, entries=(FORGED_ENTRY, *b.entries[1:])),
    "an entry left out": lambda b: replace(b, entries=b.entries[:-1]),
    "an entry added": lambda b: replace(b, entries=(*b.entries, FORGED_ENTRY)),
    "entries in another order": lambda b: replace(b, entries=b.entries[::-1]),
    "a frontier before the first": lambda b: replace(b, first_index=1, frontier=(bytes(32),)),
    "a frontier of another size": lambda b: replace(b, first_index=2, frontier=()),
    "a proof too much": lambda b: replace(b, consistency=(bytes(32),)),
    "another log of the owner": lambda b: replace(b, origin=f"{b.origin}/2"),
    "a log of somebody else": lambda b: replace(b, origin=b.origin.replace(SENDER, READER)),
    "an owner who is nobody": lambda b: replace(b, owner="xx-nobody"),
    "no entry of its form": lambda b: replace(b, entries=(b"\xff", *b.entries[1:])),
    "a stream head of nobody's": spoilt_stream(lambda s: replace(s, sender=THIRD)),
    "a stream under another id": spoilt_stream(lambda s: replace(s, stream_id=bytes(32))),
    "leaf hashes of another stream": spoilt_stream(
        lambda s: replace(s, leaf_hashes=b"".join(entry_hashes(20, forked_from=3)))
    ),
    "leaf hashes cut short": spoilt_stream(lambda s: replace(s, leaf_hashes=s.leaf_hashes[:-32])),
    "leaf hashes of odd length": spoilt_stream(lambda s: replace(s, leaf_hashes=b"odd")),
    "a receipt of no reader": spoilt_stream(lambda s: replace(s, audience=(THIRD,))),
    "a receipt of another size": spoilt_stream(
        lambda s: replace(s, receipts=(replace(s.receipts[0], size=19),))
    ),
    "a receipt of another role": spoilt_stream(
        lambda s: replace(s, receipts=(replace(s.receipts[0], role=Role.OPENED),))
    ),
    "a receipt of another reader": spoilt_stream(
        lambda s: replace(s, receipts=(replace(s.receipts[0], reader=THIRD),))
    ),
    "a receipt whose second line is another's": spoilt_stream(
        lambda s: replace(
            s, receipts=(replace(s.receipts[0], cosignature_mldsa=s.receipts[1].cosignature),)
        )
    ),
    "a receipt whose refusals are stripped": spoilt_stream(
        lambda s: replace(s, receipts=(replace(s.receipts[1], refusals_head=b""),))
    ),
    "a receipt of other refusals": spoilt_stream(
        lambda s: replace(s, receipts=(replace(s.receipts[1], refusals_head=bytes(32)),))
    ),
    "a cosignature by a reader": lambda b: replace(
        b, cosignatures=(b.streams[0].receipts[0].cosignature,)
    ),
}


@pytest.mark.parametrize("name", SPOILS)
def test_whatever_is_spoilt_before_signing_is_found(federation: Federation, name: str) -> None:
    sender, _ = both_ends(federation)
    keys = BundleKeys.of(federation.registry)
    with pytest.raises(BundleInvalidError):
        verify_bundle(sign_bundle(SPOILS[name](sender.bundle()), sender.agency.log), keys)


def test_a_checkpoint_over_another_root_is_found(federation: Federation) -> None:
    sender, _ = both_ends(federation)
    bundle = sender.bundle()
    note = signed_by(federation, bundle.origin, bundle.entries)
    data = sign_bundle(replace(bundle, checkpoint=note, cosignatures=()), sender.agency.log)
    with pytest.raises(BundleInvalidError, match="two roots"):
        verify_bundle(data, BundleKeys.of(federation.registry))


def test_a_cosignature_over_another_checkpoint_is_found(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    with pytest.raises(BundleInvalidError):
        verify_bundle(
            sign_bundle(
                replace(sender.bundle(), cosignatures=reader.bundle().cosignatures),
                sender.agency.log,
            ),
            BundleKeys.of(federation.registry),
        )


def test_a_bundle_signed_by_another_than_its_owner_is_found(federation: Federation) -> None:
    sender, reader = both_ends(federation)
    for signer in (reader.agency.log, SigningPair.generate()):
        data = sign_bundle(sender.bundle(), signer)
        with pytest.raises(BundleInvalidError, match="not signed by its owner"):
            verify_bundle(data, BundleKeys.of(federation.registry))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)
@given(position=st.integers(0, 100_000), flip=st.integers(1, 255))
def test_every_flipped_byte_of_the_file_is_found(
    federation: Federation, position: int, flip: int
) -> None:
    sender, _ = both_ends(federation, size=3)
    data = bytearray(sender.signed())
    data[position % len(data)] ^= flip
    with pytest.raises(BundleInvalidError):
        verify_bundle(bytes(data), BundleKeys.of(federation.registry))


def no_instant(message: audit_pb2.AuditBundle) -> bytes:
    message.exported_at_us = 2**63 - 1
    return message.SerializeToString(deterministic=True)


def receipt_of_another_stream(message: audit_pb2.AuditBundle) -> bytes:
    message.streams[0].receipts[0].stream_id = bytes(32)
    return message.SerializeToString(deterministic=True)


def unknown_field(message: audit_pb2.AuditBundle) -> bytes:
    # Field 99, varint 1.
    return message.SerializeToString(deterministic=True) + bytes([0x98, 0x06, 0x01])


@pytest.mark.parametrize(
    ("spell", "reason"),
    [
        (no_instant, "9999"),
        (receipt_of_another_stream, "another stream"),
        (unknown_field, "one spelling"),
    ],
)
def test_what_only_bytes_can_say_is_found_though_its_owner_signed_it(
    federation: Federation, spell: Callable[[audit_pb2.AuditBundle], bytes], reason: str
) -> None:
    sender, _ = both_ends(federation, size=3)
    data = spell(audit_pb2.AuditBundle.FromString(SignedBytes.from_bytes(sender.signed()).bundle))
    signature = sender.agency.log.sign(b"mithaq/audit-bundle/v1" + data)
    file = SignedBytes(data, signature.ed25519, signature.mldsa44).to_bytes()
    with pytest.raises(BundleInvalidError, match=reason):
        verify_bundle(file, BundleKeys.of(federation.registry))


def test_a_bundle_beyond_its_limit_is_not_read(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, _ = both_ends(federation, size=3)
    data = sender.signed()
    monkeypatch.setattr("mithaq.store.audit_bundle.BUNDLE_SIZE_BYTES_MAX", len(data))
    verify_bundle(data, BundleKeys.of(federation.registry))
    monkeypatch.setattr("mithaq.store.audit_bundle.BUNDLE_SIZE_BYTES_MAX", len(data) - 1)
    with pytest.raises(BundleInvalidError, match="at most"):
        verify_bundle(data, BundleKeys.of(federation.registry))


@given(st.binary(max_size=300))
def test_hostile_bytes_are_no_bundle(data: bytes) -> None:
    with pytest.raises(BundleInvalidError):
        decode_bundle(data)
    with pytest.raises(BundleInvalidError):
        SignedBytes.from_bytes(data)


def test_a_receipt_over_another_view_is_shown_as_a_contradiction(federation: Federation) -> None:
    sender, _ = both_ends(federation)
    other = receipt(federation, entry_hashes(12, forked_from=9))
    sender.receipts.append(other)
    (stream,) = sender.verified().streams
    assert stream.contradictions == (other,)


def test_receipts_at_many_sizes_are_each_compared_in_whatever_order(
    federation: Federation,
) -> None:
    """Each leaf is hashed once: else few receipts over a long stream would take hours."""
    sender, _ = both_ends(federation)
    others = [receipt(federation, entry_hashes(size, forked_from=2)) for size in (18, 5)]
    right = [receipt(federation, entry_hashes(size)) for size in (15, 3, 1, 12)]
    sender.receipts += [others[0], *right, others[1]]
    (stream,) = sender.verified().streams
    assert stream.contradictions == tuple(others)


class TestEveryExport:
    """Exports from a store; the contract of `export_bundle`."""

    @pytest.fixture
    def log(self, database: Database, federation: Federation) -> AuditLog:
        """The sender's log: 700 entries, signed at 500 and at 700."""
        log = database.write_sync(
            lambda c: AuditLog.open(c, federation=federation.name, party=SENDER)
        )
        signer = federation.agencies[SENDER].log
        for start, end in ((0, 500), (500, 700)):
            entries = [act(Operation.CONSULT, (n,)) for n in range(start, end)]
            database.write_sync(partial(log.append, entries=entries))
            database.write_sync(lambda c: log.checkpoint(c, signer=signer, at=NOW))
        return log

    def export(
        self,
        database: Database,
        federation: Federation,
        log: AuditLog,
        *,
        first_index: int = 0,
        checkpoint: Signed | None = None,
        streams: Sequence[StreamEvidence] = (),
    ) -> bytes:
        return database.read_sync(
            lambda c: export_bundle(
                c,
                log,
                signer=federation.agencies[SENDER].log,
                at=NOW,
                first_index=first_index,
                checkpoint=checkpoint,
                streams=streams,
            )
        )

    def test_a_whole_log_is_exported_and_verifies(
        self, database: Database, federation: Federation, log: AuditLog
    ) -> None:
        data = self.export(database, federation, log)
        verified = verify_bundle(data, BundleKeys.of(federation.registry))
        assert verified.is_whole
        assert len(verified.entries) == 700

    @pytest.mark.parametrize("first_index", [1, 255, 256, 499, 699])
    def test_a_part_from_anywhere_verifies_alone(
        self, database: Database, federation: Federation, log: AuditLog, first_index: int
    ) -> None:
        data = self.export(database, federation, log, first_index=first_index)
        verified = verify_bundle(data, BundleKeys.of(federation.registry))
        assert not verified.is_whole
        assert (verified.first_index, len(verified.entries)) == (first_index, 700 - first_index)

    def test_a_part_that_ends_before_the_checkpoint_proves_its_place(
        self,
        database: Database,
        federation: Federation,
        log: AuditLog,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(audit_export, "ENTRIES_PER_BUNDLE_MAX", 300)
        data = self.export(database, federation, log, first_index=100)
        verified = verify_bundle(data, BundleKeys.of(federation.registry))
        assert (len(verified.entries), verified.is_whole) == (300, False)
        bundle = decode_bundle(SignedBytes.from_bytes(data).bundle)
        forged = replace(bundle, entries=(*bundle.entries[:-1], FORGED_ENTRY))
        with pytest.raises(BundleInvalidError):
            verify_bundle(
                sign_bundle(forged, federation.agencies[SENDER].log),
                BundleKeys.of(federation.registry),
            )

    def test_an_older_checkpoint_that_was_witnessed_can_be_exported(
        self, database: Database, federation: Federation, log: AuditLog
    ) -> None:
        signer = federation.agencies[SENDER].log
        root = database.read_sync(lambda c: root_at(c, log.log, 500))
        note = sign_checkpoint(
            Checkpoint(log.origin, 500, root), ed25519=signer.ed25519, mldsa=signer.mldsa, at=NOW
        )
        data = self.export(database, federation, log, checkpoint=Signed(note))
        assert len(verify_bundle(data, BundleKeys.of(federation.registry)).entries) == 500

    def test_what_was_never_signed_is_not_exported(
        self, database: Database, federation: Federation, log: AuditLog
    ) -> None:
        with pytest.raises(LogRangeError):
            self.export(database, federation, log, first_index=700)
        empty = database.write_sync(
            lambda c: AuditLog.open(c, federation=federation.name, party=READER)
        )
        with pytest.raises(LogRangeError):
            self.export(database, federation, empty)

    def test_an_auditor_who_knows_the_pin_needs_nothing_but_the_file(
        self, database: Database, federation: Federation, log: AuditLog
    ) -> None:
        data = self.export(database, federation, log)
        with pytest.raises(BundleInvalidError, match="no registry"):
            registry_of(data, pinned_root_hash=federation.pin)
        store_registry(database, federation)
        data = self.export(database, federation, log)
        registry = registry_of(data, pinned_root_hash=federation.pin)
        assert registry.root == federation.registry.root
        assert verify_bundle(data, BundleKeys.of(registry)).is_whole
        with pytest.raises(GenesisMismatchError):
            registry_of(data, pinned_root_hash=bytes(32))

    def test_a_streams_evidence_comes_from_its_tiles(
        self, database: Database, federation: Federation, log: AuditLog
    ) -> None:
        log_key = federation.agencies[SENDER].log
        hashes = entry_hashes(300)
        head = stream_head(federation, hashes)
        number = database.write_sync(lambda c: create_log(c, head.origin))
        found = database.read_sync(
            lambda c: stream_evidence(
                c, number, stream_id=STREAM_ID, side=Side.SENT, sender=SENDER, audience=[READER]
            )
        )
        assert found is None
        leaves = [b"%d" % n for n in range(300)]
        database.write_sync(lambda c: append(c, number, leaves, hashes, Frontier.empty()))
        note = sign_checkpoint(head, ed25519=log_key.ed25519, mldsa=log_key.mldsa, at=NOW)
        database.write_sync(lambda c: set_checkpoint(c, number, note))
        held = receipt(federation, hashes)
        evidence = database.read_sync(
            lambda c: stream_evidence(
                c,
                number,
                stream_id=STREAM_ID,
                side=Side.SENT,
                sender=SENDER,
                audience=[READER, THIRD],
                receipts=[held],
            )
        )
        assert evidence is not None
        assert evidence.leaf_hashes == b"".join(hashes)
        data = self.export(database, federation, log, streams=[evidence])
        (stream,) = verify_bundle(data, BundleKeys.of(federation.registry)).streams
        assert stream.checkpoint.checkpoint == head
