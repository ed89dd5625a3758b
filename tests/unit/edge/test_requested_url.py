from __future__ import annotations

import pytest

from bodega.distributions import Behavior, Declarations, Distribution
from bodega.edge.requested_url import requested_url


def declared(*hosts: str) -> Declarations:
    behaviors = [Behavior(origin="http://127.0.0.1:9")]
    return Declarations(distributions=[Distribution("site", hosts=list(hosts), behaviors=behaviors)])


@pytest.mark.parametrize(
    ("hosts", "path", "host", "url"),
    [
        pytest.param(["*", "b.example"], "/x?y=1", None, "http://b.example/x?y=1", id="the first exact host"),
        pytest.param(["*.example"], "/x", None, "http://www.example/x", id="some name for a wildcard"),
        pytest.param(["*"], "/x", None, "http://127.0.0.1:41234/x", id="the address, where every host is served"),
        pytest.param(["b.example"], "x", None, "http://b.example/x", id="a path without its slash"),
        pytest.param(["b.example"], "/x", "c.example", "http://c.example/x", id="the host field before all"),
        pytest.param(["b.example"], "https://d.example/x", "c.example", "https://d.example/x", id="a whole URL"),
    ],
)
def test_a_path_is_asked_of_a_host_that_is_served(hosts: list[str], path: str, host: str | None, url: str) -> None:
    fields = [("accept", b"*/*"), *([("Host", host.encode())] if host else [])]
    found, left = requested_url(path, fields, declared(*hosts), lambda: "http://127.0.0.1:41234")
    assert found == url
    assert left == (fields if "://" in path else [("accept", b"*/*")])


@pytest.mark.parametrize("own", ["unix:/run/bodega/http.sock", ""])
def test_an_edge_without_a_name_is_localhost(own: str) -> None:
    assert requested_url("/x", [], declared("*"), lambda: own) == ("http://localhost/x", [])
