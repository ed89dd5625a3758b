"""Origins: where the truth is. An HTTP server, a bucket of an S3-compatible store, or a group of these.

No noun here holds a secret: S3 credentials come from the environment or from a file that is read by the data plane.
Texts of errors never repeat an address that carries a password.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, urlsplit

from bodega.distributions import checks
from bodega.distributions.shapes import (
    CountShape,
    DurationShape,
    FlagShape,
    ListShape,
    NameShape,
    NounShape,
    TextShape,
    about,
)
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Duration

_CONNECT_TIMEOUT = about(DurationShape(), "How long connecting may take, TLS included.")
_FIRST_BYTE_TIMEOUT = about(DurationShape(), "How long the origin may take until the head of its answer.")
_BETWEEN_BYTES_TIMEOUT = about(DurationShape(), "How long the origin may pause within a body.")
_ATTEMPTS = about(CountShape(1, 10), "How often a safe request is tried in all, each time on another connection.")
_MAX_CONNECTIONS = about(CountShape(1, 65_535), "Connections to this origin at once.")
_MAX_QUEUE = about(CountShape(0, 1_000_000), "Requests that may wait for a connection; beyond, 503 with `Retry-After`.")
_QUEUE_TIMEOUT = about(DurationShape(), "How long a request may wait for a connection; then 503 with `Retry-After`.")
_MAX_FAILURES = 1_000_000
_MAX_MEMBERS = 8


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


_HEALTH = about(
    NounShape(Health),
    "When it is taken as failing. Then a group asks the next member, and what is stored answers without a wait.",
    default="three failures in a row, tried again after 1 s",
)
_CA_FILE = about(
    TextShape(examples=("/etc/ssl/private-ca.pem",)),
    "Certificates (PEM) that this origin's certificate is checked against, in place of the system's.",
    default="the system's",
)


@dataclass(frozen=True, slots=True)
class HttpOrigin:
    """A web server.

    Example:
        >>> HttpOrigin("https://www.example.com/").url
        'https://www.example.com'

    Attributes:
        url: Scheme, host and port; paths are the behaviors' business.
        host: The `Host` the origin sees: its own by default, ``"viewer"`` for the client's, else this name.
        connect_timeout: For connecting, TLS included.
        first_byte_timeout: Until the head of an answer.
        between_bytes_timeout: For a pause within a body.
        attempts: Tries of a safe request in all, 1 to 10.
        max_connections: Connections at once, 1 to 65535.
        max_queue: Requests that may wait for a connection.
        queue_timeout: How long one may wait.
        health: When it is taken as failing.
        ca_file: Certificates to check the origin's against.
    """

    url: str = field(
        metadata=about(
            TextShape(examples=("https://www.origin.example.com", "http://127.0.0.1:9000")),
            "Scheme, host and port. A path is added by the behavior's `add_prefix`.",
        )
    )
    _: KW_ONLY
    host: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("viewer", "www.example.com")),
            'The `Host` that the origin sees: "viewer" for the one the client sent, or a name.',
            default="the origin's own",
        ),
    )
    connect_timeout: Duration = field(default="5s", metadata=_CONNECT_TIMEOUT)
    first_byte_timeout: Duration = field(default="30s", metadata=_FIRST_BYTE_TIMEOUT)
    between_bytes_timeout: Duration = field(default="30s", metadata=_BETWEEN_BYTES_TIMEOUT)
    attempts: int = field(default=2, metadata=_ATTEMPTS)
    max_connections: int = field(default=256, metadata=_MAX_CONNECTIONS)
    max_queue: int = field(default=1024, metadata=_MAX_QUEUE)
    queue_timeout: Duration = field(default="5s", metadata=_QUEUE_TIMEOUT)
    health: Health = field(default=Health(), metadata=_HEALTH)
    ca_file: str | None = field(default=None, metadata=_CA_FILE)

    def __post_init__(self) -> None:
        """Check every field."""
        object.__setattr__(self, "url", _server(self.url, "url", "paths are added with the behavior's `add_prefix`"))
        if self.host is not None and self.host != "viewer":
            _check_host(self.host)
        _check_transport(self)


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket of an S3-compatible store.

    Example:
        >>> S3("shop-images", endpoint="https://s3.example.com", region="eu-west-1").bucket
        'shop-images'

    Attributes:
        bucket: The bucket's name.
        prefix: What every key begins with, without a leading slash.
        endpoint: The store's address; by default AWS, or what ``AWS_ENDPOINT_URL_S3`` names.
        region: The region requests are signed for; by default what ``AWS_REGION`` names, else ``us-east-1``.
        path_style: Whether the bucket is in the path; by default true for an endpoint of one's own.
        credentials_file: A file in the form of ``~/.aws/credentials``; by default the environment.
        profile: The section of that file.
        unsigned: Whether requests go unsigned, for public buckets.
        missing_as_404: Whether 403 for a key is shown as 404, as stores answer that may not list the bucket.
        index_document: What is appended to an empty key and to keys that end in a slash.
        connect_timeout: For connecting, TLS included.
        first_byte_timeout: Until the head of an answer.
        between_bytes_timeout: For a pause within a body.
        attempts: Tries of a safe request in all, 1 to 10.
        max_connections: Connections at once, 1 to 65535.
        max_queue: Requests that may wait for a connection.
        queue_timeout: How long one may wait.
        health: When it is taken as failing.
        ca_file: Certificates to check the store's against.
    """

    bucket: str
    _: KW_ONLY
    prefix: str = field(
        default="",
        metadata=about(
            TextShape(examples=("site/",)),
            "What every key begins with. Also written into the address: `s3://bucket/prefix`.",
        ),
    )
    endpoint: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("https://s3.example.com", "http://127.0.0.1:9001")),
            "Address of the store.",
            default="`AWS_ENDPOINT_URL_S3`, else AWS",
        ),
    )
    region: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("eu-west-1",)),
            "Region that requests are signed for.",
            default='`AWS_REGION`, else "us-east-1"',
        ),
    )
    path_style: bool | None = field(
        default=None,
        metadata=about(
            FlagShape(),
            "Whether the bucket is in the path (`https://store/bucket/key`) rather than in the host.",
            default="true with an endpoint, false for AWS",
        ),
    )
    credentials_file: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("/etc/bodega/credentials",)),
            "File in the form of `~/.aws/credentials`.",
            default="the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`",
        ),
    )
    profile: str = field(
        default="default", metadata=about(TextShape(examples=("default",)), "Section of `credentials_file`.")
    )
    unsigned: bool = field(
        default=False, metadata=about(FlagShape(), "Send requests without a signature, for public buckets.")
    )
    missing_as_404: bool = field(
        default=True,
        metadata=about(
            FlagShape(),
            "Show 403 for a key as 404: a store answers so for missing keys if the credentials may "
            "not list the bucket.",
        ),
    )
    index_document: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("index.html",)),
            "Appended to an empty key and to keys that end in a slash.",
            default="none",
        ),
    )
    connect_timeout: Duration = field(default="5s", metadata=_CONNECT_TIMEOUT)
    first_byte_timeout: Duration = field(default="30s", metadata=_FIRST_BYTE_TIMEOUT)
    between_bytes_timeout: Duration = field(default="30s", metadata=_BETWEEN_BYTES_TIMEOUT)
    attempts: int = field(default=2, metadata=_ATTEMPTS)
    max_connections: int = field(default=256, metadata=_MAX_CONNECTIONS)
    max_queue: int = field(default=1024, metadata=_MAX_QUEUE)
    queue_timeout: Duration = field(default="5s", metadata=_QUEUE_TIMEOUT)
    health: Health = field(default=Health(), metadata=_HEALTH)
    ca_file: str | None = field(default=None, metadata=_CA_FILE)

    def __post_init__(self) -> None:
        """Check every field."""
        if not _BUCKET.fullmatch(checks.text(self.bucket, "bucket")):
            raise ConfigInvalid(
                f'"{_hidden(self.bucket)}" is not a bucket',
                hint='use 3 to 63 lower-case letters, digits, "-" and "."; prefixes go into `prefix`',
                path=("bucket",),
            )
        object.__setattr__(self, "prefix", checks.text(self.prefix, "prefix").removeprefix("/"))
        if self.endpoint is not None:
            object.__setattr__(self, "endpoint", _server(self.endpoint, "endpoint", "the bucket has its own place"))
        if self.region is not None and not _REGION.fullmatch(checks.text(self.region, "region")):
            raise ConfigInvalid(f'"{self.region}" is not a region', hint='for instance "eu-west-1"', path=("region",))
        if self.unsigned and self.credentials_file is not None:
            raise ConfigInvalid(
                "an unsigned origin needs no credentials",
                hint="remove `unsigned` or `credentials_file`",
                path=("credentials_file",),
            )
        if self.credentials_file is not None:
            _file(self, "credentials_file")
        checks.text(self.profile, "profile")
        if self.index_document is not None:
            document = checks.text(self.index_document, "index_document")
            if not document or document.startswith("/"):
                raise ConfigInvalid(
                    f'"{document}" is not the name of a document',
                    hint='for instance "index.html"',
                    path=("index_document",),
                )
        for name in ("unsigned", "missing_as_404"):
            checks.flag(getattr(self, name), name)
        if self.path_style is not None:
            checks.flag(self.path_style, "path_style")
        _check_transport(self)


