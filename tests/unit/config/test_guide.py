from __future__ import annotations

import re
from pathlib import Path

import pytest

from bodega.config import advise, parse_config

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "declaring.md").read_text(encoding="utf-8")
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL))
def test_what_the_guide_shows_is_right_and_gives_no_reason_for_advice(text: str) -> None:
    assert advise(parse_config(text).declarations, KEYS) == []


@pytest.mark.parametrize("text", re.findall(r"\| `((?:key|policy) = .*?)` \|$", GUIDE, re.MULTILINE))
def test_what_the_guide_shows_in_tables_is_right(text: str) -> None:
    if text.startswith("key"):
        parse_config(f"[policies.p]\n{text}\n")
    else:
        parse_config(f'[distributions.d]\nbehaviors = [ {{ origin = "https://x.example", {text} }} ]\n')
