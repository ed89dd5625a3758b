from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bodega.distributions import (
    S3,
    Answer,
    Behavior,
    BodyKey,
    CachePolicy,
    Declarations,
    Deny,
    Distribution,
    ForwardRules,
    HeaderEdits,
    HttpOrigin,
    KeyRules,
    Redirect,
)
from bodega.errors import ConfigInvalid, SnapshotInvalid
from bodega.snapshot import Snapshot, compile_snapshot, validate

durations = st.sampled_from(["0", "1ms", "1.5s", "90s", "24h", "1y", "10y"])
timeouts = st.sampled_from(["1ms", "250ms", "5s", "1h", "1d"])
words = st.one_of(
    st.text("abcXYZ019-_.~", min_size=1, max_size=12),
    st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=4),
)
texts = st.one_of(st.text("abc 019-_./;=", max_size=30), st.text(max_size=8))
names = st.lists(words, max_size=3)
hosts = st.sampled_from(["*", "a.example", "*.a.example", "*.example", "[::1]", "127.0.0.1", "localhost", "_x.example"])
networks = st.lists(
    st.one_of(st.ip_addresses(), st.sampled_from(["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"])).map(str), max_size=3
)
transport = {
    "connect_timeout": timeouts,
    "first_byte_timeout": timeouts,
    "between_bytes_timeout": timeouts,
    "queue_timeout": durations,
    "attempts": st.integers(1, 10),
    "max_connections": st.integers(1, 65_535),
    "max_queue": st.integers(0, 1_000_000),
}


def made(
    noun: type[Any], *positional: st.SearchStrategy[Any], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Nouns that Python takes: what it refuses is not of interest here."""

    def make(pair: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        try:
            return noun(*pair[0], **pair[1])
        except ConfigInvalid:
            return None

    given = st.tuples(st.tuples(*positional), st.fixed_dictionaries({}, optional=fields))
    return given.map(make).filter(lambda noun_made: noun_made is not None)


queries = st.one_of(st.sampled_from(["all", "none"]), names, made(Deny, names))
urls = st.sampled_from(
    ["http://a.example", "https://A.example:8443", "http://[::1]:9", "http://127.0.0.1", "http://a_b.example"]
)
origins = st.one_of(
    made(HttpOrigin, urls, host=st.one_of(st.just("viewer"), st.just("b.example:80"), words), **transport),
    made(
        S3,
        st.sampled_from(["images", "my.images", "Old_Images", "abc"]),
        prefix=texts,
        endpoint=urls,
        region=st.sampled_from(["eu-west-1", "auto", "x"]),
        path_style=st.booleans(),
        unsigned=st.booleans(),
        missing_as_404=st.booleans(),
        index_document=texts,
        **transport,
    ),
)
policies = made(
    CachePolicy,
    extends=st.sampled_from(["web", "immutable", "api", "none"]),
    min_ttl=durations,
    default_ttl=durations,
    max_ttl=durations,
    negative_ttl=st.dictionaries(st.integers(190, 610), durations, max_size=3),
    stale_while_revalidate=durations,
    stale_if_error=durations,
    strict=durations | st.just("off"),
    refresh_every=durations | st.just("off"),
    key=made(KeyRules, query=queries, sort=st.booleans(), headers=names, cookies=names, host=st.booleans()),
    forward=made(ForwardRules, query=queries, headers=names, cookies=names),
    max_object=st.sampled_from(["0", "1B", "1GiB", "8EB"]),
)
edits = made(HeaderEdits, set=st.dictionaries(words, texts, max_size=3), remove=names)
paths = st.lists(st.text("/*?ab.%-_~()", max_size=8).map(lambda text: f"/{text}"), max_size=3)
matching = {
    "methods": st.lists(st.sampled_from(["GET", "POST", "DELETE", "TRACE"]), max_size=3),
    "strip_prefix": st.sampled_from(["", "/a", "/a/b", "/a%20b", "/~()"]),
    "add_prefix": st.sampled_from(["", "/v2", "/x.y/z"]),
    "allow": networks,
    "deny": networks,
    "request_headers": edits,
    "response_headers": edits,
    "body_key": st.one_of(
        st.sampled_from([None, "json", "raw"]),
        made(BodyKey, st.just("json"), ignored=st.lists(st.text("/~01a.", max_size=5), max_size=3)),
        made(BodyKey, st.just("raw"), max_body=st.sampled_from(["1B", "1MiB"])),
    ),
    "authorization": st.sampled_from(["pass", "key"]),
}
locations = st.one_of(
    st.text("/{}abhost:.x", max_size=12).map(lambda text: f"/{text}"), st.just("https://{host}{path}{query}")
)
redirects = made(Redirect, locations, status=st.sampled_from([301, 302, 303, 307, 308]))
answers = made(Answer, status=st.integers(200, 599), body=texts, headers=st.dictionaries(words, texts, max_size=3))
behaviors = st.one_of(
    st.tuples(origins, policies).flatmap(
        lambda pair: made(Behavior, paths, origin=st.just(pair[0]), policy=st.just(pair[1]), **matching)
    ),
    redirects.flatmap(lambda redirect: made(Behavior, paths, redirect=st.just(redirect), **matching)),
    answers.flatmap(lambda answer: made(Behavior, paths, answer=st.just(answer), **matching)),
)


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.lists(behaviors, min_size=1, max_size=3), st.sets(hosts, min_size=1))
def test_whatever_python_takes_the_native_core_takes(behaviors: list[Behavior], hosts: set[str]) -> None:
    try:
        declarations = Declarations(distributions=[Distribution("a", hosts=sorted(hosts), behaviors=behaviors)])
    except ConfigInvalid:
        return  # A policy that contradicts the one it extends.
    validate(compile_snapshot(declarations))


@pytest.mark.parametrize(
    "changes", [{"schema": 99}, {"revision": "one"}, {"unknown": 1}, {"policies": {}}, {"origins": {}}], ids=str
)
def test_a_document_that_is_not_of_this_schema_is_refused(changes: dict[str, object]) -> None:
    document = json.loads(compile_snapshot(Declarations.of_origin("https://a.example")).document)
    with pytest.raises(SnapshotInvalid):
        validate(Snapshot(1, json.dumps({**document, **changes})))
