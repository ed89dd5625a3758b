from __future__ import annotations

import pytest

from bodega.edge import Headers, Request, Response


@pytest.mark.parametrize(
    ("request_", "method", "body"),
    [
        (Request("/"), "GET", b""),
        (Request("/", b"x"), "POST", b"x"),
        (Request("/", "käse"), "POST", "käse".encode()),
        (Request("/", {"a": [1, 2.5]}), "POST", b'{"a": [1, 2.5]}'),
        (Request("/", [1]), "POST", b"[1]"),
        (Request("/", b"x", method="PUT"), "PUT", b"x"),
        (Request("/", bytearray(b"x")), "POST", b"x"),
    ],
)
def test_data_becomes_a_body_and_a_method(request_: Request, method: str, body: bytes) -> None:
    assert request_.resolved_method == method
    assert request_.body == body


def test_json_names_its_type_unless_a_field_does() -> None:
    assert Request("/", {"a": 1}).header_pairs == [("content-type", b"application/json")]
    own = Request("/", {"a": 1}, headers={"Content-Type": "application/x"})
    assert own.header_pairs == [("Content-Type", b"application/x")]
    assert Request("/", "text", headers=[("a", "1"), ("a", "2")]).header_pairs == [("a", b"1"), ("a", b"2")]


def test_headers_compare_without_case_and_join_what_is_repeated() -> None:
    headers = Headers([("Vary", b"a"), ("vary", b"b"), ("Set-Cookie", b"x=1"), ("set-cookie", b"y=2")])
    assert headers["VARY"] == "a, b"
    assert headers.get_all("Set-Cookie") == ["x=1", "y=2"]
    assert list(headers) == ["vary", "set-cookie"]
    assert len(headers) == 2
    assert "nothing" not in headers
    assert headers.get("nothing") is None


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/html; charset=latin-1", b"k\xe4se", "käse"),
        ('text/html; charset="UTF-8"', "käse".encode(), "käse"),
        ("text/html; charset=nonsense", b"x", "x"),
        ("image/png", b"\xff", "\ufffd"),
    ],
)
def test_text_is_decoded_by_the_charset_that_the_type_names(kind: str, body: bytes, text: str) -> None:
    assert Response(200, Headers([("content-type", kind.encode())]), body).text == text


@pytest.mark.parametrize(
    ("cache_status", "is_hit"),
    [
        ("bodega; hit; ttl=5", True),
        ("bodega; fwd=uri-miss; stored", False),
        ("parent; hit, bodega; fwd=uri-miss", False),
        ("parent; fwd=uri-miss, bodega; hit", True),
        ("", False),
    ],
)
def test_a_hit_is_what_the_edge_itself_says(cache_status: str, is_hit: bool) -> None:
    response = Response(200, Headers([("cache-status", cache_status.encode())]), b"{}")
    assert response.cache_status == cache_status
    assert response.is_hit is is_hit
    assert response.json() == {}
