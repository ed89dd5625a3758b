"""What holds for every origin, however it is asked: timeouts, attempts, connections, health."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodega.distributions import checks
from bodega.distributions.shapes import CountShape, DurationShape, FlagShape, NounShape, TextShape, about
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Duration

CONNECT_TIMEOUT = about(DurationShape(), "How long connecting may take, TLS included.")
FIRST_BYTE_TIMEOUT = about(DurationShape(), "How long the origin may take until the head of its answer.")
BETWEEN_BYTES_TIMEOUT = about(DurationShape(), "How long the origin may pause within a body.")
ATTEMPTS = about(CountShape(1, 10), "How often a safe request is tried in all, each time on another connection.")
MAX_CONNECTIONS = about(CountShape(1, 65_535), "Connections to this origin at once.")
MAX_QUEUE = about(CountShape(0, 1_000_000), "Requests that may wait for a connection; beyond, 503 with `Retry-After`.")
QUEUE_TIMEOUT = about(DurationShape(), "How long a request may wait for a connection; then 503 with `Retry-After`.")
_MAX_FAILURES = 1_000_000


@dataclass(frozen=True, slots=True)
class Health:
    """When an origin is taken as failing, and what then.

    Example:
        >>> Health(max_failures=5).retry_after
        '1s'

    Attributes:
        max_failures: So many failures in a row; 0 for never.
        retry_after: How long until it is tried again, 10 ms to 1 h; doubled with each failed trial, up to 30 s.
        fail_fast: Whether requests that nothing else can answer are refused meanwhile, with 503.
    """

    max_failures: int = field(
        default=3,
        metadata=about(
            CountShape(0, _MAX_FAILURES),
            "So many failures in a row make it failing; 0 for never.",
        ),
    )
    retry_after: Duration = field(
        default="1s",
        metadata=about(
            DurationShape(), "How long until one request tries it again; doubled each time in vain, up to 30 s."
        ),
    )
    fail_fast: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            "While it is failing, also refuse requests that nothing else can answer: 503 with `Retry-After`.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        checks.count(self.max_failures, 0, _MAX_FAILURES, "max_failures")
        if not 0.01 <= checks.duration(self.retry_after, "retry_after") <= 3600:
            raise ConfigInvalid(
                f'"{self.retry_after}" is out of range', hint='write "10ms" to "1h"', path=("retry_after",)
            )
        checks.flag(self.fail_fast, "fail_fast")


HEALTH = about(
    NounShape(Health),
    "When it is taken as failing. Then a group asks the next member, and what is stored answers without a wait.",
    default="three failures in a row, tried again after 1 s",
)
CA_FILE = about(
    TextShape(examples=("/etc/ssl/private-ca.pem",)),
    "Certificates (PEM) that this origin's certificate is checked against, in place of the system's.",
    default="the system's",
)


def check_transport(origin: Any) -> None:
    """Check what is here of an origin.

    Raises:
        ConfigInvalid: If something is out of its bounds.
    """
    for name in ("connect_timeout", "first_byte_timeout", "between_bytes_timeout", "queue_timeout"):
        if checks.duration(getattr(origin, name), name) == 0 and name != "queue_timeout":
            raise ConfigInvalid("no origin answers in no time", hint='write for instance "5s"', path=(name,))
    checks.count(origin.attempts, 1, 10, "attempts")
    checks.count(origin.max_connections, 1, 65_535, "max_connections")
    checks.count(origin.max_queue, 0, 1_000_000, "max_queue")
    if not isinstance(origin.health, Health):
        raise ConfigInvalid(
            f"a {type(origin.health).__name__} is not Health", hint="write Health(max_failures=3)", path=("health",)
        )
    if origin.ca_file is not None:
        file_path(origin, "ca_file")


def file_path(origin: Any, name: str) -> None:
    """Check the path of a file, and write `~` out.

    Raises:
        ConfigInvalid: If it is none.
    """
    written = checks.text(getattr(origin, name), name)
    if not written:
        raise ConfigInvalid("an empty path names no file", path=(name,))
    object.__setattr__(origin, name, str(Path(written).expanduser()))
