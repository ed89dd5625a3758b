from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodega.distributions.positions import locate_keys, nearest_line

TEXT = '''# a comment
title = "x"

[edge]
listen = [
  "a",  # with a comment
  "b",
]
"quoted key" = 1

[a.b]
c.d = { e = 1, f = [ { g = 2 }, { h = "}" } ] }

[[items]]
name = """
two lines"""
after = 1
[items.sub]
x = 1
[[items]]
name = \'\'\'it''s\'\'\'
[[items.deep]]
y = 2024-01-01 10:00:00
[[items.deep]]
y = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("edge",), 4),
        (("edge", "listen"), 5),
        (("edge", "listen", 0), 6),
        (("edge", "listen", 1), 7),
        (("edge", "quoted key"), 9),
        (("a",), 11),
        (("a", "b"), 11),
        (("a", "b", "c"), 12),
        (("a", "b", "c", "d", "f", 1, "h"), 12),
        (("items",), 14),
        (("items", 0, "name"), 15),
        (("items", 0, "after"), 17),
        (("items", 0, "sub", "x"), 19),
        (("items", 1), 20),
        (("items", 1, "deep", 0, "y"), 23),
        (("items", 1, "deep", 1, "y"), 25),
    ],
)
def test_a_key_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert locate_keys(TEXT)[path] == line


def test_a_key_that_is_missing_has_the_line_of_what_encloses_it() -> None:
    lines = locate_keys(TEXT)
    assert nearest_line(lines, ("edge", "listen", 7)) == 5
    assert nearest_line(lines, ("edge", "memory")) == 4
    assert nearest_line(lines, ("nothing",)) is None


def paths_of(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {path} if path else set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= paths_of(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            found |= paths_of(inner, (*path, index))
    return found


def test_every_path_of_the_document_is_found_and_no_other() -> None:
    assert set(locate_keys(TEXT)) == paths_of(tomllib.loads(TEXT))


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in escaped) + '"'


def written(value: Any, multiline: bool) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {written(inner, False)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        between = ",\n  # a comment ] }\n  " if multiline else ", "
        return "[ " + between.join(written(inner, multiline) for inner in value) + " ]"
    if isinstance(value, str):
        literal = "\n" not in value and "'" not in value and value.isprintable()
        return f"'{value}'" if literal and multiline else quoted(value)
    return str(value).lower()


texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    texts | st.booleans() | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(texts, st.dictionaries(texts, values, max_size=4), max_size=4))
def test_any_document_is_walked_to_its_end(document: dict[str, dict[str, Any]]) -> None:
    text = "".join(
        f"[{quoted(table)}]\n" + "".join(f"{quoted(key)} = {written(value, True)}\n" for key, value in pairs.items())
        for table, pairs in document.items()
    )
    parsed = tomllib.loads(text)
    lines = locate_keys(text)
    assert set(lines) == paths_of(parsed)
    for path, line in lines.items():
        if isinstance(path[-1], str) and len(path) < 3:
            assert quoted(path[-1]) in text.split("\n")[line - 1]
