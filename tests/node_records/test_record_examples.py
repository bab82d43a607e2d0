"""The alerts in `examples` are whole: a new user's first command issues one."""

from pathlib import Path

import pytest

from mithaq.node.records import drafts, forms
from tests.node_records.alerts import AT, alert

FOLDER = Path(__file__).resolve().parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("alert-*.yaml"))


def test_there_is_an_example_of_a_document_and_one_of_a_person() -> None:
    kinds = {forms.load(each.read_text("utf-8")).alert.WhichOneof("subject") for each in EXAMPLES}
    assert kinds == {"travel_document", "person"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_read_and_completed(file: Path) -> None:
    written = forms.load(file.read_text(encoding="utf-8"))
    record = drafts.complete(written, issuer="eg-moi", alert_id=alert().alert_id, version=1, at=AT)
    assert record.alert.category == written.alert.category
