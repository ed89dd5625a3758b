from __future__ import annotations

import json
from typing import Any

from bodega.config import parse_config
from bodega.distributions import (
    S3,
    Answer,
    Behavior,
    CachePolicy,
    Declarations,
    Deny,
    Distribution,
    ForwardRules,
    HeaderEdits,
    Health,
    HttpOrigin,
    KeyRules,
    OriginGroup,
    Redirect,
)
from bodega.snapshot import compile_snapshot

SITE = "https://www.example.com"


def compiled(*behaviors: Behavior, environment: dict[str, str] | None = None, **declared: Any) -> dict[str, Any]:
    declarations = Declarations(distributions=[Distribution("shop", behaviors=behaviors)], **declared)
    document: dict[str, Any] = json.loads(compile_snapshot(declarations, environment=environment).document)
    return document


def test_a_file_becomes_the_document_with_every_default_filled_in() -> None:
    config = parse_config("""
[origins]
site = "http://127.0.0.1:9000"
images = { url = "s3://shop-images", endpoint = "https://s3.example.com", region = "eu-west-1" }
[policies.pages]
default_ttl = "1h"
negative_ttl = { 404 = "1500ms" }
strict = "5s"
refresh_every = "10m"
key = { query = { deny = ["utm_source"] }, sort = true, headers = ["x-a"], cookies = ["c"] }
forward = { headers = ["authorization"] }
max_object = "1MiB"
[distributions.shop]
hosts = ["shop.example.com", "*.shop.example.com", "*"]
viewer_protocol = "redirect-to-https"
hsts = { max_age = "1y", include_subdomains = true }
[[distributions.shop.behaviors]]
path = ["/images/*", "*.webp"]
methods = ["GET", "HEAD"]
origin = "images"
policy = "immutable"
allow = ["10.0.0.0/8"]
request_headers = { set = { X-A = "1" }, remove = ["X-B"] }
[[distributions.shop.behaviors]]
origin = "site"
policy = "pages"
strip_prefix = "/a"
add_prefix = "/b"
""")
    transport = {
        "connect_timeout_seconds": 5,
        "first_byte_timeout_seconds": 30,
        "between_bytes_timeout_seconds": 30,
        "attempts": 2,
        "max_connections": 256,
        "max_queue": 1024,
        "queue_timeout_seconds": 5,
        "health": {"max_failures": 3, "retry_after_seconds": 1, "fail_fast": False},
        "ca_file": None,
    }
    no_edits: dict[str, Any] = {"set": [], "remove": []}
    snapshot = compile_snapshot(config.declarations, 7)
    assert snapshot.revision == 7
    assert json.loads(snapshot.document) == {
        "schema": 1,
        "revision": 7,
        "distributions": [
            {
                "name": "shop",
                "hosts": ["shop.example.com", "*.shop.example.com", "*"],
                "viewer_protocol": "redirect-to-https",
                "hsts": {"max_age_seconds": 31536000, "include_subdomains": True, "preload": False},
                "behaviors": [
                    {
                        "paths": ["/images/*", "*.webp"],
                        "methods": ["GET", "HEAD"],
                        "action": {"kind": "origin", "origin": "images"},
                        "policy": "immutable",
                        "strip_prefix": "",
                        "add_prefix": "",
                        "allow": ["10.0.0.0/8"],
                        "deny": [],
                        "request_headers": {"set": [["x-a", "1"]], "remove": ["x-b"]},
                        "response_headers": no_edits,
                        "authorization": {"kind": "pass"},
                        "body_key": None,
                    },
                    {
                        "paths": [],
                        "methods": [],
                        "action": {"kind": "origin", "origin": "site"},
                        "policy": "pages",
                        "strip_prefix": "/a",
                        "add_prefix": "/b",
                        "allow": [],
                        "deny": [],
                        "request_headers": no_edits,
                        "response_headers": no_edits,
                        "authorization": {"kind": "pass"},
                        "body_key": None,
                    },
                ],
            }
        ],
        "origins": {
            "images": {
                "kind": "s3",
                "endpoint": "https://s3.example.com",
                "bucket": "shop-images",
                "prefix": "",
                "region": "eu-west-1",
                "path_style": True,
                "credentials": {"kind": "environment"},
                "missing_as_404": True,
                "index_document": None,
                **transport,
            },
            "site": {"kind": "http", "url": "http://127.0.0.1:9000", "host": None, **transport},
        },
        "policies": {
            "immutable": {
                "store": True,
                "mode": "safe",
                "heuristic_only": False,
                "min_ttl_seconds": 0,
                "default_ttl_seconds": 31_536_000,
                "max_ttl_seconds": 31_536_000,
                "negative_ttl_seconds": {"404": 10, "405": 10, "410": 10, "414": 10, "501": 10},
                "stale_while_revalidate_seconds": 86_400,
                "stale_if_error_seconds": 604_800,
                "strict_seconds": None,
                "refresh_every_seconds": None,
                "key": {
                    "query": {"kind": "all", "names": [], "sorted": False},
                    "headers": [],
                    "cookies": [],
                    "host": True,
                },
                "forward": {"query": {"kind": "none", "names": []}, "headers": [], "all_headers": False, "cookies": []},
                "check_content_type": True,
                "tags": [],
                "strip_tags": True,
                "max_object_bytes": None,
            },
            "pages": {
                "store": True,
                "mode": "safe",
                "heuristic_only": False,
                "min_ttl_seconds": 0,
                "default_ttl_seconds": 3600,
                "max_ttl_seconds": 31_536_000,
                "negative_ttl_seconds": {"404": 1.5},
                "stale_while_revalidate_seconds": 0,
                "stale_if_error_seconds": 3600,
                "strict_seconds": 5,
                "refresh_every_seconds": 600,
                "key": {
                    "query": {"kind": "deny", "names": ["utm_source"], "sorted": True},
                    "headers": ["x-a"],
                    "cookies": ["c"],
                    "host": True,
                },
                "forward": {
                    "query": {"kind": "none", "names": []},
                    "headers": ["authorization"],
                    "all_headers": False,
                    "cookies": [],
                },
                "check_content_type": True,
                "tags": [],
                "strip_tags": True,
                "max_object_bytes": 1_048_576,
            },
        },
    }


