"""The node's own keys: made once, and loaded for one process.

One key, one purpose (DESIGN 3). Signing keys stand in files that only their owner can
read; what is wrapped by the storage key stands in the database. The rule: a key that is
there is never made again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mithaq.certs.enrolment import NodeKeys
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SecretKey, SigningPair
from mithaq.certs.keystore import Keystore, SeedKey
from mithaq.node.exchange.receipts import ReceiptSigners
from mithaq.node.lookup.keys import IndexKey
from mithaq.node.sealing.at_rest import StorageKey

LOG: Final = "log"
HELD: Final = "receipt-held"
OPENED: Final = "receipt-opened"
RECEIPT_MLDSA: Final = "receipt-mldsa"
STORAGE: Final = "storage"
# Keys of the lookup index, and of the hashes of search terms in the audit log.
LOOKUP: Final = "lookup"
AUDIT_TERMS: Final = "audit-terms"
# Until the database exists, where reception keys are kept wrapped.
FIRST_RECEPTION: Final = "reception-first"

_MADE: Final[dict[str, Callable[[], SeedKey]]] = {
    LOG: SigningPair.generate,
    HELD: Ed25519Key.generate,
    OPENED: Ed25519Key.generate,
    RECEIPT_MLDSA: MlDsa44Key.generate,
    STORAGE: SecretKey.generate,
    LOOKUP: SecretKey.generate,
    AUDIT_TERMS: SecretKey.generate,
    FIRST_RECEPTION: ReceptionKey.generate,
}


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that a running node acts with."""

    log: SigningPair = field(repr=False)
    receipts: ReceiptSigners = field(repr=False)
    storage: StorageKey = field(repr=False)
    index: IndexKey = field(repr=False)
    # Keys the hashes of search terms.
    terms: bytes = field(repr=False)

    @classmethod
    def load(cls, keys: Keystore, credentials: Keystore | None = None) -> "Keyring":
        """Read the keys; raises KeyMissingError, KeystoreModeError, KeyFormatError.

        The storage key may be handed over by systemd instead (DESIGN 3): then no file of
        this machine opens the database by itself.
        """
        receipts = ReceiptSigners(
            held=keys.load_ed25519(HELD),
            opened=keys.load_ed25519(OPENED),
            mldsa=keys.load_mldsa44(RECEIPT_MLDSA),
        )
        return cls(
            log=keys.load_pair(LOG),
            receipts=receipts,
            storage=StorageKey(_storage(keys, credentials).load_secret(STORAGE).to_bytes()),
            index=IndexKey(keys.load_secret(LOOKUP).to_bytes()),
            terms=keys.load_secret(AUDIT_TERMS).to_bytes(),
        )


def _storage(keys: Keystore, credentials: Keystore | None) -> Keystore:
    """Return where the storage key is: the file, as long as there is one."""
    return keys if credentials is None or keys.exists(STORAGE) else credentials


def make_missing(keys: Keystore) -> None:
    """Make every key of a node that isn't there yet; raises KeystoreModeError."""
    for name, generate in _MADE.items():
        if not keys.exists(name):
            keys.create(name, generate())


def enrolment_keys(keys: Keystore) -> NodeKeys:
    """Return the keys that an enrolment request proves, with the first reception key."""
    return NodeKeys(
        log=keys.load_pair(LOG),
        held=keys.load_ed25519(HELD),
        opened=keys.load_ed25519(OPENED),
        receipt_mldsa=keys.load_mldsa44(RECEIPT_MLDSA),
        reception=keys.load_reception(FIRST_RECEPTION).public,
    )
