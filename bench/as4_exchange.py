"""Exchange records by AS4 in one process: run by the Python of `make bench-tools`, not by ours.

Reads records from standard input, one a line in base64, and writes what they cost as JSON.
Each becomes a message of the Peppol profile of PyPI's `as4`: signed (RSA-SHA256), gzipped
and encrypted (AES-128-GCM under RSA-OAEP); it is parsed, verified and decrypted; the
receiver signs a receipt of non-repudiation and the sender verifies it. In memory: no
network, no disk. The rule: what comes out is compared with what went in.
"""

# as4 is not in the environment that is checked.
# pyright: basic, reportMissingImports=false

import base64
import json
import sys
import time
from datetime import UTC, datetime, timedelta

from as4 import AS4ExternalParty, AS4InternalParty, AS4LocalPrivateKey, SecurityPolicy
from as4 import pinned_certificates as pinned
from as4.peppol import (
    build_peppol_message,
    create_peppol_external_party,
    create_peppol_internal_party,
    parse_peppol_message,
    parse_peppol_receipt,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

RSA_BITS = 2048
DOCUMENT_TYPE = (
    "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2::Invoice##urn:cen.eu:en16931:2017::2.1"
)
NAMESPACE = "urn:mithaq:bench"


class Party:
    """One end: a key, a certificate, and both as `as4` wants them."""

    def __init__(self, name: str) -> None:
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
        self.certificate = certificate(name, self.key)
        self.internal: AS4InternalParty = create_peppol_internal_party(
            name, self.certificate, AS4LocalPrivateKey(self.key)
        )
        self.external: AS4ExternalParty = create_peppol_external_party(name, self.certificate)


def certificate(name: str, key: rsa.RSAPrivateKey) -> x509.Certificate:
    """Return a self-signed certificate, which the other end pins."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


class Clock:
    """Sums the CPU of each part, in seconds."""

    def __init__(self) -> None:
        self.cpu_s = {"send": 0.0, "receive": 0.0, "receipt": 0.0}
        self._since = time.process_time()

    def start(self) -> None:
        """Begin a part."""
        self._since = time.process_time()

    def count(self, part: str) -> None:
        """Add what went by to a part, and begin the next."""
        now = time.process_time()
        self.cpu_s[part] += now - self._since
        self._since = now


def exchange(
    record: bytes, sender: Party, receiver: Party, policy: SecurityPolicy, clock: Clock
) -> None:
    """Carry one record there, and its receipt back."""
    text = base64.b64encode(record)
    payload = b'<Record xmlns="%s">%s</Record>' % (NAMESPACE.encode(), text)
    clock.start()
    message = build_peppol_message(
        payload,
        local_party=sender.internal,
        remote_party=receiver.external,
        sender="9932:1111111111",
        recipient="9932:2222222222",
        document_type_identifier_scheme="busdox-docid-qns",
        document_type_identifier_value=DOCUMENT_TYPE,
        process_identifier="urn:fdc:peppol.eu:2017:poacc:billing:01:1.0",
        sender_country_id="EG",
    )
    body, boundary = message.get_request_data()
    headers = message.get_http_headers(boundary)
    clock.count("send")
    received = parse_peppol_message(headers, body, receiver.internal, security_policy=policy)
    _, signal = received.build_signal()
    clock.count("receive")
    receipt = parse_peppol_receipt(signal, receiver.certificate)
    receipt.verify_non_repudiation(message.signed_references)
    clock.count("receipt")
    if not received.successful:
        raise SystemExit(f"not received: {received.errors}")
    (data,) = received.message.decrypted_data.values()
    if text not in data:
        raise SystemExit("another record came out than went in")


def main() -> None:
    """Exchange every record, and say what it cost."""
    records = [base64.b64decode(line) for line in sys.stdin]
    sender, receiver = Party("PEG000001"), Party("PTN000001")
    policy = SecurityPolicy(signer_resolver=pinned(sender.certificate))
    # Once before it counts: schemas are compiled at the first message.
    exchange(records[0], sender, receiver, policy, Clock())
    clock, began = Clock(), time.perf_counter()
    for record in records:
        exchange(record, sender, receiver, policy, clock)
    seconds = time.perf_counter() - began
    cpu_us = {part: spent * 1e6 / len(records) for part, spent in clock.cpu_s.items()}
    json.dump({"records": len(records), "seconds": seconds, "cpu_us": cpu_us}, sys.stdout)


if __name__ == "__main__":
    main()
