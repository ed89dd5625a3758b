"""Checks that several nouns share: durations, header names, paths, networks, hosts.

Each raises `ConfigInvalid` with the field it was asked about as its path; a noun calls them when it is made,
so that an invalid noun cannot exist, whether it comes from a file or from Python.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import Any
from urllib.parse import quote

from bodega.errors import ConfigInvalid
from bodega.units import UnitInvalid, parse_duration, parse_size

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


def as_tuple(value: str | Sequence[str], field: str) -> tuple[str, ...]:
    """Return a lone text or a sequence of texts as a tuple.

    Raises:
        ConfigInvalid: If a member is not a text.
    """
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence):
        raise ConfigInvalid(f"a {type(value).__name__} is not a list of texts", path=(field,))
    for index, member in enumerate(value):
        if not isinstance(member, str):
            raise ConfigInvalid(
                f"a {type(member).__name__} is not a text", hint="write texts in quotes", path=(field, index)
            )
    return tuple(value)


def duration(value: object, *field: str | int) -> float:
    """Read a duration in seconds, saying which field it was.

    Raises:
        ConfigInvalid: If it is no duration.
    """
    try:
        return parse_duration(value)
    except UnitInvalid as error:
        raise ConfigInvalid(error.what, hint=error.hint, path=field) from None


def size(value: object, *field: str | int) -> int:
    """Read a size in bytes, saying which field it was.

    Raises:
        ConfigInvalid: If it is no size.
    """
    try:
        return parse_size(value)
    except UnitInvalid as error:
        raise ConfigInvalid(error.what, hint=error.hint, path=field) from None


def count(value: object, minimum: int, maximum: int, *field: str | int) -> int:
    """Check a whole number against its bounds.

    Raises:
        ConfigInvalid: If it is no whole number, or outside the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigInvalid(f"a {type(value).__name__} is not a whole number", path=field)
    if not minimum <= value <= maximum:
        raise ConfigInvalid(f"{value} is out of range", hint=f"write {minimum} to {maximum}", path=field)
    return value


def number(value: object, minimum: float, maximum: float, *field: str | int) -> float:
    """Check a number against its bounds.

    Raises:
        ConfigInvalid: If it is no number, or outside the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigInvalid(f"a {type(value).__name__} is not a number", path=field)
    # What is not a number lies within no bounds.
    if not minimum <= value <= maximum:
        raise ConfigInvalid(f"{value} is out of range", hint=f"write {minimum:g} to {maximum:g}", path=field)
    return float(value)


def counts(value: object, minimum: int, maximum: int, *field: str | int) -> tuple[int, ...]:
    """Check a list of whole numbers against their bounds.

    Raises:
        ConfigInvalid: If it is no list, or a member is no such number.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigInvalid(f"a {type(value).__name__} is not a list of numbers", path=field)
    return tuple(count(member, minimum, maximum, *field, index) for index, member in enumerate(value))


def flag(value: object, *field: str | int) -> None:
    """Check that a value is true or false.

    Raises:
        ConfigInvalid: If it is anything else.
    """
    if not isinstance(value, bool):
        raise ConfigInvalid(f"a {type(value).__name__} is neither true nor false", path=field)


def text(value: object, *field: str | int) -> str:
    """Check that a value is a text without control characters.

    Raises:
        ConfigInvalid: If it is not.
    """
    if not isinstance(value, str):
        raise ConfigInvalid(f"a {type(value).__name__} is not a text", hint="write it in quotes", path=field)
    if _CONTROL.search(value):
        raise ConfigInvalid("the text holds a control character", hint="remove it", path=field)
    return value


def name(value: object, *field: str | int) -> str:
    """Check the name of a distribution, an origin or a policy.

    Raises:
        ConfigInvalid: If it is empty, too long, or holds anything but letters, digits, ``-``, ``_`` and ``.``.
    """
    written = text(value, *field)
    if not _NAME.fullmatch(written):
        raise ConfigInvalid(
            f'"{written}" is not a name',
            hint='use 1 to 64 letters, digits, "-", "_" and ".", beginning with a letter or digit',
            path=field,
        )
    return written


