"""Tokens that an issuer has signed (RFC 7519): who may ask, and that all who may share what is stored."""

from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from tests.integration.conftest import Serve, site
from tests.integration.inference import onnx_models

from bodega import Behavior, Distribution, Jwt, Model
from bodega.config import add_client_token
from bodega.errors import ConfigInvalid
from bodega.testing import Origin

ISSUER = "https://id.example.com"


class Key:
    """A key of the issuer's: it signs, and says how that is checked."""

    def __init__(self, algorithm: str, key_id: str) -> None:
        self.algorithm, self.key_id = algorithm, key_id
        self.private: Any
        if algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, **claims: Any) -> str:
        said = {"iss": ISSUER, "aud": "shop", "exp": int(time.time()) + 600, **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return pyjwt.encode(said, self.private, algorithm=self.algorithm, headers={"kid": self.key_id})

    def jwk(self, *, private: bool = False) -> dict[str, Any]:
        key = self.private if private else self.private.public_key()
        write: Any = {"ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}.get(self.algorithm, RSAAlgorithm)
        return {**write.to_jwk(key, as_dict=True), "kid": self.key_id, "alg": self.algorithm}


def write_keys(file: Path, *keys: dict[str, Any]) -> None:
    file.write_text(json.dumps({"keys": keys}))


def passed_off(said: dict[str, Any], public: bytes) -> str:
    """Sign with a public key as if it were a secret, which no library does."""
    header, payload, _ = pyjwt.encode(said, "x" * 32, algorithm="HS256", headers={"kid": "e"}).split(".")
    signature = hmac.digest(public, f"{header}.{payload}".encode(), "sha256")
    return f"{header}.{payload}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_all_who_have_a_signed_token_share_and_others_are_told_why_not(
    serve: Serve, origin: Origin, tmp_path: Path, version: str
) -> None:
    file = tmp_path / "issuer.jwks.json"
    keys = [Key("RS256", "r"), Key("ES256", "e"), Key("EdDSA", "d")]
    write_keys(file, *(key.jwk() for key in keys))
    guarded = site(origin, authorization="edge", jwt=Jwt(str(file), issuer=ISSUER, audience="shop", leeway="2s"))
    edge = serve(guarded, name="test", tls="dev", listen_tls="127.0.0.1:0")
    url = edge.url if version == "HTTP/1.1" else edge.tls_url
    with httpx.Client(base_url=url or "", http2=True, verify=False, trust_env=False, timeout=30) as client:
        tokens = [key.token() for key in keys]
        for turn in range(2):
            for index, token in enumerate(tokens):
                got = client.get("/a", headers=bearer(token))
                assert (got.http_version, got.status_code) == (version, 200)
                assert ("; hit" in got.headers["cache-status"]) == (turn + index > 0)
        assert origin.requests[0].header("authorization") is None
        now = int(time.time())
        key, stranger = keys[1], Key("ES256", "s")
        forged = Key("ES256", "e")
        public = key.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        said = {"iss": ISSUER, "aud": "shop", "exp": now + 600}
        for token, why in [
            (key.token(exp=now - 3), "the token has expired"),
            (key.token(exp=None), "the token does not say when it expires"),
            (key.token(nbf=now + 60), "the token is not yet valid"),
            (key.token(iss="https://other.example.com"), "the token is of another issuer"),
            (key.token(aud="other"), "the token is for another audience"),
            (stranger.token(), "the token is signed with an unknown key"),
            (forged.token(), "the signature of the token is wrong"),
            (pyjwt.encode(said, "", algorithm="none", headers={"kid": "e"}), "the token is malformed"),
            (passed_off(said, public), "the token is signed with an unknown key"),
            ("guessed", "the token is malformed"),
        ]:
            refused = client.get("/a", headers=bearer(token))
            assert refused.status_code == 401
            told = f'Bearer realm="test", error="invalid_token", error_description="{why}"'
            assert refused.headers["www-authenticate"] == told
            assert "age" not in refused.headers
        assert client.get("/a").headers["www-authenticate"] == 'Bearer realm="test"'
        long = key.token(more="x" * 5_000)
        assert 4_096 < len(long) < 8_192
        assert client.get("/a", headers=bearer(long)).status_code == 200
        assert client.get("/a", headers=bearer(key.token(more="x" * 8_192))).status_code == 401
        # The keys are read with the configuration: what was signed by one that is gone lets in no longer.
        write_keys(file, *(key.jwk() for key in keys[1:]), stranger.jwk())
        edge.reload(guarded)
        statuses = [client.get("/a", headers=bearer(token)).status_code for token in (*tokens, stranger.token())]
        assert statuses == [401, 200, 200, 200]
        # What cannot be right leaves what served before.
        write_keys(file, key.jwk(private=True))
        with pytest.raises(ConfigInvalid, match=r"issuer\.jwks\.json: the key \"e\" is private"):
            edge.reload(guarded)
        assert client.get("/a", headers=bearer(tokens[1])).status_code == 200
    assert origin.n_requests == 1


def test_a_token_that_expires_lets_in_no_longer(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    file, key = tmp_path / "issuer.jwks.json", Key("ES256", "e")
    write_keys(file, key.jwk())
    edge = serve(site(origin, authorization="edge", jwt=Jwt(str(file), issuer=ISSUER, audience="shop", leeway="0")))
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:
        ends = time.time() + 1
        headers = bearer(key.token(exp=ends))
        assert client.get("/a", headers=headers).status_code == 200
        while (got := client.get("/a", headers=headers)).status_code == 200:
            assert time.time() < ends + 5
        # Times are in milliseconds, rounded down.
        assert time.time() >= ends - 0.001
        assert "has expired" in got.headers["www-authenticate"]


def test_tokens_of_a_file_and_signed_ones_let_in_beside_each_other(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    file, key = tmp_path / "issuer.jwks.json", Key("EdDSA", "d")
    write_keys(file, key.jwk())
    clients = tmp_path / "clients.tokens"
    digest = add_client_token(clients, "shop")
    signed = Jwt(str(file), issuer=ISSUER, audience=["app", "shop"], claims={"scope": "read"})
    behavior: dict[str, Any] = {
        "authorization": "edge",
        "tokens": str(clients),
        "jwt": signed,
        "forward_authorization": True,
    }
    edge = serve(site(origin, **behavior))
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:
        for token, status in [
            (digest, 200),
            (key.token(scope="write read", aud=["shop"]), 200),
            (key.token(scope="write"), 401),
            (key.token(), 401),
            (digest[:-1], 401),
        ]:
            assert client.get("/a", headers=bearer(token)).status_code == status
    assert [request.header("authorization") for request in origin.requests] == [f"Bearer {digest}"]


def test_predictions_are_shared_by_those_with_a_signed_token(serve: Serve, tmp_path: Path) -> None:
    file, key = tmp_path / "issuer.jwks.json", Key("RS256", "r")
    write_keys(file, key.jwk())
    signed = Jwt(str(file), issuer=ISSUER, audience="models", algorithms=["RS256"])
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])))
    behavior = Behavior("/predict", origin=model, authorization="edge", jwt=signed)
    edge = serve(Distribution("ml", hosts=["*"], behaviors=[behavior]))
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:

        def ask(**claims: Any) -> httpx.Response:
            return client.post("/predict", json={"features": [1, 2]}, headers=bearer(key.token(**claims)))

        answers = [ask(aud="models", sub=name).json() for name in ("one", "other")]
        assert [(answer["prediction"], answer["cached"]) for answer in answers] == [(5.0, False), (5.0, True)]
        assert ask().status_code == 401
        assert client.post("/predict", json={"features": [1, 2]}).status_code == 401


