"""Decisions, and why an act was allowed or refused: stable codes.

A code never changes its meaning, because audit logs keep it for years. What a peer
may learn is less: where a refusal could give away that a person is protected, it
gets the sentence that every other refusal gets (DOMAIN 4, T10).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Code of a decision's reason; the text is for our own log and screen."""

    ALLOWED = "ALLOWED"
    ALLOWED_IN_WIND_DOWN = "ALLOWED_IN_WIND_DOWN"
    ALLOWED_VERIFY_WITH_BUREAU = "ALLOWED_VERIFY_WITH_BUREAU"

    AGREEMENT_DRAFT = "AGREEMENT_DRAFT"
    AGREEMENT_NOT_YET_IN_FORCE = "AGREEMENT_NOT_YET_IN_FORCE"
    AGREEMENT_SUSPENDED = "AGREEMENT_SUSPENDED"
    AGREEMENT_ENDED = "AGREEMENT_ENDED"
    AGREEMENT_EXPIRED = "AGREEMENT_EXPIRED"
    WIND_DOWN_OVER = "WIND_DOWN_OVER"
    SENDER_NOT_PARTY = "SENDER_NOT_PARTY"
    RECIPIENT_NOT_PARTY = "RECIPIENT_NOT_PARTY"
    SENDER_LEFT = "SENDER_LEFT"
    RECIPIENT_LEFT = "RECIPIENT_LEFT"
    RECIPIENT_IS_SENDER = "RECIPIENT_IS_SENDER"
    RECIPIENT_NONE = "RECIPIENT_NONE"

    VERSION_OTHER = "VERSION_OTHER"
    KIND_NOT_ADMITTED = "KIND_NOT_ADMITTED"
    RETURN_NOT_TO_ONE = "RETURN_NOT_TO_ONE"
    CATEGORY_UNKNOWN = "CATEGORY_UNKNOWN"
    CREATED_IN_FUTURE = "CREATED_IN_FUTURE"
    RECORD_EXPIRED = "RECORD_EXPIRED"
    ORIGIN_SYSTEM_EXCLUDED = "ORIGIN_SYSTEM_EXCLUDED"
    SUBJECT_TYPE_NOT_OF_CATEGORY = "SUBJECT_TYPE_NOT_OF_CATEGORY"
    AGE_NOT_OF_CATEGORY = "AGE_NOT_OF_CATEGORY"
    AGE_UNKNOWN = "AGE_UNKNOWN"
    PURPOSE_NOT_OF_CATEGORY = "PURPOSE_NOT_OF_CATEGORY"
    FIELD_NOT_OF_CATEGORY = "FIELD_NOT_OF_CATEGORY"
    RECIPIENT_EXCLUDED = "RECIPIENT_EXCLUDED"
    EXCLUSION_UNKNOWN = "EXCLUSION_UNKNOWN"
    ONWARD_CONSENT_MISSING = "ONWARD_CONSENT_MISSING"
    FORBIDDEN_BY_CLAUSE = "FORBIDDEN_BY_CLAUSE"

    NO_CLAUSE = "NO_CLAUSE"
    SUBJECT_TYPE_NOT_GRANTED = "SUBJECT_TYPE_NOT_GRANTED"
    PURPOSE_NOT_GRANTED = "PURPOSE_NOT_GRANTED"
    MINOR_NOT_GRANTED = "MINOR_NOT_GRANTED"
    FIELD_NOT_GRANTED = "FIELD_NOT_GRANTED"
    HANDLING_NOT_GRANTED = "HANDLING_NOT_GRANTED"
    SOURCE_NOT_GRANTED = "SOURCE_NOT_GRANTED"
    INFORMATION_NOT_GRANTED = "INFORMATION_NOT_GRANTED"
    OFFENCE_UNKNOWN = "OFFENCE_UNKNOWN"
    OFFENCE_EXCLUDED = "OFFENCE_EXCLUDED"
    SENTENCE_TOO_SHORT = "SENTENCE_TOO_SHORT"
    NOT_DUALLY_CRIMINAL = "NOT_DUALLY_CRIMINAL"
    ASSURANCES_MISSING = "ASSURANCES_MISSING"
    RETENTION_TOO_LONG = "RETENTION_TOO_LONG"
    NECESSITY_TOO_SHORT = "NECESSITY_TOO_SHORT"

    ROLE_NOT_GRANTED = "ROLE_NOT_GRANTED"
    PURPOSE_INCOMPATIBLE = "PURPOSE_INCOMPATIBLE"
    STALE_PERSON_SEARCH_CLOSED = "STALE_PERSON_SEARCH_CLOSED"
    ONWARD_NOT_GRANTED = "ONWARD_NOT_GRANTED"
    QUOTA_USED_UP = "QUOTA_USED_UP"

    @property
    def text(self) -> str:
        """One sentence for the member's own log and screen."""
        return TEXTS[self]

    @property
    def public(self) -> str:
        """What a peer may learn."""
        return PUBLIC_TEXTS.get(self, NO_GRANT)


