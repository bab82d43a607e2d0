"""Why `held` and `witness` may share an Ed25519 key: they never sign the same text (ADR 0019)."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.certs.keys import Ed25519Key
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name, verify_cosignature
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.names import audit_origin, registry_origin, stream_origin
from tests.federation import now

FEDERATIONS = ("audit.example", "stream.example", "test.example")
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


def line_of(key: Ed25519Key, role: Role, checkpoint: Checkpoint) -> str:
    name = cosigner_name("test.example", role, "eg-moi")
    return cosign_ed25519(checkpoint, name=name, signer=key, at=now()).line()


def relabelled(line: str) -> str:
    """Return a held line under the name that a witness would have."""
    return line.replace("/held/", "/witness/")


def verify_as_witness(key: Ed25519Key, line: str, checkpoint: Checkpoint) -> None:
    verify_cosignature(
        line,
        checkpoint,
        name=cosigner_name("test.example", Role.WITNESS, "eg-moi"),
        key_type=KeyType.ED25519_COSIGNATURE,
        public_key=key.public,
    )


def test_a_held_over_a_stream_is_no_witness_of_an_audit_log() -> None:
    key, root = Ed25519Key.generate(), b"\x01" * 32
    stream = Checkpoint(stream_origin("test.example", b"\x02" * 32), 7, root)
    audit = Checkpoint(audit_origin("test.example", "tn-dgsn", 1), 7, root)
    verify_as_witness(key, line_of(key, Role.WITNESS, audit), audit)
    with pytest.raises(LedgerError):
        verify_as_witness(key, relabelled(line_of(key, Role.HELD, stream)), audit)
