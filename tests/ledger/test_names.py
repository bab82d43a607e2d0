import pytest

from mithaq.ledger.errors import NameFormatError
from mithaq.ledger.names import (
    CONTINUATION_MAX,
    audit_origin,
    check_code,
    check_federation,
    check_member,
    check_party,
    registry_origin,
    stream_origin,
)

FEDERATION = "euroarab.example"


@pytest.mark.parametrize(
    "name", ["abc", FEDERATION, "a-b.example", "1.2.3", ("a" * 49 + ".") + "b" * 50]
)
def test_a_federation_is_named_like_a_dns_name(name: str) -> None:
    check_federation(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        ("a" * 50 + ".") + "b" * 50,
        "Euroarab.example",
        "euroarab.example\n",
        "-a.example",
        "a-.example",
        "a..example",
        ".example",
        "example.",
        "euro arab",
        "euroarab/registry",
        "euroarab+1",
        "عربي",
        "eu\u0455",
    ],
)
def test_a_federation_has_no_other_spelling(name: str) -> None:
    with pytest.raises(NameFormatError, match="federation"):
        check_federation(name)


@pytest.mark.parametrize("member", ["eg-moi", "int-iom", "tn-0", "tn-" + "a" * 30])
def test_a_member_is_a_code_a_hyphen_and_a_short_name(member: str) -> None:
    check_member(member)
    check_party(member)


@pytest.mark.parametrize(
    "member",
    [
        "",
        "e-moi",
        "intl-iom",
        "eg-",
        "eg--moi",
        "EG-moi",
        "eg-moi\n",
        "eg-mo/i",
        "tn-" + "a" * 31,
        "hub",
    ],
)
def test_a_member_has_no_other_spelling(member: str) -> None:
    with pytest.raises(NameFormatError, match="member"):
        check_member(member)


def test_the_hub_is_a_party_and_no_member() -> None:
    check_party("hub")
    with pytest.raises(NameFormatError):
        check_party("hub2")


def test_a_code_is_printable_ascii_up_to_its_limit() -> None:
    check_code("x" * 64)
    check_code("EA-2026/01")
    for wrong in ("", "x" * 65, "two words", "tab\t", "line\n", "é"):
        with pytest.raises(NameFormatError, match="code"):
            check_code(wrong)


def test_each_log_has_its_origin() -> None:
    assert registry_origin(FEDERATION) == "euroarab.example/registry"
    assert stream_origin(FEDERATION, bytes(32)) == f"euroarab.example/stream/{'00' * 32}"
    assert audit_origin(FEDERATION, "hub") == "euroarab.example/audit/hub"
    assert audit_origin(FEDERATION, "eg-moi", 1) == "euroarab.example/audit/eg-moi"
    assert audit_origin(FEDERATION, "eg-moi", 2) == "euroarab.example/audit/eg-moi/2"


@pytest.mark.parametrize("continuation", [0, -1, CONTINUATION_MAX + 1])
def test_an_audit_log_is_continued_from_2_upwards(continuation: int) -> None:
    assert audit_origin(FEDERATION, "hub", CONTINUATION_MAX).endswith(f"/{CONTINUATION_MAX}")
    with pytest.raises(NameFormatError, match="continues"):
        audit_origin(FEDERATION, "hub", continuation)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_stream_is_named_by_32_bytes(size: int) -> None:
    with pytest.raises(NameFormatError, match="32 bytes"):
        stream_origin(FEDERATION, bytes(size))


def test_no_origin_is_made_of_a_name_that_is_not_of_its_form() -> None:
    with pytest.raises(NameFormatError):
        registry_origin("x/audit")
    with pytest.raises(NameFormatError):
        stream_origin("x/audit", bytes(32))
    with pytest.raises(NameFormatError):
        audit_origin("x/stream", "hub")
    with pytest.raises(NameFormatError):
        audit_origin(FEDERATION, "eg-moi/2")
