"""Machine-readable names and check digits, against ICAO Doc 9303-3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.node.records.errors import NameFormError
from mithaq.node.records.mrz import check_digit, mrz_name, suggestions

# Doc 9303-3 section 6.C, as it is printed: code point and characters.
ARABIC = (
    "0621 XE 0622 XAA 0623 XAE 0624 U 0625 I 0626 XI 0627 A 0628 B 062A T 062B XTH 062C J "
    "062D XH 062E XKH 062F D 0630 XDH 0631 R 0632 Z 0633 S 0634 XSH 0635 XSS 0636 XDZ 0637 XTT "
    "0638 XZZ 0639 E 063A G 0641 F 0642 Q 0643 K 0644 L 0645 M 0646 N 0647 H 0648 W 0649 XAY "
    "064A Y 0671 XXA 0679 XXT 067C XRT 067E P 0681 XKE 0685 XXH 0686 XC 0688 XXD 0689 XDR "
    "0691 XXR 0693 XRR 0696 XRX 0698 XJ 069A XXS 06A9 XKK 06AB XXK 06AD XNG 06AF XGG 06BA XNN "
    "06BC XXN 06BE XDO 06C0 XYH 06C1 XXG 06C2 XGE 06C3 XTG 06CC XYA 06CD XXY 06D0 Y 06D2 XYB "
    "06D3 XBE"
)
NOT_ENCODED = "0640 064B 064C 064D 064E 064F 0650 0652 0670 069C 06A2 06A7 06A8"
# Section 6.A where it is more or other than the letter without its mark.
LATIN = (
    "00C4 AE 00C5 AA 00C6 AE 00C7 C 00D0 D 00D1 N 00D6 OE 00D8 OE 00DC UE 00DE TH 0110 D "
    "0126 H 0130 I 0131 I 0132 IJ 013F L 0141 L 014A N 0152 OE 0166 T 1E9E SS 00DF SS 0178 Y"
)


def pairs(table: str) -> list[tuple[str, str]]:
    words = iter(table.split())
    return [(chr(int(code, 16)), text) for code, text in zip(words, words, strict=True)]


@pytest.mark.parametrize(("letter", "written"), pairs(ARABIC) + pairs(LATIN))
def test_each_letter_is_written_as_the_tables_say(letter: str, written: str) -> None:
    assert mrz_name(f"B{letter}B", "") == f"B{written}B"


@pytest.mark.parametrize("code", NOT_ENCODED.split())
def test_signs_that_are_not_encoded_vanish(code: str) -> None:
    assert mrz_name(f"ب{chr(int(code, 16))}ب", "") == "BB"


@pytest.mark.parametrize(
    ("surname", "forenames", "written"),
    [
        ("عبّاس", "", "EBBAS"),
        ("فضّة", "", "FXDZXDZXAH"),
        ("فضة زينب", "", "FXDZXAH<ZYNB"),
        ("زانبار", "تيم دوم", "ZANBAR<<TYM<DWM"),
        ("ERIKSSON", "Anna Maria", "ERIKSSON<<ANNA<MARIA"),
        ("O'Connor-D’Arc", "Jean-Noël", "OCONNOR<DARC<<JEAN<NOEL"),
        ("ʿAbd al-Raḥmān", "", "ABD<AL<RAHMAN"),
        ("", "Anna", "ANNA"),
    ],
)
def test_names_are_written_component_by_component(
    surname: str, forenames: str, written: str
) -> None:
    assert mrz_name(surname, forenames) == written


def test_teh_marbuta_differs_inside_and_at_the_end_of_a_component() -> None:
    assert mrz_name("ةب ب\u0629\u064e", "") == "XTAB<BXAH"


def test_a_letter_of_another_script_is_an_error_that_does_not_tell_it() -> None:
    with pytest.raises(NameFormError) as caught:
        mrz_name("Б", "")
    assert "Б" not in str(caught.value)


@given(st.text(max_size=40))
def test_whatever_is_written_has_the_letters_of_the_zone(name: str) -> None:
    try:
        written = mrz_name(name, name)
    except NameFormError:
        return
    assert set(written) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ<")


@pytest.mark.parametrize(
    ("field", "digit"),
    [
        # Doc 9303-3 section 4.9 and the specimens of 9303-4.
        ("520727", "3"),
        ("AB2134<<<", "5"),
        ("L898902C3", "6"),
        ("740812", "2"),
        ("120415", "9"),
    ],
)
def test_check_digits_are_those_of_the_standard(field: str, digit: str) -> None:
    assert check_digit(field) == digit
    assert suggestions(field, digit=digit) == []


def test_a_confused_character_is_suggested_and_never_put_right_in_silence() -> None:
    assert suggestions("L8989O2C3", digit="6") == ["L898902C3"]


def test_what_the_digit_cannot_tell_apart_is_not_suggested() -> None:
    # G and 6 have one check value: the digit fits either way.
    assert check_digit("G12345678") == check_digit("612345678")
    assert suggestions("G12345678", digit=check_digit("612345678")) == []


def test_a_character_outside_the_zone_has_no_check_value() -> None:
    with pytest.raises(NameFormError):
        check_digit("a")
