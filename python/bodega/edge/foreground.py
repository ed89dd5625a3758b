"""The process of `bodega edge`: signals, reloads, handing over, draining.

SIGHUP reads the configuration and the certificates again; certificates whose files have changed are read without it,
within a minute. SIGTERM and SIGINT finish what is under way, for up to 30 seconds, and end; a second one ends at once.
A successor that asks for the listeners gets them, and this process finishes and ends.
What happens is told through `say`; nothing here prints.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from bodega.edge.activation import take_activated
from bodega.edge.agent import Agent, ControlLink, Kept
from bodega.edge.certificate_follower import CertificateFollower
from bodega.edge.handover import HandoverServer, Predecessor
from bodega.edge.listeners import Listeners
from bodega.edge.origin_probe import unreachable_origins
from bodega.edge.running import DRAIN_SECONDS, RunningEdge
from bodega.errors import BodegaError, EdgeError
from bodega.runtime import admin_socket, handover_socket, notify

if TYPE_CHECKING:
    from types import FrameType

    from bodega.config import EdgeSettings
    from bodega.distributions import Declarations


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a source says now.

    Attributes:
        settings: What is of this machine.
        declarations: What is served.
    """

    settings: EdgeSettings
    declarations: Declarations


class Source(Protocol):
    """Where the configuration comes from; it is read again on SIGHUP."""

    def load(self) -> Loaded:
        """Read it.

        Raises:
            ConfigInvalid: If it cannot be used.
        """
        ...


_FAILURES_EVERY_SECONDS = 1.0

Kind: TypeAlias = Literal["ready", "note", "warning", "error"]
Say: TypeAlias = Callable[[Kind, str], None]
Event: TypeAlias = Literal["reload", "stop", "handed over", "drained"]


