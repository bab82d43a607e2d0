"""Following the registry: what a hub that withholds, rolls back or freezes it is caught at."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from mithaq.certs.errors import (
    AuthorityMissingError,
    RegistryForkError,
    RegistryWithheldError,
    SignatureInvalidError,
    TrustError,
)
from mithaq.certs.keys import SigningPair
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.errors import RegistryStaleError
from mithaq.node.exchange.registry_follow import RegistryFollow
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk
from tests.federation import Federation, now


class SaidByHub:
    """The hub's side of a Follow call: it says what a test lets it say."""

    def __init__(self, *responses: exchange_pb2.FollowResponse) -> None:
        self.responses = list(responses)
        self.acknowledged: list[int] = []

    async def read(self) -> Any:  # noqa: ANN401 - a message, or the end
        return self.responses.pop(0) if self.responses else grpc.aio.EOF

    async def write(self, request: exchange_pb2.FollowRequest, /) -> None:
        self.acknowledged.append(request.verified_size)


def said(
    federation: Federation,
    *,
    first: int = 0,
    leaves: Iterable[bytes] | None = None,
    checkpoint: bytes | None = None,
) -> exchange_pb2.FollowResponse:
    return exchange_pb2.FollowResponse(
        first_index=first,
        entries=federation.leaves[first:] if leaves is None else leaves,
        checkpoint=federation.checkpoint() if checkpoint is None else checkpoint,
    )


def follow(desk: Desk, *responses: exchange_pb2.FollowResponse) -> SaidByHub:
    call = SaidByHub(*responses)
    follower = RegistryFollow(desk.home, desk.batches.extend, may_sign=lambda: True)
    asyncio.run(follower.run(call))
    return call


@pytest.fixture
def newcomer(federation: Federation, tmp_path: Path) -> Iterator[Desk]:
    node = Desk(federation, "tn-dgsn", tmp_path / "newcomer")
    node.open()
    yield node
    node.close()


def test_the_registry_is_verified_kept_and_acknowledged(
    newcomer: Desk, federation: Federation
) -> None:
    call = follow(newcomer, said(federation))
    assert newcomer.home.registry.size == federation.registry.size
    assert call.acknowledged == [1, federation.registry.size]
    newcomer.close()
    newcomer.open()
    assert newcomer.home.registry.root == federation.registry.root


def test_pieces_count_only_with_the_checkpoint_over_them(
    newcomer: Desk, federation: Federation
) -> None:
    first = said(federation, leaves=federation.leaves[:3], checkpoint=b"")
    call = follow(newcomer, first)
    assert newcomer.home.registry.size == 1
    assert call.acknowledged == [1]
    follow(newcomer, first, said(federation, first=3))
    assert newcomer.home.registry.size == federation.registry.size


def test_own_streams_are_opened_when_the_agreement_arrives(
    newcomer: Desk, federation: Federation
) -> None:
    follow(newcomer, said(federation))
    assert len(newcomer.batches) == 5


def test_a_registry_that_is_cut_short_is_withheld(newcomer: Desk, federation: Federation) -> None:
    cut = said(federation, leaves=federation.leaves[:-1])
    with pytest.raises(RegistryWithheldError):
        follow(newcomer, cut)
    assert newcomer.alarms() == ["registry withheld"]
    assert newcomer.home.registry.size == 1


def test_what_was_seen_once_is_never_gone_back_on(newcomer: Desk, federation: Federation) -> None:
    federation.suspend("int-iom")
    newest = federation.checkpoint(at=now() - timedelta(seconds=30))
    with pytest.raises(RegistryWithheldError):
        follow(newcomer, said(federation, leaves=federation.leaves[:-1], checkpoint=newest))
    shorter = federation.checkpoint(size=federation.registry.size - 1, at=now())
    rolled_back = said(federation, leaves=federation.leaves[:-1], checkpoint=shorter)
    with pytest.raises(TrustError):
        follow(newcomer, rolled_back)
    assert "registry rolled back" in newcomer.alarms()


