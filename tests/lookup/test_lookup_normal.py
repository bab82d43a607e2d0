"""Normal forms: one for what a reader would call the same, and no guess beyond that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.node.lookup.normal import document_number, document_numbers, name_words


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("A 123-456.7/8<<", "A12345678"),
        ("a1234", "A1234"),
        ("٠١٢٣۴۵", "012345"),
        ("Ａ１２", "A12"),
        ("٣ب", "3ب"),
        (" - ", ""),
    ],
)
def test_a_document_number_is_letters_and_digits(written: str, normal: str) -> None:
    assert document_number(written) == normal


@pytest.mark.parametrize(("one", "other"), [("O", "0"), ("I", "1"), ("B", "8"), ("S", "5")])
def test_letters_and_digits_that_look_alike_stay_apart(one: str, other: str) -> None:
    assert document_number(f"X{one}9") != document_number(f"X{other}9")


def test_a_field_with_several_numbers_is_found_by_each() -> None:
    assert document_numbers("No. 123456 (Nowhere), K991234") == {
        "NO123456NOWHEREK991234",
        "123456",
        "K991234",
    }


def test_short_parts_and_words_are_no_numbers() -> None:
    assert document_numbers("see 12 Rush Road") == {"SEE12RUSHROAD"}
    assert document_numbers(" ") == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("أحمد إبراهيم", "احمد ابراهيم"),
        ("فاطِمة", "فاطمه"),
        ("موسى", "موسي"),
        ("عبد الله", "عبدالله"),
        ("الزركال", "زركال"),
        ("محـمّد", "محمد"),
        ("کریم", "كريم"),
        ("ʿAbd al-Raḥmān", "Abd Rahman"),
        ("O'Neil", "ONEIL"),
        ("Łuß", "luss"),
        ("AL-ZARKAL, Barzan", "zarkal barzan"),
        ("Øst-Ægir", "OST AEGIR"),
        ("Zan\u00a0bar", "zan BAR"),
    ],
)
def test_spellings_of_one_name_have_one_form(one: str, other: str) -> None:
    assert name_words(one) == name_words(other)
    assert name_words(one)


@pytest.mark.parametrize(("one", "other"), [("Zanbar", "Zanber"), ("حسن", "حسين")])
def test_other_names_stay_other_names(one: str, other: str) -> None:
    assert name_words(one) != name_words(other)


def test_particles_tell_nobody_apart() -> None:
    assert name_words("bin al el van A") == []


@given(st.text(max_size=60))
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    number = document_number(text)
    assert document_number(number) == number
    assert all(word for word in name_words(text))
