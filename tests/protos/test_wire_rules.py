"""The limits written in the protos are enforced on the messages generated from them."""

import subprocess
import sys

import protovalidate
import pytest
from google.protobuf.message import Message

from mithaq.v1.entry_pb2 import ENTRY_KIND_PUT, EntryTerms, EpochReader
from tests.architecture.rooms import ROOT

KEY_ID = bytes(32)


@pytest.mark.parametrize(
    "message",
    [
        EpochReader(member="eg-moi", key_id=KEY_ID),
        EpochReader(member=f"eg-{'a' * 30}", key_id=KEY_ID),
        EntryTerms(version=1, kind=ENTRY_KIND_PUT, registry_size=1, created_at=1),
    ],
)
def test_a_message_within_its_limits_passes(message: Message) -> None:
    protovalidate.validate(message)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (EpochReader(member="BAD", key_id=KEY_ID), "member"),
        (EpochReader(member=f"eg-{'a' * 31}", key_id=KEY_ID), "member"),
        (EpochReader(member="eg-moi", key_id=bytes(31)), "key_id"),
        (EntryTerms(version=2, kind=ENTRY_KIND_PUT, registry_size=1, created_at=1), "version"),
        (EntryTerms(version=1, registry_size=1, created_at=1), "kind"),
        (EntryTerms(version=1, kind=ENTRY_KIND_PUT, created_at=1), "registry_size"),
    ],
)
def test_a_message_beyond_a_limit_is_refused(message: Message, field: str) -> None:
    with pytest.raises(protovalidate.ValidationError, match=f"^{field}"):
        protovalidate.validate(message)


def test_the_committed_code_is_what_the_protos_generate() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "protos/generate.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
