from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bodega.config.edge_settings import EdgeSettings
from bodega.config.generate import generated, main
from bodega.config.schema import schema
from bodega.distributions import Behavior, CachePolicy, Distribution, Health, HttpOrigin, OriginGroup
from bodega.distributions.origins import S3
from bodega.distributions.read import documented_fields

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", sorted(generated()))
def test_what_is_generated_is_what_the_sources_say(name: str) -> None:
    committed = (ROOT / name).read_text(encoding="utf-8")
    assert committed == generated()[name], "run: python -m bodega.config.generate"


def test_checking_fails_where_a_file_differs_and_writing_mends_it(tmp_path: Path) -> None:
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    "noun", [EdgeSettings, Behavior, CachePolicy, Distribution, Health, HttpOrigin, OriginGroup, S3]
)
def test_every_field_of_a_noun_is_described(noun: type[Any]) -> None:
    undescribed = set(noun.__dataclass_fields__) - set(documented_fields(noun)) - {"_"}
    assert undescribed <= {"name", "bucket"}


@pytest.mark.parametrize(
    "noun", [EdgeSettings, Behavior, CachePolicy, Distribution, Health, HttpOrigin, OriginGroup, S3]
)
def test_every_field_of_a_noun_stands_in_its_docstring(noun: type[Any]) -> None:
    told = "\n".join(each.__doc__ or "" for each in noun.__mro__)
    for name in documented_fields(noun):
        assert f"{name}:" in told, name


VALID = """
[edge]
memory = "1GiB"
tls = ["/etc/live", { certificate = "a.pem", key = "a.key" }]
listen_tls = "0.0.0.0:443"
http2 = false
idle_timeout = "1h30m"
listen = "127.0.0.1:80"
[origins]
a = "https://x"
b = { url = "s3://b", region = "r", health = { max_failures = 0 } }
c = { group = ["a", "b"], failover = [503] }
[policies.p]
default_ttl = 0
negative_ttl = { 404 = "10s" }
key = { query = { deny = ["x"] } }
[distributions.d]
behaviors = [ { path = "/a", origin = "a" }, { redirect = "/x" }, { origin = { url = "https://y" }, policy = "p" } ]
"""


def test_the_schema_takes_a_valid_file() -> None:
    jsonschema.Draft7Validator.check_schema(schema())
    jsonschema.validate(json.loads(json.dumps(tomllib.loads(VALID))), schema())


@pytest.mark.parametrize(
    "text",
    [
        'memory = "1GB"',
        '[edge]\nmemry = "1GB"',
        "[edge]\nmemory = 10",
        '[edge]\nmemory = "10"',
        '[edge]\nthreads = "4"',
        '[policies.p]\ndefault_ttl = "24"',
        '[policies.p]\nnegative_ttl = { 99 = "1s" }',
        '[origins]\na = { region = "x" }',
        "[origins]\na = { group = [5, 6] }",
        '[origins]\na = { group = ["b", "c"], failover = [200] }',
        '[origins]\na = { group = ["b", "c"], attempts = 1 }',
        "[distributions.d]",
        '[distributions.d]\nbehaviors = [ { methods = ["get"], origin = "a" } ]',
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema())
