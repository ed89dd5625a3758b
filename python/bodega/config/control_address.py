"""Where a control process is, and what is shown to it: checked alike for edges, clients and the process itself."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from bodega.distributions import checks
from bodega.errors import ConfigInvalid


def control_url(written: object, *field: str | int) -> str:
    """Check the URL of a control process and return it without a slash at its end.

    Raises:
        ConfigInvalid: If it is none.
    """
    text = checks.text(written, *field).strip()
    hint = 'write it as "https://HOST:PORT"'
    address = urlsplit("")
    try:
        address = urlsplit(text)
        is_one = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        is_one = False
    if not is_one or not text.isascii() or any(letter.isspace() for letter in text):
        raise ConfigInvalid(f'"{text}" is no URL of a control process', hint=hint, path=field)
    if address.username is not None or address.password is not None:
        raise ConfigInvalid(
            "there is a user or a password in the URL of the control process",
            hint="the token goes into a file, or into BODEGA_TOKEN",
            path=field,
        )
    if address.path.strip("/") or address.query or address.fragment:
        raise ConfigInvalid(f'"{text}" is no URL of a control process', hint=hint, path=field)
    return text.rstrip("/")


def control_token(written: str, named: str, *field: str | int) -> str:
    """Check a token and return it without what is around it.

    Args:
        written: The token.
        named: Where it stands, for messages: the token itself is never shown.
        field: The option or setting that named it.

    Raises:
        ConfigInvalid: If it is none.
    """
    token = written.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigInvalid(f"what {named} holds is no token", hint="a token begins with bdg_", path=field)
    return token


def is_seen_on_the_way(url: str) -> bool:
    """Whether what is sent to a URL can be read by others on the way."""
    address = urlsplit(url)
    return address.scheme == "http" and not is_this_machine(address.hostname or "")


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine, by its name or address alone; nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
