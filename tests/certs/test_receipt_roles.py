"""Why `held` and `witness` may share an Ed25519 key: they never sign the same text (ADR 0019)."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.certs.keys import Ed25519Key
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import (
    Cosignature,
    Role,
    cosign_ed25519,
    cosigner_name,
    verify_cosignature,
)
from mithaq.ledger.errors import SignatureInvalidError
from mithaq.ledger.keytypes import KeyType, key_id
from mithaq.ledger.names import audit_origin, registry_origin, stream_origin
from tests.federation import now

FEDERATIONS = ("audit.example", "stream.example", "test.example")
WITNESS = cosigner_name("test.example", Role.WITNESS, "eg-moi")
PARTIES = ("eg-moi", "hub", "int-stream", "tn-dgsn")


@given(
    st.sampled_from(FEDERATIONS),
    st.sampled_from(FEDERATIONS),
    st.sampled_from(PARTIES),
    st.binary(min_size=32, max_size=32),
    st.integers(min_value=1, max_value=50),
)
def test_no_two_kinds_of_logs_have_one_origin(
    one: str, other: str, party: str, stream_id: bytes, number: int
) -> None:
    kinds = (
        {stream_origin(each, stream_id) for each in (one, other)},
        {audit_origin(each, party, number) for each in (one, other)},
        {registry_origin(each) for each in (one, other)},
    )
    for first, second in combinations(kinds, 2):
        assert not first & second


def held_as_witness(key: Ed25519Key, checkpoint: Checkpoint) -> Cosignature:
    """Return a held line, under the name and key id that a witness line of its key has."""
    held = cosigner_name("test.example", Role.HELD, "eg-moi")
    line = cosign_ed25519(checkpoint, name=held, signer=key, at=now())
    return replace(line, name=WITNESS, key_id=key_id(WITNESS, line.algorithm, key.public))


def verify_as_witness(key: Ed25519Key, line: Cosignature, checkpoint: Checkpoint) -> None:
    verify_cosignature(
        line,
        checkpoint,
        name=WITNESS,
        public_key=key.public,
        algorithm=KeyType.ED25519_COSIGNATURE,
    )


def test_a_held_over_a_stream_is_no_witness_of_an_audit_log() -> None:
    key, root = Ed25519Key.generate(), b"\x01" * 32
    stream = Checkpoint(stream_origin("test.example", b"\x02" * 32), 7, root)
    audit = Checkpoint(audit_origin("test.example", "tn-dgsn"), 7, root)
    forged = held_as_witness(key, stream)
    with pytest.raises(SignatureInvalidError):
        verify_as_witness(key, forged, audit)
    # Only the origin keeps them apart: over one text the relabelled line would hold.
    verify_as_witness(key, forged, stream)