SingleOrigin: TypeAlias = HttpOrigin | S3
"""One origin, and no group."""


@dataclass(frozen=True, slots=True)
class OriginGroup:
    """Origins that stand in for one another: the first is asked, and where it fails the next.

    Only `GET`, `HEAD` and `OPTIONS` without a body go to another member than the first.

    Example:
        >>> OriginGroup(["site-a", "site-b"]).failover
        (500, 502, 503, 504)

    Attributes:
        group: 2 to 8 origins in the order in which they are asked: names of declared ones, addresses, or nouns.
        failover: Statuses after which the next member is asked, as it is after no answer at all; 400 to 599.
    """

    group: Sequence[str | SingleOrigin] = field(
        metadata=about(
            ListShape(NameShape("origins")),
            "2 to 8 origins in the order in which they are asked: names of declared ones, or addresses.",
        )
    )
    _: KW_ONLY
    failover: Sequence[int] = field(
        default=(500, 502, 503, 504),
        metadata=about(
            ListShape(CountShape(400, 599)),
            "Statuses after which the next member is asked. It always is when one gives no answer.",
            default="`[500, 502, 503, 504]`",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if isinstance(self.group, str) or not isinstance(self.group, Sequence):
            raise ConfigInvalid(
                f"a {type(self.group).__name__} is not a list of origins",
                hint='for instance ["site-a", "site-b"]',
                path=("group",),
            )
        members = tuple(_member(member, index) for index, member in enumerate(self.group))
        if not 2 <= len(members) <= _MAX_MEMBERS:
            what = "a group of one has nobody to turn to" if len(members) == 1 else f"a group of {len(members)}"
            raise ConfigInvalid(what, hint=f"name 2 to {_MAX_MEMBERS} origins", path=("group",))
        for index, member in enumerate(members):
            if member in members[:index]:
                raise ConfigInvalid("the same origin is there twice", hint="name it once", path=("group", index))
        object.__setattr__(self, "group", members)
        statuses = checks.counts(self.failover, 400, 599, "failover")
        object.__setattr__(self, "failover", tuple(dict.fromkeys(statuses)))


Origin: TypeAlias = HttpOrigin | S3 | OriginGroup
"""Whatever a behavior may fetch from."""


def is_origin(value: object) -> bool:
    """Whether a value is an origin or a group of origins."""
    return isinstance(value, HttpOrigin | S3 | OriginGroup)


def bucket_and_prefix(url: str, *field: str | int) -> tuple[str, str]:
    """Take ``s3://bucket/prefix`` apart.

    Raises:
        ConfigInvalid: If it names no bucket, or carries credentials, a query or a fragment.
    """
    parts = _split(url, *field)
    if parts.username is not None or parts.password is not None:
        raise _credentials_in_address(*field)
    if parts.query or parts.fragment:
        raise ConfigInvalid("the address of a bucket ends with its prefix", hint="use s3://bucket/prefix", path=field)
    if not parts.netloc:
        raise ConfigInvalid(f'"{url}" names no bucket', hint='write "s3://bucket" or "s3://bucket/prefix"', path=field)
    return parts.netloc, parts.path.removeprefix("/")


def origin_from_url(url: str) -> SingleOrigin:
    """Make an origin from its address alone.

    Args:
        url: ``https://host``, ``http://host:port`` or ``s3://bucket/prefix``.

    Raises:
        ConfigInvalid: If it is no such address; the path is empty.
    """
    try:
        if url.lower().startswith("s3://"):
            bucket, prefix = bucket_and_prefix(url)
            return S3(bucket, prefix=prefix)
        return HttpOrigin(url)
    except ConfigInvalid as error:
        first = error.problems[0]
        raise ConfigInvalid(first.what, hint=first.hint) from None


def _member(member: object, index: int) -> str | SingleOrigin:
    """A name stays a name, an address becomes an origin."""
    if isinstance(member, HttpOrigin | S3):
        return member
    if isinstance(member, OriginGroup):
        raise ConfigInvalid("a group is no member", hint="name its members here instead", path=("group", index))
    if isinstance(member, str) and "://" in member:
        try:
            return origin_from_url(member)
        except ConfigInvalid as error:
            raise error.under("group", index) from None
    return checks.name(member, "group", index)


def _server(url: object, name: str, no_path: str) -> str:
    written = checks.text(url, name).strip()
    shown = _hidden(written)
    if "://" not in written:
        guess = "http" if _LOCAL.match(written) else "https"
        bare = written.lstrip("/")
        hint = (
            f"did you mean `{guess}://{bare}`?"
            if bare and "@" not in bare
            else "write https://host or http://host:port"
        )
        raise ConfigInvalid(f'"{shown}" has no scheme', hint=hint, path=(name,))
    parts = _split(written, name)
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        known = ("http", "https", "s3") if name == "url" else ("http", "https")
        hint = checks.suggest(scheme, known) or f"use {' or '.join(f'{word}://' for word in known)}"
        raise ConfigInvalid(f'"{shown}" has an unknown scheme', hint=hint, path=(name,))
    if parts.username is not None or parts.password is not None:
        raise _credentials_in_address(name)
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ConfigInvalid(f'"{shown}" has more than scheme, host and port', hint=no_path, path=(name,))
    if not parts.hostname:
        raise ConfigInvalid(f'"{shown}" names no host', hint="write https://host or http://host:port", path=(name,))
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise ConfigInvalid(
            f'"{shown}" is not the address of a server', hint="write https://host or http://host:port", path=(name,)
        )
    return f"{scheme}://{parts.netloc.lower()}"


def _split(url: str, *field: str | int) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigInvalid(
            f'"{_hidden(url)}" is not an address', hint="check its host and port; ports are 1 to 65535", path=field
        ) from None
    if port == 0:
        raise ConfigInvalid(f'"{_hidden(url)}" has port 0', hint="ports are 1 to 65535", path=field)
    return parts


def _credentials_in_address(*field: str | int) -> ConfigInvalid:
    return ConfigInvalid(
        "the address holds a user name or password",
        hint="remove it: addresses are logged; set an `authorization` header from the client, or use "
        "`credentials_file` for S3",
        path=field,
    )


def _hidden(written: str) -> str:
    """Blank out what stands before an @, so that no password reaches a terminal or a log."""
    return re.sub(r"^([A-Za-z0-9+.-]*://)?.*@", r"\1…@", written, flags=re.DOTALL)


def _check_host(host: str) -> None:
    written = checks.text(host, "host")
    if not _AUTHORITY.fullmatch(written):
        raise ConfigInvalid(
            f'"{written}" is not a host',
            hint='write "viewer" for the client\'s host, or a name such as "www.example.com"',
            path=("host",),
        )


def _check_transport(origin: HttpOrigin | S3) -> None:
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
        _file(origin, "ca_file")


def _file(origin: HttpOrigin | S3, name: str) -> None:
    written = checks.text(getattr(origin, name), name)
    if not written:
        raise ConfigInvalid("an empty path names no file", path=(name,))
    object.__setattr__(origin, name, str(Path(written).expanduser()))


_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", re.ASCII)
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?)(:\d{1,5})?", re.ASCII)
_LOCAL = re.compile(r"(localhost|127\.|10\.|192\.168\.|\[|[\w.-]+:\d)", re.ASCII)
