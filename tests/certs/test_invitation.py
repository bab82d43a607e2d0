"""Invitations: one string, of which each way to be unusable is told apart."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mithaq.certs.errors import (
    InvitationError,
    InvitationExpiredError,
    InvitationFederationError,
    InvitationMistypedError,
)
from mithaq.certs.invitation import PREFIX, TEXT_LENGTH_MAX, Invitation, new_secret

AT = datetime(2026, 11, 21, tzinfo=UTC)
INVITATION = Invitation(
    federation="euroarab.example",
    member="eg-moi",
    hub_enrolment_address="hub.example:7444",
    genesis_hash=bytes(range(32)),
    ca_certificate_der=b"\x30" * 410,
    secret=b"\x07" * 32,
    expires_at=AT + timedelta(days=7),
)
TEXT = str(INVITATION)


def test_an_invitation_reads_back_from_one_line_of_small_letters_and_digits() -> None:
    assert Invitation.parse(TEXT) == INVITATION
    assert TEXT.startswith(PREFIX)
    assert set(TEXT.removeprefix(PREFIX)) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert len(TEXT) < 1024


@pytest.mark.parametrize(
    "copied",
    [TEXT.upper(), f"  {TEXT}\n", TEXT[:40] + "\r\n  " + TEXT[40:], TEXT[:9] + " " + TEXT[9:]],
)
def test_line_breaks_spaces_and_capitals_do_not_matter(copied: str) -> None:
    assert Invitation.parse(copied) == INVITATION


@given(st.integers(len(PREFIX), len(TEXT) - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_wrong_letter_is_noticed(at: int, letter: str) -> None:
    assume(TEXT[at] != letter)
    try:
        read = Invitation.parse(TEXT[:at] + letter + TEXT[at + 1 :])
    except InvitationMistypedError:
        return
    # The unused bits of the last letter say nothing.
    assert (at, read) == (len(TEXT) - 1, INVITATION)


@given(st.integers(len(PREFIX), len(TEXT) - 2))
def test_two_letters_exchanged_are_noticed(at: int) -> None:
    assume(TEXT[at] != TEXT[at + 1])
    with pytest.raises(InvitationMistypedError):
        Invitation.parse(TEXT[:at] + TEXT[at + 1] + TEXT[at] + TEXT[at + 2 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        PREFIX,
        "mithaq2-" + TEXT.removeprefix(PREFIX),
        TEXT.removeprefix(PREFIX),
        TEXT[:-1],
        TEXT[:-9],
        TEXT + "a",
        TEXT + "aaaaaaaa",
        TEXT.replace("a", "1", 1),
        PREFIX + "é" * 16,
        PREFIX + "a" * TEXT_LENGTH_MAX,
    ],
)
def test_an_invitation_that_was_not_copied_exactly_is_mistyped(text: str) -> None:
    with pytest.raises(InvitationMistypedError) as caught:
        Invitation.parse(text)
    assert caught.value.code == "MQ-INVITE-TYPO"
    assert "mithaq1-" in caught.value.fix


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00\x00",
        b"\x00\x00\x00\x01a",
        b"\x00\x00\x00\x00" * 6,
        b"\x00\x00\x00\x00" * 8,
        b"\x00\x00\x00\x00" * 6 + b"\xff\xff\xff\xffabc",
        b"\x00\x00\x00\x04\xff\xff\xff\xff" + b"\x00\x00\x00\x00" * 6,
    ],
)
def test_a_right_checksum_over_other_bytes_makes_no_invitation(payload: bytes) -> None:
    checksum = hashlib.sha256(b"mithaq/invitation/v1" + payload).digest()[:5]
    text = base64.b32encode(payload + checksum).decode().rstrip("=").lower()
    with pytest.raises(InvitationMistypedError):
        Invitation.parse(PREFIX + text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_invitations(text: str) -> None:
    with pytest.raises(InvitationMistypedError):
        Invitation.parse(PREFIX + text)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(INVITATION, federation="No Name"),
        replace(INVITATION, member="EG"),
        replace(INVITATION, genesis_hash=b"\x01" * 31),
        replace(INVITATION, secret=b"\x01" * 16),
        replace(INVITATION, expires_at=datetime(1960, 1, 1, tzinfo=UTC) + timedelta(days=3653)),
    ],
)
def test_an_invitation_with_a_right_checksum_and_wrong_parts_is_refused(wrong: Invitation) -> None:
    with pytest.raises(InvitationMistypedError):
        Invitation.parse(str(wrong))


def test_an_invitation_lasts_until_just_before_its_expiry() -> None:
    INVITATION.check(at=INVITATION.expires_at - timedelta(seconds=1))
    with pytest.raises(InvitationExpiredError) as caught:
        INVITATION.check(at=INVITATION.expires_at)
    assert caught.value.code == "MQ-INVITE-EXPIRED"


def test_an_invitation_is_for_one_federation() -> None:
    INVITATION.check(at=AT, federation="euroarab.example")
    with pytest.raises(InvitationFederationError) as caught:
        INVITATION.check(at=AT, federation="other.example")
    assert caught.value.code == "MQ-INVITE-FEDERATION"


def test_each_way_to_be_unusable_has_a_code_of_its_own() -> None:
    kinds = InvitationError.__subclasses__()
    assert len({each.code for each in kinds}) == len(kinds) == 5


def test_what_the_registrar_keeps_tells_nothing_of_the_secret() -> None:
    other = replace(INVITATION, secret=new_secret())
    assert INVITATION.id != other.id
    assert len({INVITATION.id, INVITATION.mac_key, INVITATION.secret}) == 3
    assert INVITATION.secret.hex() not in repr(INVITATION)
    assert repr(INVITATION.secret)[2:-1] not in repr(INVITATION)
