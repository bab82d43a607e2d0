"""`mithaq trust init`, `card`, `sign`, `run`, `profile`: how a federation begins, and runs.

The ceremony: each administrator makes its key where it will be kept (`card`); the
registrar draws up the first entry from the cards (`init --card`); each administrator
signs that file (`sign`); the registrar takes it back (`init --signed`). The simple way
makes all keys in one place under one passphrase (`init --administrator`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import (
    EntrySigner,
    Policy,
    SignedEntry,
    body_hash,
    merge_signatures,
    parse_body,
    sign_entry,
)
from mithaq.certs.keys import SigningPair, grouped
from mithaq.cli.errors import CliError
from mithaq.cli.offlinekeys import key_option, load_pair, passphrase_option, read_passphrase
from mithaq.cli.output import json_option, note, present
from mithaq.cli.trust_calls import now, say

if TYPE_CHECKING:
    from mithaq.registrar.config import RegistrarConfig
    from mithaq.registrar.founding import Founding

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--federation", default="", help="Its name, like a DNS name.")
@click.option("--administrator", "administrators", multiple=True, help="Make this one's key here.")
@click.option("--card", "cards", type=_FILE, multiple=True, help="An administrator's key card.")
@click.option("--threshold", default=0, type=click.IntRange(0, 16), help="k of n.")
@click.option("--signed", type=_FILE, default=None, help="The first entry, signed by k.")
@click.option("--listen", "local_listen", default="127.0.0.1:7446", show_default=True)
@click.option("--metrics-port", default=7456, show_default=True)
@click.option("--checkpoint-seconds", default=30.0, show_default=True)
@passphrase_option
@json_option
def init(
    *,
    folder: Path,
    federation: str,
    administrators: tuple[str, ...],
    cards: tuple[Path, ...],
    threshold: int,
    signed: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
    **settings: Any,  # noqa: ANN401 (the registrar's own, by name)
) -> None:
    """Found a federation in FOLDER.

    With --administrator all keys are made here, under one passphrase. With --card each
    was made elsewhere: a first entry is written, for k administrators to `trust sign`, and
    taken back with --signed.
    """
    from mithaq.registrar.config import RegistrarConfig

    if signed is not None:
        _complete(folder, signed, as_json=as_json)
        return
    if not federation or not threshold or bool(administrators) == bool(cards):
        raise CliError(
            "MQ-USAGE-FOUNDING",
            "a federation has a name, a threshold, and administrators",
            fix="give --federation, --threshold, and either --administrator or --card for each",
        )
    config = RegistrarConfig(federation=federation, directory=folder.resolve(), **settings)
    if cards:
        _draft(config, cards, threshold=threshold, as_json=as_json)
        return
    _found(config, administrators, threshold, passphrase_file, as_json=as_json)


def _found(
    config: RegistrarConfig,
    administrators: tuple[str, ...],
    threshold: int,
    passphrase_file: Path | None,
    *,
    as_json: bool,
) -> None:
    from mithaq.registrar.founding import found_federation

    founding = found_federation(
        config,
        administrators=administrators,
        threshold=threshold,
        passphrase=read_passphrase(passphrase_file, new=True),
        policy=Policy(),
        at=now(),
    )
    _show(founding, as_json=as_json)
    if not as_json:
        note("carry each administrator's key away; the registrar runs without them")


def _draft(
    config: RegistrarConfig, cards: tuple[Path, ...], *, threshold: int, as_json: bool
) -> None:
    from mithaq.registrar.founding import draft_federation

    draft = draft_federation(
        config,
        cards=[KeyCard.from_bytes(each.read_bytes()) for each in cards],
        threshold=threshold,
        policy=Policy(),
        at=now(),
    )
    body = SignedEntry.from_bytes(draft.read_bytes()).body
    if not as_json:
        say(parse_body(body).act)
    row = {
        "federation": config.federation,
        "to_sign": str(draft),
        "fingerprint": grouped(body_hash(body)),
    }
    present("trust.draft", row, as_json=as_json, title="First entry")
    if not as_json:
        note(f"next: {threshold} administrators `mithaq trust sign` it, then `init --signed`")


def _complete(folder: Path, signed: Path, *, as_json: bool) -> None:
    from mithaq.registrar.founding import complete_federation

    founding = complete_federation(folder.resolve(), signed.read_bytes(), at=now())
    _show(founding, as_json=as_json)


def _show(founding: Founding, *, as_json: bool) -> None:
    row = {
        "federation": founding.federation,
        "root_pin": founding.genesis_hash.hex(),
        "profile": str(founding.profile),
        "administrators": [str(path) for path in founding.administrators],
    }
    present("trust.init", row, as_json=as_json, title="Federation")


@click.command()
@click.argument("name")
@click.option("--federation", required=True, help="Its name, like a DNS name.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for NAME.key, which stays here, and NAME.card, which is handed on.",
)
@passphrase_option
@json_option
def card(
    *, name: str, federation: str, out: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    """Make the key of the administrator NAME, and its card.

    The key file stays with its owner; the card holds public keys and the proof that the
    private ones are held. Read the fingerprint to the others over another channel.
    """
    from mithaq.certs.offline import OfflineKeystore

    pair = SigningPair.generate()
    made = KeyCard.administrator(federation, name, pair)
    file = out / f"{name}.card"
    content = made.to_bytes()
    passphrase = read_passphrase(passphrase_file, new=True)
    OfflineKeystore(out, passphrase=passphrase).create(name, pair)
    file.write_bytes(content)
    row = {
        "administrator": name,
        "federation": federation,
        "key": str(out / f"{name}.key"),
        "card": str(file),
        "fingerprint": grouped(pair.public.fingerprint),
    }
    present("trust.card", row, as_json=as_json, title="Administrator")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "administrator", required=True, help="Which administrator signs.")
@key_option
@json_option
def sign(
    *,
    file: Path,
    administrator: str,
    key_file: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Sign the first entry in FILE, which `mithaq trust init --card` wrote.

    The signature is added to the file; it goes on to the next, and back in the end.
    """
    entry = SignedEntry.from_bytes(file.read_bytes())
    body = parse_body(entry.body)
    fingerprint = grouped(body_hash(entry.body))
    if not as_json:
        say(body.act, fingerprint=fingerprint)
    signer = EntrySigner.administrator(administrator, load_pair(key_file, passphrase_file))
    entry = merge_signatures(entry, sign_entry(entry.body, [signer]).signatures)
    file.write_bytes(entry.to_bytes())
    row = {
        "federation": body.federation,
        "fingerprint": fingerprint,
        "signed_by": [each.name for each in entry.signatures],
    }
    present("trust.sign", row, as_json=as_json, title="Signed")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def run(*, folder: Path) -> int:
    """Run the registrar of FOLDER until it is stopped."""
    from mithaq.registrar.app import run_registrar

    return run_registrar(folder)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--user", required=True, help="Whose machine it is for.")
@click.option("--address", default="", help="Where the registrar is reached from there.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the new profile; it holds a private key.",
)
@json_option
def profile(*, folder: Path, user: str, address: str, out: Path, as_json: bool) -> None:
    """Make a profile by which another machine calls the registrar of FOLDER.

    It lets nobody widen anything: that takes administrators' keys. The registrar may run.
    """
    from mithaq.registrar.config import RegistrarConfig
    from mithaq.registrar.local_users import add_user

    config = RegistrarConfig.read(folder).value
    if address:
        config = config.model_copy(update={"local_listen": address})
    made = add_user(config, out, user=user, at=now())
    present("trust.profile", {"user": user, "profile": str(made)}, as_json=as_json, title="Profile")


COMMANDS: Final = {"init": init, "card": card, "sign": sign, "run": run, "profile": profile}
