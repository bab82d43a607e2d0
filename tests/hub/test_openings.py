"""Which streams may be opened: only those that an agreement in force provides for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mithaq.hub.committer import Accepted
from mithaq.hub.errors import OpeningRefusedError, RegistryBehindError, StreamUnknownError
from mithaq.ledger.kinds import StreamRole
from mithaq.ledger.terms import Terms
from tests.federation import Federation, agreement, clause, now
from tests.hub.core import Core
from tests.streams import StreamWriter, open_terms

TICK = timedelta(seconds=1)
SENDER = "eg-moi"


def opening(federation: Federation, *audience: str, **fields: object) -> Terms:
    return open_terms(federation, SENDER, audience, **fields)  # type: ignore[arg-type]


def published(core: Core, terms: Terms, *, sender: str = SENDER) -> object:
    return core.publish(StreamWriter(core.federation, terms).batch(), sender=sender)


@pytest.mark.parametrize(
    "audience", [("tn-dgsn",), ("int-iom",), ("int-iom", "tn-dgsn")], ids=" ".join
)
def test_a_stream_to_all_partners_or_some_of_them_is_opened(
    core: Core, audience: tuple[str, ...]
) -> None:
    accepted = published(core, opening(core.federation, *audience))
    assert isinstance(accepted, Accepted)
    assert accepted.size == 1


def test_two_streams_to_one_audience_are_told_apart_by_their_ordinal(core: Core) -> None:
    for ordinal in (0, 1):
        assert isinstance(
            published(core, opening(core.federation, "tn-dgsn", ordinal=ordinal)), Accepted
        )
    assert len(core.directory) == 2


def test_nobody_opens_a_stream_in_anothers_name(core: Core) -> None:
    refused = published(core, opening(core.federation, "int-iom"), sender="tn-dgsn")
    # The note is eg-moi's: under tn-dgsn's keys it is not even signed.
    assert isinstance(refused, Exception)
    assert len(core.directory) == 0


def test_a_stream_to_a_member_that_is_no_party_is_refused(core: Core) -> None:
    core.federation.enrol("cy-police")
    refused = published(core, opening(core.federation, "cy-police", "tn-dgsn"))
    assert isinstance(refused, OpeningRefusedError)


def test_a_stream_to_a_member_that_nobody_enrolled_is_refused(core: Core) -> None:
    assert isinstance(published(core, opening(core.federation, "xx-nobody")), OpeningRefusedError)


def test_a_stream_under_an_agreement_that_nobody_signed_is_refused(core: Core) -> None:
    terms = opening(core.federation, "tn-dgsn", agreement_id="no-such-agreement")
    assert isinstance(published(core, terms), OpeningRefusedError)


def test_a_stream_under_another_version_of_the_agreement_is_refused(core: Core) -> None:
    terms = opening(core.federation, "tn-dgsn", agreement_version=2)
    assert isinstance(published(core, terms), OpeningRefusedError)


def test_a_stream_for_a_purpose_that_no_clause_has_is_refused(core: Core) -> None:
    terms = opening(core.federation, "tn-dgsn", purposes=("PUBLIC_HEALTH",))
    assert isinstance(published(core, terms), OpeningRefusedError)


def test_a_stream_wider_than_any_planned_is_refused_though_each_reader_has_a_clause(
    core: Core,
) -> None:
    federation = core.federation
    narrow = agreement(
        *sorted(federation.agencies),
        agreement_id="pairs-only",
        clauses=[
            clause("C1", senders=[SENDER], recipients=["tn-dgsn"], categories=["ARREST"]),  # type: ignore[list-item]
            clause("C2", senders=[SENDER], recipients=["int-iom"], categories=["RETURN"]),  # type: ignore[list-item]
        ],
    )
    federation.agree(narrow)
    alone = opening(federation, "tn-dgsn", agreement_id="pairs-only")
    assert isinstance(published(core, alone), Accepted)
    both = opening(federation, "int-iom", "tn-dgsn", agreement_id="pairs-only")
    assert isinstance(published(core, both), OpeningRefusedError)


def test_a_return_stream_runs_between_members_whom_a_clause_links(core: Core) -> None:
    terms = opening(core.federation, "tn-dgsn", role=StreamRole.RETURN)
    assert isinstance(published(core, terms), Accepted)


def test_no_stream_is_opened_while_the_agreement_is_suspended(core: Core) -> None:
    core.federation.suspend_agreement("test-agreement", "tn-dgsn")
    assert isinstance(published(core, opening(core.federation, "tn-dgsn")), OpeningRefusedError)
    core.federation.lift_agreement("test-agreement", "tn-dgsn")
    assert isinstance(published(core, opening(core.federation, "tn-dgsn")), Accepted)


def test_no_stream_is_opened_to_or_by_a_suspended_member(core: Core) -> None:
    core.federation.suspend("tn-dgsn")
    assert isinstance(published(core, opening(core.federation, "tn-dgsn")), OpeningRefusedError)
    assert isinstance(published(core, opening(core.federation, "int-iom")), Accepted)
    core.federation.suspend(SENDER)
    again = opening(core.federation, "int-iom", ordinal=1)
    assert isinstance(published(core, again), OpeningRefusedError)


def test_a_stream_is_opened_until_just_before_the_agreements_end(core: Core) -> None:
    end = now() + timedelta(days=3)
    core.federation.agree(
        agreement(*sorted(core.federation.agencies), agreement_id="short", expires_at=end)
    )
    core.now = end - TICK
    last = opening(core.federation, "tn-dgsn", agreement_id="short")
    assert isinstance(published(core, last), Accepted)
    core.now = end
    late = opening(core.federation, "tn-dgsn", agreement_id="short", ordinal=1)
    assert isinstance(published(core, late), OpeningRefusedError)


def test_an_opening_that_names_a_larger_registry_may_be_sent_again_later(core: Core) -> None:
    terms = opening(core.federation, "tn-dgsn")
    ahead = replace(terms, registry_size=core.federation.registry.size + 1)
    refused = published(core, ahead)
    assert isinstance(refused, RegistryBehindError)
    assert refused.retryable


def test_an_opening_that_names_another_registry_root_is_refused(core: Core) -> None:
    terms = opening(core.federation, "tn-dgsn")
    assert terms.opening is not None
    other = replace(terms, opening=replace(terms.opening, registry_root=bytes(32)))
    assert isinstance(published(core, other), OpeningRefusedError)


def test_an_opening_judged_before_a_narrowing_is_refused(core: Core) -> None:
    before = opening(core.federation, "tn-dgsn")
    core.federation.suspend_agreement("test-agreement", "int-iom")
    core.federation.lift_agreement("test-agreement", "int-iom")
    assert isinstance(published(core, before), OpeningRefusedError)


def test_a_stream_that_was_never_opened_is_unknown(core: Core) -> None:
    writer = StreamWriter.to(core.federation, SENDER, "tn-dgsn")
    writer.batch()
    writer.epoch()
    assert isinstance(core.publish(writer.batch(), sender=SENDER), StreamUnknownError)


def test_a_batch_under_another_id_than_its_opening_makes_is_refused(core: Core) -> None:
    message = StreamWriter.to(core.federation, SENDER, "tn-dgsn").batch()
    message.stream_id = bytes(32)
    assert isinstance(core.publish(message, sender=SENDER), StreamUnknownError)


def test_a_member_opens_as_many_streams_as_the_limit_says(core: Core) -> None:
    core.streams_per_member_max = 2
    for ordinal in range(2):
        assert isinstance(
            published(core, opening(core.federation, "tn-dgsn", ordinal=ordinal)), Accepted
        )
    assert isinstance(
        published(core, opening(core.federation, "tn-dgsn", ordinal=2)), OpeningRefusedError
    )
