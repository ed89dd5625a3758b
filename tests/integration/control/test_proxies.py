"""The stream and all else through proxies that people have: nginx and HAProxy, with TLS, as they are by default."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.certificates import Authority
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import get, is_hit, level, publish, serves, token
from tests.integration.edge.conftest import EdgeCommand, Origin, command, origin, wait_until

__all__ = ["command", "origin", "token"]

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location / {{ proxy_pass {control}; }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend control
    bind 127.0.0.1:{port} ssl crt {both}
    default_backend control
backend control
    server control {address}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the proxy's certificate."""
    return Authority(tmp_path)


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(
    request: pytest.FixtureRequest, control: ControlProcess, authority: Authority, tmp_path: Path
) -> Iterator[str]:
    """The URL of a proxy before the control process."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    pair = authority.sign("localhost")
    both = folder / "both.pem"
    both.write_bytes(Path(pair.certificate).read_bytes() + Path(pair.key).read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = folder / "proxy.conf"
    said = {"folder": folder, "port": port, "certificate": pair.certificate, "key": pair.key, "both": both}
    template = NGINX if request.param == "nginx" else HAPROXY
    conf.write_text(template.format(**said, control=control.url, address=control.url.removeprefix("http://")))
    program = shutil.which(request.param, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program is not None
    arguments = ["-c", str(conf), "-p", str(folder)] if request.param == "nginx" else ["-f", str(conf)]
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen([program, *arguments], stdout=errors, stderr=errors)
    url = f"https://localhost:{port}"
    try:
        wait_until(lambda: _answers(url, authority) or process.poll() is not None)
        assert process.poll() is None, (folder / "errors").read_text()
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str, authority: Authority) -> bool:
    try:
        return httpx.get(f"{url}/health", verify=authority.trusting(), trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_an_edge_follows_through_it(
    command: Callable[..., EdgeCommand],
    client: httpx.Client,
    origin: Origin,
    proxy: str,
    authority: Authority,
    token: Path,
    tmp_path: Path,
) -> None:
    publish(client, origin)
    link = ("--control", proxy, "--control-token-file", str(token), "--name", "tokyo-1")
    # Where Python finds certificates, by the variable that OpenSSL has for it.
    trusting = ["env", f"SSL_CERT_FILE={authority.file}", sys.executable, "-m", "bodega"]
    edge = command("--listen", "127.0.0.1:0", "--admin", "off", *link, command=trusting)
    wait_until(serves(edge))
    wait_until(level(client, "tokyo-1"))
    for number in range(5):
        wait_until(lambda: is_hit(edge))
        asked = client.post("/v1/invalidations", json={"selectors": ["all"]}).json()
        # It waits for the edge: what is held back by a proxy would keep it waiting.
        done = client.get(f"/v1/invalidations/{asked['id']}", params={"wait": 30}).json()
        assert done["is_complete"], number
        assert list(done["applied"]) == ["tokyo-1"]
        assert done["applied"]["tokyo-1"] < 2000
        assert not is_hit(edge)
    assert not edge.has_said("cut off")
    assert get(edge).startswith("200")