def edge_pattern(value: object, *field: str | int) -> str:
    """Check what names edges or regions: ``*`` stands for any characters, and nothing else for more than itself.

    Raises:
        ConfigInvalid: If no edge could ever be called so.
    """
    written = text(value, *field)
    if not _EDGE_PATTERN.fullmatch(written):
        raise ConfigInvalid(
            f'"{written}" names no edge and no region', hint='for instance "eu-west-2" or "eu-*"', path=field
        )
    return written


def header_name(value: object, *field: str | int, editable: bool = False) -> str:
    """Check the name of a header field and return it in lower case.

    Args:
        value: The name.
        field: Where it stands.
        editable: Whether it is about to be set or removed: then framing and connection fields are refused.

    Raises:
        ConfigInvalid: If it is no header name, or one that only the edge may write.
    """
    written = text(value, *field)
    if not _TOKEN.fullmatch(written):
        raise ConfigInvalid(f'"{written}" is not a header name', hint='for instance "x-request-kind"', path=field)
    lower = written.lower()
    if editable and lower in _FRAMING:
        hint = "use the origin's `host`" if lower == "host" else "leave it to the edge, which frames the messages"
        raise ConfigInvalid(f'"{written}" cannot be edited', hint=hint, path=field)
    return lower


def header_value(value: object, *field: str | int) -> str:
    """Check the value of a header field: RFC 9110 section 5.5, without obs-text.

    Raises:
        ConfigInvalid: If it holds line breaks, other control characters, or anything beyond ASCII.
    """
    written = text(value, *field)
    if not written.isascii():
        raise ConfigInvalid("a header value is ASCII", hint="percent-encode what is not", path=field)
    return written.strip()


def cookie_name(value: object, *field: str | int) -> str:
    """Check the name of a cookie; cookies compare with case.

    Raises:
        ConfigInvalid: If it is no token.
    """
    written = text(value, *field)
    if not _TOKEN.fullmatch(written):
        raise ConfigInvalid(f'"{written}" is not a cookie name', hint='for instance "session"', path=field)
    return written


def method(value: object, *field: str | int) -> str:
    """Check a method name.

    Raises:
        ConfigInvalid: If it is none that an edge forwards.
    """
    written = text(value, *field)
    if written in METHODS:
        return written
    if written == "CONNECT":
        raise ConfigInvalid("CONNECT is never forwarded", hint="an edge is no tunnel", path=field)
    if written.upper() in METHODS:
        raise ConfigInvalid(
            f'"{written}" is not a method', hint=f'methods are upper case: "{written.upper()}"', path=field
        )
    raise ConfigInvalid(
        f'"{written}" is not a method', hint=suggest(written.upper(), METHODS) or "for instance GET", path=field
    )


def path_pattern(value: object, *field: str | int) -> str:
    """Check a path pattern: a glob over the raw path.

    Raises:
        ConfigInvalid: If no request could ever match it.
    """
    written = text(value, *field)
    if not written:
        raise ConfigInvalid("an empty path matches nothing", hint="leave `path` out to match every path", path=field)
    if not written.isascii() or " " in written:
        encoded = quote(written, safe="/*?%:@!$&'()+,;=-._~")
        raise ConfigInvalid(f'"{written}" is not a raw path', hint=f'write it as it is sent: "{encoded}"', path=field)
    if "#" in written:
        raise ConfigInvalid(f'"{written}" holds a fragment', hint="browsers do not send what follows #", path=field)
    if "://" in written:
        raise ConfigInvalid(
            f'"{written}" is an address', hint="write only its path; hosts belong to the distribution", path=field
        )
    if written[0] not in "/*":
        raise ConfigInvalid(
            f'"{written}" does not begin with "/" or "*"', hint=f'did you mean "/{written}"?', path=field
        )
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", written):
        raise ConfigInvalid(
            f'"{written}" holds a "%" that begins no escape', hint="write %25 for the sign itself", path=field
        )
    return written


