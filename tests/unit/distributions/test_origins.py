from __future__ import annotations

import pytest

from bodega.distributions import S3, Health, HttpOrigin, OriginGroup, origin_from_url
from bodega.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://www.example.com", HttpOrigin("https://www.example.com")),
        ("https://www.example.com/", HttpOrigin("https://www.example.com")),
        ("HTTP://Example.com:8080", HttpOrigin("http://example.com:8080")),
        ("http://[::1]:9000", HttpOrigin("http://[::1]:9000")),
        ("s3://shop-images", S3("shop-images")),
        ("s3://shop-images/site/v1", S3("shop-images", prefix="site/v1")),
    ],
)
def test_an_address_becomes_an_origin(url: str, origin: HttpOrigin | S3) -> None:
    assert origin_from_url(url) == origin


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("localhost:9000", "did you mean `http://localhost:9000`?"),
        ("127.0.0.1:9000", "did you mean `http://127.0.0.1:9000`?"),
        ("www.example.com", "did you mean `https://www.example.com`?"),
        ("//www.example.com", "did you mean `https://www.example.com`?"),
        ("htps://www.example.com", 'did you mean "https"?'),
        ("ftp://www.example.com", "http://"),
        ("https://www.example.com/shop", "add_prefix"),
        ("https://www.example.com?x=1", "add_prefix"),
        ("https://", "https://host"),
        ("https://www.example.com:99999", "1 to 65535"),
        ("https://www.example.com:0", "1 to 65535"),
        ("https://[::1", "host and port"),
        ("https://www exa.com", "https://host"),
        ("s3://", "s3://bucket"),
        ("s3://b", "3 to 63"),
        ("s3://bucket?x", "s3://bucket/prefix"),
        ("", "https://host"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(url: str, hint: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        origin_from_url(url)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:hunter2@www.example.com",
        "s3://ann:hunter2@bucket",
        "ann:hunter2@www.example.com",
        "https://ann:hunter2@www.example.com:99999",
        "ftp://ann:hunter2@www.example.com",
        "https://ann:hunter2@www exa.com",
        "https://ann:hun/ter2@www.example.com",
    ],
)
def test_a_password_in_an_address_is_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        origin_from_url(url)
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect_timeout", "5"),
        ("connect_timeout", "0"),
        ("attempts", 0),
        ("attempts", 11),
        ("attempts", True),
        ("max_connections", 0),
        ("max_queue", -1),
        ("host", "not a host"),
        ("ca_file", ""),
        ("health", {"max_failures": 3}),
    ],
)
def test_a_field_that_cannot_be_used_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        HttpOrigin("https://www.example.com", **{field: value})  # type: ignore[arg-type]
    assert caught.value.path == (field,)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"bucket": "Shop Images"}, "bucket"),
        ({"bucket": "shop/images"}, "bucket"),
        ({"bucket": "images", "endpoint": "s3.example.com"}, "endpoint"),
        ({"bucket": "images", "endpoint": "https://s3.example.com/images"}, "endpoint"),
        ({"bucket": "images", "region": "eu west"}, "region"),
        ({"bucket": "images", "unsigned": True, "credentials_file": "x"}, "credentials_file"),
        ({"bucket": "images", "index_document": "/index.html"}, "index_document"),
        ({"bucket": "images", "unsigned": "yes"}, "unsigned"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused(fields: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        S3(**fields)  # type: ignore[arg-type]
    assert caught.value.path == (path,)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_failures": -1}, "max_failures"),
        ({"max_failures": True}, "max_failures"),
        ({"retry_after": "0"}, "retry_after"),
        ({"retry_after": "2h"}, "retry_after"),
        ({"retry_after": "1"}, "retry_after"),
        ({"fail_fast": 1}, "fail_fast"),
    ],
)
def test_a_health_that_cannot_be_used_is_refused(fields: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Health(**fields)  # type: ignore[arg-type]
    assert caught.value.path == (path,)


def test_a_group_keeps_the_order_of_its_members() -> None:
    group = OriginGroup(["b", "https://a.example.com", S3("images")], failover=[503, 404, 503])
    assert group.group == ("b", HttpOrigin("https://a.example.com"), S3("images"))
    assert group.failover == (503, 404)


@pytest.mark.parametrize(
    ("group", "failover", "path", "message"),
    [
        ([], [503], ("group",), "a group of 0; name 2 to 8 origins"),
        (["a"], [503], ("group",), "a group of one has nobody to turn to"),
        ([f"site-{n}" for n in range(9)], [503], ("group",), "a group of 9; name 2 to 8 origins"),
        ("site", [503], ("group",), "a str is not a list of origins"),
        (["a", "b", "a"], [503], ("group", 2), "there twice"),
        (["a", "https://x.example/y"], [503], ("group", 1), "more than scheme, host and port"),
        (["a", "b c"], [503], ("group", 1), "is not a name"),
        (["a", 5], [503], ("group", 1), "not a text"),
        (["a", OriginGroup(["b", "c"])], [503], ("group", 1), "a group is no member"),
        (["a", "b"], [200], ("failover", 0), "write 400 to 599"),
        (["a", "b"], [503, "504"], ("failover", 1), "not a whole number"),
        (["a", "b"], 503, ("failover",), "not a list"),
    ],
)
def test_a_group_that_cannot_be_used_is_refused(
    group: object, failover: object, path: tuple[str | int, ...], message: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        OriginGroup(group, failover=failover)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.path == path