def test_origins_and_policies_without_names_get_some() -> None:
    document = compiled(
        Behavior("/a", origin=S3("images"), policy=CachePolicy(default_ttl="1h")),
        Behavior("/b", origin=S3("images", prefix="x")),
        Behavior("/c", origin=S3("images")),
        Behavior(origin="http://[::1]:9000"),
    )
    behaviors = document["distributions"][0]["behaviors"]
    names = ["images", "images-2", "images", "1-9000"]
    assert [behavior["action"]["origin"] for behavior in behaviors] == names
    assert [behavior["policy"] for behavior in behaviors] == ["shop-0", "web", "web", "web"]
    assert set(document["origins"]) == set(names)
    assert set(document["policies"]) == {"shop-0", "web"}


def test_a_name_that_is_declared_is_not_given_to_another() -> None:
    document = compiled(
        Behavior("/a", origin="s3://images", policy=CachePolicy(default_ttl="1h")),
        Behavior(origin="images", policy="shop-0"),
        origins={"images": HttpOrigin(SITE)},
        policies={"shop-0": CachePolicy()},
    )
    behaviors = document["distributions"][0]["behaviors"]
    assert [behavior["action"]["origin"] for behavior in behaviors] == ["images-2", "images"]
    assert [behavior["policy"] for behavior in behaviors] == ["shop-0-2", "shop-0"]


def test_only_what_is_used_is_compiled() -> None:
    document = compiled(Behavior(origin="a"), origins={"a": HttpOrigin(SITE), "b": HttpOrigin("https://b.example")})
    assert set(document["origins"]) == {"a"}
    assert set(document["policies"]) == {"web"}


