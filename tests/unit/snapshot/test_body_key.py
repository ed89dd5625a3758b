"""What of a body is in the key, beside another implementation of RFC 8785."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bodega import Behavior, BodyKey, Distribution
from bodega.distributions import Declarations, Model
from bodega.errors import ConfigInvalid
from bodega.snapshot import Key, KeyReport, Snapshot, compile_snapshot, explain_key

JSON = {"content-type": "application/json"}


def compiled(body_key: Any, **behavior: Any) -> Snapshot:
    made = Behavior(origin="http://127.0.0.1:9", body_key=body_key, **behavior)
    return compile_snapshot(Declarations(distributions=[Distribution("a", behaviors=[made])]))


BY_JSON = compiled("json")


def explained(body: bytes, snapshot: Snapshot = BY_JSON, method: str = "POST", **headers: str) -> KeyReport:
    fields = {name.replace("_", "-"): value for name, value in {"content_type": "application/json", **headers}.items()}
    return explain_key(snapshot, "http://a.example/search", method=method, headers=fields, body=body)


def key(body: bytes, snapshot: Snapshot = BY_JSON, method: str = "POST", **headers: str) -> Key:
    found = explained(body, snapshot, method, **headers).key
    assert found is not None
    return found


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_the_form_is_what_another_implementation_makes_of_the_value(value: Any, ascii_only: bool, indent: int) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    report = explained(written)
    assert report.does == "lookup", report.reason
    assert report.key is not None
    assert report.key.body == rfc8785.dumps(value).decode()


@given(values, values)
def test_two_values_have_one_key_only_if_they_are_one(one: Any, other: Any) -> None:
    keys = [key(json.dumps(value).encode()).fingerprint for value in (one, other)]
    assert (keys[0] == keys[1]) == (rfc8785.dumps(one) == rfc8785.dumps(other))


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_has_a_form_only_if_a_double_brings_it_back(number: Any) -> None:
    report = explained(f"[{number}]".encode())
    if report.does == "lookup":
        assert report.key is not None
        (brought,) = json.loads(report.key.body or "", parse_float=Decimal, parse_int=Decimal)
        assert brought == Decimal(number)
    else:
        assert report.reason == "body-number"


def test_what_is_in_the_key_of_a_body() -> None:
    plain = key(b'{"q": 1, "id": 2}')
    assert plain.body == '{"id":2,"q":1}'
    without = compiled(BodyKey("json", ignored=["id"]))
    assert key(b'{"q": 1, "id": 2}', without).body == '{"q":1}'
    assert key(b'{"q": 1, "id": 2}', without) == key(b'{"id": 3, "q": 1.0}', without)
    raw = compiled("raw")
    assert key(b"q=1", raw, content_type="text/x").body == "3 bytes"
    others = [
        plain,
        key(b'{"q": 2, "id": 2}'),
        key(b'{"q": 1, "id": 2}', method="QUERY"),
        key(b'{"q": 1, "id": 2}', content_type="application/json; charset=utf-8"),
        key(b'{"q": 1}', without),
        key(b'{"q":1}', raw),
        key(b'{"q":1}', raw, content_encoding="br"),
    ]
    assert len({each.fingerprint for each in others}) == len(others)
    sent = explained(b"[1]").sent
    assert sent is not None
    assert ("Content-Type", "application/json") in [(name.title(), value) for name, value in sent.headers]


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"q=1", {}, "body-not-json"),
        (b'{"a": 1, "a": 1}', {}, "body-duplicate-name"),
        (b"[" * 100, {}, "body-nesting"),
        (b" " * 70_000, {}, "body-limit"),
        (b"[1]", {"content_type": "text/plain"}, "body-type"),
        (b"[1]", {"content_encoding": "gzip"}, "body-type"),
        (b"[1]", {"authorization": "Bearer a"}, "user-request"),
        (b"[1]", {"if_match": "*"}, "method"),
    ],
)
def test_what_has_no_key_passes(body: bytes, headers: dict[str, str], reason: str) -> None:
    report = explained(body, BY_JSON, "POST", **headers)
    assert (report.does, report.reason, report.key) == ("pass", reason, None)


def test_a_credential_is_in_the_key_and_never_shown() -> None:
    snapshot = compiled("json", authorization="key")
    one, other = (explained(b"[1]", snapshot, authorization=f"Bearer secret-{name}") for name in "ab")
    assert one.key is not None
    assert other.key is not None
    assert one.key.fingerprint != other.key.fingerprint
    assert "secret" not in repr(one)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"body_key": "jsn"}, "no form"),
        ({"body_key": 3}, "BodyKey"),
        ({"body_key": "json", "methods": ["GET"]}, "POST and QUERY"),
    ],
)
def test_what_makes_no_sense_is_said(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigInvalid, match=what):
        Behavior(origin="http://a.example", **fields)


def test_wrong_keys_of_bodies_are_said() -> None:
    for fields, what in [
        ({"form": "xml"}, "no form"),
        ({"form": "raw", "ignored": ["a"]}, "no members"),
        ({"form": "json", "ignored": ["/a~"]}, "no JSON pointer"),
        ({"form": "json", "ignored": [""]}, "whole body"),
        ({"form": "json", "max_body": "2MiB"}, "1 MiB"),
        ({"form": "json", "max_body": "0"}, "1 byte"),
    ]:
        with pytest.raises(ConfigInvalid, match=what):
            BodyKey(**fields)  # type: ignore[arg-type]
    behavior = Behavior(origin=Model("a.onnx"), body_key="json")
    with pytest.raises(ConfigInvalid, match="model"):
        Declarations(distributions=[Distribution("a", behaviors=[behavior])])
