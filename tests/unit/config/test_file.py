from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bodega.config import EdgeSettings, parse_config, read_config
from bodega.distributions import (
    S3,
    Answer,
    Behavior,
    CachePolicy,
    Deny,
    Distribution,
    HeaderEdits,
    Health,
    HttpOrigin,
    KeyRules,
    OriginGroup,
    Redirect,
)
from bodega.errors import ConfigInvalid

SHOP = """
[edge]
listen = ["127.0.0.1:8080"]
memory = "10GB"

[origins]
site   = "https://www.origin.example.com"
images = { url = "s3://shop-images", endpoint = "https://s3.example.com", region = "eu-west-1" }

[policies.pages]
extends = "web"
default_ttl = "24h"
stale_if_error = "1h"
key = { query = ["page", "lang"] }

[distributions.shop]
hosts = ["shop.example.com"]
behaviors = [
  { path = ["/images/*", "*.webp"], origin = "images", policy = "immutable" },
  { path = "/account/*", origin = "site", policy = "none" },
  { origin = "site", policy = "pages" },
]
"""


def test_a_file_becomes_the_nouns_one_would_write_in_python() -> None:
    config = parse_config(SHOP)
    declared = config.declarations
    assert declared.origins == {
        "site": HttpOrigin("https://www.origin.example.com"),
        "images": S3("shop-images", endpoint="https://s3.example.com", region="eu-west-1"),
    }
    assert declared.policies == {
        "pages": CachePolicy(default_ttl="24h", stale_if_error="1h", key=KeyRules(query=["page", "lang"]))
    }
    assert declared.distributions == (
        Distribution(
            "shop",
            hosts=["shop.example.com"],
            behaviors=[
                Behavior(["/images/*", "*.webp"], origin="images", policy="immutable"),
                Behavior("/account/*", origin="site", policy="none"),
                Behavior(origin="site", policy="pages"),
            ],
        ),
    )
    assert config.settings() == EdgeSettings(listen="127.0.0.1:8080", memory="10GB")


def test_a_group_of_origins_is_read() -> None:
    declared = parse_config("""
[origins]
site-a = { url = "https://a.example.com", health = { max_failures = 5, retry_after = "2s" } }
site-b = "https://b.example.com"
site = { group = ["site-a", "site-b"], failover = [502, 503] }
[distributions.shop]
behaviors = [
  { path = "/a/*", origin = { group = ["site-b", "https://c.example.com"] } },
  { origin = "site" },
]
""").declarations
    health = Health(max_failures=5, retry_after="2s")
    assert declared.origins["site-a"] == HttpOrigin("https://a.example.com", health=health)
    assert declared.origins["site"] == OriginGroup(["site-a", "site-b"], failover=[502, 503])
    assert declared.distributions[0].behaviors[0].origin == OriginGroup(["site-b", "https://c.example.com"])


