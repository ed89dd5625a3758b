"""Addresses of origins as a person writes them: checked, and never repeated where they hold a password."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from bodega.distributions import checks
from bodega.errors import ConfigInvalid


def server_url(url: object, name: str, no_path: str) -> str:
    """Return scheme, host and port; `no_path` says where a path would belong.

    Raises:
        ConfigInvalid: If it is something else.
    """
    written = checks.text(url, name).strip()
    shown = hidden(written)
    if "://" not in written:
        guess = "http" if _LOCAL.match(written) else "https"
        bare = written.lstrip("/")
        hint = (
            f"did you mean `{guess}://{bare}`?"
            if bare and "@" not in bare
            else "write https://host or http://host:port"
        )
        raise ConfigInvalid(f'"{shown}" has no scheme', hint=hint, path=(name,))
    parts = split_address(written, name)
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        known = ("http", "https", "s3") if name == "url" else ("http", "https")
        hint = checks.suggest(scheme, known) or f"use {' or '.join(f'{word}://' for word in known)}"
        raise ConfigInvalid(f'"{shown}" has an unknown scheme', hint=hint, path=(name,))
    if parts.username is not None or parts.password is not None:
        raise credentials_in_address(name)
    if parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ConfigInvalid(f'"{shown}" has more than scheme, host and port', hint=no_path, path=(name,))
    if not parts.hostname:
        raise ConfigInvalid(f'"{shown}" names no host', hint="write https://host or http://host:port", path=(name,))
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise ConfigInvalid(
            f'"{shown}" is not the address of a server', hint="write https://host or http://host:port", path=(name,)
        )
    return f"{scheme}://{parts.netloc.lower()}"


def split_address(url: str, *field: str | int) -> SplitResult:
    """Take an address apart.

    Raises:
        ConfigInvalid: If its host or port is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigInvalid(
            f'"{hidden(url)}" is not an address', hint="check its host and port; ports are 1 to 65535", path=field
        ) from None
    if port == 0:
        raise ConfigInvalid(f'"{hidden(url)}" has port 0', hint="ports are 1 to 65535", path=field)
    return parts


def credentials_in_address(*field: str | int) -> ConfigInvalid:
    """Return what is said of an address with a password."""
    return ConfigInvalid(
        "the address holds a user name or password",
        hint="remove it: addresses are logged; set an `authorization` header from the client, or use "
        "`credentials_file` for S3",
        path=field,
    )


def hidden(written: str) -> str:
    """Blank out what stands before an @, so that no password reaches a terminal or a log."""
    return re.sub(r"^([A-Za-z0-9+.-]*://)?.*@", r"\1…@", written, flags=re.DOTALL)


def check_host(host: str) -> None:
    """Check what an origin is to see as `Host`.

    Raises:
        ConfigInvalid: If it is no host.
    """
    written = checks.text(host, "host")
    if not _AUTHORITY.fullmatch(written):
        raise ConfigInvalid(
            f'"{written}" is not a host',
            hint='write "viewer" for the client\'s host, or a name such as "www.example.com"',
            path=("host",),
        )


_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?\.?)(:\d{1,5})?", re.ASCII)
_LOCAL = re.compile(r"(localhost|127\.|10\.|192\.168\.|\[|[\w.-]+:\d)", re.ASCII)