def path_prefix(value: object, *field: str | int) -> str:
    """Check a literal path prefix that is taken away or put before a path; empty for none.

    Raises:
        ConfigInvalid: If it does not begin with ``/``, ends with one, or is not as sent.
    """
    written = text(value, *field)
    if not written:
        return ""
    if any(sign in written for sign in "*?# ") or not written.isascii():
        raise ConfigInvalid(
            f'"{written}" is not a plain path', hint='write it as it is sent, for instance "/v2"', path=field
        )
    if not written.startswith("/") or written.endswith("/"):
        bare = written.strip("/")
        hint = f'write "/{bare}"' if bare else "leave it out: every path begins with / anyway"
        raise ConfigInvalid(f'"{written}" must begin with "/" and not end with one', hint=hint, path=field)
    return written


def network(value: object, *field: str | int) -> str:
    """Check an address or a network and return it in its canonical form.

    Raises:
        ConfigInvalid: If it is neither, or has bits set beyond its prefix.
    """
    written = text(value, *field)
    try:
        return str(ipaddress.ip_network(written))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise ConfigInvalid(
            f'"{written}" is not a network',
            hint='for instance "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"',
            path=field,
        ) from None
    raise ConfigInvalid(f'"{written}" has bits set beyond its prefix', hint=f'did you mean "{meant}"?', path=field)


def host(value: object, *field: str | int) -> str:
    """Check a host of a distribution and return it in lower case: exact, ``*.suffix`` or ``*``.

    Raises:
        ConfigInvalid: If it is an address with scheme, port or path, or no host name.
    """
    written = text(value, *field).lower().removesuffix(".")
    if written == "*":
        return written
    if "://" in written:
        bare = written.split("://", 1)[1].split("/", 1)[0].rsplit("@", 1)[-1]
        raise ConfigInvalid("a host is not an address with a scheme", hint=f'write only its host: "{bare}"', path=field)
    if "/" in written:
        raise ConfigInvalid(f'"{written}" holds a path', hint="paths belong to behaviors", path=field)
    if written.startswith("["):
        try:
            ipaddress.IPv6Address(written.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise ConfigInvalid(f'"{written}" is not a host', hint='for instance "[2001:db8::1]"', path=field) from None
        return written
    if ":" in written:
        bare = written.split(":", 1)[0]
        raise ConfigInvalid(f'"{written}" holds a port', hint=f'hosts are matched without it: "{bare}"', path=field)
    if not written.isascii():
        raise ConfigInvalid(f'"{written}" is not ASCII', hint=f"write it as it is sent{_punycode(written)}", path=field)
    if not _HOST.fullmatch(written):
        raise ConfigInvalid(
            f'"{written}" is not a host', hint='write "shop.example.com", "*.shop.example.com" or "*"', path=field
        )
    return written


def json_value(value: object, *field: str | int) -> Any:
    """Return a value as JSON has it: arrays as lists, and nothing that JSON cannot say.

    Raises:
        ConfigInvalid: If it is none: a number that is none (NaN), bytes, an object of somebody's.
    """
    if hasattr(value, "tolist"):
        return json_value(value.tolist(), *field)
    if isinstance(value, float) and not isfinite(value):
        raise ConfigInvalid(f"{value} is not a number of JSON", path=field)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): json_value(each, *field, str(name)) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [json_value(each, *field, index) for index, each in enumerate(value)]
    raise ConfigInvalid(f"a {type(value).__name__} is no value of JSON", path=field)


def suggest(word: str, known: Sequence[str]) -> str:
    """Return ``did you mean "x"?`` for the closest known word, or an empty text."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


def _punycode(written: str) -> str:
    try:
        return f': "{written.encode("idna").decode()}"'
    except UnicodeError:
        return ", in punycode"


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_EDGE_PATTERN = re.compile(r"[A-Za-z0-9._*-]{1,64}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*", re.ASCII)
# What frames a message or belongs to one connection (RFC 9110 section 7.6.1, RFC 9112 section 6): a wrong value
# here is smuggling.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