NO_GRANT: Final = "No agreement in force allows this."

PUBLIC_TEXTS: Final[dict[Reason, str]] = {
    Reason.ALLOWED: "Allowed.",
    Reason.ALLOWED_IN_WIND_DOWN: "Allowed while the agreement is wound down.",
    Reason.ALLOWED_VERIFY_WITH_BUREAU: "Allowed; verify with the bureau.",
    Reason.AGREEMENT_SUSPENDED: "The agreement is suspended.",
    Reason.AGREEMENT_ENDED: "The agreement has ended.",
    Reason.AGREEMENT_EXPIRED: "The agreement has ended.",
    Reason.WIND_DOWN_OVER: "The agreement has ended.",
    Reason.VERSION_OTHER: "Another version of the agreement is in force.",
    Reason.KIND_NOT_ADMITTED: "Entries of this kind are not admitted.",
    Reason.CREATED_IN_FUTURE: "The entry is dated in the future.",
    Reason.RECORD_EXPIRED: "The record has expired.",
    Reason.QUOTA_USED_UP: "The quota of the day is used up.",
}

TEXTS: Final[dict[Reason, str]] = {
    Reason.ALLOWED: "A clause permits it and none forbids it.",
    Reason.ALLOWED_IN_WIND_DOWN: "Withdrawal and erasure go on while the agreement is wound down.",
    Reason.ALLOWED_VERIFY_WITH_BUREAU: (
        "The copy is stale, but documents and objects may be checked: verify with the bureau."
    ),
    Reason.AGREEMENT_DRAFT: "The agreement has not been admitted to the registry.",
    Reason.AGREEMENT_NOT_YET_IN_FORCE: "The agreement begins later.",
    Reason.AGREEMENT_SUSPENDED: "A party or the federation has suspended the agreement.",
    Reason.AGREEMENT_ENDED: "The agreement has been ended.",
    Reason.AGREEMENT_EXPIRED: "The agreement has reached its end.",
    Reason.WIND_DOWN_OVER: "The time for winding the agreement down is over.",
    Reason.SENDER_NOT_PARTY: "The sender is no party to the agreement.",
    Reason.RECIPIENT_NOT_PARTY: "The recipient is no party to the agreement.",
    Reason.SENDER_LEFT: "The sender has left the agreement.",
    Reason.RECIPIENT_LEFT: "The recipient has left the agreement.",
    Reason.RECIPIENT_IS_SENDER: "Sender and recipient are the same member.",
    Reason.RECIPIENT_NONE: "No recipient is named.",
    Reason.VERSION_OTHER: "The entry names a version of the agreement that is not in force.",
    Reason.KIND_NOT_ADMITTED: "Entries of this kind are not admitted here.",
    Reason.RETURN_NOT_TO_ONE: "A return stream runs to exactly one peer.",
    Reason.CATEGORY_UNKNOWN: "The category is not in the vocabulary.",
    Reason.CREATED_IN_FUTURE: "The entry is dated further ahead than clocks may differ.",
    Reason.RECORD_EXPIRED: "The record has expired.",
    Reason.ORIGIN_SYSTEM_EXCLUDED: "Records of that origin may not leave their own circle.",
    Reason.SUBJECT_TYPE_NOT_OF_CATEGORY: "The category has no subjects of that type.",
    Reason.AGE_NOT_OF_CATEGORY: "The category does not concern persons of that age.",
    Reason.AGE_UNKNOWN: "The category needs to know whether the person is a child.",
    Reason.PURPOSE_NOT_OF_CATEGORY: "The category can't serve that purpose.",
    Reason.FIELD_NOT_OF_CATEGORY: "The category may not carry one of the fields.",
    Reason.RECIPIENT_EXCLUDED: "The record excludes this recipient.",
    Reason.EXCLUSION_UNKNOWN: "It is not known whom the record must be kept from.",
    Reason.ONWARD_CONSENT_MISSING: "The record is a partner's, and its consent is not recorded.",
    Reason.FORBIDDEN_BY_CLAUSE: "A clause forbids it, whatever others permit.",
    Reason.NO_CLAUSE: "No clause names this sender, recipient and category.",
    Reason.SUBJECT_TYPE_NOT_GRANTED: "No clause grants this type of subject.",
    Reason.PURPOSE_NOT_GRANTED: "No clause grants all of these purposes.",
    Reason.MINOR_NOT_GRANTED: "No clause grants it for a person of this age.",
    Reason.FIELD_NOT_GRANTED: "No clause grants all of these fields.",
    Reason.HANDLING_NOT_GRANTED: "No clause grants this handling code.",
    Reason.SOURCE_NOT_GRANTED: "The source is less reliable than the clause asks.",
    Reason.INFORMATION_NOT_GRANTED: "The information is less reliable than the clause asks.",
    Reason.OFFENCE_UNKNOWN: "The clause needs the offence, and it has not been assessed.",
    Reason.OFFENCE_EXCLUDED: "The clause never serves this class of offence.",
    Reason.SENTENCE_TOO_SHORT: "The offence is too minor for the clause.",
    Reason.NOT_DUALLY_CRIMINAL: "The clause needs an offence under both laws.",
    Reason.ASSURANCES_MISSING: "The clause needs assurances that are not on record.",
    Reason.RETENTION_TOO_LONG: "The record would be kept longer than the clause allows.",
    Reason.NECESSITY_TOO_SHORT: "The statement of necessity is shorter than the clause asks.",
    Reason.ROLE_NOT_GRANTED: "No clause grants reading in this role.",
    Reason.PURPOSE_INCOMPATIBLE: "The purpose does not fit what the record was disclosed for.",
    Reason.STALE_PERSON_SEARCH_CLOSED: (
        "The copy is older than the agreement allows: names of foreign persons are closed."
    ),
    Reason.ONWARD_NOT_GRANTED: "The clause lets nobody pass the record on.",
    Reason.QUOTA_USED_UP: "The sender has used up the quota of the day.",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, the clauses that decided it, and the reason.

    Allowed: the clauses that permit. Refused: those that forbid, or else the one that
    came nearest to permitting; none where no clause came into question.
    """

    allowed: bool
    clause_ids: tuple[str, ...]
    reason: Reason

    @property
    def public_reason(self) -> str:
        """What a peer may learn of the reason."""
        return self.reason.public


def allowed(*clause_ids: str, reason: Reason = Reason.ALLOWED) -> Decision:
    """Return a decision that lets the act happen."""
    return Decision(allowed=True, clause_ids=clause_ids, reason=reason)


def refused(reason: Reason, *clause_ids: str) -> Decision:
    """Return a decision that stops the act."""
    return Decision(allowed=False, clause_ids=clause_ids, reason=reason)
