"""What of a fleet's configuration one edge is told."""

from __future__ import annotations

import pytest

from bodega.config import parse_config, to_text
from bodega.distributions import HttpOrigin, OriginGroup, meant_for
from bodega.errors import ConfigInvalid

FLEET = """
[origins]
tokyo = "https://tokyo.example.com"
near = "https://near.example.com"
spare = "https://spare.example.com"
both = { group = ["near", "spare"] }
site = { regions = { "ap-*" = "tokyo", "eu-west-2" = "https://london.example.com" }, otherwise = "both" }
press = "https://press.example.com"

[policies.base]
default_ttl = "1h"

[policies.pages]
extends = "base"

[policies.press]
default_ttl = "5m"

[distributions.shop]
hosts = ["shop.example.com"]
behaviors = [{ path = "/a/*", origin = "tokyo" }, { origin = "site", policy = "pages" }]

[distributions.press]
hosts = ["press.example.com"]
edges = ["region:eu-*", "virginia-*"]
behaviors = [{ origin = "press", policy = "press" }]
"""


@pytest.mark.parametrize(
    ("edge", "region", "distributions", "site"),
    [
        ("tokyo-1", "ap-northeast-1", ["shop"], HttpOrigin("https://tokyo.example.com")),
        ("london-1", "eu-west-2", ["shop", "press"], HttpOrigin("https://london.example.com")),
        ("paris-1", "eu-west-3", ["shop", "press"], OriginGroup(["near", "spare"])),
        ("virginia-2", "us-east-1", ["shop", "press"], OriginGroup(["near", "spare"])),
        ("oregon-1", "us-west-2", ["shop"], OriginGroup(["near", "spare"])),
    ],
)
def test_an_edge_gets_its_distributions_and_its_regions_origins(
    edge: str, region: str, distributions: list[str], site: object
) -> None:
    own = meant_for(parse_config(FLEET).declarations, edge, region)
    assert [each.name for each in own.distributions] == distributions
    assert own.origins["site"] == site
    assert ("press" in own.origins) == ("press" in own.policies) == ("press" in distributions)
    assert {"base", "pages"} <= set(own.policies)
    assert ("spare" in own.origins) == isinstance(site, OriginGroup)
    # It can be sent, and means the same there.
    assert parse_config(to_text(own)).declarations == own
    assert meant_for(own, edge, region) is own or own.distributions == meant_for(own, edge, region).distributions


def test_models_of_a_group_and_other_versions_come_along() -> None:
    text = """
[origins]
site = { regions = { "ap-*" = "https://tokyo.example.com" }, otherwise = "https://near.example.com" }
language = { model = "language.onnx" }
fraud-2 = { model = "fraud-2.onnx", name = "fraud", version = "2" }
fraud-1 = { model = "fraud-1.onnx", name = "fraud", version = "1" }
unused = { model = "unused.onnx" }
all = { models = ["language", "fraud-2"] }

[distributions.shop]
hosts = ["*"]
behaviors = [{ path = "/models/*", origin = "all" }, { origin = "site" }]
"""
    own = meant_for(parse_config(text).declarations, "london-1", "eu-west-2")
    assert list(own.origins) == ["site", "language", "fraud-2", "fraud-1", "all"]


def test_what_is_for_everybody_stays_as_it_is() -> None:
    declarations = parse_config('[distributions.a]\nbehaviors = [{ origin = "https://a.example.com" }]').declarations
    assert meant_for(declarations, "tokyo-1", "ap-northeast-1") is declarations


def test_the_first_region_that_matches_counts() -> None:
    text = '[origins]\na = "http://a"\nb = "http://b"\nc = { regions = { "x-*" = "a", "*" = "b" }, otherwise = "a" }'
    declarations = parse_config(f'{text}\n[distributions.d]\nbehaviors = [{{ origin = "c" }}]').declarations
    assert meant_for(declarations, "e", "x-1").origins["c"] == HttpOrigin("http://a")
    assert meant_for(declarations, "e", "y-1").origins["c"] == HttpOrigin("http://b")


@pytest.mark.parametrize(
    ("origins", "what"),
    [
        ('c = { regions = { "x" = "nobody" }, otherwise = "a" }', 'no origin is called "nobody"'),
        ('c = { regions = { "x" = "a" } }', "`otherwise` is missing"),
        ('c = { regions = {}, otherwise = "a" }', "0 regions"),
        ('c = { regions = { "x y" = "a" }, otherwise = "a" }', "names no edge and no region"),
        (
            'd = { regions = { "x" = "a" }, otherwise = "a" }\nc = { regions = { "x" = "d" }, otherwise = "a" }',
            "itself",
        ),
        ('c = { regions = { "x" = "a" }, otherwise = "a", attempts = 3 }', "has no meaning for this origin"),
        ('d = { regions = { "x" = "a" }, otherwise = "a" }\nc = { group = ["a", "d"] }', "itself"),
    ],
)
def test_what_cannot_be_is_said(origins: str, what: str) -> None:
    with pytest.raises(ConfigInvalid, match=what):
        parse_config(f'[origins]\na = "http://a"\n{origins}\n[distributions.d]\nbehaviors = [{{ origin = "c" }}]')


def test_a_distribution_for_no_edge_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="no edge would serve it"):
        parse_config('[distributions.d]\nedges = []\nbehaviors = [{ origin = "http://a" }]')
