"""One running edge: the native core with its configuration, its process and its end.

Both faces use it: `EdgeServer` for guests, `Foreground` for the command. It installs nothing in the process but one
hook for forks. The end is certain: `stop`, garbage collection or the interpreter's exit, whichever comes first.
"""

from __future__ import annotations

import ctypes
import datetime
import logging
import os
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Literal

from bodega import _native, certificates
from bodega.distributions import meant_for
from bodega.edge.cache import EdgeCache
from bodega.edge.certificates import certificates_json, certificates_of, stamp_of
from bodega.edge.following import Followed, JournalPlace
from bodega.edge.inherited import close_inherited
from bodega.edge.listeners import NO_LISTENERS, Listeners
from bodega.edge.listening import explain_start_error
from bodega.edge.models import ModelSwap, ModelVersion
from bodega.edge.options import native_options
from bodega.edge.response import Headers, Response
from bodega.edge.stats import EdgeStats
from bodega.errors import BodegaError, EdgeClosed, OriginError
from bodega.invalidation import parse_selector
from bodega.snapshot import compile_snapshot, explain_key, validate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodega.certificates import CertificateFiles, Finding
    from bodega.config import EdgeSettings
    from bodega.distributions import Declarations
    from bodega.edge.request import HeadersWritten
    from bodega.snapshot import KeyReport

DRAIN_SECONDS = 30.0
_EXIT_DRAIN_SECONDS = 5.0

_log = logging.getLogger("bodega")
_running: weakref.WeakSet[RunningEdge] = weakref.WeakSet()


