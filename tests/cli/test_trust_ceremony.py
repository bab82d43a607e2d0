"""Founding with cards: no key leaves its place, and k have to sign the first entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mithaq.certs.cards import KeyCard
from mithaq.certs.keys import SigningPair
from mithaq.certs.offline import COST_MIN, OfflineKeystore, Passphrase
from mithaq.cli.main import run
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.places import Places

NAME = "euroarab.example"
PASSPHRASE = Passphrase("a synthetic passphrase")


class Ceremony:
    """Three places, each with an administrator's key, and the registrar's folder."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.registrar = folder / "registrar"
        self._capture = capture
        self._words = folder / "passphrase"
        self._words.write_text(PASSPHRASE.text)
        self._words.chmod(0o600)

    def card(self, name: str) -> str:
        pair = SigningPair.generate()
        place = self.folder / name
        OfflineKeystore(place, passphrase=PASSPHRASE, cost=COST_MIN).create(name, pair)
        file = place / f"{name}.card"
        file.write_bytes(KeyCard.administrator(NAME, name, pair).to_bytes())
        return str(file)

    def call(self, *arguments: str) -> Any:  # noqa: ANN401 - what the command prints
        self._capture.readouterr()
        run(["trust", *arguments, "--json"])
        told = self._capture.readouterr()
        if told.err:
            return told.err.removeprefix("error[").partition("]")[0]
        return json.loads(told.out)

    def draft(self, *names: str) -> Any:  # noqa: ANN401 - as above
        cards = [word for name in names for word in ("--card", self.card(name))]
        return self.call(
            "init", str(self.registrar), "--federation", NAME, "--threshold", "2", *cards
        )

    def sign(self, name: str, file: str) -> Any:  # noqa: ANN401 - as above
        key = self.folder / name / f"{name}.key"
        return self.call(
            "sign", file, "--as", name, "--key", str(key), "--passphrase-file", str(self._words)
        )

    def complete(self, file: str) -> Any:  # noqa: ANN401 - as above
        return self.call("init", str(self.registrar), "--signed", file)


@pytest.fixture
def ceremony(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ceremony:
    return Ceremony(tmp_path, capsys)


def test_a_federation_is_founded_by_k_signatures_from_k_places(ceremony: Ceremony) -> None:
    drafted = ceremony.draft("cairo", "geneva", "tunis")
    file = drafted["to_sign"]
    signed = ceremony.sign("cairo", file)
    assert (signed["signed_by"], signed["fingerprint"]) == (["cairo"], drafted["fingerprint"])
    assert ceremony.complete(file) == "MQ-TRUST-AUTHORITY"
    assert not Places(ceremony.registrar).genesis.exists()
    assert ceremony.sign("tunis", file)["signed_by"] == ["cairo", "tunis"]
    founded = ceremony.complete(file)
    assert (founded["federation"], founded["administrators"]) == (NAME, [])
    assert len(founded["root_pin"]) == 64
    # No private key of an administrator ever was in the registrar's folder.
    assert not (ceremony.registrar / "administrators").exists()
    assert RegistrarConfig.read(ceremony.registrar).value.federation == NAME


def test_a_first_entry_that_was_drawn_up_elsewhere_founds_nothing_here(
    ceremony: Ceremony, tmp_path: Path
) -> None:
    file = ceremony.draft("cairo", "geneva")["to_sign"]
    for name in ("cairo", "geneva"):
        ceremony.sign(name, file)
    other = tmp_path / "other"
    kept, ceremony.registrar = ceremony.registrar, other
    ceremony.draft("rome", "athens")
    assert ceremony.complete(file) == "MQ-TRUST-FORMAT"
    ceremony.registrar = kept
    assert ceremony.complete(file)["federation"] == NAME


def test_a_key_that_is_on_no_card_signs_in_vain(ceremony: Ceremony) -> None:
    file = ceremony.draft("cairo", "geneva")["to_sign"]
    ceremony.sign("cairo", file)
    ceremony.card("rome")
    ceremony.sign("rome", file)
    assert ceremony.complete(file) == "MQ-TRUST-SIGNER-UNKNOWN"


@pytest.mark.parametrize("lacking", ["--federation", "--threshold", "--card"])
def test_a_founding_without_one_of_its_parts_is_said_to_lack_it(
    ceremony: Ceremony, lacking: str
) -> None:
    given = {"--federation": NAME, "--threshold": "1", "--card": ceremony.card("cairo")}
    words = [word for name, value in given.items() if name != lacking for word in (name, value)]
    assert ceremony.call("init", str(ceremony.registrar), *words) == "MQ-USAGE-FOUNDING"
