"""Addresses to listen on, in their one form."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from bodega.distributions import checks
from bodega.errors import ConfigInvalid

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/]*):(?P<port>\d{1,6})", re.ASCII)


def listen_address(written: object, *field: str | int) -> str:
    """Check an address to listen on and return it in one form: ``127.0.0.1:8080``, ``[::1]:80``, ``unix:/path``.

    ``:8080`` means this machine only: 127.0.0.1:8080.

    Raises:
        ConfigInvalid: If it is no such address.
    """
    text = checks.text(written, *field).strip()
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:").removeprefix("//")).expanduser()
        if not path.is_absolute():
            raise ConfigInvalid(
                f'"{text}" is not an absolute path', hint=f'did you mean "unix:{path.absolute()}"?', path=field
            )
        if len(str(path).encode()) > 107:
            raise ConfigInvalid("the path of the socket is too long", hint="the system allows 107 bytes", path=field)
        return f"unix:{path}"
    if text.startswith("/"):
        raise ConfigInvalid(f'"{text}" is a path', hint=f'did you mean "unix:{text}"?', path=field)
    if "://" in text:
        raise ConfigInvalid(
            f'"{text}" has a scheme', hint=f'did you mean "{text.split("://", 1)[1].rstrip("/")}"?', path=field
        )
    if text.isdecimal() and text.isascii():
        raise ConfigInvalid(f'"{text}" is only a port', hint=f'did you mean "127.0.0.1:{text}"?', path=field)
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ConfigInvalid(f'"{text}" is not an address', hint=_address_hint(text), path=field)
    host, port = match["host"] or "127.0.0.1", int(match["port"])
    if port > 65_535:
        raise ConfigInvalid(f"{port} is not a port", hint="write 0 to 65535; 0 takes a free one", path=field)
    return f"{_host_form(host, text, field)}:{port}"


def _host_form(host: str, text: str, field: tuple[str | int, ...]) -> str:
    if host == "*":
        return "0.0.0.0"  # noqa: S104 - A person wrote the star.
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise ConfigInvalid(
            f'"{text}" names a host',
            hint='listen on an address: "127.0.0.1:8080", "0.0.0.0:80" or "[::]:80"',
            path=field,
        ) from None
    return f"[{address}]" if address.version == 6 else str(address)


def _address_hint(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return 'write "127.0.0.1:8080", "[::1]:8080" or "unix:/path"'
    return f'add a port: "[{address}]:8080"' if address.version == 6 else f'add a port: "{address}:8080"'


def is_local(address: str) -> bool:
    """Whether an address to listen on, in its one form, is reached from this machine alone."""
    if address.startswith("unix:"):
        return True
    return ipaddress.ip_address(address.rsplit(":", 1)[0].strip("[]")).is_loopback
