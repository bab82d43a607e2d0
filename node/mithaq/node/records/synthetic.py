"""Made-up persons and alerts, for the demo, the benchmarks and the tests.

Names are put together from syllables that form no name of a language, in Arabic
script and in Latin; numbers, courts and cases are as invented. The rule: chance
and time are arguments, so one seed gives one set of alerts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from types import MappingProxyType

from mithaq.agreements.vocabulary import Purpose
from mithaq.node.records import countries
from mithaq.node.records.identifiers import new_alert_id
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.mrz import check_digit, mrz_name
from mithaq.v1 import entry_pb2 as entry
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

_SYLLABLES = (
    ("بار", "bar"),
    ("تيم", "tim"),
    ("زان", "zan"),
    ("روش", "rush"),
    ("كال", "kal"),
    ("دوم", "dum"),
    ("سيف", "sif"),
    ("نار", "nar"),
    ("ليم", "lim"),
    ("طور", "tur"),
    ("فاس", "fas"),
    ("جون", "jun"),
    ("مير", "mir"),
    ("حاب", "hab"),
    ("قيل", "qil"),
    ("شام", "sham"),
    ("وان", "wan"),
    ("هود", "hud"),
    ("غاز", "ghaz"),
    ("ياس", "yas"),
)
_TOWNS = ("Zarbal", "Qasr Dumir", "Wadi Timsar", "Bir Lahun", "Marsa Kalid", "Tell Hunar")
_WITHOUT_STATE = "XXX"
_VALIDITY = timedelta(days=360)
_PURPOSES = MappingProxyType(
    {
        "ARREST": (Purpose.BORDER_CONTROL, Purpose.ARREST_SURRENDER),
        "MISSING_LOCATE": (Purpose.BORDER_CONTROL, Purpose.MISSING_PERSONS),
        "MISSING_PROTECT": (Purpose.BORDER_CONTROL, Purpose.MISSING_PERSONS),
        "CHILD_ABDUCTION_RISK": (Purpose.BORDER_CONTROL, Purpose.CHILD_PROTECTION),
        "DOC_INVALID": (Purpose.BORDER_CONTROL, Purpose.DOCUMENT_SECURITY),
    }
)
_NECESSITY = (
    "Synthetic case. The person is expected to cross a border of the recipient within the "
    "period; the border check is the only lawful occasion to find the person, and no field "
    "beyond those needed for identification and safety is disclosed."
)


@dataclass(frozen=True, slots=True)
class MadeUpName:
    """A name in both scripts, divided."""

    surname: str
    forenames: str
    original_surname: str
    original_forenames: str


def made_up_name(rng: Random) -> MadeUpName:
    """Return a name that nobody has: two forenames and a family name."""

    def word(syllables: int) -> tuple[str, str]:
        chosen = rng.sample(_SYLLABLES, syllables)
        return "".join(a for a, _ in chosen), "".join(b for _, b in chosen).capitalize()

    (first_ar, first), (second_ar, second), (family_ar, family) = word(2), word(2), word(3)
    return MadeUpName(
        surname=f"Al-{family}",
        forenames=f"{first} {second}",
        original_surname=f"ال{family_ar}",
        original_forenames=f"{first_ar} {second_ar}",
    )


def made_up_person(rng: Random, *, nationality: str, born: date) -> subject.Person:
    """Return a person with a name, a date and place of birth and a passport."""
    name = made_up_name(rng)
    person = subject.Person(sex=rng.choice((subject.SEX_FEMALE, subject.SEX_MALE)))
    person.names.add(
        kind=subject.NAME_KIND_PRIMARY,
        surname=name.surname.upper(),
        forenames=name.forenames,
        original_script=f"{name.original_forenames} {name.original_surname}",
        script="Arab",
        transliteration=subject.TRANSLITERATION_DOCUMENT,
        mrz=mrz_name(name.original_surname, name.original_forenames),
    )
    person.dates_of_birth.append(_full_date(born))
    person.places_of_birth.add(city=rng.choice(_TOWNS), country=subject.Country(code=nationality))
    person.nationalities.add(code=nationality)
    number = made_up_number(rng)
    person.documents.add(
        kind=subject.DOCUMENT_KIND_PASSPORT,
        number=number,
        issuing_state=subject.Country(code=nationality),
        note=f"check digit {check_digit(number)}",
    )
    return person


def made_up_number(rng: Random) -> str:
    """Return a document number: a letter and eight digits."""
    return rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") + f"{rng.randrange(10**8):08}"


def made_up_alert(
    rng: Random,
    *,
    category: str,
    issuer: str,
    at: datetime,
) -> ParsedRecord:
    """Return a valid alert of one of `CATEGORIES`, made by this member at this time."""
    seconds = int(at.timestamp()) // 60 * 60
    alert = wire.Alert(
        alert_id=new_alert_id(issuer, at=at, randomness=rng.randbytes),
        version=1,
        issuer=issuer,
        category=category,
        priority=entry.PRIORITY_ROUTINE,
        created_at=seconds,
        valid_from=seconds,
        review_by=seconds + int(_VALIDITY.total_seconds()) - 30 * 86_400,
        expires_at=seconds + int(_VALIDITY.total_seconds()),
        handling=wire.HANDLING_H0,
        source_grade=wire.SOURCE_GRADE_A,
        information_grade=wire.INFORMATION_GRADE_1,
        data_subject=wire.DATA_SUBJECT_OTHER,
        basis=wire.BASIS_FACT,
        legal_basis="Synthetic Border Act, section 12; bilateral agreement, article 4",
        purposes=_PURPOSES[category],
        necessity=_NECESSITY,
        authority="Synthetic Directorate of Public Prosecution",
        decision_reference=f"SYN-{rng.randrange(10**6):06}/{at.year}",
        origin=wire.Origin(system="MITHAQ"),
    )
    _FILLERS[category](rng, alert, at)
    return seal_in(wire.Record(alert=alert))


def _arrest(rng: Random, alert: wire.Alert, at: datetime) -> None:
    alert.action = wire.ACTION_ARREST
    alert.data_subject = wire.DATA_SUBJECT_SUSPECT
    alert.priority = entry.PRIORITY_URGENT
    alert.reason = "Wanted for surrender on a warrant for trafficking in persons"
    alert.person.CopyFrom(_person_aged(rng, alert, at, years=(20, 65)))
    alert.arrest.CopyFrom(
        wire.ArrestBasis(
            offence=wire.OFFENCE_CLASS_TRAFFICKING_IN_PERSONS,
            offence_text="Trafficking in persons, Synthetic Penal Code, article 291",
            warrant_reference=f"W-{rng.randrange(10**6):06}",
            court=f"Court of First Instance of {rng.choice(_TOWNS)}",
            warrant_issued_at=alert.created_at - 86_400,
            maximum_sentence_months=180,
        )
    )
    if rng.random() < 0.3:  # noqa: PLR2004  three in ten carry a warning
        alert.markers.append(rng.choice((wire.MARKER_ARMED, wire.MARKER_VIOLENT)))


def _missing_locate(rng: Random, alert: wire.Alert, at: datetime) -> None:
    alert.action = wire.ACTION_REPORT_WHEREABOUTS
    alert.data_subject = wire.DATA_SUBJECT_MISSING
    alert.reason = "Missing adult; whereabouts are told to the family only with consent"
    alert.person.CopyFrom(_person_aged(rng, alert, at, years=(20, 80)))


def _missing_protect(rng: Random, alert: wire.Alert, at: datetime) -> None:
    alert.action = wire.ACTION_PROTECT_AND_INFORM
    alert.data_subject = wire.DATA_SUBJECT_MISSING
    alert.priority = entry.PRIORITY_URGENT
    alert.reason = "Missing child, last seen travelling alone"
    alert.person.CopyFrom(_person_aged(rng, alert, at, years=(6, 16)))
    _protect(alert, wire.PROTECTION_CASE_KIND_UNACCOMPANIED)


def _child_abduction_risk(rng: Random, alert: wire.Alert, at: datetime) -> None:
    alert.action = wire.ACTION_PREVENT_TRAVEL
    alert.data_subject = wire.DATA_SUBJECT_VICTIM
    alert.priority = entry.PRIORITY_FLASH
    alert.reason = "Court order: the child may not leave the country without both parents"
    alert.person.CopyFrom(_person_aged(rng, alert, at, years=(1, 12)))
    _protect(alert, wire.PROTECTION_CASE_KIND_PARENTAL_ABDUCTION)


def _doc_invalid(rng: Random, alert: wire.Alert, at: datetime) -> None:
    alert.action = wire.ACTION_RETAIN_DOCUMENT
    alert.reason = "Passport reported stolen by its holder"
    document = alert.travel_document
    document.kind = subject.DOCUMENT_KIND_PASSPORT
    document.issuing_state.code = countries.state_of(alert.issuer)
    document.number = made_up_number(rng)
    document.status = subject.DOCUMENT_STATUS_STOLEN
    document.lost_on.CopyFrom(_full_date((at - timedelta(days=rng.randrange(1, 400))).date()))


def _protect(alert: wire.Alert, kind: wire.ProtectionCaseKind.ValueType) -> None:
    alert.protection.CopyFrom(
        wire.ProtectionCase(
            kind=kind,
            contact="Synthetic Child Protection Service, +999 555 0100, day and night",
            order_reference=f"CP-{alert.decision_reference}",
        )
    )


def _person_aged(
    rng: Random, alert: wire.Alert, at: datetime, *, years: tuple[int, int]
) -> subject.Person:
    days = rng.randrange(years[0] * 366, years[1] * 365)
    return made_up_person(
        rng,
        nationality=countries.state_of(alert.issuer) or _WITHOUT_STATE,
        born=(at - timedelta(days=days)).date(),
    )


def _full_date(day: date) -> subject.PartialDate:
    return subject.PartialDate(
        precision=subject.DATE_PRECISION_DAY, year=day.year, month=day.month, day=day.day
    )


_FILLERS: MappingProxyType[str, Callable[[Random, wire.Alert, datetime], None]] = MappingProxyType(
    {
        "ARREST": _arrest,
        "MISSING_LOCATE": _missing_locate,
        "MISSING_PROTECT": _missing_protect,
        "CHILD_ABDUCTION_RISK": _child_abduction_risk,
        "DOC_INVALID": _doc_invalid,
    }
)
CATEGORIES = tuple(_FILLERS)
