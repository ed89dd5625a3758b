"""The compiled core, written by hand and compared with the built module by stubtest."""

from collections.abc import Sequence
from os import PathLike
from typing import final

from typing_extensions import Buffer

__all__ = [
    "DemoOrigin",
    "DemoRelay",
    "DemoS3",
    "NativeEdge",
    "build_info",
    "check_model",
    "die_with_parent",
    "explain_key",
    "replay",
    "serve_onnx",
    "validate_snapshot",
    "wrong_token_files",
]

def build_info() -> dict[str, str]:
    """Say how the native module was built.

    Returns:
        `version`, `profile` (`release` or `debug`), `features` (with commas between), `target` (`linux-x86_64`).
    """

def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends, however that ends.

    Args:
        parent: The parent's number: it may have ended already.

    Raises:
        RuntimeError: If it has, or is another.
    """

def serve_onnx() -> None:
    """Run an ONNX model for the edge that started this process, until that lets go of it.

    Standard input is the socket to it, and standard output the memory that is shared with it.

    Raises:
        RuntimeError: If the edge cannot be spoken to.
    """

def explain_key(snapshot_json: str, method: str, url: str, headers: Sequence[tuple[str, bytes]], body: bytes) -> str:
    """Say what the key of a request would be, and what made it, without running an edge.

    Args:
        snapshot_json: The document of `docs/concepts/first-light.md`.
        method: The method.
        url: `https://host/path?query`, percent-encoded.
        headers: Fields of the request.
        body: The request's body; empty for none.

    Returns:
        A JSON object: `host`, `distribution`, `behavior`, `policy`, `does`, `reason`, `key`, `sent`.

    Raises:
        SnapshotInvalid: If the snapshot would not be taken.
        ValueError: If the URL is not as it is sent.
    """

def replay(
    policy: str,
    capacity_bytes: int,
    identities: Buffer,
    sizes: Buffer,
    *,
    weight: float,
    second_request: bool = False,
) -> tuple[int, int]:
    """Run a trace through an eviction policy, the one that serves, without the interpreter's lock.

    Args:
        policy: `shelf`, `s3fifo`, `lru`, `clock` or `noop`, which lets nothing go.
        capacity_bytes: The size of the cache. What is larger than it is never in it.
        identities: Which object each request asks for.
        sizes: Its size in bytes, for each request.
        weight: What a miss costs: 1 by request, 0 by byte.
        second_request: Admit only what was asked for, or let go, lately.

    Returns:
        Misses, and the bytes that were missed.

    Raises:
        ValueError: If there is no such policy, or there are more identities than sizes or the reverse.
        BufferError: If they are not unsigned integers of 64 bits.
    """

def check_model(path: str | PathLike[str]) -> None:
    """Look whether a file is an ONNX model and what it names beside itself is there; it is not loaded.

    Args:
        path: The file.

    Raises:
        ModelRefused: If not; the text says why.
    """

def validate_snapshot(snapshot_json: str) -> None:
    """Check a compiled configuration as a running edge would.

    Args:
        snapshot_json: The document of `docs/concepts/first-light.md`.

    Raises:
        SnapshotInvalid: If it would not be taken; the text names the place and what would be right.
    """

def wrong_token_files(snapshot_json: str) -> dict[str, str]:
    """Read the files of tokens and keys that a compiled configuration names, as a running edge would.

    Args:
        snapshot_json: The document of `docs/concepts/first-light.md`.

    Returns:
        What is wrong with them, by file; files that are not here, or not to be opened, are left out.

    Raises:
        SnapshotInvalid: If the document would not be taken.
    """

@final
class NativeEdge:
    """An edge that runs on threads of this process. It installs no signal handler and never enters the interpreter."""

    def __new__(
        cls,
        options_json: str,
        snapshot_json: str,
        listener_fds: Sequence[int] = ...,
        tls_listener_fds: Sequence[int] = ...,
    ) -> NativeEdge:
        """Listen and serve.

        Args:
            options_json: What is of this machine: the `[edge]` table in plain numbers.
            snapshot_json: The compiled configuration.
            listener_fds: Listening sockets to serve on in place of `listen`; they are given away.
            tls_listener_fds: The same for clients that come by TLS, in place of `listen_tls`.

        Raises:
            ConfigInvalid: If an option is wrong.
            SnapshotInvalid: If the configuration is.
            AddressInUse: If an address is taken.
            AddressInvalid: If an address cannot be listened on.
            OSError: If the system refuses threads or files.
        """

    def reload(self, snapshot_json: str) -> int:
        """Put another configuration in force for requests that begin from now on.

        Returns:
            Its revision.

        Raises:
            SnapshotInvalid: If it is not valid; what served before goes on serving.
        """

    def models(self) -> str:
        """Say which models are loaded, as JSON."""

    def update_model(self, name: str, path: str | None, version: str | None) -> str:
        """Put another version of a model in force; wait until the old one is gone and its predictions are forgotten.

        Args:
            name: The model's name.
            path: The file; None reads the file again that it has.
            version: What the version is called; None: as its contents.

        Returns:
            What became of it, as JSON.

        Raises:
            ModelRefused: If it cannot be; nothing changes then.
        """

    def unload_model(self, name: str, version: str | None) -> str:
        """Take a version of a model out of force, by default the default one.

        Returns:
            What became of it, as JSON.

        Raises:
            ModelRefused: If there is none.
        """

    def addresses(self) -> list[str]:
        """Return what clients connect to: `http://127.0.0.1:8080`, `unix:/run/x.sock`."""

    def admin_address(self) -> str | None:
        """Return where the admin listener is."""

    def listener_fds(self) -> list[int]:
        """Return the listening sockets for a successor process; they stay open here."""

    def tls_listener_fds(self) -> list[int]:
        """Return those for clients that come by TLS."""

    def reload_certificates(self, certificates_json: str) -> None:
        """Put other certificates in force for handshakes that begin from now on.

        Args:
            certificates_json: A list of objects with the paths ``certificate`` and ``key``; the default is the first.

        Raises:
            ConfigInvalid: If one cannot be read, or a key is not its certificate's; then nothing changes.
        """

    def stats(self) -> str:
        """Return what the edge has done so far, as JSON."""

    def metrics(self) -> str:
        """Return its metrics in Prometheus' text format."""

    def take_events(self) -> list[tuple[str, str, str]]:
        """Return failures of origins, and their ends, since the last call: the request's id, the reason, what happened.

        The id is empty for what is no single request's, the reason for an end.
        """

    def request(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, bytes]],
        body: bytes,
        timeout_seconds: float,
    ) -> tuple[int, list[tuple[str, bytes]], bytes]:
        """Send a request through the machine, without a socket.

        Returns:
            Status, field lines and body.

        Raises:
            TimeoutError: If there was no whole answer in time.
            RuntimeError: If it broke off, or the edge is stopped.
            ValueError: If the URL or the timeout is not valid.
        """

    def invalidate(self, selectors: Sequence[str], soft: bool) -> tuple[int, bool]:
        """Forget what the selectors name, or with `soft` make it stale; with a disk once that is on it.

        Returns:
            The number in this edge's sequence, and whether it holds after a restart.

        Raises:
            SelectorInvalid: If one cannot be read; then nothing is forgotten.
            InvalidationRefused: If there is no room for more pattern rules, or a control process is followed; then
                nothing is forgotten.
        """

    def follow(self, batch: bytes, configured: int | None) -> str:
        """Apply a batch of a journal's events that comes after the edge's place; with a disk once it is on it.

        Args:
            batch: JSON: `journal`, `epoch`, `after`, `events`, `chain`; at most 16 MiB and 10,000 events.
            configured: The revision of the journal's configuration that is in force.

        Returns:
            A JSON object: `place`, `applied`, `widened`, `durable`, `waits_for_configuration`, `stopped_at`.

        Raises:
            FollowRefused: If it is no batch; nothing is applied then.
            FollowGap: If it begins after the edge's place.
            FollowParted: If it is of another history than the edge has applied, or it has joined none.
        """

    def join(self, place_json: str, trusted: bool) -> bool:
        """Go on from a place of a journal: `journal`, `epoch`, `position`, `chain`.

        Unless it is `trusted`, nothing that was stored before is used until its origin has confirmed it.

        Returns:
            Whether that holds after a restart.

        Raises:
            FollowRefused: If that is no place.
        """

    def place(self) -> str | None:
        """Return where in a journal the edge is, as JSON."""

    def set_following(self, url: str | None) -> None:
        """Follow the control process at a URL, or nobody: direct invalidations are refused, and name it."""

    def level(self, age_seconds: float) -> None:
        """All that the control process had acknowledged so long ago has been applied.

        Raises:
            ValueError: If that is no time.
        """

    def level_as_of(self, at_seconds: float) -> None:
        """All that the control process had acknowledged at that moment, by ``CLOCK_BOOTTIME``, has been applied.

        Raises:
            ValueError: If that is no time, or still to come.
        """

    def set_link(self, is_cut: bool, behind: int | None, problem: str, revision: int | None) -> None:
        """Keep how it is between the edge and the control process, for stats and metrics.

        Args:
            is_cut: Whether nothing is heard of it.
            behind: Events that are known to be there and not applied yet.
            problem: What is wrong, in words; at most 1,000 characters are kept.
            revision: The journal's configuration that is in force.
        """

    def cache_entries(self, query: str) -> str:
        """Return a page of what is kept, as JSON.

        Args:
            query: As in a URL: `prefix`, `tag`, `min_bytes`, `limit` (at most 1000), `cursor`.

        Raises:
            ValueError: If it says something else.
        """

    def cache_show(self, url: str) -> str:
        """Return what is kept of a URL, as JSON.

        Raises:
            ValueError: If it is not a URL, or none that is served here.
        """

    def begin_cache_check(self) -> None:
        """Begin to check everything on disk, unless that is under way.

        Raises:
            ValueError: If there is no disk.
        """

    def cache_check(self) -> str:
        """Return how far that is, as JSON."""

    def serve(self) -> None:
        """Accept clients, where the option `hold` has kept them in the system's queue. May be called again."""

    def drain(self, timeout_seconds: float, keep_listeners: bool) -> bool:
        """Stop accepting and finish what is under way; with `keep_listeners` the queue is left to a successor.

        Returns:
            Whether everything was finished in time.
        """

    def stop(self) -> None:
        """End at once. May be called again."""

