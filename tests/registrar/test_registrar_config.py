"""A registrar's settings: what the folder says, and where the folder is."""

from datetime import UTC, datetime
from pathlib import Path

from mithaq.certs.entries import Policy
from mithaq.certs.offline import COST_MIN, Passphrase
from mithaq.registrar.config import CONFIG_FILE, RegistrarConfig
from mithaq.registrar.founding import found_federation


def test_a_work_folder_may_be_moved(tmp_path: Path) -> None:
    made = RegistrarConfig(
        federation="one.example", directory=tmp_path / "old", local_listen="127.0.0.1:1234"
    )
    found_federation(
        made,
        administrators=("cairo",),
        threshold=1,
        passphrase=Passphrase("a synthetic passphrase"),
        policy=Policy(),
        at=datetime.now(UTC).replace(microsecond=0),
        cost=COST_MIN,
    )
    moved = (tmp_path / "old").rename(tmp_path / "new")
    assert str(tmp_path) not in (moved / CONFIG_FILE).read_text(encoding="utf-8")
    assert RegistrarConfig.read(moved).value == made.model_copy(update={"directory": moved})
