"""Answers to POST and QUERY that are kept by what was asked, over real sockets and both protocols."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.wire import Wire

from bodega import BodyKey, DiskTier
from bodega.testing import Answer, Origin, Received, wait_until

JSON = {"content-type": "application/json"}
# A port that is not the scheme's own is in the key, and a restarted edge has another.
HOST = {"host": "shop.example"}


def echo(request: Received) -> Answer:
    """Say how it was asked, so that an answer shows whose it is."""
    credential = request.header("authorization") or ""
    said = {"method": request.method, "target": request.target, "credential": credential, "body": request.body.decode()}
    return Answer(json.dumps(said).encode(), headers={**KEPT, "Content-Type": "application/json"})


@pytest.fixture
def search(origin: Origin) -> Origin:
    origin.on("*", echo)
    return origin


def said(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_equal_questions_are_asked_once(serve: Serve, search: Origin, version: str) -> None:
    edge = serve(
        site(search, body_key=BodyKey("json", ignored=["id"], max_body="1KiB")), tls="dev", listen_tls="127.0.0.1:0"
    )
    url = edge.url if version == "HTTP/1.1" else edge.tls_url
    with httpx.Client(base_url=url or "", http2=True, verify=False, trust_env=False, timeout=30) as client:
        first = client.post("/search", content=b'{"q": 1, "id": 7}', headers=JSON)
        assert (first.http_version, said(first)["body"]) == (version, '{"q": 1, "id": 7}')
        again = client.post("/search", content=b'{"id":8,"q":1.0}', headers=JSON)
        assert "; hit" in again.headers["cache-status"]
        assert said(again) == said(first)
        # In pieces, without a length.
        pieces = client.post("/search", content=iter([b'{"q"', b":", b" 1}"]), headers=JSON)
        assert said(pieces) == said(first)
        asked = client.request("QUERY", "/search", content=b'{"q": 1}', headers=JSON)
        assert said(asked)["method"] == "QUERY"
        assert said(client.get("/search"))["method"] == "GET"
        assert search.n_requests == 3
        for content, reason in [
            (b'{"q": 1, "q": 1}', "body-duplicate-name"),
            (b'{"q": 9007199254740993}', "body-number"),
            (b"q=1", "body-not-json"),
            (b'"' + b"x" * 2000 + b'"', "body-limit"),
        ]:
            for body in (content, iter([content[:3], content[3:]])):
                passed = client.post("/search", content=body, headers=JSON)
                assert f"fwd=bypass; detail={reason}" in passed.headers["cache-status"]
                assert said(passed)["body"] == content.decode()
        # None of that has forgotten anything.
        assert said(client.post("/search", content=b'{"q":1}', headers=JSON)) == said(first)
        edge.invalidate(f"{url}/search")
        assert "; hit" not in client.post("/search", content=b'{"q":1}', headers=JSON).headers["cache-status"]


def test_who_waits_to_be_told_to_send_is_told(serve: Serve, search: Origin) -> None:
    edge = serve(site(search, body_key="raw"))
    head = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    for is_hit in (False, True):
        with Wire(edge.url) as wire:
            wire.send(head)
            assert wire.head().status == 100
            wire.send(b"a = 1")
            reply = wire.reply()
            assert (reply.status, reply.is_hit, json.loads(reply.body)["body"]) == (200, is_hit, "a = 1")
    assert search.n_requests == 1
    assert search.requests[0].header("expect") is None


def test_who_announces_much_and_sends_nothing_takes_no_room(serve: Serve, search: Origin) -> None:
    edge = serve(site(search, body_key="json"))
    head = b"POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n"
    with contextlib.ExitStack() as stack:
        # Together they announce more than all requests may hold.
        for _ in range(1_100):
            stack.enter_context(Wire(edge.url)).send(head)
        with httpx.Client(base_url=edge.url, headers=HOST, trust_env=False, timeout=30) as client:
            client.post("/search", content=b'{"q": 1}', headers=JSON)
            assert "; hit" in client.post("/search", content=b'{"q":1}', headers=JSON).headers["cache-status"]


def test_what_is_on_disk_answers_after_a_restart(serve: Serve, search: Origin, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"disk": DiskTier(path=str(tmp_path / "disk"), size="64MB", admission="always")}
    bodies = [json.dumps({"q": number}).encode() for number in range(20)]
    edge = serve(site(search, body_key="json"), **settings)
    with httpx.Client(base_url=edge.url, headers=HOST, trust_env=False, timeout=30) as client:
        before = [said(client.post("/search", content=body, headers=JSON)) for body in bodies]
    edge.stop()
    edge = serve(site(search, body_key="json"), **settings)
    # Until it has read what is there, what is not found yet is asked for.
    wait_until(lambda: getattr(edge.stats().disk, "recovered", False))
    with httpx.Client(base_url=edge.url, headers=HOST, trust_env=False, timeout=30) as client:
        answers = [client.post("/search", content=b" " + body, headers=JSON) for body in bodies]
    assert [said(answer) for answer in answers] == before
    assert all("; hit" in answer.headers["cache-status"] for answer in answers)
    assert search.n_requests == len(bodies)


@pytest.mark.parametrize("on_disk", [False, True])
def test_no_answer_is_given_to_another_credential(
    serve: Serve, search: Origin, tmp_path: Path, *, on_disk: bool
) -> None:
    """Many clients ask at random, by both protocols; each answer says for whom it was made."""
    disk = {"disk": DiskTier(path=str(tmp_path / "disk"), size="64MB", admission="always")} if on_disk else {}
    settings: dict[str, Any] = {"tls": "dev", "listen_tls": "127.0.0.1:0", "threads": 2, **disk}
    edge = serve(site(search, body_key="json", authorization="key"), **settings)
    chance = random.Random(8)
    asked = set()

    def ask(clients: list[httpx.Client]) -> None:
        for _ in range(300):
            credential = chance.choice(["", "Bearer a", "Bearer b", "Bearer A", "Basic YTpi"])
            cookie = chance.choice(["", "session=1", "session=2"])
            method = chance.choice(["GET", "POST", "QUERY"])
            value = chance.choice([1, 2, "1"])
            content = None if method == "GET" else json.dumps({"q": value}).encode()
            fields = {**({} if content is None else JSON)}
            fields |= {"authorization": credential} if credential else {}
            fields |= {"cookie": cookie} if cookie else {}
            answer = chance.choice(clients).request(method, "/x", content=content, headers=fields)
            assert said(answer) == {
                "method": method,
                "target": "/x",
                "credential": credential,
                "body": "" if content is None else content.decode(),
            }
            # The scheme is in the key as well: the origin is told it.
            asked.add((answer.http_version, method, credential, content))

    def clients_of(edge: Any) -> list[httpx.Client]:
        return [
            httpx.Client(base_url=url, headers=HOST, http2=True, verify=False, trust_env=False, timeout=30)
            for url in (edge.url, edge.tls_url)
        ]

    clients = clients_of(edge)
    ask(clients)
    assert search.n_requests == len(asked)
    if on_disk:
        edge.stop()
        for client in clients:
            client.close()
        edge = serve(site(search, body_key="json", authorization="key"), **settings)
        wait_until(lambda: getattr(edge.stats().disk, "recovered", False))
        clients = clients_of(edge)
        ask(clients)
        assert search.n_requests == len(asked)
    for client in clients:
        client.close()
