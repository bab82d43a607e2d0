"""Bodies and entries: one spelling each, and nothing else is read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason, TlsSubject
from mithaq.certs.entries import (
    Body,
    EntrySigner,
    SignedEntry,
    SignerRole,
    agreement_message,
    body_hash,
    draw_up,
    encode_body,
    merge_signatures,
    parse_body,
    sign_entry,
    signed_message,
)
from mithaq.certs.errors import TrustError, TrustFormatError
from mithaq.certs.keys import PairPublic, SigningPair
from mithaq.certs.registry import Registry
from mithaq.certs.wire import ENTRY_SIZE_BYTES_MAX
from mithaq.v1 import registry_pb2 as pb
from tests.federation import FEDERATION, Federation

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NONCE = bytes(range(16))
REASON = NarrowingReason.TERM_ENDED
PAIR = PairPublic(b"\x01" * 32, b"\x02" * 1312)
NAMED = (acts.NamedPair("a", PAIR), acts.NamedPair("b", PAIR))
REGISTRAR = acts.RegistrarIdentity(PAIR, b"\x03" * 32)
SIGNATURES = tuple(
    acts.AgreementSignature(member, name, b"\x04" * 64, b"\x05" * 2420)
    for member in ("eg-moi", "tn-dgsn")
    for name in ("a", "b")
)
MEMBER = acts.MemberEnrolled(
    member="eg-moi",
    display_name=acts.LocalizedName("Interior", "Intérieur", "الداخلية"),
    country="EGY",
    log=PAIR,
    receipt=acts.ReceiptKeys(b"\x06" * 32, b"\x07" * 32, b"\x08" * 1312),
    reception=b"\x09" * 1216,
    duty=b"\x0a" * 32,
    signatories=NAMED,
    tls_fingerprint=b"\x0b" * 32,
)
ACTS: list[acts.Act] = [
    acts.Genesis(acts.Policy(), 2, NAMED, REGISTRAR, b"\x0c" * 400),
    acts.HubEnrolled(PAIR, b"\x0d" * 32, "hub.example:7443", "[2001:db8::1]:7444"),
    MEMBER,
    acts.TlsRenewed(TlsSubject.NODE, b"\x0e" * 32, "eg-moi"),
    acts.TlsRenewed(TlsSubject.HUB, b"\x0e" * 32),
    acts.ReceptionKeyAnnounced("eg-moi", b"\x0f" * 1216),
    acts.MemberSuspended("eg-moi", REASON),
    acts.MemberReinstated("eg-moi"),
    acts.MemberRevoked("eg-moi", REASON),
    acts.KeyRevoked(b"\x10" * 32, REASON),
    acts.AgreementAdmitted(b"terms", SIGNATURES),
    acts.AgreementSuspended("eg-tn", REASON, "eg-moi"),
    acts.AgreementSuspended("eg-tn", REASON),
    acts.AgreementLifted("eg-tn", "eg-moi"),
    acts.AgreementEnded("eg-tn", REASON, "eg-moi"),
    acts.AdministratorAdded(NAMED[0]),
    acts.AdministratorRemoved("a", REASON),
    acts.CaAdded(b"\x11" * 400),
    acts.RegistrarReplaced(REGISTRAR),
]


def body_of(act: acts.Act) -> Body:
    return Body(FEDERATION, NONCE, AT, act)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: type(act).__name__)
def test_every_act_reads_back_as_it_was_written(act: acts.Act) -> None:
    data = encode_body(body_of(act))
    assert parse_body(data) == body_of(act)
    assert encode_body(parse_body(data)) == data


def test_every_kind_of_act_is_tried_above() -> None:
    fields = {field.name for field in pb.RegistryBody.DESCRIPTOR.oneofs_by_name["act"].fields}
    bodies = [pb.RegistryBody.FromString(encode_body(body_of(act))) for act in ACTS]
    assert {each.WhichOneof("act") for each in bodies} == fields


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (replace(MEMBER, member="EG"), "member"),
        (replace(MEMBER, country="Egypt"), "country"),
        (replace(MEMBER, display_name=acts.LocalizedName("")), "display_name"),
        (replace(MEMBER, reception=b"\x09" * 1215), "reception"),
        (replace(MEMBER, duty=b"\x0a" * 33), "duty"),
        (replace(MEMBER, signatories=NAMED[:1]), "signatories"),
        (replace(MEMBER, signatories=NAMED[::-1]), "sorted"),
        (replace(MEMBER, signatories=(NAMED[0], NAMED[0])), "sorted"),
        (acts.TlsRenewed(TlsSubject.NODE, b"\x0e" * 32), "names a member"),
        (acts.TlsRenewed(TlsSubject.HUB, b"\x0e" * 32, "eg-moi"), "names a member"),
        (acts.HubEnrolled(PAIR, b"\x0d" * 32, "hub.example", "hub.example:1"), "address"),
        (acts.HubEnrolled(PAIR, b"\x0d" * 32, "hub.example:1", "a b:1"), "address"),
        (acts.Genesis(acts.Policy(), 3, NAMED, REGISTRAR, b"\x0c" * 400), "threshold"),
        (acts.Genesis(acts.Policy(), 0, NAMED, REGISTRAR, b"\x0c" * 400), "threshold"),
        (
            acts.Genesis(
                acts.Policy(freshness_limit=timedelta(seconds=59)), 1, NAMED, REGISTRAR, b"c" * 400
            ),
            "freshness_limit",
        ),
        (acts.AgreementAdmitted(b"terms", SIGNATURES[::-1]), "sorted"),
        (acts.AgreementAdmitted(b"terms", SIGNATURES[:3]), "signatures"),
        (acts.AgreementAdmitted(b"", SIGNATURES), "terms"),
    ],
)
def test_an_act_that_breaks_a_rule_is_not_even_written(act: acts.Act, match: str) -> None:
    with pytest.raises(TrustFormatError, match=match):
        encode_body(body_of(act))


GOOD = body_of(acts.MemberSuspended("eg-moi", REASON))


@pytest.mark.parametrize(
    "body",
    [
        replace(GOOD, federation="Euroarab"),
        replace(GOOD, nonce=b"\x00" * 15),
        replace(GOOD, made_at=datetime(2026, 1, 1)),  # noqa: DTZ001
        replace(GOOD, made_at=datetime(1960, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_body_names_federation_nonce_and_time(body: Body) -> None:
    with pytest.raises(TrustFormatError):
        encode_body(body)


def test_two_bodies_for_one_act_are_never_equal() -> None:
    first, second = (draw_up(GOOD.act, federation=FEDERATION, at=AT) for _ in range(2))
    assert body_hash(first) != body_hash(second)


def test_what_is_signed_names_label_and_federation() -> None:
    assert signed_message("a.b", b"body") == b"mithaq/registry/v1\x00\x00\x00\x03a.bbody"
    assert (
        agreement_message("a.b", b"t") == b"mithaq/agreement/v1\x00\x00\x00\x03a.b\x00\x00\x00\x01t"
    )


# --- other spellings and foreign bytes --------------------------------------------------------

BODY = encode_body(GOOD)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(BODY + b"\xfa\x3f\x01x", id="an unknown field"),
        pytest.param(BODY + b"\x12\x10" + NONCE, id="a field twice"),
        pytest.param(BODY[len(FEDERATION) + 2 :] + BODY[: len(FEDERATION) + 2], id="another order"),
        pytest.param(BODY.replace(b"\x10\x04", b"\x10\x84\x00"), id="a longer number"),
        pytest.param(BODY.replace(b"\x10\x04", b"\x10\x63"), id="a reason of another version"),
        pytest.param(BODY[:-1], id="cut short"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff" * 40, id="no message"),
        pytest.param(BODY.replace(b"eg-moi", b"eg-\xff\xfe\xfd"), id="no text"),
    ],
)
def test_a_body_has_one_spelling(data: bytes) -> None:
    assert encode_body(parse_body(BODY)) == BODY
    with pytest.raises(TrustFormatError):
        parse_body(data)


def test_an_unknown_field_deep_inside_is_refused() -> None:
    message = pb.RegistryBody.FromString(encode_body(body_of(MEMBER)))
    inner = message.member_enrolled.log
    inner.MergeFromString(b"\xfa\x3f\x01x")
    with pytest.raises(TrustFormatError, match="unknown fields"):
        parse_body(message.SerializeToString())


def test_bytes_beyond_the_limit_are_not_parsed() -> None:
    with pytest.raises(TrustFormatError, match=f"at most {ENTRY_SIZE_BYTES_MAX} bytes"):
        SignedEntry.from_bytes(bytes(ENTRY_SIZE_BYTES_MAX + 1))


def test_a_rule_that_is_broken_is_named_without_the_value() -> None:
    with pytest.raises(TrustFormatError) as caught:
        encode_body(body_of(acts.MemberReinstated("secret value")))
    assert "member_reinstated.member" in str(caught.value)
    assert "secret value" not in str(caught.value)


# --- signatures ----------------------------------------------------------------------------------

PAIRS = {name: SigningPair.generate() for name in ("a", "b")}
SIGNERS = [EntrySigner.administrator(name, pair) for name, pair in PAIRS.items()]
ENTRY = sign_entry(BODY, SIGNERS)


def test_a_signed_entry_reads_back_as_it_was_written() -> None:
    data = ENTRY.to_bytes()
    assert SignedEntry.from_bytes(data) == ENTRY
    assert SignedEntry.from_bytes(data).to_bytes() == data


def test_signatures_stand_in_one_order_whoever_signed_first() -> None:
    names = [each.name for each in sign_entry(BODY, SIGNERS[::-1]).signatures]
    assert names == ["a", "b"]
    swapped = replace(ENTRY, signatures=ENTRY.signatures[::-1])
    with pytest.raises(TrustFormatError, match="sorted"):
        SignedEntry.from_bytes(swapped.to_bytes())


def test_signatures_of_several_roles_stand_in_order_of_role() -> None:
    signers = [EntrySigner.signatory("eg-moi", "a", PAIRS["a"]), *SIGNERS]
    entry = sign_entry(BODY, signers)
    assert [each.role for each in SignedEntry.from_bytes(entry.to_bytes()).signatures] == [
        SignerRole.ADMINISTRATOR,
        SignerRole.ADMINISTRATOR,
        SignerRole.SIGNATORY,
    ]


def test_signatures_are_merged_each_signer_once() -> None:
    first = sign_entry(BODY, SIGNERS[:1])
    both = merge_signatures(first, ENTRY.signatures)
    assert both == ENTRY
    assert merge_signatures(both, first.signatures).signatures[0] == first.signatures[0]


def test_an_entry_that_nobody_has_signed_yet_can_wait() -> None:
    entry = SignedEntry(BODY, ())
    assert SignedEntry.from_bytes(entry.to_bytes()) == entry


def test_nobody_signs_what_cannot_be_read() -> None:
    with pytest.raises(TrustFormatError):
        sign_entry(b"blank", SIGNERS)


def test_signing_shows_no_key_and_no_signature() -> None:
    shown = repr(SIGNERS) + repr(ENTRY.signatures) + repr(PAIRS)
    for pair in PAIRS.values():
        for secret in (pair.ed25519.to_bytes(), pair.mldsa.to_bytes()):
            assert secret.hex() not in shown
            assert repr(secret) not in shown
    assert len(repr(ENTRY.signatures)) < 400


# --- hostile bytes --------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_foreign_bytes_are_refused_as_bytes_and_never_crash(data: bytes) -> None:
    for parse in (parse_body, SignedEntry.from_bytes):
        with pytest.raises(TrustFormatError):
            parse(data)


@given(st.data())
def test_a_leaf_changed_anywhere_is_refused_and_leaves_no_trace(data: st.DataObject) -> None:
    federation, leaf = _world()
    at = data.draw(st.integers(0, len(leaf) - 1))
    mask = data.draw(st.integers(1, 255))
    changed = leaf[:at] + bytes((leaf[at] ^ mask,)) + leaf[at + 1 :]
    registry = federation.registry.copy()
    with pytest.raises(TrustError):
        registry.apply(changed)
    assert (registry.size, registry.root) == (federation.registry.size, federation.registry.root)


@given(cut=st.integers(0, 400), tail=st.binary(max_size=8))
def test_a_leaf_cut_or_lengthened_is_refused(cut: int, tail: bytes) -> None:
    federation, leaf = _world()
    changed = leaf[: len(leaf) - cut] + tail
    if changed != leaf:
        with pytest.raises(TrustError):
            federation.registry.copy().apply(changed)


def test_the_leaf_that_is_changed_above_is_good_as_it_stands() -> None:
    federation, leaf = _world()
    registry: Registry = federation.registry.copy()
    assert registry.apply(leaf).size == registry.size


_WORLDS: list[tuple[Federation, bytes]] = []


def _world() -> tuple[Federation, bytes]:
    if not _WORLDS:
        federation = Federation.found()
        federation.enrol("eg-moi")
        _WORLDS.append((federation, federation.entry(acts.MemberReinstated("eg-moi"))))
        federation.suspend("eg-moi")
    return _WORLDS[0]
