"""A log witness never signs two histories, and shows what it signed before."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from mithaq.certs.keys import Ed25519Key, SigningPair
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Cosignature, verify_cosignature
from mithaq.ledger.errors import ForkError, SignatureInvalidError, SignatureMissingError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.proof import consistency_proof
from mithaq.ledger.tiles import TileMap
from mithaq.ledger.tree import leaf_hash, root_of
from mithaq.store.engine import Database
from mithaq.store.errors import WitnessConflictError
from mithaq.store.witness import Continuation, WitnessStore

ORIGIN = "test.example/audit/eg-moi"
NAME = "test.example/witness/tn-dgsn"
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
OWNER = SigningPair.generate()
KEY = Ed25519Key.generate()
WITNESS = WitnessStore(NAME, KEY)


@dataclass(frozen=True)
class OwnersLog:
    """A log that its owner shows to a witness; another word gives another history."""

    word: str = "entry"

    def hashes(self, size: int) -> list[bytes]:
        return [leaf_hash(f"{self.word} {number}".encode()) for number in range(size)]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(ORIGIN, size, root_of(self.hashes(size)))

    def offer(self, size: int, *, old_size: int = 0) -> Continuation:
        note = sign_checkpoint(
            self.checkpoint(size), ed25519=OWNER.ed25519, mldsa=OWNER.mldsa, at=AT
        )
        proof = list[bytes]()
        if 0 < old_size < size:
            proof = consistency_proof(TileMap(self.hashes(size)), old_size, size)
        return Continuation(note, old_size, proof)


LOG, OTHER = OwnersLog(), OwnersLog("other")


def cosign(database: Database, offered: Continuation, *, at: datetime = AT) -> Cosignature:
    return database.write_sync(
        lambda c: WITNESS.cosign(c, offered, origin=ORIGIN, owner=OWNER.public, at=at)
    )


def known_size(database: Database) -> int:
    last = database.read_sync(lambda c: WITNESS.last(c, ORIGIN))
    return last.checkpoint.size if last else -1


class TestEveryWitness:
    """The contract of WitnessStore."""

    def test_a_log_that_grows_is_cosigned_each_time(self, database: Database) -> None:
        for size, old_size in ((0, 0), (3, 0), (300, 3), (301, 300)):
            cosignature = cosign(database, LOG.offer(size, old_size=old_size))
            verify_cosignature(
                cosignature,
                LOG.checkpoint(size),
                name=NAME,
                public_key=KEY.public,
                algorithm=KeyType.ED25519_COSIGNATURE,
            )
        last = database.read_sync(lambda c: WITNESS.last(c, ORIGIN))
        assert last is not None
        assert last.checkpoint == LOG.checkpoint(301)
        assert Cosignature.parse(last.cosignature).at == AT

    def test_the_same_checkpoint_is_cosigned_again_at_its_time(self, database: Database) -> None:
        cosign(database, LOG.offer(3))
        later = AT + timedelta(hours=1)
        assert cosign(database, LOG.offer(3, old_size=3), at=later).at == later

    def test_nothing_known_is_none(self, database: Database) -> None:
        assert database.read_sync(lambda c: WITNESS.last(c, ORIGIN)) is None

    def test_two_roots_at_one_size_are_a_fork(self, database: Database) -> None:
        cosign(database, LOG.offer(3))
        with pytest.raises(ForkError):
            cosign(database, OTHER.offer(3, old_size=3))
        assert known_size(database) == 3

    def test_a_history_that_branched_off_is_refused(self, database: Database) -> None:
        cosign(database, LOG.offer(3))
        with pytest.raises(WitnessConflictError) as caught:
            cosign(database, OTHER.offer(5, old_size=3))
        assert caught.value.known_size == 3
        assert caught.value.alarm == "witness conflict"
        last = database.read_sync(lambda c: WITNESS.last(c, ORIGIN))
        assert last is not None
        assert caught.value.known_note == last.note
        assert known_size(database) == 3

    def test_a_log_that_became_shorter_is_refused(self, database: Database) -> None:
        cosign(database, LOG.offer(3))
        for old_size in (2, 3):
            with pytest.raises(WitnessConflictError):
                cosign(database, LOG.offer(2, old_size=old_size))
        assert known_size(database) == 3

    @pytest.mark.parametrize("old_size", [0, 2, 4])
    def test_a_proof_from_another_size_names_the_size_that_is_known(
        self, database: Database, old_size: int
    ) -> None:
        cosign(database, LOG.offer(3))
        with pytest.raises(WitnessConflictError) as caught:
            cosign(database, LOG.offer(9, old_size=old_size))
        assert caught.value.known_size == 3

    def test_a_first_checkpoint_comes_without_a_proof(self, database: Database) -> None:
        with pytest.raises(WitnessConflictError) as caught:
            cosign(database, LOG.offer(3, old_size=2))
        assert caught.value.known_size == 0
        note = LOG.offer(3).note
        with pytest.raises(WitnessConflictError):
            cosign(database, Continuation(note, 0, [bytes(32)]))
        assert known_size(database) == -1

    def test_nothing_is_proven_about_an_empty_log(self, database: Database) -> None:
        cosign(database, LOG.offer(0))
        with pytest.raises(WitnessConflictError):
            cosign(database, Continuation(LOG.offer(3).note, 0, [bytes(32)]))

    def test_another_owners_signature_is_refused(self, database: Database) -> None:
        note = sign_checkpoint(
            LOG.checkpoint(3), ed25519=Ed25519Key.generate(), mldsa=OWNER.mldsa, at=AT
        )
        with pytest.raises((SignatureMissingError, SignatureInvalidError)):
            cosign(database, Continuation(note, 0, []))
        assert known_size(database) == -1