def test_everything_that_may_be_nested_is_read() -> None:
    config = parse_config("""
[origins.files]
url = "s3://files/site"
credentials_file = "/etc/bodega/credentials"
profile = "files"
index_document = "index.html"

[policies.all]
negative_ttl = { 404 = "1m", 500 = "1s" }
key = { query = { deny = ["utm_source"] }, headers = ["X-A"], cookies = ["c"], host = false, sort = true }
forward = { query = "all", headers = ["authorization"] }

[[distributions.main.behaviors]]
path = "/old/*"
redirect = "https://x.example{path}"

[[distributions.main.behaviors]]
path = "/gone"
answer = { status = 410, body = "gone", headers = { x-a = "1" } }

[[distributions.main.behaviors]]
redirect = { location = "/files", status = 308 }
path = "/"

[[distributions.main.behaviors]]
origin = "files"
policy = { extends = "all", default_ttl = "1h" }
request_headers = { set = { x-b = "2" }, remove = ["x-c"] }
allow = "10.0.0.0/8"

[[distributions.main.behaviors]]
origin = { url = "https://www.example.com", attempts = 1 }
""")
    files = S3(
        "files",
        prefix="site",
        credentials_file="/etc/bodega/credentials",
        profile="files",
        index_document="index.html",
    )
    assert config.declarations.origins["files"] == files
    policy = config.declarations.policies["all"]
    assert policy.negative_ttl == {404: "1m", 500: "1s"}
    assert policy.key == KeyRules(query=Deny(["utm_source"]), headers=["x-a"], cookies=["c"], host=False, sort=True)
    behaviors = config.declarations.distributions[0].behaviors
    assert behaviors[0].redirect == Redirect("https://x.example{path}")
    assert behaviors[1].answer == Answer(status=410, body="gone", headers={"x-a": "1"})
    assert behaviors[2].redirect == Redirect("/files", status=308)
    assert behaviors[3].policy == CachePolicy(extends="all", default_ttl="1h")
    assert behaviors[3].request_headers == HeaderEdits(set={"x-b": "2"}, remove=["x-c"])
    assert behaviors[4].origin == HttpOrigin("https://www.example.com", attempts=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[edge]\nmemry = "1GB"', '2: edge.memry: "memry" is not known here; did you mean "memory"?'),
        ('[edge]\nmemory = "10"', "2: edge.memory: 10 has no unit; add one"),
        ("[edge]\nmemory = 10", "2: edge.memory: 10 has no unit"),
        ('[edge]\nmemory = "10G"', '2: edge.memory: "10G" is not a size; write "10GB" (decimal) or "10GiB" (binary)'),
        ('[edge]\n\nthreads = "4"', '3: edge.threads: "4" is not a whole number; write 4 without quotes'),
        ("[edge]\nthreads = 0", "2: edge.threads: 0 is out of range; write 1 to 1024"),
        ("[edge]\nlisten = 8080", "2: edge.listen: 8080 is not a list"),
        ('[edge]\nlisten = [\n"127.0.0.1:1",\n"8080"]', '4: edge.listen[1]: "8080" is only a port'),
        ('[edge]\naccess_log_format = "jsn"', '"jsn" is not "json" or "combined"; did you mean "json"?'),
        ('[edge]\nadmin = "0.0.0.0:9180"', "2: edge.admin: 0.0.0.0:9180 can be reached from other machines"),
        ("edge = 5", "1: edge: 5 is not a table"),
        ('listen = "x"', '1: listen: "listen" stands outside of a table; put it under [edge]'),
        ("[polices.a]", '1: polices: "polices" is not known here; did you mean "policies"?'),
        ('[origins]\na = "localhost:1"', '2: origins.a: "localhost:1" has no scheme'),
        ("[origins]\na = 5", "2: origins.a: 5 is not a table"),
        ("[origins]\na = {}", "2: origins.a: `url` is missing"),
        ('[origins]\na = { bucket = "x" }', 'write url = "s3://x"'),
        (
            '[origins]\na = { url = "https://x", unsigned = true }',
            '2: origins.a.unsigned: "unsigned" has no meaning for this origin; it is for "s3://" origins',
        ),
        ('[origins]\na = { url = "s3://xyz", host = "y" }', "2: origins.a.host"),
        ('[origins]\na = { url = "s3://x" }', '2: origins.a.url: "x" is not a bucket'),
        ('[origins]\na = { url = "s3://xyz/a", prefix = "b" }', "2: origins.a.prefix: the prefix is there twice"),
        ('[origins]\na = { url = "s3://xyz", bucket = "b" }', "2: origins.a.bucket: the bucket is a part of `url`"),
        ('[origins]\na = { group = ["b"] }', "2: origins.a.group: a group of one has nobody to turn to"),
        ('[origins]\na = { group = "b" }', '2: origins.a.group: "b" is not a list; put it in brackets'),
        (
            '[origins]\nsite-a = "https://x"\nsite-b = "https://y"\na = { group = ["site-a", "site-c"] }',
            '4: origins.a.group[1]: no origin is called "site-c"; did you mean "site-b"?',
        ),
        (
            '[origins]\na = { group = ["b", "c"], attempts = 1 }',
            '2: origins.a.attempts: "attempts" has no meaning for this origin; a group has members and `failover`',
        ),
        ('[origins]\na = { group = ["b", "c"], url = "https://x" }', "2: origins.a.url"),
        ('[origins]\na = { group = ["b", "c"], failver = [503] }', 'did you mean "failover"?'),
        ('[origins]\na = { group = ["b", "c"], failover = [200] }', "200 is out of range; write 400 to 599"),
        ('[origins]\na = { url = "https://x", health = { max_failure = 1 } }', 'did you mean "max_failures"?'),
        ('[origins]\na = { url = "https://x", health = { retry_after = "0s" } }', 'write "10ms" to "1h"'),
        ("[policies.a]\ndefault_ttl = 24", '2: policies.a.default_ttl: 24 has no unit; add one: "24s"'),
        ('[policies.a]\nextends = "wb"', '2: policies.a.extends: no policy is called "wb"; did you mean "web"?'),
        ('[policies.web]\nextends = "api"', '1: policies.web: "web" is built in'),
        ('[policies.a]\nextends = "b"\n[policies.b]\nextends = "a"', "in a circle: b → a → b"),
        ('[policies.a]\nkey = { query = "page" }', 'a list is written ["page"]'),
        ('[policies.a]\nkey = { query = "al" }', 'did you mean "all"?'),
        ("[policies.a]\nkey = { query = 5 }", '5 is not "all" or "none" or a list or a table'),
        ('[policies.a]\nnegative_ttl = { nope = "1s" }', '"nope" is not a number'),
        ('[policies.a]\nnegative_ttl = { 99 = "1s" }', "99 is not a status"),
        ("[distributions.shop]", "1: distributions.shop: `behaviors` is missing; add behaviors = [ { ... } ]"),
        ('[distributions."a b"]\nbehaviors = [ { origin = "https://x" } ]', '"a b" is not a name'),
        ("[distributions.shop]\nbehaviors = [ {} ]", "2: distributions.shop.behaviors[0]: nothing is to be done"),
        ('[distributions.shop]\nbehaviors = { origin = "x" }', "put it in brackets"),
        (
            '[distributions.shop]\nbehaviors = [\n  { origin = "nowhere" },\n]',
            '3: distributions.shop.behaviors[0].origin: no origin is called "nowhere"; declare it',
        ),
        ("x = 1h", "1: not TOML"),
        ("[edge]\nmemory = 10GB", "quantities with a unit stand in quotes"),
        ("[edge]\nname = shop", "texts stand in quotes"),
        ("[edge]\nname: 1", "write `key = value`"),
        ("x = {\n y = 1 }", "stands on one line"),
        ("x = " + "[" * 5000, "not TOML"),
        ("x = 1" + "0" * 5000, "not TOML"),
        ("[edge", "1: not TOML"),
    ],
)
def test_an_error_has_its_line_and_what_would_be_right(text: str, expected: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(text, "bodega.toml").settings()
    message = str(caught.value)
    assert expected in message
    assert message.startswith("bodega.toml")


def test_all_problems_of_a_file_are_reported_in_the_order_of_its_lines() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_config('[policies.a]\ndefault_ttl = 1\nmax_ttl = "x"\n[edge]\nmemory = 1\n[origins]\na = 1')
    assert [problem.line for problem in caught.value.problems] == [2, 3, 5, 7]


def test_a_file_that_is_missing_is_answered_with_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="bodega init"):
        read_config(tmp_path / "bodega.toml")


