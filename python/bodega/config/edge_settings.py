"""The settings of one machine: the `[edge]` table, options of `bodega edge`, and ``BODEGA_`` variables.

One field is one setting: its type, default, unit and text stand here and nowhere else.
What is here needs a restart; whatever can be reloaded belongs to the declarations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bodega.certificates import CertificateFiles
from bodega.config.addresses import is_local, listen_address
from bodega.config.control_settings import ControlSettings
from bodega.config.disk_tier import DiskTier
from bodega.config.shape_checks import check_shapes
from bodega.distributions import checks
from bodega.distributions.shapes import (
    ChoiceShape,
    CountShape,
    DurationShape,
    EitherShape,
    FlagShape,
    ListShape,
    NounShape,
    SizeShape,
    TextShape,
    about,
)
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Duration, Size


class SettingsContradict(ConfigInvalid):
    """Settings that are right each by itself, but not together: what is missing may yet come from somewhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings(ControlSettings):
    """The settings of one edge, as they are written.

    Attributes:
        name: Its name in `Cache-Status`, `Via` and logs.
        region: The region that metrics and statistics name.
        listen: Addresses to listen on: ``host:port`` or ``unix:/path``; port 0 takes a free one.
        listen_tls: Addresses for TLS; where none are written, `tls_addresses` says which.
        tls: ``"dev"``, or certificates: files and folders; the first is for names that no other has.
        tls_min_version: The oldest version of TLS that is spoken.
        tls_strict_names: Refuse handshakes for names that no certificate has.
        tls_client_ca: Authorities (PEM) whose client certificates are accepted.
        tls_client_auth: Whether clients are asked for certificates.
        http2: Offer HTTP/2.
        max_streams: Requests at once on one HTTP/2 connection.
        handshake_timeout: For a PROXY header and the TLS handshake together.
        max_handshakes: Connections at once that have not finished their handshake.
        proxy_protocol: Networks whose connections begin with a PROXY header.
        threads: Serving threads; None: one for each core this process may use.
        memory: Bound of the memory tier, index and heads included.
        memory_policy: Whom the memory tier lets go when it is full.
        disk: The disk tier, or its short form ``/path:size``; None: there is none.
        admin: Address of the admin listener, ``"off"``, or None for the place `bodega purge` looks at.
        admin_token: Bearer token for the admin listener; never shown.
        admin_tls_cert: Certificate chain (PEM) of the admin listener.
        admin_tls_key: Private key (PEM) of the admin listener.
        trusted_proxies: Networks whose `Forwarded` and `X-Forwarded-*` are believed.
        debug_networks: Networks that are told the cache keys of their requests where they ask.
        purge_networks: Networks whose ``PURGE`` makes this edge forget a URL.
        access_log: A path, ``"-"`` for standard output, or ``"off"``.
        access_log_format: Its form.
        max_connections: Client connections in all.
        max_connections_per_client: Client connections from one address.
        max_header: Size of the head of a request.
        max_body: Size of the body of a request.
        header_timeout: For the head of a request.
        idle_timeout: Between two requests of a connection.
        body_timeout: For a pause within the body of a request.
        write_timeout: For a client that takes nothing.
        fill_window: How much of an object too large to keep is held while it streams.
        confirm_rate: Questions a second to one origin about what is stored and has to be confirmed.

    Those of the control process are in `ControlSettings`.
    """

    name: str = field(
        default="bodega",
        metadata=about(TextShape(examples=("edge-1",)), "Name of this edge in `Cache-Status`, `Via` and logs."),
    )
    region: str = field(
        default="local", metadata=about(TextShape(examples=("eu-west-1",)), "Region that metrics and statistics name.")
    )
    listen: str | Sequence[str] = field(
        default=("127.0.0.1:8080",),
        metadata=about(
            ListShape(TextShape(examples=("127.0.0.1:8080", "[::]:80", "unix:/run/bodega/http.sock")), alone=True),
            "Addresses to listen on: `host:port` or `unix:/path`. Port 0 takes a free one.",
        ),
    )
    listen_tls: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("0.0.0.0:443", "[::]:443")), alone=True),
            "Addresses for TLS. It needs `tls`.",
            default="none; with `tls`: beside the first of `listen`, port 443 beside 80, 0 beside 0, else 8443",
        ),
    )
    tls: str | CertificateFiles | Sequence[str | CertificateFiles] | None = field(
        default=None,
        metadata=about(
            ListShape(
                EitherShape(
                    (
                        TextShape(examples=("dev", "/etc/letsencrypt/live", "/etc/bodega/site.pem")),
                        NounShape(CertificateFiles),
                    )
                ),
                alone=True,
            ),
            'Certificates: PEM files with their keys and folders of them, or "dev" for one that is made here. '
            "The first is for names that no other has. A reload reads them anew.",
            default="none",
        ),
    )
    tls_min_version: str = field(
        default="1.2", metadata=about(ChoiceShape(("1.2", "1.3")), "The oldest version of TLS that is spoken.")
    )
    tls_strict_names: bool = field(
        default=False,
        metadata=about(
            FlagShape(), "Refuse handshakes for names that no certificate has, in place of showing the first one."
        ),
    )
    tls_client_ca: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("/etc/bodega/clients.pem",)),
            "Authorities (PEM) whose client certificates are accepted.",
            default="none",
        ),
    )
    tls_client_auth: str = field(
        default="off",
        metadata=about(
            ChoiceShape(("off", "optional", "required")),
            "Whether clients are asked for a certificate, and whether there is a connection without one.",
        ),
    )
    http2: bool = field(default=True, metadata=about(FlagShape(), "Offer HTTP/2."))
    max_streams: int = field(
        default=128, metadata=about(CountShape(1, 1_000), "Requests at once on one HTTP/2 connection.")
    )
    handshake_timeout: Duration = field(
        default="10s",
        metadata=about(
            DurationShape(), "How long a client may take for a PROXY header and the TLS handshake together."
        ),
    )
    max_handshakes: int = field(
        default=1_024,
        metadata=about(CountShape(1, 1_000_000), "Connections at once that have not finished their handshake."),
    )
    proxy_protocol: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("10.0.0.0/8",)), alone=True),
            "Networks whose connections begin with a PROXY header (version 1 or 2), which says who the client is.",
            default="none",
        ),
    )
    threads: int | None = field(
        default=None, metadata=about(CountShape(1, 1024), "Serving threads.", default="one for each core")
    )
    memory: Size = field(
        default="512MB", metadata=about(SizeShape(), "Bound of what is kept in memory, index and heads included.")
    )
    memory_policy: str = field(
        default="shelf",
        metadata=about(
            ChoiceShape(("shelf", "lru", "s3fifo")),
            "Whom memory lets go when it is full; `docs/concepts/eviction.md` helps to choose.",
        ),
    )
    disk: str | DiskTier | None = field(
        default=None,
        metadata=about(
            EitherShape((TextShape(examples=("/var/cache/bodega:100GB",)), NounShape(DiskTier))),
            "Where and how much is kept on disk, and there again after a restart: `path:size`, or a table.",
            default="none: memory alone",
        ),
    )
    admin: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("127.0.0.1:9180", "unix:/run/bodega/admin.sock", "off")),
            'Admin listener (metrics, statistics, purges): `host:port`, `unix:/path`, or "off". '
            "Beyond this machine it needs `admin_token` and TLS.",
            default="a Unix socket where `bodega purge` and `bodega status` look",
        ),
    )
    admin_token: str | None = field(
        default=None,
        repr=False,
        metadata=about(
            TextShape(),
            "Bearer token that the admin listener asks for. Better set as `BODEGA_ADMIN_TOKEN`: "
            "options are seen in the list of processes.",
            default="none",
        ),
    )
    admin_tls_cert: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("/etc/bodega/admin.pem",)),
            "Certificate chain (PEM) of the admin listener.",
            default="none",
        ),
    )
    admin_tls_key: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("/etc/bodega/admin.key",)), "Private key (PEM) of the admin listener.", default="none"
        ),
    )
    trusted_proxies: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("10.0.0.0/8",)), alone=True),
            "Networks whose `Forwarded` and `X-Forwarded-*` are believed; from all others they are overwritten.",
            default="none",
        ),
    )
    debug_networks: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("10.0.0.0/8",)), alone=True),
            "Networks whose requests with `Bodega-Debug: key` are told their cache key in `Cache-Status`.",
            default="none",
        ),
    )
    purge_networks: str | Sequence[str] = field(
        default=("127.0.0.0/8", "::1"),
        metadata=about(
            ListShape(TextShape(examples=("10.0.0.0/8",)), alone=True),
            "Networks from which `PURGE https://host/path` makes this edge forget the URL, as `bodega purge` does; all "
            "others get 405, and it is never forwarded. What came through a proxy counts as its client's, and only "
            "where the proxy is in `trusted_proxies`. A proxy on this machine that passes `PURGE` on without a word "
            "of its client is taken for it: set this to [] then.",
            default="loopback",
        ),
    )
    access_log: str = field(
        default="off",
        metadata=about(
            TextShape(examples=("-", "/var/log/bodega/access.log", "off")), 'A path, "-" for standard output, or "off".'
        ),
    )
    access_log_format: str = field(
        default="json",
        metadata=about(ChoiceShape(("json", "combined")), "JSON lines, or the combined format of web servers."),
    )
    max_connections: int = field(
        default=16_384,
        metadata=about(CountShape(1, 1_000_000), "Client connections in all; more are closed at once and counted."),
    )
    max_connections_per_client: int = field(
        default=2_048, metadata=about(CountShape(1, 1_000_000), "Client connections from one address.")
    )
    max_header: Size = field(
        default="32KiB", metadata=about(SizeShape(), "Size of the head of a request; beyond, 431. 1 KiB to 1 MiB.")
    )
    max_body: Size = field(
        default="10GB",
        metadata=about(SizeShape(), "Size of the body of a request; beyond, 413. Bodies are streamed, not held."),
    )
    header_timeout: Duration = field(
        default="10s", metadata=about(DurationShape(), "How long a client may take to send the head of a request.")
    )
    idle_timeout: Duration = field(
        default="60s", metadata=about(DurationShape(), "How long a connection may be idle between two requests.")
    )
    body_timeout: Duration = field(
        default="30s", metadata=about(DurationShape(), "How long a client may pause within the body of a request.")
    )
    write_timeout: Duration = field(
        default="30s", metadata=about(DurationShape(), "How long a client may take nothing of an answer.")
    )
    fill_window: Size = field(
        default="8MiB",
        metadata=about(
            SizeShape(), "How much of an object that is too large to keep is held while it streams. At least 64 KiB."
        ),
    )
    confirm_rate: int = field(
        default=50,
        metadata=about(
            CountShape(1, 10_000),
            "Questions a second that an origin gets about what is stored, where the edge has parted from its journal "
            "and everything has to be confirmed before it is used. Who comes beyond that waits for at most 5 s, then "
            "gets 503. Every edge that has parted asks at this rate.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field by itself, then what they say together."""
        check_shapes(self)
        self._check_names()
        self._check_addresses()
        self._check_tls()
        _at_least(self.memory, 1_048_576, "1MiB", "memory")
        if self.disk is not None:
            object.__setattr__(self, "disk", _disk(self.disk))
        _at_least(self.max_header, 1_024, "1KiB", "max_header")
        if checks.size(self.max_header, "max_header") > 1_048_576:
            raise ConfigInvalid(
                f"{self.max_header} is too much for a head", hint='write at most "1MiB"', path=("max_header",)
            )
        _at_least(self.fill_window, 65_536, "64KiB", "fill_window")
        checks.size(self.max_body, "max_body")
        for name in ("handshake_timeout", "header_timeout", "idle_timeout", "body_timeout", "write_timeout"):
            if not 0.1 <= checks.duration(getattr(self, name), name) <= 86_400:
                raise ConfigInvalid(
                    f"{getattr(self, name)} is out of range", hint='write "100ms" to "24h"', path=(name,)
                )
        self.check_control()
        self._check_together()

    def _check_names(self) -> None:
        # The name is a token or a quoted string in Cache-Status (RFC 9211) and a pseudonym in Via (RFC 9110
        # section 7.6.3).
        for name in ("name", "region"):
            checks.name(getattr(self, name), name)
        if not checks.text(self.access_log, "access_log"):
            raise ConfigInvalid("an empty path names no file", hint='write a path, "-" or "off"', path=("access_log",))
        for name in ("trusted_proxies", "debug_networks", "purge_networks", "proxy_protocol"):
            members = enumerate(checks.as_tuple(getattr(self, name), name))
            object.__setattr__(self, name, tuple(checks.network(member, name, index) for index, member in members))

    def _check_addresses(self) -> None:
        for name in ("listen", "listen_tls"):
            written = enumerate(checks.as_tuple(getattr(self, name), name))
            object.__setattr__(self, name, tuple(listen_address(address, name, index) for index, address in written))
        if self.admin_token is not None and len(checks.text(self.admin_token, "admin_token")) < 16:
            raise ConfigInvalid(
                "the token is too short to be a secret",
                hint="use 16 characters or more: `openssl rand -hex 16`",
                path=("admin_token",),
            )
        if self.admin is not None and self.admin != "off":
            object.__setattr__(self, "admin", listen_address(self.admin, "admin"))

    def _check_tls(self) -> None:
        if self.tls is not None:
            object.__setattr__(self, "tls", _certificates(self.tls))
        if self.tls_client_ca is not None and not checks.text(self.tls_client_ca, "tls_client_ca"):
            raise ConfigInvalid("an empty path names no file", path=("tls_client_ca",))

    def _check_together(self) -> None:
        if not self.listen and self.tls is None:
            raise SettingsContradict("an edge listens somewhere", hint='write ["127.0.0.1:8080"]', path=("listen",))
        places = [(address, ("listen", index)) for index, address in enumerate(self.listen)]
        places += [(address, ("listen_tls", index)) for index, address in enumerate(self.listen_tls)]
        for index, (address, path) in enumerate(places):
            if address in [earlier for earlier, _ in places[:index]] and not address.endswith(":0"):
                raise SettingsContradict(f"{address} is there twice", hint="remove one", path=path)
        self._check_admin()
        self._check_client_certificates()
        found = self.control_contradiction(self.name)
        if found is not None:
            raise SettingsContradict(found.what, hint=found.hint, path=found.path)
        if self.tls is None and self.listen_tls:
            raise SettingsContradict("TLS needs a certificate", hint=_NAME_CERTIFICATE, path=("listen_tls",))
        for address in self.tls_addresses:
            if address in self.listen and not address.endswith(":0"):
                raise SettingsContradict(
                    f"{address} is for HTTP already", hint="say with `listen_tls` where TLS is", path=("tls",)
                )

    def _check_admin(self) -> None:
        if (self.admin_tls_cert is None) != (self.admin_tls_key is None):
            missing = "admin_tls_key" if self.admin_tls_key is None else "admin_tls_cert"
            raise SettingsContradict(
                "a certificate and its key belong together", hint=f"add `{missing}`", path=(missing,)
            )
        if self.admin is None or self.admin == "off" or is_local(self.admin):
            return
        if self.admin_token is None or self.admin_tls_cert is None:
            raise SettingsContradict(
                f"{self.admin} can be reached from other machines",
                hint='set `admin_token`, `admin_tls_cert` and `admin_tls_key`, or use "127.0.0.1:0" or "unix:/path"',
                path=("admin",),
            )

    def _check_client_certificates(self) -> None:
        # Whoever names authorities, or asks for certificates, believes that somebody is kept out.
        asks = self.tls_client_auth != "off"
        if asks and self.tls_client_ca is None:
            raise SettingsContradict(
                "client certificates are checked against authorities",
                hint="name their certificates in `tls_client_ca`",
                path=("tls_client_auth",),
            )
        if self.tls_client_ca is not None and not asks:
            raise SettingsContradict(
                "nobody is asked for a client certificate",
                hint='add tls_client_auth = "required", or "optional"',
                path=("tls_client_ca",),
            )
        if asks and self.tls is None:
            raise SettingsContradict("TLS needs a certificate", hint=_NAME_CERTIFICATE, path=("tls_client_auth",))

    @property
    def tls_addresses(self) -> tuple[str, ...]:
        """Where TLS is spoken: `listen_tls`, else the usual port beside the first address of `listen`."""
        if self.tls is None or self.listen_tls:
            return tuple(self.listen_tls)
        beside = next((each for each in self.listen if not each.startswith("unix:")), "127.0.0.1:8080")
        host, _, port = beside.rpartition(":")
        return (f"{host}:{_TLS_PORT_BESIDE.get(port, '8443')}",)


def _certificates(written: object) -> str | tuple[str | CertificateFiles, ...]:
    if written == "dev" or (isinstance(written, Sequence) and list(written) == ["dev"]):
        return "dev"
    members = (written,) if isinstance(written, str | CertificateFiles) else written
    if not isinstance(members, Sequence):
        raise ConfigInvalid(f"a {type(written).__name__} is neither a path nor a list of them", path=("tls",))
    if not members:
        raise ConfigInvalid("no certificate is named", hint='name a file or a folder, or write "dev"', path=("tls",))
    for index, member in enumerate(members):
        if isinstance(member, CertificateFiles):
            continue
        if not checks.text(member, "tls", index):
            raise ConfigInvalid("an empty path names no file", path=("tls", index))
        if member == "dev":
            raise ConfigInvalid(
                '"dev" stands alone', hint='remove the others; a file of that name is "./dev"', path=("tls", index)
            )
    return tuple(members)


def _disk(written: object) -> DiskTier:
    if isinstance(written, DiskTier):
        return written
    try:
        return DiskTier.parse(checks.text(written, "disk"))
    except ConfigInvalid as error:
        # In the short form its parts have no names.
        raise ConfigInvalid.of([replace(problem, path=("disk",)) for problem in error.problems]) from None


def _at_least(written: object, least_bytes: int, least: str, name: str) -> None:
    if checks.size(written, name) < least_bytes:
        raise ConfigInvalid(f"{written} is too little", hint=f'write at least "{least}"', path=(name,))


_NAME_CERTIFICATE = 'name its file or folder in `tls`, or write tls = "dev"'
_TLS_PORT_BESIDE = {"80": "443", "0": "0"}
