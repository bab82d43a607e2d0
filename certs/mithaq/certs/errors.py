"""What can be wrong with keys, certificates, entries and those who ask to take part.

One family for the whole room. ``code`` is stable, ``public_message`` is what a peer
may learn, ``fix`` says what to do next and ``alarm`` names the alarm of PROTOCOL 6
that the fault raises. No message holds key material or a secret.
"""

from pathlib import Path
from typing import ClassVar


class TrustError(Exception):
    """Something about who takes part does not hold; `str()` is for our own log."""

    code: ClassVar[str] = "MQ-TRUST"
    alarm: ClassVar[str | None] = None
    grpc_status: ClassVar[str] = "INVALID_ARGUMENT"
    public_message: ClassVar[str] = "This could not be trusted."
    fix: ClassVar[str] = (
        "Read the message above; if it stays unclear, ask the trust administrators."
    )


# --- bytes and signatures -----------------------------------------------------------


class TrustFormatError(TrustError):
    """Bytes are not the message that they should be."""

    code = "MQ-TRUST-FORMAT"
    public_message = "The message is not of its form."
    fix = "Make it again with the same version of Mithaq on both sides, and carry it unchanged."


class SignatureInvalidError(TrustError):
    """A signature does not verify under the key that should have made it."""

    code = "MQ-TRUST-SIGNATURE"
    grpc_status = "PERMISSION_DENIED"
    public_message = "A signature does not verify."
    fix = (
        "Sign the exact bytes again with the right key; if they were right, they were "
        "altered on the way."
    )


class SignerUnknownError(TrustError):
    """A signature names a signer whom the registry does not know in this role."""

    code = "MQ-TRUST-SIGNER-UNKNOWN"
    grpc_status = "PERMISSION_DENIED"
    public_message = "A signature is by someone the registry does not know in this role."
    fix = "Sign as an administrator or signatory whom `mithaq trust members` lists."


class SignatureUncalledError(TrustError):
    """A signature was given in a role that this kind of entry does not ask for, or twice."""

    code = "MQ-TRUST-SIGNATURE-UNCALLED"
    grpc_status = "PERMISSION_DENIED"
    public_message = "A signature was given in a role that this entry does not call for."
    fix = "Sign once each, and only in the role that this kind of entry needs."


class AuthorityMissingError(TrustError):
    """An entry lacks signatures that its kind requires."""

    code = "MQ-TRUST-AUTHORITY"
    grpc_status = "PERMISSION_DENIED"
    public_message = "The entry lacks signatures that its kind requires."
    fix = "Have the missing signatures added, then enter it again."


# --- keys and their files -----------------------------------------------------------


class KeyFormatError(TrustError):
    """Bytes are not a key of the kind asked for."""

    code = "MQ-KEY-FORMAT"
    public_message = "This is not a key of the kind that is needed."
    fix = "Check that the right file is named; restore it from your backup if it is damaged."


class KeystoreModeError(TrustError):
    """A key or its folder can be read or replaced by others than its owner."""

    code = "MQ-KEY-MODE"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "A private key is readable by others."
    fix = (
        "Run `chmod 700` on the folder and `chmod 600` on the key; if others had access, "
        "replace the key."
    )

    def __init__(self, message: str, *, path: Path) -> None:
        """Say what is wrong with which file or folder; the path is for its owner only."""
        super().__init__(message)
        self.why = f"{path}: {message}"


class KeyMissingError(TrustError):
    """No key of this name is in the store."""

    code = "MQ-KEY-MISSING"
    grpc_status = "NOT_FOUND"
    public_message = "A private key is not there."
    fix = "Check the key folder in the configuration; `init` and `join` make the keys they need."


class KeyExistsError(TrustError):
    """A key of this name is already in the store; it is never overwritten."""

    code = "MQ-KEY-EXISTS"
    grpc_status = "ALREADY_EXISTS"
    public_message = "A private key of this name exists already."
    fix = "Use another name or folder, or move the old key away on purpose."


class KeyNameError(TrustError):
    """A key's name could not be a file's name in every store."""

    code = "MQ-KEY-NAME"
    public_message = "This cannot be the name of a key."
    fix = "Use 1 to 64 letters, digits and hyphens, in lower case."


class PassphraseError(TrustError):
    """A key file does not open with this passphrase, or the passphrase is too short."""

    code = "MQ-KEY-PASSPHRASE"
    grpc_status = "UNAUTHENTICATED"
    public_message = "The passphrase does not open this key."
    fix = "Try the passphrase again; it has at least 12 characters and no one can recover it."


