"""An agreement on its way from signatory to signatory: its exact bytes, and who signed.

A JSON file that people pass around. Everybody signs the same bytes; nobody signs
for another. When all parties have signed, its content enters the registry.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mithaq.agreements.terms import Agreement
from mithaq.certs.entries import AgreementAdmitted, AgreementSignature
from mithaq.cli.errors import CliError

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = "mithaq.agreement-package/1"
SIGNATORIES_PER_PARTY = 2


@dataclass(frozen=True, slots=True)
class Package:
    """Terms and the signatures collected so far."""

    terms: bytes
    signatures: tuple[AgreementSignature, ...] = ()

    @property
    def agreement(self) -> Agreement:
        """What the bytes say; raises where they are no agreement."""
        return Agreement.from_bytes(self.terms)

    def with_signature(self, signature: AgreementSignature) -> Package:
        """Return the package with one signature more; a signer's later one replaces it."""
        kept = {(each.member, each.name): each for each in self.signatures}
        kept[signature.member, signature.name] = signature
        return replace(self, signatures=tuple(kept[key] for key in sorted(kept)))

    def missing(self) -> dict[str, int]:
        """Return how many signatories of each party are still to sign."""
        signed = [each.member for each in self.signatures]
        need = {
            party.member: SIGNATORIES_PER_PARTY - signed.count(party.member)
            for party in self.agreement.parties
        }
        return {member: count for member, count in need.items() if count > 0}

    def act(self) -> AgreementAdmitted:
        """Return the act that enters the agreement in the registry."""
        return AgreementAdmitted(self.terms, self.signatures)

    def write(self, path: Path) -> None:
        """Write the file."""
        content = {
            "schema": _SCHEMA,
            "agreement": self.agreement.id,
            "terms": _text(self.terms),
            "signatures": [
                {
                    "member": each.member,
                    "name": each.name,
                    "ed25519": _text(each.ed25519),
                    "mldsa44": _text(each.mldsa44),
                }
                for each in self.signatures
            ],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_package(path: Path) -> Package:
    """Read a package file; raise CliError where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_schema(content["schema"])
        return Package(
            _bytes(content["terms"]),
            tuple(
                AgreementSignature(
                    _name(each["member"]),
                    _name(each["name"]),
                    _bytes(each["ed25519"]),
                    _bytes(each["mldsa44"]),
                )
                for each in content["signatures"]
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CliError(
            "MQ-CONFIG-PACKAGE",
            f"{path.name} is no agreement package",
            why=type(error).__name__,
            fix="make one with `mithaq agreement sign TERMS.yaml --package FILE`",
        ) from None


def check_schema(schema: object) -> None:
    """Raise ValueError for a file of another kind or version."""
    if schema != _SCHEMA:
        raise ValueError(schema)


def _name(value: object) -> str:
    """Return a name; raise ValueError for one that no message could carry."""
    name = str(value)
    name.encode()
    return name


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
