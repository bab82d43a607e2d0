"""Records of the cast: made-up alerts of each category, and what answers them."""

from random import Random

from mithaq.agreements.categories import Category
from mithaq.node.records.errors import RecordError
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.fuzz.cast import AT, CAIRO, TUNIS


def alert(category: str, *, number: int = 1) -> ParsedRecord:
    chance = Random(number)  # noqa: S311 - which synthetic person, not a secret
    return made_up_alert(chance, issuer=CAIRO, category=category, at=AT)


def alerts() -> list[ParsedRecord]:
    """Return an alert of every category that can be made up."""
    made: list[ParsedRecord] = []
    for category in Category:
        try:
            made.append(alert(category))
        except (RecordError, KeyError, ValueError):
            continue
    return made


def answers() -> list[ParsedRecord]:
    """Return a hit report, a form and a receipt of erasure, about the alert of Cairo."""
    about, seconds = alert("ARREST"), int(AT.timestamp())
    place = wire.DisclosureName(stream_id=bytes(32), sequence=3)
    hit = wire.HitReport(
        hit_id=about.alert_id.replace(CAIRO, TUNIS),
        reporter=CAIRO,
        alert_id=about.alert_id.replace(CAIRO, TUNIS),
        alert_version=1,
        matched=place,
        found_at=seconds,
        created_at=seconds,
        place=subject.Place(city="Zarbal"),
        outcome=wire.ACTION_OUTCOME_TAKEN,
        officer_reference="o-17",
        case_reference="c-4",
        handling=wire.HANDLING_H0,
    )
    form = wire.Form(
        form_id=about.alert_id,
        kind=wire.FORM_KIND_MISCELLANEOUS,
        sender=CAIRO,
        alert_id=about.alert_id,
        created_at=seconds,
        handling=wire.HANDLING_H0,
        remarks=[wire.Remark(language="fr", text="Bien reçu")],
    )
    receipt = wire.ErasureReceipt(
        disclosure=place,
        member=CAIRO,
        outcome=wire.ERASURE_OUTCOME_RETAINED_IN_CASE_FILE,
        done_at=seconds,
        ground="Synthetic Code of Procedure, article 9",
        retained_until=seconds + 1,
    )
    messages = (
        wire.Record(hit_report=hit),
        wire.Record(form=form),
        wire.Record(erasure_receipt=receipt),
    )
    return [seal_in(each) for each in messages]