# --- certificates -------------------------------------------------------------------


class CertificateError(TrustError):
    """A certificate or a request for one is not as the federation's rules have it."""

    code = "MQ-CERT-FORMAT"
    public_message = "The certificate or the request for one is not acceptable."
    fix = "Make the request again with `mithaq hub init` or `mithaq node join`."


class CertificateCurveError(CertificateError):
    """A TLS key is not on the curve P-256, the one that the transport can use."""

    code = "MQ-CERT-CURVE"
    public_message = "TLS keys must be ECDSA on P-256; gRPC accepts neither Ed25519 nor P-521."
    fix = "Make the TLS key again as ECDSA P-256 (prime256v1)."


class CertificatePathError(CertificateError):
    """A certificate was not issued by a CA that is trusted here, or not for this time."""

    code = "MQ-CERT-PATH"
    grpc_status = "UNAUTHENTICATED"
    public_message = "The certificate is expired or was not issued by the federation's CA."
    fix = "Check the clock, then ask the trust administrators for a renewed certificate."


class CertificateIdentityError(CertificateError):
    """A certificate or a request names someone else than expected."""

    code = "MQ-CERT-IDENTITY"
    grpc_status = "PERMISSION_DENIED"
    public_message = "The certificate names another identity than the one expected."
    fix = "Make the request for the identity that is to be enrolled."


# --- the registry -------------------------------------------------------------------


class GenesisMismatchError(TrustError):
    """The first entry is not the one that was pinned."""

    code = "MQ-TRUST-GENESIS"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The registry does not begin with the pinned entry."
    fix = "Stop. Compare the root pin with the trust administrators over another channel."


class WrongFederationError(TrustError):
    """Something belongs to another federation."""

    code = "MQ-TRUST-FEDERATION"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "This belongs to another federation."
    fix = "Use the invitation, keys and entries of the federation that this work folder belongs to."


class ReplayedEntryError(TrustError):
    """The same body is already in the registry."""

    code = "MQ-TRUST-REPLAY"
    grpc_status = "ALREADY_EXISTS"
    public_message = "This very entry is already in the registry."
    fix = "Nothing to do if it took effect; to repeat the act, draw up and sign a new entry."


class RegistryFullError(TrustError):
    """The registry holds as many entries as its policy allows."""

    code = "MQ-TRUST-FULL"
    grpc_status = "RESOURCE_EXHAUSTED"
    public_message = "The registry is full."
    fix = (
        "Found a successor federation with a larger limit; the policy is fixed by the "
        "genesis entry."
    )


class EntryConflictError(TrustError):
    """An entry does not fit what the registry already says."""

    code = "MQ-TRUST-CONFLICT"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The entry does not fit what the registry says."
    fix = (
        "Look at the present state with `mithaq trust members`, then draw up the entry "
        "that fits it."
    )


class KeyReusedError(EntryConflictError):
    """A key is already bound to a purpose; one key serves one purpose, once."""

    code = "MQ-TRUST-KEY-REUSED"
    public_message = "A key in the entry is already bound to a purpose."
    fix = "Make a fresh key for each purpose; no key is ever registered twice."


class UnknownMemberError(TrustError):
    """The registry knows no such member, certificate or key."""

    code = "MQ-TRUST-UNKNOWN"
    alarm = "unknown member"
    grpc_status = "PERMISSION_DENIED"
    public_message = "The registry does not know this party."
    fix = (
        "Check that the certificate is the enrolled one; a new one has to be entered by "
        "the administrators."
    )


class MemberInactiveError(TrustError):
    """The member is suspended or revoked, so it takes part in nothing."""

    code = "MQ-TRUST-INACTIVE"
    grpc_status = "PERMISSION_DENIED"
    public_message = "The member is suspended or revoked."
    fix = "Ask the trust administrators; a suspended member can be reinstated."


class UnknownAgreementError(TrustError):
    """The registry holds no agreement of this id."""

    code = "MQ-TRUST-NO-AGREEMENT"
    grpc_status = "NOT_FOUND"
    public_message = "The registry holds no such agreement."
    fix = "Check the id with `mithaq agreement list`; it appears once it is admitted."


class ReceptionKeyMissingError(TrustError):
    """The member has no reception key that may be sealed to."""

    code = "MQ-TRUST-NO-RECEPTION-KEY"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The member has no valid reception key."
    fix = "The member's node announces a new one when it next connects; until then it has lapsed."


class RegistryStaleError(TrustError):
    """The registrar has signed no time recent enough (PROTOCOL 2.6)."""

    code = "MQ-TRUST-STALE"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The registry's time is too old to act on."
    fix = (
        "Nothing new is published or opened until the registrar is reachable again; "
        "check it and the hub."
    )


