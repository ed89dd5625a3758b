from __future__ import annotations

import pytest

from bodega.distributions import S3, Answer, Behavior, HeaderEdits, HttpOrigin, Redirect
from bodega.errors import ConfigInvalid


def test_a_behavior_is_written_in_one_line() -> None:
    behavior = Behavior("/images/*", origin=S3("shop-images"), policy="immutable")
    assert behavior.paths == ("/images/*",)
    assert behavior == Behavior(["/images/*"], origin="s3://shop-images", policy="immutable")


def test_an_address_becomes_an_origin_and_a_name_stays_a_name() -> None:
    assert Behavior(origin="https://www.example.com").origin == HttpOrigin("https://www.example.com")
    assert Behavior(origin="site").origin == "site"


def test_a_redirect_may_be_written_as_its_place_alone() -> None:
    assert Behavior(redirect="https://x.example{path}{query}").redirect == Redirect("https://x.example{path}{query}")


@pytest.mark.parametrize(
    ("fields", "path", "hint"),
    [
        ({}, (), "origin"),
        ({"origin": "a", "redirect": "/b"}, ("redirect",), "keep one"),
        ({"origin": "localhost:9000"}, ("origin",), "did you mean `http://localhost:9000`?"),
        ({"origin": 5}, ("origin",), ""),
        ({"redirect": "nowhere"}, ("redirect",), "https://"),
        ({"path": "images/*", "origin": "a"}, ("path",), 'did you mean "/images/*"?'),
        ({"path": ["/a", "b"], "origin": "a"}, ("path", 1), 'did you mean "/b"?'),
        ({"path": "/käse", "origin": "a"}, ("path",), "/k%C3%A4se"),
        ({"path": "/a b", "origin": "a"}, ("path",), "/a%20b"),
        ({"path": "https://x.example/a", "origin": "a"}, ("path",), "hosts"),
        ({"path": "", "origin": "a"}, ("path",), "leave `path` out"),
        ({"methods": ["get"], "origin": "a"}, ("methods", 0), '"GET"'),
        ({"methods": ["CONNECT"], "origin": "a"}, ("methods", 0), "tunnel"),
        ({"methods": "POTS", "origin": "a"}, ("methods",), '"POST"'),
        ({"strip_prefix": "/a/", "origin": "a"}, ("strip_prefix",), '"/a"'),
        ({"add_prefix": "v2", "origin": "a"}, ("add_prefix",), '"/v2"'),
        ({"add_prefix": "/v*", "origin": "a"}, ("add_prefix",), '"/v2"'),
        ({"allow": "10.0.0.1/8", "origin": "a"}, ("allow",), 'did you mean "10.0.0.0/8"?'),
        ({"deny": ["everyone"], "origin": "a"}, ("deny", 0), "10.0.0.0/8"),
        ({"policy": 3, "origin": "a"}, ("policy",), ""),
        ({"answer": {"status": 200}}, ("answer",), ""),
        ({"request_headers": {"set": {}}, "origin": "a"}, ("request_headers",), ""),
    ],
)
def test_a_behavior_that_cannot_be_meant_is_refused(
    fields: dict[str, object], path: tuple[str | int, ...], hint: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Behavior(**fields)  # type: ignore[arg-type]
    assert caught.value.path == path
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection", "upgrade", "te"])
def test_fields_that_frame_messages_are_not_edited(name: str) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be edited"):
        HeaderEdits(set={name: "x"})
    with pytest.raises(ConfigInvalid, match="cannot be edited"):
        HeaderEdits(remove=[name])


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00", "käse"])
def test_a_header_value_cannot_smuggle_another_line(value: str) -> None:
    with pytest.raises(ConfigInvalid):
        HeaderEdits(set={"x-a": value})


def test_a_header_is_not_both_set_and_removed() -> None:
    with pytest.raises(ConfigInvalid, match="both set and removed"):
        HeaderEdits(set={"X-A": "1"}, remove=["x-a"])


def test_a_header_is_not_set_twice_in_different_case() -> None:
    with pytest.raises(ConfigInvalid, match="twice"):
        HeaderEdits(set={"X-A": "1", "x-a": "2"})


@pytest.mark.parametrize(
    ("location", "status", "path"),
    [
        ("https://x.example{pth}", 307, ("location",)),
        ("https://x.example{", 307, ("location",)),
        ("ftp://x.example", 307, ("location",)),
        ("https://x.example/\r\nset-cookie: a=b", 307, ("location",)),
        ("/", 200, ("status",)),
        ("/", 304, ("status",)),
    ],
)
def test_a_redirect_that_leads_nowhere_is_refused(location: str, status: int, path: tuple[str, ...]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Redirect(location, status=status)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"status": 101}, ("status",)),
        ({"status": 204, "body": "x"}, ("body",)),
        ({"status": 304}, ("status",)),
        ({"body": "x" * 65_537}, ("body",)),
        ({"body": b"x"}, ("body",)),
        ({"headers": {"content-length": "1"}}, ("headers", "content-length")),
        ({"headers": ["x"]}, ("headers",)),
    ],
)
def test_an_answer_that_cannot_be_sent_is_refused(fields: dict[str, object], path: tuple[str, ...]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Answer(**fields)  # type: ignore[arg-type]
    assert caught.value.path == path
