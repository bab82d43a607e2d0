"""Why somebody looks: the options that finding and showing require."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from mithaq.v1 import local_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any]")


def grounds_options(function: _F) -> _F:
    """Add --purpose, --case, --justification and --legal-basis."""
    for option in (
        click.option("--legal-basis", default="", help="Article of the law that allows it."),
        click.option("--justification", required=True, help="Why, in a sentence (10 letters on)."),
        click.option("--case", "case_reference", required=True, help="Case reference."),
        click.option("--purpose", required=True, help="Purpose code of the agreement."),
    ):
        function = option(function)
    return function


def grounds_of(
    *, purpose: str, case_reference: str, justification: str, legal_basis: str
) -> local_pb2.Grounds:
    """Return the grounds as the local API takes them."""
    return local_pb2.Grounds(
        purpose=purpose,
        case_reference=case_reference,
        justification=justification,
        legal_basis=legal_basis,
    )
