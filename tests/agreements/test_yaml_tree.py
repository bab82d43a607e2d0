"""A YAML text as a tree, and what is refused while it is read."""

from collections.abc import Callable

import pytest

from mithaq.agreements import yaml_tree
from mithaq.agreements.errors import YamlFormError
from mithaq.agreements.yaml_tree import DEPTH_MAX, TEXT_SIZE_CHARS_MAX, Keyed, Leaf, Listed, compose


def test_values_are_as_they_were_written_with_their_lines() -> None:
    tree = compose('a: no\nb:\n- 1\n- "null"\n- null\n-\nc: {d: 2026-01-01, e: "x\\ny"}\n')
    assert tree == Keyed(
        1,
        (
            (Leaf(1, "a"), Leaf(1, "no")),
            (
                Leaf(2, "b"),
                Listed(3, (Leaf(3, "1"), Leaf(4, "null"), Leaf(5, None), Leaf(6, None))),
            ),
            (
                Leaf(7, "c"),
                Keyed(
                    7,
                    ((Leaf(7, "d"), Leaf(7, "2026-01-01")), (Leaf(7, "e"), Leaf(7, "x\ny"))),
                ),
            ),
        ),
    )


def brackets(depth: int) -> str:
    return "a:\n " + "[" * (depth - 1) + "]" * (depth - 1)


def tables(depth: int) -> str:
    return "a:\n " + "{b: " * (depth - 1) + "c" + "}" * (depth - 1)


def dashes(depth: int) -> str:
    return "a:\n " + "- " * (depth - 1) + "b"


def unclosed(depth: int) -> str:
    return brackets(depth).rstrip("]") + "[" * 200_000


@pytest.mark.parametrize("nest", [brackets, tables, dashes])
def test_lists_and_tables_nest_so_deep_and_no_deeper(nest: Callable[[int], str]) -> None:
    compose(nest(DEPTH_MAX))
    with pytest.raises(YamlFormError, match=f"nested more than {DEPTH_MAX} deep") as caught:
        compose(nest(DEPTH_MAX + 1))
    assert caught.value.line == 2


def test_indentation_nests_so_deep_and_no_deeper() -> None:
    lines = [" " * each + "a:\n" for each in range(DEPTH_MAX + 1)]
    compose("".join(lines[:DEPTH_MAX]))
    with pytest.raises(YamlFormError, match="nested more") as caught:
        compose("".join(lines))
    assert caught.value.line == DEPTH_MAX + 1


def test_what_is_too_deep_is_refused_before_its_end_is_seen() -> None:
    # It has none: whoever read on would miss the brackets.
    with pytest.raises(YamlFormError, match="nested more than"):
        compose(unclosed(DEPTH_MAX))


@pytest.mark.parametrize("beyond", [False, True])
def test_so_many_keys_and_values_are_read_and_no_more(
    monkeypatch: pytest.MonkeyPatch, *, beyond: bool
) -> None:
    monkeypatch.setattr(yaml_tree, "NODES_MAX", 7)
    text = "a: b\nc:\n- d\n- e\n" + ("- f\n" if beyond else "")
    if not beyond:
        compose(text)
        return
    # The table and the list count, too; what comes after is never seen.
    with pytest.raises(YamlFormError, match="more than 7 keys and values") as caught:
        compose(text + "- [not, even, closed")
    assert caught.value.line == 5


@pytest.mark.parametrize(
    # Of none is there an end that the library could read: it would say so.
    "begun",
    ["!%zz", "!!%zz", "!<x", "!" + "t" * 1000 + "%zz", "&", "&,", "*", "*,"],
)
@pytest.mark.parametrize("before", ["a: b\nc: ", "a: b\nc: [d, ", "a: b\n"])
def test_a_tag_an_anchor_and_an_alias_are_refused_where_they_begin(before: str, begun: str) -> None:
    with pytest.raises(YamlFormError, match="anchors, aliases and tags") as caught:
        compose(before + begun)
    assert caught.value.line == 2


def test_their_signs_stand_within_any_value() -> None:
    text = """a: b !c &d *e\nf: '!g'\nh: "&i"\nj: [k!, l&, m*]\nn: |\n  !o\n  &p\n  *q\n"""
    assert isinstance(tree := compose(text), Keyed)
    assert [value for _, value in tree.pairs] == [
        Leaf(1, "b !c &d *e"),
        Leaf(2, "!g"),
        Leaf(3, "&i"),
        Listed(4, (Leaf(4, "k!"), Leaf(4, "l&"), Leaf(4, "m*"))),
        Leaf(5, "!o\n&p\n*q\n"),
    ]


def test_a_text_is_so_long_and_no_longer() -> None:
    text = "a: " + "b" * (TEXT_SIZE_CHARS_MAX - 3)
    compose(text)
    with pytest.raises(YamlFormError, match=f"longer than {TEXT_SIZE_CHARS_MAX} characters"):
        compose(text + "b")


def test_one_document_alone_is_read() -> None:
    compose("---\na: b\n...\n")
    with pytest.raises(YamlFormError, match="second document") as caught:
        compose("a: b\n---\nc: d\n")
    assert caught.value.line == 2