def test_an_entry_that_lacks_its_own_signatures_is_refused_whoever_ordered_it(
    newcomer: Desk, federation: Federation
) -> None:
    agency = federation.new_agency("it-int")
    forged = federation.entry(federation.enrolment_of(agency), federation.by_administrators(1))
    with pytest.raises(AuthorityMissingError):
        follow(newcomer, said(federation, leaves=[*federation.leaves, forged]))
    assert newcomer.home.registry.size == 1


def test_a_checkpoint_that_the_registrar_did_not_sign_is_refused(
    newcomer: Desk, federation: Federation
) -> None:
    registrar = federation.registrar
    federation.registrar = SigningPair.generate()
    forged = federation.checkpoint()
    federation.registrar = registrar
    with pytest.raises(SignatureInvalidError):
        follow(newcomer, said(federation, checkpoint=forged))
    assert newcomer.home.registry.size == 1


def test_another_entry_at_a_size_that_was_replayed_is_a_fork(
    cairo: Desk, federation: Federation
) -> None:
    twin_leaves = list(federation.leaves)
    federation.suspend("int-iom")
    cairo.learn()
    registry, leaves = federation.registry, federation.leaves
    replayed = type(registry).start(twin_leaves[0], federation.pin)
    for leaf in twin_leaves[1:]:
        replayed.apply(leaf)
    federation.registry, federation.leaves = replayed, twin_leaves
    federation.suspend("tn-dgsn")
    try:
        with pytest.raises(RegistryForkError):
            follow(cairo, said(federation, first=len(leaves), leaves=[]))
    finally:
        federation.registry, federation.leaves = registry, leaves
    assert cairo.alarms() == ["fork"]


def test_a_registrar_that_stands_still_lets_the_node_go_stale(cairo: Desk) -> None:
    limit = cairo.home.registry.policy.freshness_limit
    cairo.clock.ahead = limit + timedelta(seconds=5)
    follow(cairo, said(cairo.federation, first=cairo.home.registry.size, checkpoint=old(cairo)))
    with pytest.raises(RegistryStaleError):
        cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))


def old(desk: Desk) -> bytes:
    checkpoint = desk.home.registry.checkpoint
    assert checkpoint is not None
    return checkpoint.note_bytes


def test_a_registrars_clock_that_runs_ahead_is_an_alarm_and_nothing_more(
    cairo: Desk, federation: Federation
) -> None:
    skew = cairo.home.registry.policy.clock_skew_limit
    size = cairo.home.registry.size
    follow(cairo, said(federation, first=size, checkpoint=federation.checkpoint(at=now() + skew)))
    assert cairo.alarms() == []
    ahead = federation.checkpoint(at=now() + skew + timedelta(seconds=30))
    follow(cairo, said(federation, first=size, checkpoint=ahead))
    assert cairo.alarms() == ["clock skew"]


def test_a_registrars_clock_that_lags_is_an_alarm_once_it_signs_while_we_follow(
    cairo: Desk, federation: Federation
) -> None:
    cairo.clock.ahead = cairo.home.registry.policy.clock_skew_limit + timedelta(seconds=30)
    size = federation.registry.size
    first = said(federation, first=size, checkpoint=federation.checkpoint())
    follow(cairo, first)
    assert cairo.alarms() == [], "what was signed before we came may only be old"
    later = now() + timedelta(seconds=2)
    second = said(federation, first=size, checkpoint=federation.checkpoint(at=later))
    follow(cairo, first, second)
    assert cairo.alarms() == ["clock skew"]
    # Never acted on: the registry's time is what the registrar signed.
    assert cairo.home.registry.time == later.replace(microsecond=0)


def test_clocks_within_the_limit_are_no_alarm(cairo: Desk, federation: Federation) -> None:
    cairo.clock.ahead = cairo.home.registry.policy.clock_skew_limit - timedelta(seconds=30)
    size = federation.registry.size
    later = now() + timedelta(seconds=2)
    follow(
        cairo,
        said(federation, first=size),
        said(federation, first=size, checkpoint=federation.checkpoint(at=later)),
    )
    assert cairo.alarms() == []