def test_redirects_and_answers_keep_nothing() -> None:
    document = compiled(
        Behavior("/a", redirect=Redirect("/b", status=308)),
        Behavior("/b", redirect="https://x.example{path}"),
        Behavior("/c", answer=Answer(status=410, body="gone")),
        Behavior("/d", answer=Answer(status=204)),
        Behavior("/e", answer=Answer(body="{}", headers={"Content-Type": "application/json"})),
    )
    behaviors = document["distributions"][0]["behaviors"]
    assert {behavior["policy"] for behavior in behaviors} == {"none"}
    assert [behavior["action"] for behavior in behaviors] == [
        {"kind": "redirect", "status": 308, "location": "/b"},
        {"kind": "redirect", "status": 307, "location": "https://x.example{path}"},
        {
            "kind": "answer",
            "status": 410,
            "headers": [["content-type", "text/plain; charset=utf-8"]],
            "body": "gone",
        },
        {"kind": "answer", "status": 204, "headers": [], "body": ""},
        {"kind": "answer", "status": 200, "headers": [["content-type", "application/json"]], "body": "{}"},
    ]


def test_credentials_are_named_but_never_included() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    document = compiled(
        Behavior("/a", origin=S3("aaa")),
        Behavior("/b", origin=S3("bbb", unsigned=True)),
        Behavior("/c", origin=S3("ccc", credentials_file="/etc/keys", profile="shop")),
        environment=environment,
    )
    credentials = {name: origin["credentials"] for name, origin in document["origins"].items()}
    assert credentials == {
        "aaa": {"kind": "environment"},
        "bbb": {"kind": "unsigned"},
        "ccc": {"kind": "file", "path": "/etc/keys", "profile": "shop"},
    }
    assert "hunter2" not in json.dumps(document)


def test_a_bucket_that_names_no_store_takes_it_from_the_environment_and_else_is_of_aws() -> None:
    def store(origin: S3, **environment: str) -> tuple[str, str, bool]:
        [compiled_origin] = compiled(Behavior(origin=origin), environment=environment)["origins"].values()
        return compiled_origin["endpoint"], compiled_origin["region"], compiled_origin["path_style"]

    assert store(S3("images")) == ("https://s3.us-east-1.amazonaws.com", "us-east-1", False)
    assert store(S3("images"), AWS_REGION="eu-west-1") == ("https://s3.eu-west-1.amazonaws.com", "eu-west-1", False)
    assert store(S3("my.images")) == ("https://s3.us-east-1.amazonaws.com", "us-east-1", True)
    assert store(S3("images"), AWS_ENDPOINT_URL_S3="http://127.0.0.1:9/") == ("http://127.0.0.1:9", "us-east-1", True)
    own = S3("images", endpoint="https://s3.example.com", region="x", path_style=False)
    assert store(own, AWS_REGION="y", AWS_ENDPOINT_URL="http://z") == ("https://s3.example.com", "x", False)


def test_the_same_declarations_compile_to_the_same_document() -> None:
    policy = CachePolicy(key=KeyRules(query=Deny(["b", "a"])), forward=ForwardRules(cookies=["z", "y"]), extends="api")
    edits = HeaderEdits(set={"x-b": "1", "x-a": "2"})
    behavior = Behavior(origin=SITE, policy=policy, response_headers=edits)
    assert compiled(behavior) == compiled(behavior)


def test_a_group_brings_its_members_along() -> None:
    origins = {"a": HttpOrigin(SITE), "b": S3("images"), "both": OriginGroup(["a", "b"], failover=[503, 500, 503])}
    document = compiled(Behavior(origin="both"), origins=origins)
    assert document["distributions"][0]["behaviors"][0]["action"] == {"kind": "origin", "origin": "both"}
    assert sorted(document["origins"]) == ["a", "b", "both"]
    assert document["origins"]["both"] == {"kind": "group", "members": ["a", "b"], "failover": [503, 500]}


def test_a_group_without_a_name_is_named_by_its_members() -> None:
    document = compiled(Behavior(origin=OriginGroup([SITE, HttpOrigin("https://other.example.com")])))
    name = "www.example.com-or-other.example.com"
    assert document["distributions"][0]["behaviors"][0]["action"]["origin"] == name
    assert document["origins"][name]["members"] == ["www.example.com", "other.example.com"]


def test_the_health_of_an_origin_is_compiled() -> None:
    health = Health(max_failures=0, retry_after="250ms", fail_fast=True)
    document = compiled(Behavior(origin=HttpOrigin(SITE, health=health)))
    said = document["origins"]["www.example.com"]["health"]
    assert said == {"max_failures": 0, "retry_after_seconds": 0.25, "fail_fast": True}
