"""Follows a control process: applies what the journal says, and says how far that is.

One thread reads the journal and hands each batch to the native core as it came; two others say every second, and as
soon as something was applied, that the edge is here and where. An edge that polls does all of it on one, now and then.
What the native core holds of the journal (its place, with a disk across restarts) is all that is asked for again.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bodega.config import parse_config
from bodega.edge.agent.due import Due
from bodega.edge.agent.explain import explain, is_refusal
from bodega.edge.agent.kept import Damaged, Kept, KeptConfiguration
from bodega.edge.agent.lease import Lease
from bodega.edge.agent.link import CUT_SECONDS, Caller, ControlLink
from bodega.edge.following import JournalPlace
from bodega.edge.options import n_cores
from bodega.errors import BodegaError, ControlRefused

if TYPE_CHECKING:
    from bodega.edge.running import RunningEdge

HEARTBEAT_SECONDS = 1.0
_MOST_HEARTBEAT_SECONDS = 60.0
_MOST_ACKNOWLEDGE_MS = 10_000.0
_LEAST_WAIT_SECONDS = 0.1
_MOST_WAIT_SECONDS = 5.0
_REFUSED_WAIT_SECONDS = 5.0
_END_SECONDS = 2.0
_LONGEST_PROBLEM = 1000

Say: TypeAlias = Callable[[Literal["note", "warning"], str], None]


class Agent:
    """Follows, on threads of its own, until it is stopped."""

    def __init__(
        self, edge: RunningEdge, link: ControlLink, say: Say, kept: Kept | None = None, *, introduces: bool = True
    ) -> None:
        """Keep what is followed.

        Args:
            edge: Which applies.
            link: Whom to follow.
            say: Is told what people should know.
            kept: What outlives the process, if there is a place for it.
            introduces: Whether it says at once that it is here. One that takes over from another waits for
                `introduce`, and follows unnamed until then.
        """
        self._edge = edge
        self._link = link
        self._say = say
        self._kept = kept
        self._pid = os.getpid()
        self._caller = Caller(link)
        self._lease = Lease()
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._due = Due()
        self._numbering = threading.Lock()
        self._n_said = 0
        self._caught_up = threading.Event()
        self._is_refused = threading.Event()
        self._introducing = threading.Lock()
        self._may_introduce = introduces
        self._is_introduced = False
        self._introduce_not_before = 0.0
        self._replaces: str | None = None
        self._in_force: KeptConfiguration | None = None
        self._problem = ""
        self._what_cuts = ""
        self._is_cut = True
        self._head: int | None = None
        self._target: int | None = None
        self._told: dict[str, str] = {}
        self._wait_seconds = _LEAST_WAIT_SECONDS
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._acknowledge_seconds = 0.0
        self._strictest_seconds: float | None = None
        works = [("bodega-follow", self._follow)]
        if link.follow == "stream":
            works += [("bodega-heartbeat", self._beat), ("bodega-acknowledge", self._beat)]
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True) for name, work in works
        ]

    @property
    def instance(self) -> str:
        """This process, as the control process knows it."""
        return self._link.instance

    @property
    def revision(self) -> int | None:
        """The revision of the journal's configuration that is in force, if any is."""
        return None if self._in_force is None else self._in_force.revision

    def start(self) -> None:
        """Put the last configuration in force that is kept here, if any is, and begin to follow."""
        self._edge.set_following(self._link.url)
        if self._kept is not None:
            self._replaces = self._kept.take_instance(self._link.instance)
            self._put_kept(self._kept)
        self._show()
        for thread in self._threads:
            thread.start()

    def catch_up(self, *, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Wait for what was missed to be applied, as long as the settings say; whether that came to pass.

        Args:
            is_over: Whether nobody is interested any more.
        """
        ends = time.monotonic() + self._link.catch_up_seconds
        while not self._caught_up.wait(max(0.0, min(0.05, ends - time.monotonic()))):
            if is_over():
                return False
            if self._is_refused.is_set() or time.monotonic() >= ends:
                break
        if self._caught_up.is_set():
            return True
        revision = self.revision
        what = "what the file declares" if revision is None else f"revision {revision}, which was kept here"
        self._say("warning", f"serving cut off from {self._link.url}, by {what}: what was missed is not known yet")
        return False

    def introduce(self, replaces: str | None = None) -> None:
        """Say from now on that the edge is here, in place of another process of the same name if there was one."""
        self._replaces = replaces or self._replaces
        self._may_introduce = True
        self._due.wake()
        self._woken.set()

    def leave(self) -> None:
        """Say no more that the edge is here: another process is, from now on. What comes is applied to the end."""
        with self._introducing:
            self._may_introduce = False
            self._is_introduced = False

    def stop(self, *, says_so: bool = True) -> None:
        """End. May be called again, and in a forked process does nothing.

        Args:
            says_so: Whether the control process is told, so that nobody waits for this edge, or for its name.
        """
        if os.getpid() != self._pid:
            return  # Forked: the threads are not here, and the connections are the other process's.
        self._stopping.set()
        self._due.end()
        self._woken.set()
        self._caller.close()
        ends = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            # Whoever waits for a name to be looked up cannot be woken, and has nothing left to do.
            if thread.is_alive():
                thread.join(max(0.0, ends - time.monotonic()))
        if says_so and self._is_introduced and not self._is_cut:
            self._is_introduced = False
            caller = Caller(self._link)
            caller.renew_token()
            # Who does not hear of it waits for three heartbeats.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, BodegaError):
                caller.ask("POST", f"/v1/edges/{self._link.name}/heartbeat", {**self._heartbeat(), "leaves": True})
            caller.release()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._caller.release()

    # Reading.

    def _follow(self) -> None:
        polls = self._link.follow == "poll"
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._introduce()
                self._read(until_level=polls)
                self._report()
                wait_seconds = self._link.poll_seconds
                self._wait_seconds = _LEAST_WAIT_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever comes from elsewhere, an edge goes on.
                if self._stopping.is_set():
                    return
                self._be_cut(error, lasted_seconds=time.monotonic() - began)
                wait_seconds = self._wait_seconds
            # Not all of a fleet at once, after the process they all follow was away.
            self._woken.wait(wait_seconds * (0.5 + secrets.randbelow(500) / 1000))
            self._woken.clear()

    def _read(self, *, until_level: bool) -> None:
        """Read the journal; `until_level`, until everything has been applied that was there when it was asked."""
        self._target = None
        asked_at = self._lease.now()
        for line in self._caller.follow(self._edge.place):
            if self._stopping.is_set():
                return
            # A batch is not looked into here: it goes to the native core as it came.
            if line.startswith(b'{"kind":"batch"'):
                self._apply(line)
            else:
                self._hear(json.loads(line), asked_at)
            self._prove()
            is_level = self._is_level()
            self._show()
            if until_level and is_level:
                return

    def _hear(self, said: Mapping[str, Any], asked_at: float) -> None:
        match said.get("kind"):
            case "hello":
                if self._edge.place is None:
                    self._join(said, trusted=not self._has_something())
            case "parted":
                self._say(
                    "warning",
                    f"the journal is not the one that was followed ({str(said.get('why'))[:200]}): what is stored is "
                    "confirmed by its origin before it is used",
                )
                self._join(said, trusted=False)
                # Numbers of revisions are those of the other history.
                self._in_force = None
            case "heartbeat":
                self._head = _position(said)
                return
            case _:
                return  # Of a later version.
        self._head = self._target = _position(said)
        # What is applied from here on is of this history, and so is what was before: that was looked at there.
        self._lease.begin(said)
        self._lease.answered(asked_at, said)
        # After it is known from where it goes on: what is stored before that would have to be confirmed.
        self._configure(0)
        self._what_cuts = ""
        self._is_cut = False
        self._is_refused.clear()
        self._due.wake()

    def _join(self, said: Mapping[str, Any], *, trusted: bool) -> None:
        self._edge.join(JournalPlace(said["journal"], said["epoch"], said["position"], said["chain"]), trusted=trusted)

    def _has_something(self) -> bool:
        stats = self._edge.stats()
        disk = stats.disk
        return stats.n_entries > 0 or (disk is not None and (disk.n_entries > 0 or not disk.recovered))

    def _apply(self, batch: bytes) -> None:
        followed = self._edge.follow(batch, configured=self.revision)
        while (wanted := followed.waits_for_configuration) is not None:
            self._configure(wanted)
            if self.revision is None or self.revision < wanted:
                raise ControlRefused(f"it has no revision {wanted}, which its journal names")
            followed = self._edge.follow(batch, configured=self.revision)
        self._head = max(self._head or 0, followed.place.position)
        self._due.wake()
        stopped = followed.stopped_at
        if stopped is not None:
            self._problem = f"event {stopped.position} ({stopped.type}, version {stopped.version}) is not known here"
            raise ControlRefused(self._problem, hint="install the bodega that the control process has")

    def _is_level(self) -> bool:
        """Whether everything has been applied that was there when the journal was asked for."""
        place = self._edge.place
        if self._target is None or place is None or place.position < self._target:
            return False
        self._caught_up.set()
        if self._told.pop("cut", None) is not None:
            self._say("note", f"following {self._link.url} again")
        return True

    # Configurations.

    def _configure(self, revision: int) -> None:
        """Put a revision in force; 0 is the newest. One that cannot be used leaves the one before in force."""
        said = self._fetch(revision)
        if said is None:
            return
        configuration = KeptConfiguration(int(said["revision"]), str(said["text"]))
        if configuration == self._in_force:
            return
        # Also one that cannot be used: what was invalidated after it must not wait for it.
        self._in_force = configuration
        name = f"revision {configuration.revision}"
        try:
            declarations = parse_config(configuration.text, name).declarations
            self._edge.reload(declarations)
        except BodegaError as error:
            self._problem = f"{name} cannot be used here: {error}"[:_LONGEST_PROBLEM]
            self._say("warning", self._problem)
            return
        self._problem = ""
        self._strictest_seconds = min(declarations.strict_seconds(), default=None)
        if self._link.follow == "poll" and (self._strictest_seconds or math.inf) < self._link.poll_seconds:
            self._say(
                "warning",
                f"a behavior of {name} is strict within {self._strictest_seconds:g} s, and this edge asks every "
                f"{self._link.poll_seconds:g} s: in between it confirms whatever it uses",
            )
        self._say("note", f"{name} of {self._link.url} is in force")
        if self._kept is not None:
            try:
                self._kept.keep(configuration)
            except OSError as error:
                self._tell("kept", f"{name} cannot be kept for a start without the control process: {error}")

    def _fetch(self, revision: int) -> dict[str, Any] | None:
        path = f"/v1/edges/{self._link.name}/configuration?revision={revision}"
        for is_introduced in (False, True):
            try:
                return self._caller.ask("GET", path)
            except ControlRefused as error:
                if revision != 0 or error.status != 404:
                    raise
            if not is_introduced:
                # A journal that was restored may not know this edge any more.
                with self._introducing:
                    self._is_introduced = False
                self._introduce()
        return None  # Nothing was published yet.

    def _put_kept(self, kept: Kept) -> None:
        try:
            configuration = kept.configuration()
            if configuration is None:
                return
            name = f"revision {configuration.revision}, which was kept here,"
            declarations = parse_config(configuration.text, name).declarations
            self._edge.reload(declarations)
            self._in_force = configuration
            self._strictest_seconds = min(declarations.strict_seconds(), default=None)
        except Damaged as error:
            self._say("warning", f"the last configuration is not used: {error}")
        except BodegaError as error:
            self._say("warning", f"the last configuration is not used: {error}")

    # Saying how far it is.

    def _beat(self) -> None:
        while not self._stopping.is_set():
            if self._due.wait(self._heard_every_seconds) and self._acknowledge_seconds:
                # Spread, so that a fleet does not answer at once; what is applied meanwhile is said along with it.
                with self._due.held():
                    self._stopping.wait(self._acknowledge_seconds * secrets.randbelow(1000) / 1000)
            if self._stopping.is_set():
                return
            try:
                self._introduce()
                self._report()
            except ControlRefused as error:
                self._renew_token(error)
                what = explain(error, self._link.url)[1]
                self._tell("heartbeat", f"{self._link.url} does not take what this edge says: {what}")
            except Exception:  # noqa: BLE001, S112 - whatever comes from elsewhere, an edge goes on.
                # The other thread notices that nobody is there, and says so.
                continue

    def _introduce(self) -> None:
        """Say what this edge is, unless that is done."""
        with self._introducing:
            is_early = time.monotonic() < self._introduce_not_before
            if self._is_introduced or not self._may_introduce or is_early:
                return
            link = self._link
            said = {
                "instance": link.instance,
                "region": link.region,
                "kind": link.kind,
                "place": link.place,
                "capacity": link.capacity,
                "version": link.version,
                "heard_every_seconds": self._heard_every_seconds(),
                "replaces": self._replaces,
            }
            try:
                self._caller.ask("PUT", f"/v1/edges/{link.name}", said)
            except ControlRefused as error:
                if error.status != 409:
                    raise
                # It follows all the same: unnamed it is waited for by nobody, and forgets what it should.
                self._introduce_not_before = time.monotonic() + _REFUSED_WAIT_SECONDS
                self._tell("name", f"{link.url} does not take this edge in: {error}")
                return
            self._is_introduced = True
            self._told.pop("name", None)

    def _report(self) -> None:
        if not self._is_introduced:
            return
        asked_at = self._lease.now()
        try:
            heard = self._caller.ask("POST", f"/v1/edges/{self._link.name}/heartbeat", self._heartbeat())
        except ControlRefused as error:
            if not self._may_introduce:
                return  # It has left meanwhile.
            if error.status in (404, 409):
                # Taken out of the fleet, or somebody else has the name.
                self._is_introduced = False
            raise
        self._told.pop("heartbeat", None)
        self._lease.answered(asked_at, heard)
        self._prove()
        self._heartbeat_seconds = _within(
            heard.get("heartbeat_seconds", HEARTBEAT_SECONDS), HEARTBEAT_SECONDS, _MOST_HEARTBEAT_SECONDS
        )
        self._acknowledge_seconds = _within(heard.get("acknowledge_within_ms", 0), 0, _MOST_ACKNOWLEDGE_MS) / 1000

    def _heartbeat(self) -> dict[str, Any]:
        # In the order of the numbers, so that one that is overtaken on the way says nothing that is not known.
        with self._numbering:
            self._n_said += 1
            number, place = self._n_said, self._edge.place
        return {
            "number": number,
            "instance": self._link.instance,
            "at": None if place is None else asdict(place),
            "revision": self.revision,
            "problem": self._problem,
            "load": round(os.getloadavg()[0] / n_cores(), 2),
            "hit_rate": min(1.0, max(0.0, self._edge.stats().hit_rate)),
            "heard_every_seconds": self._heard_every_seconds(),
        }

    def _heard_every_seconds(self) -> float:
        if self._link.follow == "poll":
            return self._link.poll_seconds
        if self._strictest_seconds is None:
            return self._heartbeat_seconds
        # What is strict has to be proved level more often than that it must be.
        return max(HEARTBEAT_SECONDS, min(self._heartbeat_seconds, self._strictest_seconds / 3))

    # What the edge is told of it, and people.

    def _prove(self) -> None:
        place = self._edge.place
        asked_at = None if place is None else self._lease.reached(place.position)
        if asked_at is not None:
            self._edge.level_as_of(asked_at)

    def _be_cut(self, error: BaseException, *, lasted_seconds: float) -> None:
        kind, self._what_cuts = explain(error, self._link.url)
        self._is_cut = True
        if self._told.get("cut") != kind:
            self._told["cut"] = kind
            self._say("warning", f"cut off from {self._link.url}, what is here goes on being served: {self._what_cuts}")
        self._show()
        if is_refusal(error):
            self._renew_token(error)
            self._is_refused.set()
            self._wait_seconds = _REFUSED_WAIT_SECONDS
        elif lasted_seconds > CUT_SECONDS:
            # It was well for a while: at once, and then more and more slowly.
            self._wait_seconds = _LEAST_WAIT_SECONDS
        else:
            self._wait_seconds = min(2 * self._wait_seconds, _MOST_WAIT_SECONDS)

    def _renew_token(self, error: BaseException) -> None:
        """Take what the token's file holds by now, if the token is no good any more."""
        if isinstance(error, ControlRefused) and error.status == 401:
            self._caller.renew_token()

    def _tell(self, about: str, what: str) -> None:
        """Warn of something, and again only if it is something else."""
        if self._told.get(about) != what:
            self._told[about] = what
            self._say("warning", what)

    def _show(self) -> None:
        place = self._edge.place
        behind = None if self._head is None or place is None else max(0, self._head - place.position)
        problem = self._what_cuts or self._problem
        self._edge.set_link(is_cut=self._is_cut, behind=behind, problem=problem, revision=self.revision)


def _position(said: Mapping[str, Any]) -> int:
    position = said["position"]
    if not isinstance(position, int):
        raise TypeError("a position is a number")
    return position


def _within(number: object, least: float, most: float) -> float:
    """Return a number that was told, as far as it is one and makes sense."""
    if not isinstance(number, int | float) or not number >= least:
        return least
    return float(min(number, most))
