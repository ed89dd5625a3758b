"""An edge as a guest in somebody's process.

It installs no signal handler and no global logger, takes a free port, and ends with the process.
Several live side by side, each with its own store and metrics.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bodega.config import EdgeSettings, read_config
from bodega.distributions import Declarations, Distribution
from bodega.edge.agent import Agent, ControlLink, Kept
from bodega.edge.metrics import EdgeMetrics
from bodega.edge.models import ModelSwap, ModelVersion
from bodega.edge.request import Request, header_pairs
from bodega.edge.requested_url import requested_url
from bodega.edge.running import RunningEdge
from bodega.edge.served import served, served_first
from bodega.errors import ConfigInvalid, EdgeClosed
from bodega.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from bodega.certificates import CertificateFiles
    from bodega.config import DiskTier
    from bodega.edge.cache import EdgeCache
    from bodega.edge.request import HeadersWritten
    from bodega.edge.response import Response
    from bodega.edge.stats import EdgeStats
    from bodega.snapshot import KeyReport
    from bodega.units import Duration, Size

_log = logging.getLogger("bodega")

# A guest is modest: a free port of this machine, one thread, little memory, no admin listener.
_GUEST = EdgeSettings(listen=("127.0.0.1:0",), threads=1, memory="128MB", admin="off")


class EdgeServer:
    """A real edge in this process.

    Example:
        >>> import bodega
        >>> with bodega.EdgeServer("eu-west-1", origin_url="http://127.0.0.1:9000") as edge:  # doctest: +SKIP
        ...     print(edge.url, edge.request("GET", "/").cache_status)

    Exactly one of `origin_url`, `distribution` and `config` says what it serves; with `control`, at most one, until the
    control process says it.

    Args:
        region: The region that metrics and statistics name.
        origin_url: One origin for every host: ``https://host`` or ``s3://bucket``.
        distribution: A distribution, or everything that is declared.
        config: A `bodega.toml`; its `[edge]` holds where no argument says otherwise.
        ttl: With `origin_url`: freshness of answers that say nothing; by default 24 h, ``"0"``: only what they say.
        name: Its name in `Cache-Status` and `Via`.
        listen: Address or addresses to listen on; by default a free port of this machine.
        listen_tls: Address or addresses for TLS; by default, with `tls`, a free port of this machine.
        tls: ``"dev"``, or certificates: PEM files and folders; the first is for names that no other has.
        memory: Bound of the memory tier; by default 128 MB.
        disk: The disk tier, as `DiskTier` or ``"/path:size"``; by default none.
        threads: Serving threads; by default 1.
        admin: Address of the admin listener; by default none.
        access_log: A path or ``"-"``; by default none.
        control: The URL of a control process to follow: it says what is served, and purges. Until what was missed is
            applied, `start` waits, for `catch_up_wait` at most.
        control_token: A token for it, of the scope ``edges``; by default the variable ``BODEGA_TOKEN``.
        settings: All other settings; the arguments above lie over it.

    Raises:
        ConfigInvalid: If an argument or the file cannot be used.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        origin_url: str | None = None,
        distribution: Distribution | Declarations | None = None,
        config: str | Path | None = None,
        ttl: Duration | None = None,
        name: str | None = None,
        listen: str | Sequence[str] | None = None,
        listen_tls: str | Sequence[str] | None = None,
        tls: str | CertificateFiles | Sequence[str | CertificateFiles] | None = None,
        memory: Size | None = None,
        disk: str | DiskTier | None = None,
        threads: int | None = None,
        admin: str | None = None,
        access_log: str | None = None,
        control: str | None = None,
        control_token: str | None = None,
        settings: EdgeSettings | None = None,
    ) -> None:
        """Check everything; nothing runs before `start`."""
        given = [each for each in (origin_url, distribution, config) if each is not None]
        follows = control is not None or (settings is not None and settings.control is not None)
        if len(given) > 1 or (not given and not follows):
            raise ConfigInvalid(
                "an edge serves one of origin_url, distribution and config",
                hint='for instance EdgeServer(origin_url="https://www.example.com")',
            )
        if ttl is not None and origin_url is None:
            raise ConfigInvalid("`ttl` goes with origin_url", hint="set default_ttl in the policy", path=("ttl",))
        base = settings or _GUEST
        over = _given(
            region=region,
            name=name,
            listen=listen,
            listen_tls=listen_tls,
            tls=tls,
            memory=memory,
            disk=disk,
            threads=threads,
            admin=admin,
            access_log=access_log,
            control=control,
        )
        self._config = Path(config) if config is not None else None
        if self._config is not None:
            read = read_config(self._config)
            self._settings, self._declarations = read.settings(base, **over), read.declarations
        else:
            self._settings = replace(base, **over)
            self._declarations = served_first(origin_url, ttl, distribution)
        token = {} if control_token is None else {"BODEGA_TOKEN": control_token}
        self._link = ControlLink.from_settings(self._settings, {**os.environ, **token})
        self._agent: Agent | None = None
        self._lock = threading.RLock()
        self._running: RunningEdge | None = None
        self._pid = os.getpid()

    def start(self) -> Self:
        """Listen and serve. Does nothing where it already runs; after `stop` it begins with an empty store.

        Raises:
            AddressInUse: If an address is taken.
            AddressInvalid: If an address cannot be listened on.
            SnapshotInvalid: If the native core refuses the configuration.
            EdgeClosed: In a process that was forked after it was made.
        """
        if os.getpid() != self._pid:
            # The lock may have been held by a thread that is not here.
            raise self._forked()
        with self._lock:
            if self._running is None:
                hold = self._link is not None
                self._running = RunningEdge(self._settings, self._declarations, os.environ, hold=hold)
                if self._link is not None:
                    self._follow(self._running, self._link)
        return self

    def stop(self, timeout: Duration = "30s") -> None:
        """Stop accepting, finish what is under way, end. May be called again, and in a forked process does nothing.

        Args:
            timeout: How long requests under way may take to finish.
        """
        seconds = parse_duration(timeout)
        if os.getpid() != self._pid:
            return
        with self._lock:
            running, self._running = self._running, None
            agent, self._agent = self._agent, None
        if agent is not None:
            agent.stop()
        if running is not None:
            running.drain(seconds)
            running.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start."""
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, without holding up the loop."""
        await asyncio.to_thread(self.stop)

    @property
    def region(self) -> str:
        """The region that metrics and statistics name."""
        return self._settings.region

    @property
    def is_running(self) -> bool:
        """Whether it serves, here."""
        return self._running is not None and self._running.is_running

    @property
    def url(self) -> str:
        """The first address that it listens on: ``http://127.0.0.1:41234``.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """All addresses that it listens on.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge().addresses

    @property
    def tls_url(self) -> str | None:
        """The first address where it speaks TLS, ``https://127.0.0.1:41235``, if there is one.

        Raises:
            EdgeClosed: If it is not running.
        """
        return next((url for url in self.urls if url.startswith("https:")), None)

    @property
    def admin_url(self) -> str | None:
        """Where its admin listener is, if it has one.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge().admin_address

    @property
    def metrics(self) -> EdgeMetrics:
        """Rates and mean latencies."""
        return EdgeMetrics(self.stats)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersWritten = (),
        body: bytes | str = b"",
        timeout: Duration = "60s",
    ) -> Response:
        """Send a request through the machine, without a socket, and wait for the answer.

        Args:
            method: ``"GET"``, ``"POST"`` and so on.
            path: A path with its query, or a whole URL. For a path, the host is that of a `host` header, else the
                first host of the first distribution.
            headers: Header fields.
            body: The body; a text is sent as UTF-8.
            timeout: How long to wait for the whole answer.

        Raises:
            EdgeClosed: If it is not running.
            TimeoutError: If there was no whole answer in time.
            OriginError: If the answer broke off.
        """
        content = body.encode() if isinstance(body, str) else bytes(body)
        return self._ask(method, path, header_pairs(headers), content, parse_duration(timeout))

    async def handle_request(
        self,
        request: Request,
        *,
        timeout: Duration = "60s",  # noqa: ASYNC109 - The bound of the machine, which ends the request there too.
    ) -> Response:
        """Send a request through the machine, without a socket and without holding up the loop.

        Args:
            request: What is asked.
            timeout: How long to wait for the whole answer.

        Raises:
            EdgeClosed: If it is not running.
            TimeoutError: If there was no whole answer in time.
            OriginError: If the answer broke off.
        """
        return await asyncio.to_thread(
            self._ask,
            request.resolved_method,
            request.path,
            request.header_pairs,
            request.body,
            parse_duration(timeout),
        )

    def key(self, url: str, *, method: str = "GET", headers: HeadersWritten = (), body: bytes = b"") -> KeyReport:
        """Say what the cache key of a request is under the configuration in force; nothing is sent or looked up.

        Two requests with one fingerprint get one stored answer, but for what it varies by (`Vary`).

        Example:
            >>> edge.key("/images/a.webp?utm_source=x").key.fingerprint  # doctest: +SKIP
            '3bd0bfa8a54a2a4bbf4d5ca2a8cf0b3f'

        Args:
            url: A path with its query, or a whole URL, as for `request`.
            method: ``"GET"``, ``"POST"`` and so on.
            headers: Header fields.
            body: The body; it counts where the behavior has a `body_key`.

        Raises:
            EdgeClosed: If it is not running.
            ValueError: If the URL is not as it is sent.
        """
        edge = self._edge()
        whole, pairs = self._target(url, header_pairs(headers))
        return edge.key(method, whole, [(name, value.decode("latin-1")) for name, value in pairs], body)

    def stats(self) -> EdgeStats:
        """Return what it has done since it was started; print it for a table.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge().stats()

    @property
    def cache(self) -> EdgeCache:
        """What it keeps: `ls`, `show`, `verify`.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge().cache

    def prometheus(self) -> str:
        """Return its metrics in Prometheus' text format.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge().metrics()

    def invalidate(self, *selectors: str, soft: bool = False) -> int:
        """Forget entries, at once.

        Args:
            selectors: At least one: ``"https://host/path"``, ``"tag:NAME"``, ``"prefix:https://host/folder/"``,
                ``"glob:host/*.webp"``, ``"model:NAME"``, ``"distribution:NAME"`` or ``"all"``.
            soft: Make them stale instead: they may answer while they are validated, as far as their stale windows,
                which count from now, allow it.

        Returns:
            The number of the invalidation in this edge's sequence.

        Raises:
            SelectorInvalid: If one selects nothing; then nothing is forgotten.
            InvalidationRefused: If there is no room for more pattern rules, or the edge follows a control process; then
                nothing is forgotten.
            EdgeClosed: If it is not running.
        """
        return self._edge().invalidate(selectors, soft=soft)

    def models(self) -> list[ModelVersion]:
        """Say which models are loaded.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge().models()

    def update_model(self, model: str, path: str | Path | None = None, *, version: str | None = None) -> ModelSwap:
        """Put another version of a model in force; wait until the old one is gone and its predictions forgotten.

        It is loaded beside the old one and has to answer its golden examples; no request fails for it. It holds until
        the model's configuration is changed.

        Args:
            model: Its name.
            path: The file; None reads the file again that it has.
            version: What the version is called; None for the beginning of the digest of its contents.

        Raises:
            ModelRefused: If it cannot be loaded; what served before goes on serving.
            EdgeClosed: If it is not running.
        """
        return self._edge().update_model(model, None if path is None else str(Path(path).absolute()), version)

    def unload_model(self, model: str, version: str | None = None) -> ModelSwap:
        """Take a version of a model out of force, by default the default one, until it is loaded again.

        Raises:
            ModelRefused: If there is none.
            EdgeClosed: If it is not running.
        """
        return self._edge().unload_model(model, version)

    def reload(self, declared: Distribution | Declarations | str | Path | None = None) -> int:
        """Serve by another configuration from now on; no connection is cut and nothing forgotten.

        Certificates are read from their files again, too.

        Args:
            declared: A distribution, everything that is declared, or a file; None reads the edge's own file again,
                or, where it has none, its certificates alone.

        Returns:
            Its revision.

        Raises:
            ConfigInvalid: If the file or a certificate cannot be used; what served before goes on serving.
            SnapshotInvalid: If the native core refuses it; what served before goes on serving.
            EdgeClosed: If it is not running.
        """
        if self._link is not None:
            raise ConfigInvalid("the configuration is published by the control process", hint="publish it there")
        source = declared if declared is not None else self._config
        if source is None and self._settings.tls is not None:
            source = self._declarations
        if source is None:
            raise ConfigInvalid("there is no file to read again", hint="pass a distribution or a file")
        declarations = read_config(source).declarations if isinstance(source, str | Path) else served(source)
        revision = self._edge().reload(declarations)
        self._declarations = declarations
        return revision

    def __repr__(self) -> str:
        """Say where it listens, or that it does not."""
        where = self.url if self.is_running else "not running"
        return f"<EdgeServer {self._settings.name} in {self.region}: {where}>"

    def _ask(
        self, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes, timeout_seconds: float
    ) -> Response:
        url, fields = self._target(path, headers)
        return self._edge().request(method, url, fields, body, timeout_seconds)

    def _target(self, path: str, headers: list[tuple[str, bytes]]) -> tuple[str, list[tuple[str, bytes]]]:
        return requested_url(path, headers, self._edge().declarations, lambda: self.url)

    def _follow(self, running: RunningEdge, link: ControlLink) -> None:
        kept = None if self._settings.disk is None else Kept.beside(self._settings.disk)
        # Each start is another edge to the control process.
        agent = self._agent = Agent(running, link.of_another_process(), _tell, kept)
        # Its threads hold the edge: whoever forgets this object has both ended.
        weakref.finalize(self, agent.stop, says_so=False)
        agent.start()
        agent.catch_up()
        running.serve()

    def _edge(self) -> RunningEdge:
        if os.getpid() != self._pid:
            raise self._forked()
        running = self._running
        if running is None:
            raise EdgeClosed("this edge is not running", hint="use `with`, or start() it")
        return running

    def _forked(self) -> EdgeClosed:
        return EdgeClosed(
            f"this edge belongs to the process that forked this one (pid {self._pid})",
            hint="make an edge of your own after the fork",
        )


def _tell(kind: Literal["note", "warning"], what: str) -> None:
    _log.log(logging.WARNING if kind == "warning" else logging.INFO, what)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