@final
class DemoOrigin:
    """A web origin over a directory, for `bodega up`."""

    def __new__(cls, root: str | PathLike[str], listen: str) -> DemoOrigin:
        """Serve the files under `root` on `listen`."""

    @property
    def address(self) -> str:
        """Host and port."""

    @property
    def url(self) -> str:
        """The address as a URL."""

    def set_down(self, down: bool) -> None:
        """Break every connection, or answer again."""

    def stats(self) -> str:
        """Return `{"requests": n, "bytes_sent": n}`."""

    def stop(self) -> None:
        """Stop listening and close every connection. May be called again."""

@final
class DemoS3:
    """An S3 server over a directory, for `bodega up`."""

    def __new__(
        cls,
        root: str | PathLike[str],
        listen: str,
        access_key: str,
        secret_key: str,
        public_buckets: Sequence[str],
    ) -> DemoS3:
        """Serve the buckets under `root` on `listen`, path-style; signatures are checked."""

    @property
    def address(self) -> str:
        """Host and port."""

    @property
    def url(self) -> str:
        """The address as a URL."""

    def stats(self) -> str:
        """Return `{"requests": n, "bytes_sent": n}`."""

    def stop(self) -> None:
        """Stop listening and close every connection. May be called again."""

@final
class DemoRelay:
    """A relay before a server, which makes it seem far away."""

    def __new__(cls, target: str, delay_ms: float, listen: str) -> DemoRelay:
        """Relay `listen` to `target` with `delay_ms` milliseconds each way."""

    @property
    def address(self) -> str:
        """Host and port."""

    @property
    def url(self) -> str:
        """The address as a URL."""

    def stats(self) -> str:
        """Return `{"requests": n, "bytes_sent": n}`: connections, and bytes from the target."""

    def stop(self) -> None:
        """Stop listening and close every connection. May be called again."""
