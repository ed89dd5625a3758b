from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodega.errors import SelectorInvalid
from bodega.invalidation import Selector, parse_selector, reaches_a_whole_site


@pytest.mark.parametrize(
    ("written", "selector"),
    [
        ("all", Selector("all", "all")),
        ("https://shop.example.com/a?b=c", Selector("url", "https://shop.example.com/a?b=c")),
        ("https://shop.example.com", Selector("url", "https://shop.example.com/")),
        (" http://127.0.0.1:8080/x#top ", Selector("url", "http://127.0.0.1:8080/x")),
        ("prefix:https://shop.example.com", Selector("prefix", "prefix:https://shop.example.com/")),
        ("glob:shop.example.com/*.webp", Selector("glob", "glob:shop.example.com/*.webp")),
        ("tag:user:123:*", Selector("tag", "tag:user:123:*")),
        ("model:fraud", Selector("model", "model:fraud")),
        ("distribution:shop", Selector("distribution", "distribution:shop")),
    ],
)
def test_a_selector_is_read(written: str, selector: Selector) -> None:
    assert parse_selector(written) == selector


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("*", 'did you mean "all"?'),
        ("/images/a.webp", '"https://shop.example.com/images/a.webp"'),
        ("shop.example.com/a", 'did you mean "https://shop.example.com/a"?'),
        ("tag:", ""),
        ("tag:a b", "several selectors"),
        ("tag:" + "a" * 257, ""),
        ("prefix:/images/", "prefix:https://shop"),
        ("prefix:https://h/a?b", "every query"),
        ("glob:/a/*", "every host"),
        ("glob:h/a b", "percent-encode"),
        ("glob:h/*" + "a" * 64 + "?*", ""),
        ("shop.example.com/*", "glob:shop.example.com/*"),
        ("distribution:", "tag:NAME"),
        ("ftp://x/y", "https://host/path"),
        ("https://", "https://host/path"),
        ("https://x:99999/", "https://host/path"),
        ("https://x/a b", "percent-encode"),
        ("", "all"),
    ],
)
def test_what_selects_nothing_is_refused_with_what_would_be_right(written: str, hint: str) -> None:
    with pytest.raises(SelectorInvalid) as caught:
        parse_selector(written)
    assert hint in caught.value.hint


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_but_never_breaks(text: str) -> None:
    try:
        parse_selector(text)
    except SelectorInvalid:
        return


@pytest.mark.parametrize(
    ("selector", "is_wide"),
    [
        ("all", True),
        ("tag:*", True),
        ("tag:**", True),
        ("glob:*", True),
        ("glob:*/*", True),
        ("glob:shop.example.com/*", True),
        ("prefix:https://shop.example.com/", True),
        ("prefix:https://shop.example.com", True),
        ("tag:a*", False),
        ("tag:all", False),
        ("glob:*/", False),
        ("glob:*.example.com", False),
        ("glob:shop.example.com/*.webp", False),
        ("prefix:https://shop.example.com/a", False),
        ("distribution:shop", False),
        ("https://shop.example.com/", False),
    ],
)
def test_what_reaches_a_whole_site_is_known(selector: str, is_wide: bool) -> None:
    assert reaches_a_whole_site(parse_selector(selector).text) == is_wide