class Foreground:
    """Runs an edge until a signal or a successor ends it."""

    def __init__(self, source: Source, say: Say, take_over: int | None = None) -> None:
        """Keep what is to be run.

        Args:
            source: Where the configuration comes from.
            say: Is told what happens, in sentences.
            take_over: The process whose listeners are taken over.
        """
        self._source = source
        self._say = say
        self._take_over = take_over
        self._is_ending = threading.Event()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def run(self, started: Callable[[RunningEdge, Loaded], None]) -> None:
        """Serve until the end.

        Args:
            started: Called once the edge serves, to tell people where.

        Raises:
            ConfigInvalid: If the configuration cannot be used.
            EdgeError: If the edge cannot start.
            SnapshotInvalid: If the native core refuses the configuration.
        """
        loaded = self._source.load()
        with self._signals():
            running, agent = self._start(loaded)
            handover = self._offer_handover(running, agent)
            try:
                started(running, loaded)
                notify("READY=1", os.environ)
                threading.Thread(target=self._probe, args=(loaded.declarations,), daemon=True).start()
                kept = self._serve(running, loaded)
                notify("STOPPING=1", os.environ)
                self._drain(running, keep_listeners=kept)
            finally:
                if agent is not None:
                    agent.stop()
                if handover is not None:
                    handover.close()
                running.stop()

    def _start(self, loaded: Loaded) -> tuple[RunningEdge, Agent | None]:
        settings = self._with_admin(loaded.settings)
        link = ControlLink.from_settings(settings, os.environ)
        if self._take_over is None:
            running = self._listen(take_activated(os.environ), settings, loaded, hold=link is not None)
            return running, self._serve_level(running, settings, link)
        path = handover_socket(os.environ, self._take_over)
        with Predecessor(path, self._take_over) as predecessor:
            running = self._listen(predecessor.listeners, settings, loaded, hold=link is not None)
            # The old process is the edge of this name until it has let go.
            agent = self._serve_level(running, settings, link, introduces=False)
            try:
                predecessor.serving()
            except EdgeError:
                if agent is not None:
                    agent.stop()
                raise
        if agent is not None:
            agent.introduce(predecessor.follows)
        return running, agent

    def _listen(self, inherited: Listeners, settings: EdgeSettings, loaded: Loaded, *, hold: bool) -> RunningEdge:
        running = RunningEdge(settings, loaded.declarations, os.environ, inherited, hold=hold)
        if inherited and settings.tls is not None and not inherited.tls:
            self._say(
                "warning",
                "no listener for TLS was handed over, so that there is none: start anew without `--take-over`, "
                "or write FileDescriptorName=https into a socket unit",
            )
        return running

    def _serve_level(
        self, running: RunningEdge, settings: EdgeSettings, link: ControlLink | None, *, introduces: bool = True
    ) -> Agent | None:
        """Let it serve; what it missed while it was away is applied first, if it follows anybody."""
        if link is None:
            return None
        kept = None if settings.disk is None else Kept.beside(settings.disk)
        agent = Agent(running, link, self._say, kept, introduces=introduces)
        agent.start()
        agent.catch_up(is_over=self._is_ending.is_set)
        # Nobody is let in only to be sent away.
        if not self._is_ending.is_set():
            running.serve()
        return agent

    def _with_admin(self, settings: EdgeSettings) -> EdgeSettings:
        if settings.admin is not None:
            return settings
        return replace(settings, admin=admin_socket(os.environ))

    def _offer_handover(self, running: RunningEdge, agent: Agent | None) -> HandoverServer | None:
        try:
            path = handover_socket(os.environ, os.getpid())
            if agent is None:
                return HandoverServer(path, running.listeners, lambda: self._events.put("handed over"))
            return HandoverServer(
                path,
                running.listeners,
                lambda: self._events.put("handed over"),
                follows=agent.instance,
                let_go=agent.leave,
                take_back=agent.introduce,
            )
        except (OSError, EdgeError) as error:
            self._say("warning", f"`--take-over` will not work on this process: {error}")
            return None

    def _serve(self, running: RunningEdge, loaded: Loaded) -> bool:
        """Handle what happens until the end is due; return whether a successor keeps the listeners."""
        certificates = CertificateFollower(running, self._say)
        certificates.tell()
        while True:
            try:
                event = self._events.get(timeout=_FAILURES_EVERY_SECONDS)
            except queue.Empty:
                certificates.follow()
                for kind, what in running.take_events():
                    self._say(kind, what)
                continue
            if event == "reload":
                before, loaded = loaded, self._reload(running, loaded)
                if loaded is not before:
                    certificates.tell()
            elif event == "stop":
                self._say(
                    "note", f"finishing what is under way, for up to {DRAIN_SECONDS:.0f} s; once more ends at once"
                )
                return False
            elif event == "handed over":
                self._say("note", "another process has taken over: finishing what is under way")
                return True

    def _reload(self, running: RunningEdge, before: Loaded) -> Loaded:
        if before.settings.control is not None:
            self._say("warning", f"not reloaded: the configuration is published by {before.settings.control}")
            return before
        try:
            loaded = self._source.load()
            revision = running.reload(loaded.declarations)
        except BodegaError as error:
            self._say("error", f"not reloaded, what served before goes on serving: {error}")
            return before
        self._say("note", f"reloaded: revision {revision} is in force")
        changed = [
            described.name
            for described in fields(loaded.settings)
            if getattr(loaded.settings, described.name) != getattr(before.settings, described.name)
        ]
        if changed:
            names = ", ".join(f"`{name}`" for name in changed)
            self._say("warning", f"[edge] changed ({names}): a restart is needed for that; serving goes on as before")
        # What is in force stays the measure: a change that waits for a restart is told again at the next reload.
        return Loaded(before.settings, loaded.declarations)

    def _drain(self, running: RunningEdge, *, keep_listeners: bool) -> None:
        def drain() -> None:
            with contextlib.suppress(EdgeError):
                running.drain(DRAIN_SECONDS, keep_listeners=keep_listeners)
            self._events.put("drained")

        # On a thread, so that a second signal is heard: handlers run on the main thread, between its steps.
        threading.Thread(target=drain, name="bodega-drain", daemon=True).start()
        while True:
            event = self._events.get()
            if event == "stop":
                self._say("note", "ending at once")
                return
            if event == "drained":
                return

    def _probe(self, declarations: Declarations) -> None:
        for origin in unreachable_origins(declarations):
            self._say("warning", f"origin {origin} cannot be reached: until it can, what is not kept is answered 502")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(number: int, _: FrameType | None) -> None:
            if number == signal.SIGHUP:
                self._events.put("reload")
            else:
                self._is_ending.set()
                self._events.put("stop")

        before = {number: signal.signal(number, handle) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
