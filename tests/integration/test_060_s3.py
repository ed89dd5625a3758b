"""A bucket of a real S3 server behind an edge: signed and public, what is there, missing, and not allowed."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.conftest import Serve
from tests.integration.wire import Reply, get

from bodega.distributions import S3, Behavior, Distribution
from bodega.testing import free_port, wait_until

ACCESS, SECRET, REGION = "bodega-tests", "not-a-secret-at-all", "eu-west-1"
IMAGE = bytes(range(256)) * 400


@dataclass(frozen=True, slots=True)
class Store:
    """A running S3 server, and the little that a test does with it."""

    port: int
    folder: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a signed request (AWS Signature Version 4), written here apart from the edge's own."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        sha256 = hashlib.sha256(body).hexdigest()
        path, _, query = path.partition("?")
        fields = {
            "host": f"127.0.0.1:{self.port}",
            "x-amz-content-sha256": sha256,
            "x-amz-date": now,
            **(headers or {}),
        }
        names = ";".join(sorted(fields))
        canonical_query = "&".join(each if "=" in each else f"{each}=" for each in query.split("&") if each)
        lines = [method, path, canonical_query, *(f"{name}:{fields[name]}" for name in sorted(fields)), "", names]
        canonical = "\n".join([*lines, sha256])
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{SECRET}".encode()
        for part in (now[:8], REGION, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
        authorization = f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        target = f"{path}?{query}" if query else path
        connection.request(method, target, body, {**fields, "authorization": authorization})
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    def put(self, path: str, body: bytes, **headers: str) -> None:
        status, text = self.ask("PUT", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        assert status == 200, text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    server = shutil.which("versitygw")
    if server is None:
        pytest.fail("versitygw is not installed: `make test` does that")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "buckets").mkdir()
    port = free_port()
    command = [server, "--access", ACCESS, "--secret", SECRET, "--region", REGION, "--port", f"127.0.0.1:{port}"]
    (folder / "metadata").mkdir()
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [*command, "posix", "--sidecar", str(folder / "metadata"), str(folder / "buckets")],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    store = Store(port, folder)

    def answers() -> bool:
        assert process.poll() is None, said.read_text()
        try:
            return store.ask("GET", "/")[0] == 200
        except OSError:
            return False

    try:
        wait_until(answers, what="the S3 server")
        store.put("/shop-images", b"")
        store.put("/shop-images/images/a.webp", IMAGE, content_type="image/webp", cache_control="max-age=60")
        store.put("/shop-images/index.html", b"<p>home", content_type="text/html")
        store.put("/shop-images/docs/index.html", b"<p>docs", content_type="text/html", cache_control="max-age=60")
        store.put("/shop-images/a%20b%2Bc/%C3%A9.txt", b"odd name", x_amz_meta_color="red")
        store.put("/public-files", b"")
        store.put("/public-files/a.txt", b"public", cache_control="max-age=60")
        everybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::public-files/*",
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everybody]}).encode()
        status, text = store.ask("PUT", "/public-files?policy", policy)
        assert status in (200, 204), text
        yield store
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def bucket(store: Store, name: str = "shop-images", **fields: object) -> Distribution:
    origin = S3(name, endpoint=store.endpoint, region=REGION, **fields)  # type: ignore[arg-type]
    return Distribution("images", behaviors=[Behavior(origin=origin)])


def assert_nothing_of_the_store(reply: Reply) -> None:
    assert [name for name, _ in reply.fields if name.lower().startswith("x-amz")] == []
    assert b"<Error>" not in reply.body
    assert b"<?xml" not in reply.body


@pytest.mark.usefixtures("credentials")
def test_a_signed_object_comes_from_memory_the_second_time(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    first, second = get(edge.url, "/images/a.webp"), get(edge.url, "/images/a.webp")
    assert (first.status, first.body, first["Content-Type"]) == (200, IMAGE, "image/webp")
    assert "stored" in first["Cache-Status"]
    assert second.is_hit
    assert second.body == IMAGE
    assert first["ETag"] == second["ETag"] != ""
    for reply in (first, second):
        assert_nothing_of_the_store(reply)
    assert edge.stats().n_origin_requests == 1


@pytest.mark.usefixtures("credentials")
def test_names_with_spaces_and_other_letters_are_signed_as_they_are_sent(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    for written in ("/a%20b%2Bc/%C3%A9.txt", "/a%20b%2bc/%c3%a9.txt", "/a%20b+c/%C3%A9.txt"):
        reply = get(edge.url, written)
        assert (reply.status, reply.body) == (200, b"odd name"), written
        assert_nothing_of_the_store(reply)


@pytest.mark.usefixtures("credentials")
def test_a_query_that_a_store_would_obey_is_not_passed_on(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    for query in ("?acl", "?tagging", "?response-content-type=text/html", "?versionId=x", "?uploads"):
        reply = get(edge.url, f"/images/a.webp{query}")
        assert (reply.status, reply.body, reply["Content-Type"]) == (200, IMAGE, "image/webp"), query


@pytest.mark.usefixtures("credentials")
def test_ranges_are_cut_from_what_is_kept_and_asked_for_where_it_is_cold(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    for _ in range(2):
        reply = get(edge.url, "/images/a.webp", "Range: bytes=1000-1999")
        assert (reply.status, reply.body) == (206, IMAGE[1000:2000])
        assert reply["Content-Range"] == f"bytes 1000-1999/{len(IMAGE)}"
    assert get(edge.url, "/images/a.webp").body == IMAGE
    assert get(edge.url, "/images/a.webp", "Range: bytes=-10").body == IMAGE[-10:]
    assert get(edge.url, "/images/a.webp", f"Range: bytes={len(IMAGE)}-").status == 416
    assert edge.stats().n_origin_requests <= 3


@pytest.mark.usefixtures("credentials")
def test_a_head_request_of_a_cold_object_says_its_length(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    reply = get(edge.url, "/images/a.webp", method="HEAD")
    assert (reply.status, reply["Content-Length"], reply.body) == (200, str(len(IMAGE)), b"")


@pytest.mark.usefixtures("credentials")
def test_a_missing_key_is_404_in_the_edges_words(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    reply = get(edge.url, "/images/none.webp")
    assert reply.status == 404
    assert_nothing_of_the_store(reply)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("as_404", [True, False])
def test_a_wrong_secret_is_403_and_not_shown_as_a_missing_key(
    serve: Serve, store: Store, monkeypatch: pytest.MonkeyPatch, as_404: bool
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    edge = serve(bucket(store, missing_as_404=as_404))
    reply = get(edge.url, "/images/a.webp")
    assert reply.status == 403
    assert_nothing_of_the_store(reply)
    assert ACCESS.encode() not in reply.body


@pytest.mark.usefixtures("credentials")
def test_an_index_document_is_what_a_folder_shows(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store, index_document="index.html"))
    assert get(edge.url, "/").body == b"<p>home"
    assert get(edge.url, "/docs/").body == b"<p>docs"
    assert get(edge.url, "/docs/").is_hit


@pytest.mark.usefixtures("credentials")
def test_a_folder_without_index_document_is_no_listing(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    for path in ("/", "/docs/", "/?list-type=2", "/?prefix=docs"):
        reply = get(edge.url, path)
        assert reply.status in (403, 404), path
        assert b"a.webp" not in reply.body
        assert_nothing_of_the_store(reply)


@pytest.mark.usefixtures("credentials")
def test_a_prefix_is_put_before_every_key(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store, prefix="images/"))
    assert get(edge.url, "/a.webp").body == IMAGE
    assert get(edge.url, "/images/a.webp").status == 404
    assert get(edge.url, "/../index.html").status == 400


@pytest.mark.usefixtures("credentials")
def test_the_whole_path_is_the_key_unless_a_prefix_is_stripped(serve: Serve, store: Store) -> None:
    origin = S3("shop-images", endpoint=store.endpoint, region=REGION)
    behaviors = [Behavior("/static/*", origin=origin, strip_prefix="/static"), Behavior(origin=origin)]
    edge = serve(Distribution("images", behaviors=behaviors))
    assert get(edge.url, "/static/images/a.webp").body == IMAGE
    assert get(edge.url, "/images/a.webp").body == IMAGE


@pytest.mark.parametrize(("as_404", "status"), [(True, 404), (False, 403)])
def test_what_may_not_be_read_is_404_or_403_by_setting(serve: Serve, store: Store, as_404: bool, status: int) -> None:
    edge = serve(bucket(store, unsigned=True, missing_as_404=as_404))
    reply = get(edge.url, "/images/a.webp")
    assert reply.status == status
    assert_nothing_of_the_store(reply)


def test_a_public_bucket_needs_no_signature(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store, "public-files", unsigned=True))
    assert get(edge.url, "/a.txt").body == b"public"
    assert get(edge.url, "/a.txt").is_hit


def test_credentials_of_a_file_are_used(serve: Serve, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n")
    edge = serve(bucket(store, credentials_file=str(file)))
    assert get(edge.url, "/images/a.webp").body == IMAGE


@pytest.mark.usefixtures("credentials")
def test_what_is_not_read_is_not_written_either(serve: Serve, store: Store) -> None:
    edge = serve(bucket(store))
    for method in ("PUT", "POST", "DELETE"):
        assert get(edge.url, "/images/a.webp", method=method).status in (403, 405), method
    assert get(edge.url, "/images/a.webp").body == IMAGE