@pytest.mark.parametrize(
    ("written", "algorithms", "what"),
    [
        (None, (), "No such file"),
        ("-----BEGIN PUBLIC KEY-----\n", (), "line 1, column 2: a set of keys is JSON"),
        ('{"keys": []}', (), "no key is there"),
        ('{"keys": [{"kty": "oct", "kid": "o", "k": "c2VjcmV0"}]}', (), 'the key "o" is a shared secret'),
        (json.dumps({"keys": [Key("ES256", "e").jwk()]}), ("RS256",), "none of the keys is for RS256"),
        (" " * (1024 * 1024 + 1), (), "more than 1048576 bytes"),
    ],
)
def test_a_file_of_keys_that_cannot_be_right_is_said(
    serve: Serve, origin: Origin, tmp_path: Path, written: str | None, algorithms: tuple[str, ...], what: str
) -> None:
    file = tmp_path / "issuer.jwks.json"
    if written is not None:
        file.write_text(written)
    signed = Jwt(str(file), issuer=ISSUER, audience="shop", algorithms=algorithms)
    with pytest.raises(ConfigInvalid, match=what) as caught:
        serve(site(origin, authorization="edge", jwt=signed))
    assert f"the keys in {file}: " in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_what_was_made_for_some_is_not_for_those_whom_other_rules_let_in(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    file, key = tmp_path / "issuer.jwks.json", Key("EdDSA", "d")
    write_keys(file, key.jwk())

    def guarded(audience: str, **rules: Any) -> Distribution:
        signed = Jwt(str(file), issuer=ISSUER, audience=audience, **rules)
        return site(origin, authorization="edge", jwt=signed)

    edge = serve(guarded("shop"))
    with httpx.Client(base_url=edge.url, trust_env=False, timeout=30) as client:
        for made, n_requests in [
            (guarded("shop"), 1),
            # How a token is checked says nothing of whose it is.
            (guarded("shop", leeway="1m", algorithms=["EdDSA"]), 1),
            (guarded("app"), 2),
            (guarded("shop", claims={"scope": "read"}), 3),
            (guarded("shop"), 3),
        ]:
            edge.reload(made)
            assert client.get("/a", headers=bearer(key.token(aud=["shop", "app"], scope="read"))).status_code == 200
            assert origin.n_requests == n_requests