def test_a_folder_and_a_file_of_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        read_config(tmp_path)
    binary = tmp_path / "x.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        read_config(binary)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xef\xbb\xbf[edge]\r\nmemory = '2GB'\r\nthreads = 0\r\n")
    with pytest.raises(ConfigInvalid) as caught:
        read_config(file)
    assert caught.value.line == 3


def test_what_a_file_leaves_out_comes_from_the_base() -> None:
    settings = parse_config('[edge]\nmemory = "2GB"').settings(EdgeSettings(listen="127.0.0.1:0", memory="1GB"))
    assert settings == EdgeSettings(listen="127.0.0.1:0", memory="2GB")


WORDS = st.sampled_from([
    "edge", "origins", "policies", "distributions", "behaviors", "url", "key", "query", "hosts", "path", "origin",
    "listen", "memory", "a", "extends", "deny", "negative_ttl", "404", "answer", "redirect", "headers", "set",
])  # fmt: skip
SCALARS = st.sampled_from(
    ['"web"', '"24h"', '"https://x"', '"s3://abc"', '"*"', '""', "5", "-1", "1.5", "true", "[]", "{}"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: "[" + ", ".join(members) + "]")
        | st.dictionaries(WORDS, inner, max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs.items()) + " }"
        )
    ),
    max_leaves=8,
)
LINES = st.one_of(
    st.tuples(WORDS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.lists(WORDS, min_size=1, max_size=3).map(lambda words: f"[{'.'.join(words)}]"),
    st.lists(WORDS, min_size=1, max_size=3).map(lambda words: f"[[{'.'.join(words)}]]"),
)


@given(st.lists(LINES, max_size=10).map("\n".join))
@example("[[edge]]")
@example("[[policies]]")
@example("[[origins.a]]")
@example("distributions = []")
def test_any_document_is_read_or_refused_with_a_place_but_never_breaks(text: str) -> None:
    try:
        parse_config(text)
    except ConfigInvalid as error:
        for problem in error.problems:
            assert problem.what
            assert problem.line is not None


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_but_never_breaks(text: str) -> None:
    try:
        parse_config(text)
    except ConfigInvalid:
        return