class ClockSkewError(TrustError):
    """The registry's time lies ahead of the local clock by more than the policy allows."""

    code = "MQ-TRUST-CLOCK"
    alarm = "clock skew"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The registry's time and the local clock differ too much."
    fix = (
        "Check the local clock against a time server; if it is right, warn the trust "
        "administrators."
    )


class RegistryWithheldError(TrustError):
    """The registrar signed a larger registry than was handed over (PROTOCOL 2.4)."""

    code = "MQ-TRUST-WITHHELD"
    alarm = "registry withheld"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "Registry entries that the registrar has signed were not delivered."
    fix = (
        "Ask the hub again; if it stays so, keep the checkpoint and warn the trust administrators."
    )


class RegistryRolledBackError(TrustError):
    """A registry was shown that is behind what was already verified (PROTOCOL 2.3)."""

    code = "MQ-TRUST-ROLLED-BACK"
    alarm = "registry rolled back"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The registry went back behind what was verified before."
    fix = "Stop. Keep both checkpoints as evidence and warn the trust administrators."


class RegistryForkError(TrustError):
    """The registrar signed another root for a size that was replayed (PROTOCOL 1.6)."""

    code = "MQ-TRUST-FORK"
    alarm = "fork"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The registrar signed two histories."
    fix = "Stop. Keep both checkpoints as evidence and warn the trust administrators."


# --- joining ------------------------------------------------------------------------


class InvitationError(TrustError):
    """An invitation cannot be used."""

    code = "MQ-INVITE"
    public_message = "The invitation cannot be used."
    fix = "Ask the trust administrators for a new invitation."


class InvitationMistypedError(InvitationError):
    """The invitation's checksum does not fit: a letter is wrong, missing or added."""

    code = "MQ-INVITE-TYPO"
    public_message = "The invitation was not copied exactly."
    fix = "Copy the whole string again, from `mithaq1-` to its end."


class InvitationExpiredError(InvitationError):
    """The invitation's time is over."""

    code = "MQ-INVITE-EXPIRED"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The invitation has expired."
    fix = "Ask the trust administrators for a new invitation."


class InvitationFederationError(InvitationError):
    """The invitation is for another federation."""

    code = "MQ-INVITE-FEDERATION"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The invitation is for another federation."
    fix = "Use the invitation of the federation that this work folder or registrar belongs to."


class InvitationUsedError(InvitationError):
    """Somebody has already asked to be enrolled with this invitation."""

    code = "MQ-INVITE-USED"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The invitation has been used."
    fix = "If that was not you, warn the trust administrators; ask them for a new invitation."


class InvitationUnknownError(InvitationError):
    """The registrar never gave out this invitation, or the request was made without its secret."""

    code = "MQ-INVITE-UNKNOWN"
    grpc_status = "PERMISSION_DENIED"
    public_message = "The registrar does not know this invitation."
    fix = "Check that the invitation is the one given out for this member."


class EnrolmentError(TrustError):
    """A request to be enrolled does not prove what it says."""

    code = "MQ-ENROL"
    grpc_status = "PERMISSION_DENIED"
    public_message = "The request to be enrolled does not prove what it says."
    fix = (
        "Make the request again with `mithaq node join`; no proof may be carried over "
        "from another one."
    )


class RenewalOutdatedError(TrustError):
    """A request for a certificate names another predecessor than the registry's newest."""

    code = "MQ-CERT-RENEWAL-OUTDATED"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The certificate that this would replace is not the newest one."
    fix = "Follow the registry, then ask anew; a request is answered once."


class PendingMissingError(TrustError):
    """Nothing of this id waits for signatures."""

    code = "MQ-TRUST-NOT-PENDING"
    grpc_status = "NOT_FOUND"
    public_message = "Nothing of this id waits for signatures."
    fix = "List what waits with `mithaq trust pending`."


class PendingFullError(TrustError):
    """Too much waits for signatures already."""

    code = "MQ-TRUST-PENDING-FULL"
    grpc_status = "RESOURCE_EXHAUSTED"
    public_message = "Too many requests wait for the trust administrators."
    fix = "Wait until some are decided, then ask again."


class ImplausibleTimeError(TrustError):
    """An entry was drawn up too long ago, or in the future, by the registrar's clock."""

    code = "MQ-TRUST-TIME"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The entry was drawn up too long ago or lies in the future."
    fix = "Check the clock, then draw up and sign the entry anew."
