"""Who gets an answer that is stored, where requests carry credentials, and where requests may go at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.inference import onnx_models

from bodega import Behavior, Distribution, HttpOrigin, Model, OriginGroup
from bodega.config import add_client_token
from bodega.distributions import Declarations, RegionalOrigin
from bodega.errors import ConfigInvalid
from bodega.testing import Answer, Origin, Received


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_those_with_a_token_share_and_others_see_nothing(
    serve: Serve, origin: Origin, tmp_path: Path, version: str
) -> None:
    file = tmp_path / "clients.tokens"
    one, other = (add_client_token(file, name) for name in ("shop", "app"))
    assert one not in file.read_text()
    guarded = site(origin, authorization="edge", tokens=str(file))
    edge = serve(guarded, name="test", tls="dev", listen_tls="127.0.0.1:0")
    url = edge.url if version == "HTTP/1.1" else edge.tls_url
    with httpx.Client(base_url=url or "", http2=True, verify=False, trust_env=False, timeout=30) as client:
        first = client.get("/a", headers=bearer(one))
        assert (first.http_version, first.status_code) == (version, 200)
        assert "; hit" in client.get("/a", headers=bearer(other)).headers["cache-status"]
        assert origin.requests[0].header("authorization") is None
        for headers, challenge in [
            ({}, 'Bearer realm="test"'),
            (bearer("guessed"), 'Bearer realm="test", error="invalid_token"'),
        ]:
            refused = client.get("/a", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == challenge
            assert "age" not in refused.headers
            assert "/a" not in refused.text
        # Read with the configuration: a token that is gone, and one that is new.
        file.write_text(file.read_text().splitlines()[1])
        late = add_client_token(file, "late")
        edge.reload(guarded)
        statuses = [client.get("/a", headers=bearer(token)).status_code for token in (one, other, late)]
        assert statuses == [401, 200, 200]
        # What cannot be read leaves what served before.
        file.write_text("these are no digests\n")
        with pytest.raises(ConfigInvalid, match=r"clients\.tokens: line 1"):
            edge.reload(guarded)
        assert client.get("/a", headers=bearer(late)).status_code == 200
    assert origin.n_requests == 1


def test_predictions_are_shared_by_those_with_a_token(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "clients.tokens"
    tokens = [add_client_token(file, name) for name in ("shop", "app")]
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])), region_only=True)
    behavior = Behavior("/predict", origin=model, authorization="edge", tokens=str(file), region_only=True)
    edge = serve(Distribution("ml", hosts=["*"], behaviors=[behavior]))
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:
        answers = [client.post("/predict", json={"features": [1, 2]}, headers=bearer(token)).json() for token in tokens]
        assert [(answer["prediction"], answer["cached"]) for answer in answers] == [(5.0, False), (5.0, True)]
        assert client.post("/predict", json={"features": [1, 2]}).status_code == 401


def test_a_file_of_tokens_that_is_not_there_is_said(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="missing"):
        serve(site(origin, authorization="edge", tokens=str(tmp_path / "missing")))


def test_requests_stay_in_their_region(serve: Serve) -> None:
    with Origin({"*": Answer(status=503)}) as near, Origin({"*": Answer(b"far", headers=KEPT)}) as far:
        here = HttpOrigin(near.url, region="eu-*")
        there = HttpOrigin(far.url, region="us-east-1")

        def served(origin: Any, **behavior: Any) -> Distribution:
            made = Behavior(origin=origin, region_only=True, policy="none", **behavior)
            return Distribution("site", hosts=["*"], behaviors=[made])

        for origin, is_asked in [
            (here, True),
            (OriginGroup([here, there]), True),
            (OriginGroup([there, here]), True),
            (there, False),
            (RegionalOrigin({"us-*": here}, otherwise=there), False),
            (RegionalOrigin({"eu-*": here}, otherwise=there), True),
        ]:
            n_before = near.n_requests
            edge = serve(served(origin), region="eu-west-2")
            answer = httpx.post(f"{edge.url}/a", content=b"secret", trust_env=False)
            assert answer.status_code == 503
            assert ("no origin is in it" in answer.text) != is_asked
            assert near.n_requests - n_before == is_asked
        assert far.n_requests == 0
        edge = serve(served(OriginGroup([here, there])), region="us-east-1")
        n_before = near.n_requests
        assert httpx.post(f"{edge.url}/a", content=b"a", trust_env=False).text == "far"
        assert near.n_requests == n_before


def test_an_origin_that_says_no_region_is_refused_with_its_place() -> None:
    for origin in (
        "http://a.example",
        OriginGroup(["http://a.example", HttpOrigin("http://b.example", region="eu-west-2")]),
        RegionalOrigin({"eu-*": HttpOrigin("http://b.example", region="eu-*")}, otherwise="http://a.example"),
    ):
        behavior = Behavior(origin=origin, region_only=True)
        with pytest.raises(ConfigInvalid, match="does not say in which") as caught:
            Declarations(distributions=[Distribution("a", behaviors=[behavior])])
        assert caught.value.problems[0].path == ("distributions", "a", "behaviors", 0, "region_only")


def test_what_was_made_for_some_is_not_for_others_under_another_configuration(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    """The origin lets in who has a credential; a later configuration lets others ask, and not have what is stored."""
    tokens = [tmp_path / "one.tokens", tmp_path / "two.tokens"]
    one, two = (add_client_token(file, "shop") for file in tokens)

    def members_only(request: Received) -> Answer:
        is_member = request.header("authorization") is not None
        return Answer(b"secret", headers=KEPT) if is_member else Answer(b"no", status=401, headers=KEPT)

    origin.on("*", members_only)
    guarded: list[Any] = [
        site(origin, authorization="edge", tokens=str(file), forward_authorization=True, body_key="json")
        for file in tokens
    ]
    edge = serve(guarded[0])
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:

        def ask(token: str | None) -> list[tuple[int, bool]]:
            fields = {"content-type": "application/json"} | ({} if token is None else bearer(token))
            answers = [client.get("/a", headers=fields), client.post("/q", content=b"{}", headers=fields)]
            return [(answer.status_code, "; hit" in answer.headers.get("cache-status", "")) for answer in answers]

        assert [ask(one), ask(one)] == [[(200, False)] * 2, [(200, True)] * 2]
        edge.reload(guarded[1])
        assert [ask(one), ask(two)] == [[(401, False)] * 2, [(200, False)] * 2]
        edge.reload(site(origin, body_key="json"))
        assert ask(None) == [(401, False)] * 2
        edge.reload(guarded[0])
        assert ask(one) == [(200, True)] * 2


def test_behaviors_over_one_model_share_among_the_same_clients_only(serve: Serve, tmp_path: Path) -> None:
    tokens = [tmp_path / "one.tokens", tmp_path / "two.tokens"]
    one, two = (add_client_token(file, "shop") for file in tokens)
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])))
    behaviors = [
        Behavior("/a/*", origin=model, authorization="edge", tokens=str(tokens[0])),
        Behavior("/b/*", origin=model, authorization="edge", tokens=str(tokens[1])),
        Behavior("/key/*", origin=model, authorization="key"),
        Behavior(origin=model),
    ]
    edge = serve(Distribution("ml", hosts=["*"], behaviors=behaviors))
    asked = [("/a", bearer(one)), ("/b", bearer(two)), ("/key", bearer(one)), ("/key", bearer(two)), ("", {})]
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:
        for is_cached in (False, True):
            for path, fields in asked:
                answer = client.post(f"{path}/predict", json={"features": [1, 2]}, headers=fields)
                assert answer.json()["cached"] is is_cached, path
