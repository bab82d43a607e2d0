"""The registrar's checkpoints: what they prove, and each way in which they can lie."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason
from mithaq.certs.entries import SignedEntry
from mithaq.certs.errors import (
    ClockSkewError,
    RegistryForkError,
    RegistryRolledBackError,
    RegistryStaleError,
    RegistryWithheldError,
    SignatureInvalidError,
    SignerUnknownError,
    TrustError,
    TrustFormatError,
)
from mithaq.certs.keys import SigningPair
from mithaq.certs.registry import Registry
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.tree import EMPTY_ROOT, leaf_hash
from tests.federation import Federation, now

NOW = now()
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def signed(
    federation: Federation,
    size: int,
    root: bytes,
    *,
    origin: str = "",
    by: SigningPair | None = None,
) -> bytes:
    pair = by or federation.registrar
    checkpoint = Checkpoint(origin or federation.registry.origin, size, root)
    return sign_checkpoint(checkpoint, ed25519=pair.ed25519, mldsa=pair.mldsa, at=NOW)


def test_the_newest_checkpoint_gives_the_registry_its_time(federation: Federation) -> None:
    registry = federation.registry
    assert (registry.time, registry.checkpoint) == (None, None)
    for at in (NOW, NOW + MINUTE):
        registry.observe_checkpoint(federation.checkpoint(at=at))
        assert registry.time == at


def test_an_older_checkpoint_that_comes_late_changes_nothing(federation: Federation) -> None:
    registry = federation.registry
    registry.observe_checkpoint(federation.checkpoint(at=NOW))
    registry.observe_checkpoint(federation.checkpoint(size=1, at=NOW - MINUTE))
    assert registry.time == NOW
    assert registry.checkpoint is not None
    assert registry.checkpoint.checkpoint.size == registry.size


def test_a_smaller_size_signed_later_is_a_roll_back(federation: Federation) -> None:
    registry = federation.registry
    registry.observe_checkpoint(federation.checkpoint(at=NOW))
    earlier = federation.checkpoint(size=registry.size - 1, at=NOW + SECOND)
    with pytest.raises(RegistryRolledBackError) as caught:
        registry.observe_checkpoint(earlier)
    assert caught.value.alarm == "registry rolled back"
    assert registry.time == NOW


def test_a_larger_size_than_was_delivered_is_withheld(federation: Federation) -> None:
    behind = federation.registry.copy()
    federation.suspend("eg-moi")
    with pytest.raises(RegistryWithheldError) as caught:
        behind.observe_checkpoint(federation.checkpoint(at=NOW))
    assert caught.value.alarm == "registry withheld"
    assert behind.time is None


@pytest.mark.parametrize("back", [0, 1])
def test_another_root_at_a_replayed_size_is_a_fork(federation: Federation, back: int) -> None:
    registry = federation.registry
    with pytest.raises(RegistryForkError) as caught:
        registry.observe_checkpoint(signed(federation, registry.size - back, b"\x01" * 32))
    assert caught.value.alarm == "fork"


def test_the_checkpoint_of_an_empty_registry_is_a_fork(federation: Federation) -> None:
    empty = sign_checkpoint(
        Checkpoint(federation.registry.origin, 0, EMPTY_ROOT),
        ed25519=federation.registrar.ed25519,
        mldsa=federation.registrar.mldsa,
        at=NOW,
    )
    with pytest.raises(RegistryForkError):
        federation.registry.observe_checkpoint(empty)


def test_only_the_registrars_two_signatures_count(federation: Federation) -> None:
    registry = federation.registry
    stranger = SigningPair.generate()
    half = SigningPair(federation.registrar.ed25519, stranger.mldsa)
    for pair in (stranger, half, SigningPair(stranger.ed25519, federation.registrar.mldsa)):
        with pytest.raises(SignatureInvalidError, match="registrar"):
            registry.observe_checkpoint(signed(federation, registry.size, registry.root, by=pair))


def test_a_note_without_its_second_signature_is_refused(federation: Federation) -> None:
    lines = federation.checkpoint(at=NOW).split(b"\n")
    for keep in (lines[:5], lines[:4] + lines[5:6]):
        with pytest.raises(SignatureInvalidError):
            federation.registry.observe_checkpoint(b"\n".join([*keep, b""]))


def test_the_checkpoint_of_another_log_is_refused(federation: Federation) -> None:
    registry = federation.registry
    note = signed(federation, registry.size, registry.root, origin="other.example/registry")
    with pytest.raises(TrustFormatError, match="another log"):
        registry.observe_checkpoint(note)


def test_what_is_no_note_is_refused(federation: Federation) -> None:
    with pytest.raises(TrustFormatError, match="not a checkpoint"):
        federation.registry.observe_checkpoint(b"hello")


def test_a_replaced_registrar_signs_no_time_any_more(federation: Federation) -> None:
    registry, pair = federation.registry, SigningPair.generate()
    registry.observe_checkpoint(federation.checkpoint(at=NOW))
    federation.enter(acts.RegistrarReplaced(acts.RegistrarIdentity(pair.public, b"\x05" * 32)))
    with pytest.raises(SignatureInvalidError):
        registry.observe_checkpoint(federation.checkpoint(at=NOW + SECOND))
    registry.observe_checkpoint(signed(federation, registry.size, registry.root, by=pair))


def test_a_time_far_ahead_ends_with_the_registrar_that_signed_it(federation: Federation) -> None:
    """A stolen registrar key would else make the registry stale for ever."""
    registry, pair = federation.registry, SigningPair.generate()
    registry.observe_checkpoint(federation.checkpoint(at=NOW + timedelta(days=3650)))
    with pytest.raises(ClockSkewError):
        registry.check_fresh(NOW)
    federation.enter(acts.RegistrarReplaced(acts.RegistrarIdentity(pair.public, b"\x05" * 32)))
    registry.observe_checkpoint(signed(federation, registry.size, registry.root, by=pair))
    registry.check_fresh(NOW)


def test_a_registrar_that_renews_its_certificate_is_bound_by_its_own_time(
    federation: Federation,
) -> None:
    registry = federation.registry
    registry.observe_checkpoint(federation.checkpoint(at=NOW + SECOND))
    federation.enter(acts.TlsRenewed(acts.TlsSubject.REGISTRAR, b"\x06" * 32))
    assert registry.time == NOW + SECOND


# --- freshness (PROTOCOL 2.6) -------------------------------------------------------------


def test_a_registry_is_fresh_up_to_the_limit_of_its_policy(federation: Federation) -> None:
    registry = federation.registry
    with pytest.raises(RegistryStaleError, match="no time yet"):
        registry.check_fresh(NOW)
    registry.observe_checkpoint(federation.checkpoint(at=NOW))
    limit = registry.policy.freshness_limit
    registry.check_fresh(NOW + limit)
    with pytest.raises(RegistryStaleError, match="last signed"):
        registry.check_fresh(NOW + limit + SECOND)


def test_a_time_from_the_future_is_no_proof_of_freshness(federation: Federation) -> None:
    registry = federation.registry
    registry.observe_checkpoint(federation.checkpoint(at=NOW))
    limit = registry.policy.clock_skew_limit
    registry.check_fresh(NOW - limit)
    with pytest.raises(ClockSkewError) as caught:
        registry.check_fresh(NOW - limit - SECOND)
    assert caught.value.alarm == "clock skew"


# --- leaves and checkpoint together ---------------------------------------------------------


def joined(federation: Federation) -> Registry:
    return Registry.start(federation.leaves[0], federation.pin)


def test_leaves_are_taken_together_with_the_checkpoint_that_covers_them(
    federation: Federation,
) -> None:
    registry = joined(federation)
    applied = registry.extend(federation.leaves[1:], federation.checkpoint(at=NOW))
    assert [each.size for each in applied] == list(range(2, registry.size + 1))
    assert (registry.root, registry.time) == (federation.registry.root, NOW)
    assert registry.extend([], federation.checkpoint(at=NOW + MINUTE)) == []
    assert registry.time == NOW + MINUTE


@pytest.mark.parametrize(
    ("leaves", "size", "error"),
    [
        (slice(1, -1), None, RegistryWithheldError),
        (slice(1, None), 3, TrustFormatError),
        (slice(2, None), None, TrustError),
        (slice(1, None, -1), None, TrustError),
    ],
)
def test_leaves_that_the_registrar_did_not_sign_so_change_nothing(
    federation: Federation, leaves: slice, size: int | None, error: type[TrustError]
) -> None:
    registry = joined(federation)
    with pytest.raises(error):
        registry.extend(federation.leaves[leaves], federation.checkpoint(size=size, at=NOW))
    assert (registry.size, registry.time) == (1, None)


def test_a_hub_cannot_enter_what_the_registrar_has_not_ordered(federation: Federation) -> None:
    """A duly signed entry that waits at the registrar, handed on by the hub itself."""
    registry = federation.registry
    act = acts.MemberSuspended("eg-moi", NarrowingReason.ADMINISTRATIVE)
    waiting = federation.entry(act, federation.by_administrators(1))
    with pytest.raises(TrustFormatError, match="does not cover"):
        registry.extend([waiting], federation.checkpoint(at=NOW))
    other = federation.entry(act, federation.by_administrators(1))
    ahead = replace(federation, registry=registry.copy())
    ahead.registry.apply(other)
    with pytest.raises(RegistryForkError):
        registry.extend([waiting], ahead.checkpoint(at=NOW))
    registry.extend([other], ahead.checkpoint(at=NOW))


def test_an_entry_without_its_own_signatures_is_refused_though_the_registrar_ordered_it(
    federation: Federation,
) -> None:
    act = acts.MemberSuspended("eg-moi", NarrowingReason.ADMINISTRATIVE)
    stranger = replace(federation, administrators={"admin-x": SigningPair.generate()})
    leaf = federation.entry(act, stranger.by_administrators(1))
    registry = federation.registry
    grown = registry.frontier.append(leaf_hash(leaf))
    with pytest.raises(SignerUnknownError):
        registry.extend([leaf], signed(federation, grown.size, grown.root()))


def test_roots_are_known_at_every_size_replayed(federation: Federation) -> None:
    registry = federation.registry
    assert registry.root_at(1) == federation.pin
    assert registry.root_at(registry.size) == registry.root
    assert registry.root_at(0) is None
    assert registry.root_at(registry.size + 1) is None


def test_a_registry_tells_what_it_holds(federation: Federation) -> None:
    body = SignedEntry.from_bytes(federation.leaves[1]).body
    assert federation.registry.holds(body)
    assert not joined(federation).holds(body)
