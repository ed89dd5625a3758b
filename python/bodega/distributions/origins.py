"""Single origins: an HTTP server, or a bucket of an S3-compatible store.

No noun here holds a secret: S3 credentials come from the environment or from a file that is read by the data plane.
Texts of errors never repeat an address that carries a password.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from bodega.distributions import checks
from bodega.distributions.origin_address import check_host, credentials_in_address, hidden, server_url, split_address
from bodega.distributions.origin_transport import (
    ATTEMPTS,
    BETWEEN_BYTES_TIMEOUT,
    CA_FILE,
    CONNECT_TIMEOUT,
    FIRST_BYTE_TIMEOUT,
    HEALTH,
    MAX_CONNECTIONS,
    MAX_QUEUE,
    QUEUE_TIMEOUT,
    Health,
    check_transport,
    file_path,
)
from bodega.distributions.shapes import FlagShape, TextShape, about
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Duration


@dataclass(frozen=True, slots=True)
class HttpOrigin:
    """A web server.

    Example:
        >>> HttpOrigin("https://www.example.com/").url
        'https://www.example.com'

    Attributes:
        url: Scheme, host and port; paths are the behaviors' business.
        host: The `Host` the origin sees: its own by default, ``"viewer"`` for the client's, else this name.
        region: In which region it is, as edges call theirs; for behaviors that are `region_only`.
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
    region: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("eu-west-2", "eu-*")),
            "In which region it is, as edges call theirs; `*` stands for any characters. Behaviors that are "
            "`region_only` ask it from there alone.",
            default="not said",
        ),
    )
    connect_timeout: Duration = field(default="5s", metadata=CONNECT_TIMEOUT)
    first_byte_timeout: Duration = field(default="30s", metadata=FIRST_BYTE_TIMEOUT)
    between_bytes_timeout: Duration = field(default="30s", metadata=BETWEEN_BYTES_TIMEOUT)
    attempts: int = field(default=2, metadata=ATTEMPTS)
    max_connections: int = field(default=256, metadata=MAX_CONNECTIONS)
    max_queue: int = field(default=1024, metadata=MAX_QUEUE)
    queue_timeout: Duration = field(default="5s", metadata=QUEUE_TIMEOUT)
    health: Health = field(default=Health(), metadata=HEALTH)
    ca_file: str | None = field(default=None, metadata=CA_FILE)

    def __post_init__(self) -> None:
        """Check every field."""
        object.__setattr__(self, "url", server_url(self.url, "url", "paths are added with the behavior's `add_prefix`"))
        if self.host is not None and self.host != "viewer":
            check_host(self.host)
        if self.region is not None:
            checks.edge_pattern(self.region, "region")
        check_transport(self)


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
    connect_timeout: Duration = field(default="5s", metadata=CONNECT_TIMEOUT)
    first_byte_timeout: Duration = field(default="30s", metadata=FIRST_BYTE_TIMEOUT)
    between_bytes_timeout: Duration = field(default="30s", metadata=BETWEEN_BYTES_TIMEOUT)
    attempts: int = field(default=2, metadata=ATTEMPTS)
    max_connections: int = field(default=256, metadata=MAX_CONNECTIONS)
    max_queue: int = field(default=1024, metadata=MAX_QUEUE)
    queue_timeout: Duration = field(default="5s", metadata=QUEUE_TIMEOUT)
    health: Health = field(default=Health(), metadata=HEALTH)
    ca_file: str | None = field(default=None, metadata=CA_FILE)

    def __post_init__(self) -> None:
        """Check every field."""
        if not _BUCKET.fullmatch(checks.text(self.bucket, "bucket")):
            raise ConfigInvalid(
                f'"{hidden(self.bucket)}" is not a bucket',
                hint='use 3 to 63 lower-case letters, digits, "-" and "."; prefixes go into `prefix`',
                path=("bucket",),
            )
        object.__setattr__(self, "prefix", checks.text(self.prefix, "prefix").removeprefix("/"))
        if self.endpoint is not None:
            object.__setattr__(self, "endpoint", server_url(self.endpoint, "endpoint", "the bucket has its own place"))
        if self.region is not None and not _REGION.fullmatch(checks.text(self.region, "region")):
            raise ConfigInvalid(f'"{self.region}" is not a region', hint='for instance "eu-west-1"', path=("region",))
        if self.unsigned and self.credentials_file is not None:
            raise ConfigInvalid(
                "an unsigned origin needs no credentials",
                hint="remove `unsigned` or `credentials_file`",
                path=("credentials_file",),
            )
        if self.credentials_file is not None:
            file_path(self, "credentials_file")
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
        check_transport(self)


SingleOrigin: TypeAlias = HttpOrigin | S3
"""One origin, and no group."""


def bucket_and_prefix(url: str, *field: str | int) -> tuple[str, str]:
    """Take ``s3://bucket/prefix`` apart.

    Raises:
        ConfigInvalid: If it names no bucket, or carries credentials, a query or a fragment.
    """
    parts = split_address(url, *field)
    if parts.username is not None or parts.password is not None:
        raise credentials_in_address(*field)
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


_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]", re.ASCII)
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
