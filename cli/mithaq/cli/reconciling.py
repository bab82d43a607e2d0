"""`mithaq audit reconcile`: two ends compared offline, by the root pin alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mithaq.cli.errors import EXIT_VERIFICATION
from mithaq.cli.output import json_option, present
from mithaq.cli.pin import pin_of
from mithaq.store.audit_bundle import BundleKeys, VerifiedBundle, registry_of, verify_bundle
from mithaq.store.reconcile import Agreement, reconcile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mithaq.store.reconcile import DisclosureRef, Reconciliation

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ACCEPTABLE = frozenset({Agreement.EQUAL, Agreement.PREFIX})


@click.command("reconcile")
@click.argument("bundle_a", type=_FILE)
@click.argument("bundle_b", type=_FILE)
@click.option("--root-pin", required=True, help="The federation's root pin, in hex.")
@json_option
def reconcile_bundles(*, bundle_a: Path, bundle_b: Path, root_pin: str, as_json: bool) -> int:
    """Reconcile the bundles of two parties.

    Same streams, same roots, a receipt for each disclosure and the other way round. Needs
    no network and no secret key: the bundles carry the registry, and the root pin says
    which registry counts.
    """
    data = [bundle_a.read_bytes(), bundle_b.read_bytes()]
    pin = pin_of(root_pin)
    registries = [registry_of(each, pinned_root_hash=pin) for each in data]
    keys = BundleKeys.of(max(registries, key=lambda each: each.size))
    ours, theirs = (verify_bundle(each, keys) for each in data)
    row = _row(ours, theirs, reconcile(ours, theirs))
    present("audit.reconcile", row, as_json=as_json, title=f"{ours.owner} and {theirs.owner}")
    return 0 if row["reconciled"] else EXIT_VERIFICATION


def _row(ours: VerifiedBundle, theirs: VerifiedBundle, found: Reconciliation) -> dict[str, Any]:
    unequal = [each for each in found.streams if each.agreement not in _ACCEPTABLE]
    problems = (
        unequal,
        found.disclosures_without_receipt,
        found.receipts_without_disclosure,
        found.contradictions,
    )
    return {
        "reconciled": not any(problems),
        "owners": [ours.owner, theirs.owner],
        "entries": [len(ours.entries), len(theirs.entries)],
        "streams": len(found.streams),
        "equal": sum(each.agreement is Agreement.EQUAL for each in found.streams),
        "unequal": [
            f"{each.stream_id.hex()[:8]} {each.agreement} from {each.first_difference}"
            for each in unequal
        ],
        "disclosures_without_receipt": _named(found.disclosures_without_receipt),
        "receipts_without_disclosure": _named(found.receipts_without_disclosure),
        "contradictions": [str(each) for each in found.contradictions],
    }


def _named(found: Iterable[DisclosureRef]) -> list[str]:
    return [f"{each.stream_id.hex()[:8]}/{each.sequence} to {each.reader}" for each in found]
