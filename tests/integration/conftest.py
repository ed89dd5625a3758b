"""An origin and edges for each test, started and stopped with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from tests.certificates import Authority, Pair
from tests.integration.edge_process import EdgeProcess

from bodega.config import EdgeSettings
from bodega.distributions import Behavior, Declarations, Distribution
from bodega.edge import EdgeServer
from bodega.testing import Answer, Origin

KEPT = {"Cache-Control": "max-age=3600"}


class Serve(Protocol):
    """Starts an edge: before an address, a distribution or everything that is declared; settings by their names."""

    def __call__(self, served: str | Distribution | Declarations | Origin, **settings: Any) -> EdgeServer: ...


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Answers every path with itself, to be kept an hour."""
    with Origin({"*": lambda request: Answer(request.target.encode(), headers=KEPT)}) as origin:
        yield origin


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(served: str | Distribution | Declarations | Origin, **settings: Any) -> EdgeServer:
            usual: dict[str, Any] = {"listen": "127.0.0.1:0", "threads": 1, "memory": "64MB", "admin": "off"}
            given = EdgeSettings(**{**usual, **settings})
            url = served.url if isinstance(served, Origin) else served
            if isinstance(url, str):
                edge = EdgeServer(origin_url=url, settings=given)
            else:
                edge = EdgeServer(distribution=url, settings=given)
            # A test that failed must not wait for what it left under way.
            stack.callback(edge.stop, "2s")
            return edge.start()

        yield start


class Front(Protocol):
    """Starts an edge as a process of its own that listens with and without TLS; options as the native core has them."""

    def __call__(
        self, origin: Origin, *, policy: str = "web", distribution: dict[str, Any] | None = None, **options: Any
    ) -> EdgeProcess: ...


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Pair:
    """The certificate of every edge that `front` starts."""
    return authority.sign("edge.test", "localhost", "127.0.0.1")


@pytest.fixture
def front(certificate: Pair) -> Iterator[Front]:
    with ExitStack() as stack:

        def start(
            origin: Origin, *, policy: str = "web", distribution: dict[str, Any] | None = None, **options: Any
        ) -> EdgeProcess:
            usual = {"listen_tls": ["127.0.0.1:0"], "tls_certificates": [certificate.options]}
            return stack.enter_context(EdgeProcess(origin.url, policy, {**usual, **options}, distribution))

        yield start


def site(origin: Origin, *, hosts: str | Sequence[str] = "*", policy: Any = "web", **behavior: Any) -> Distribution:
    """Declare one origin for some hosts under some policy."""
    return Distribution("site", hosts=hosts, behaviors=[Behavior(origin=origin.url, policy=policy, **behavior)])
