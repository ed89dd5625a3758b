from __future__ import annotations

import re
from pathlib import Path

import pytest

from bodega.config import EdgeSettings, advise, parse_config
from bodega.distributions.read import documented_fields

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
DECLARING = (GUIDES / "declaring.md").read_text(encoding="utf-8")
COMING_FROM = ("from-nginx.md", "from-varnish.md")
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
PLACES = {
    "edge": "[edge]\n{lines}",
    "origin": '[origins.o]\nurl = "https://www.example.com"\n{lines}',
    "policy": "[policies.p]\n{lines}",
    "distribution": '[distributions.d]\n{lines}\nbehaviors = [{{ origin = "https://www.example.com" }}]',
    "behavior": "[[distributions.d.behaviors]]\n{origin}{lines}",
    "redirect": "[[distributions.d.behaviors]]\n{lines}",
    "answer": "[[distributions.d.behaviors]]\n{lines}",
}
"""Where a line of a guide stands: a file around it."""


def blocks() -> list[object]:
    """Every block of TOML in a guide."""
    return [
        pytest.param(text, id=f"{guide}-{number}")
        for guide in ("declaring.md", "tls.md", *COMING_FROM)
        for number, text in enumerate(
            re.findall(r"```toml\n(.*?)```", (GUIDES / guide).read_text(encoding="utf-8"), re.DOTALL)
        )
    ]


def lines() -> list[object]:
    """Every row of a table that says what `bodega.toml` says, and where."""
    return [
        pytest.param(text, place, id=f"{guide}-{text}")
        for guide in COMING_FROM
        for text, place in re.findall(
            r"\| `([^|]*? = [^|]*)` \| (\w+) \|$", (GUIDES / guide).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]


@pytest.mark.parametrize("text", blocks())
def test_what_a_guide_shows_is_right_and_gives_no_reason_for_advice(text: str) -> None:
    assert advise(parse_config(text).declarations, KEYS) == []


def test_every_setting_of_tls_is_in_the_guide() -> None:
    text = (GUIDES / "tls.md").read_text(encoding="utf-8")
    settings = [name for name in documented_fields(EdgeSettings) if name.startswith(("tls", "listen_tls"))]
    assert len(settings) == 6
    for name in (*settings, "http2", "max_streams", "handshake_timeout", "max_handshakes", "proxy_protocol"):
        assert f"`{name}" in text or f"\n{name} = " in text, name


@pytest.mark.parametrize("text", re.findall(r"\| `((?:key|policy) = .*?)` \|$", DECLARING, re.MULTILINE))
def test_what_the_guide_shows_in_tables_is_right(text: str) -> None:
    if text.startswith("key"):
        parse_config(f"[policies.p]\n{text}\n")
    else:
        parse_config(f'[distributions.d]\nbehaviors = [ {{ origin = "https://x.example", {text} }} ]\n')


@pytest.mark.parametrize(("text", "place"), lines())
def test_what_stands_beside_a_directive_of_another_server_is_right(text: str, place: str) -> None:
    origin = "" if text.startswith("origin") else 'origin = "https://www.example.com"\n'
    parse_config(PLACES[place].format(lines=_one_setting_a_line(text), origin=origin))


@pytest.mark.parametrize("guide", COMING_FROM)
def test_every_row_beside_a_directive_is_tested(guide: str) -> None:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    rows = sum(
        len([row for row in table.splitlines() if row.startswith("|")])
        for table in re.findall(r"stands in \|\n\|[-|]*\n((?:\|.*\n)+)", text)
    )
    assert 10 < rows == len([each for each in lines() if each.id.startswith(guide)])  # type: ignore[attr-defined]


def _one_setting_a_line(text: str) -> str:
    return re.sub(r'(["\d]), (?=[a-z_]+ = )', r"\1\n", text) if "{" not in text else text