class RunningEdge:
    """An edge that serves, until it is stopped."""

    def __init__(
        self,
        settings: EdgeSettings,
        declarations: Declarations,
        environment: Mapping[str, str],
        inherited: Listeners = NO_LISTENERS,
        *,
        hold: bool = False,
    ) -> None:
        """Compile the declarations, listen and serve.

        Args:
            settings: What is of this machine.
            declarations: What is served.
            environment: Where buckets find region and endpoint.
            inherited: Listening sockets to serve on in place of those that the settings name; they are given away.
            hold: Leave clients in the system's queue until `serve` is called.

        Raises:
            ConfigInvalid: If a certificate cannot be used.
            SnapshotInvalid: If the native core refuses the configuration.
            AddressInUse: If an address is taken.
            AddressInvalid: If an address cannot be listened on.
            EdgeError: If it cannot start for another reason.
        """
        self._settings = settings
        self._environment = dict(environment)
        self._pid = os.getpid()
        self._reloading = threading.Lock()
        self._revision = 1
        declarations = self._own(declarations)
        self._snapshot = snapshot = compile_snapshot(declarations, 1, self._environment)
        self._declarations = declarations
        options = native_options(settings, self._find_certificates(declarations), hold=hold)
        admin = None if settings.admin == "off" else settings.admin
        try:
            self._native = _native.NativeEdge(options, snapshot.document, inherited.plain, inherited.tls)
        except (BodegaError, OSError, RuntimeError, ValueError) as error:
            listen, listen_tls = ((), ()) if inherited else (settings.listen, settings.tls_addresses)
            explained = explain_start_error(error, listen, listen_tls, admin)
            raise explained from (None if explained is error else error)
        admin_address = self._native.admin_address()
        self._bound = (*self._native.addresses(), *([admin_address] if admin_address else []))
        self._finish = weakref.finalize(self, _finish, self._native, self._pid)
        _running.add(self)

    @property
    def is_running(self) -> bool:
        """Whether it serves, here."""
        return self._finish.alive and os.getpid() == self._pid

    @property
    def declarations(self) -> Declarations:
        """What is served."""
        return self._declarations

    @property
    def addresses(self) -> list[str]:
        """What clients connect to: ``http://127.0.0.1:8080``, ``unix:/run/x.sock``, ``https://127.0.0.1:8443``."""
        return list(dict.fromkeys(self._core().addresses()))

    @property
    def admin_address(self) -> str | None:
        """Where the admin listener is, if there is one."""
        return self._core().admin_address()

    def listeners(self) -> Listeners:
        """Return the listening sockets for a successor process, each once; they stay open here."""
        core = self._core()
        return Listeners(_each_once(core.listener_fds()), _each_once(core.tls_listener_fds()))

    def reload(self, declarations: Declarations) -> int:
        """Put another configuration, and the certificates as their files are now, in force for what begins from now on.

        Either all of it comes into force or nothing.

        Returns:
            Its revision.

        Raises:
            ConfigInvalid: If a certificate cannot be used; what served before goes on serving.
            SnapshotInvalid: If the native core refuses it; what served before goes on serving.
            EdgeClosed: If the edge is not running here.
        """
        with self._reloading:
            declarations = self._own(declarations)
            snapshot = compile_snapshot(declarations, self._revision + 1, self._environment)
            if self._settings.tls is not None:
                validate(snapshot)
                self._load_certificates(declarations)
            self._revision = self._core().reload(snapshot.document)
            self._snapshot, self._declarations = snapshot, declarations
            _log.info("revision %d is in force", self._revision)
            return self._revision

    def reload_certificates(self) -> None:
        """Put the certificates as their files are now in force, for handshakes that begin from now on.

        Raises:
            ConfigInvalid: If one cannot be used; those of before stay in force.
            EdgeClosed: If the edge is not running here.
        """
        with self._reloading:
            self._load_certificates(self._declarations)

    def certificate_findings(self) -> list[Finding]:
        """Say what clients will not like about the certificates as their files are now.

        Raises:
            ConfigInvalid: If one cannot be used.
        """
        if self._settings.tls in (None, "dev"):
            return []
        now = datetime.datetime.now(datetime.UTC)
        files = certificates_of(self._settings, self._declarations, self._environment)
        strict = self._settings.tls_strict_names
        examined = [certificates.examine(each, now) for each in files]
        return certificates.findings_of(examined, self._declarations.hosts, strict_names=strict)

    def certificates_changed(self) -> bool:
        """Whether the files of certificates are others than when they were read last, whatever came of that."""
        return stamp_of(self._settings, self._declarations, self._environment) != self._certificates_stamp

    def request(
        self, method: str, url: str, headers: list[tuple[str, bytes]], body: bytes, timeout_seconds: float
    ) -> Response:
        """Send a request through the machine, without a socket.

        Raises:
            EdgeClosed: If the edge is not running here.
            TimeoutError: If there was no whole answer in time.
            OriginError: If the answer broke off.
        """
        core = self._core()
        try:
            status, fields, content = core.request(method, url, headers, body, timeout_seconds)
        except RuntimeError as error:
            raise OriginError(str(error)) from error
        return Response(status, Headers(fields), bytes(content))

    def key(self, method: str, url: str, headers: HeadersWritten, body: bytes) -> KeyReport:
        """Say what the key of a request is under the configuration in force.

        Raises:
            ValueError: If the URL is not as it is sent.
            EdgeClosed: If the edge is not running here.
        """
        self._core()
        return explain_key(self._snapshot, url, method=method, headers=headers, body=body)

    def stats(self) -> EdgeStats:
        """Return what it has done so far.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        return EdgeStats.from_json(self._core().stats())

    def metrics(self) -> str:
        """Return its metrics in Prometheus' text format.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        return self._core().metrics()

    @property
    def cache(self) -> EdgeCache:
        """What it keeps.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        return EdgeCache(self._core())

    def take_events(self) -> list[tuple[Literal["note", "warning"], str]]:
        """Return what went wrong with origins or the disk since the last call, and what is right again, in words.

        What repeats is counted.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        counted: Counter[tuple[Literal["note", "warning"], str]] = Counter(
            ("warning", f"{message} ({reason})") if reason else ("note", message)
            for _, reason, message in self._core().take_events()
        )
        return [(kind, text if count == 1 else f"{text}, {count} times") for (kind, text), count in counted.items()]

    def models(self) -> list[ModelVersion]:
        """Say which models are loaded.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        return ModelVersion.all_from_json(self._core().models())

    def update_model(self, model: str, path: str | None, version: str | None) -> ModelSwap:
        """Put another version of a model in force; wait until the old one is gone and its predictions are forgotten.

        Raises:
            ModelRefused: If it cannot be; nothing changes then.
            EdgeClosed: If the edge is not running here.
        """
        return ModelSwap.from_json(self._core().update_model(model, path, version))

    def unload_model(self, model: str, version: str | None) -> ModelSwap:
        """Take a version of a model out of force, by default the default one.

        Raises:
            ModelRefused: If there is none.
            EdgeClosed: If the edge is not running here.
        """
        return ModelSwap.from_json(self._core().unload_model(model, version))

    def invalidate(self, selectors: Sequence[str], *, soft: bool = False) -> int:
        """Forget what the selectors name, or with `soft` make it stale.

        Returns:
            The number of the invalidation in this edge's sequence.

        Raises:
            SelectorInvalid: If one selects nothing; then nothing is forgotten.
            InvalidationRefused: If there is no room for more pattern rules, or the edge follows a control process; then
                nothing is forgotten.
            EdgeClosed: If the edge is not running here.
        """
        sequence, is_durable = self._core().invalidate([parse_selector(each).text for each in selectors], soft)
        if not is_durable:
            _log.warning("forgotten, but the disk does not take it: it would not survive a restart")
        return sequence

    def follow(self, batch: bytes, *, configured: int | None = None) -> Followed:
        """Apply a batch of a journal's events, and wait until that is on the disk, if there is one.

        Args:
            batch: Consecutive events as JSON, as the control process sends them.
            configured: The revision of the journal's configuration that is in force here.

        Raises:
            FollowRefused: If it is no batch; nothing is applied then.
            FollowGap: If it begins after the edge's place.
            FollowParted: If it is of another history than the edge has applied, or the edge has joined none.
            EdgeClosed: If the edge is not running here.
        """
        return Followed.from_json(self._core().follow(batch, configured))

    def join(self, place: JournalPlace, *, trusted: bool) -> bool:
        """Go on from a place of a journal.

        Args:
            place: From where.
            trusted: Whether that place continues what is stored, or nothing is stored. If not, nothing that was stored
                before is used until its origin has confirmed it.

        Returns:
            Whether that holds after a restart; never without a disk.

        Raises:
            FollowRefused: If that is no place.
            EdgeClosed: If the edge is not running here.
        """
        return self._core().join(place.to_json(), trusted)

    @property
    def place(self) -> JournalPlace | None:
        """Where in a journal it is, if it has joined one.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        place = self._core().place()
        return None if place is None else JournalPlace.from_json(place)

    def set_following(self, url: str | None) -> None:
        """Follow the control process at a URL, or nobody.

        Who follows forgets what the journal says: `invalidate`, the admin listener and ``PURGE`` refuse, and name the
        URL. Behaviors that are ``strict`` use nothing unasked until `level_as_of` was called.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        self._core().set_following(url)

    def level(self, age_seconds: float) -> None:
        """Say that all the control process had acknowledged so long ago has been applied.

        Time that passes before this is heard makes the edge seem level later than it was; `level_as_of` is exact.

        Args:
            age_seconds: How long ago it was asked for its position, which the edge has reached.

        Raises:
            ValueError: If that is no time.
            EdgeClosed: If the edge is not running here.
        """
        self._core().level(age_seconds)

    def level_as_of(self, at_seconds: float) -> None:
        """Say that all the control process had acknowledged at that moment has been applied.

        Args:
            at_seconds: When it was asked for its position, which the edge has reached; by ``time.CLOCK_BOOTTIME``,
                which nobody sets and which goes on while the machine sleeps.

        Raises:
            ValueError: If that is no time, or still to come, as by another clock.
            EdgeClosed: If the edge is not running here.
        """
        self._core().level_as_of(at_seconds)

    def set_link(self, *, is_cut: bool, behind: int | None, problem: str, revision: int | None) -> None:
        """Say how it is between the edge and the control process, for status, statistics and metrics.

        Args:
            is_cut: Whether nothing is heard of it.
            behind: Events that are known to be there and not applied yet; None if that is not known.
            problem: What is wrong, in words, or an empty text; at most 1,000 characters are kept.
            revision: The journal's configuration that is in force here, if any is.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        self._core().set_link(is_cut, behind, problem, revision)

    def serve(self) -> None:
        """Accept clients, where they were held back. May be called again.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        self._core().serve()

    def drain(self, timeout_seconds: float, *, keep_listeners: bool = False) -> bool:
        """Stop accepting and finish what is under way.

        Args:
            timeout_seconds: How long at most.
            keep_listeners: Leave what waits to be accepted to a successor that holds the same sockets.

        Returns:
            Whether everything was finished.

        Raises:
            EdgeClosed: If the edge is not running here.
        """
        return self._core().drain(timeout_seconds, keep_listeners)

    def stop(self) -> None:
        """End at once. May be called again."""
        if self.is_running:
            self._finish.detach()
            self._native.stop()

    def _own(self, declarations: Declarations) -> Declarations:
        return meant_for(declarations, self._settings.name, self._settings.region)

    def _load_certificates(self, declarations: Declarations) -> None:
        core = self._core()
        files = self._find_certificates(declarations)
        if files:
            core.reload_certificates(certificates_json(files))

    def _find_certificates(self, declarations: Declarations) -> tuple[CertificateFiles, ...]:
        # The stamp first: what changes while files are read is seen at the next look.
        self._certificates_stamp = stamp_of(self._settings, declarations, self._environment)
        return certificates_of(self._settings, declarations, self._environment)

    def _core(self) -> _native.NativeEdge:
        if os.getpid() != self._pid:
            raise EdgeClosed(
                f"this edge runs in the process that forked this one (pid {self._pid})",
                hint="start an edge of your own after the fork",
            )
        if not self._finish.alive:
            raise EdgeClosed("this edge is stopped", hint="start() it again")
        return self._native

    def _close_in_child(self) -> None:
        """Let go of everything in a process that was forked: its threads are not here, so nothing may wait for them."""
        self._finish.detach()
        close_inherited(self._bound)
        # Never freed here: freeing would wait for threads that exist only in the parent.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._native))


def _each_once(descriptors: Sequence[int]) -> tuple[int, ...]:
    found: dict[int, int] = {}
    for descriptor in descriptors:
        found.setdefault(os.fstat(descriptor).st_ino, descriptor)
    return tuple(found.values())


def _finish(native: _native.NativeEdge, pid: int) -> None:
    if os.getpid() != pid:
        return
    native.drain(_EXIT_DRAIN_SECONDS, False)
    native.stop()


def _after_fork_in_child() -> None:
    for edge in list(_running):
        edge._close_in_child()
    _running.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
