"""Selectors: which entries an invalidation means.

``"all"`` means every entry, a URL means the entry of that URL in all its variants.
The same words are used on the command line, in Python and on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from bodega.errors import SelectorInvalid


@dataclass(frozen=True, slots=True)
class Selector:
    """A checked selector.

    Attributes:
        kind: Everything, or one URL.
        text: The selector as it is sent: ``"all"``, or a URL with scheme, host and path.
    """

    kind: Literal["all", "url"]
    text: str


def parse_selector(written: str) -> Selector:
    """Read a selector that a person wrote.

    Args:
        written: ``"all"`` or ``"https://host/path?query"``.

    Raises:
        SelectorInvalid: If it is neither.
    """
    text = written.strip()
    if text == "all":
        return Selector("all", text)
    kind = text.split(":", 1)[0]
    if kind in ("tag", "prefix", "glob", "model"):
        raise SelectorInvalid(
            f'"{text}": this version forgets URLs and everything',
            selector=text,
            hint='use "https://host/path" or "all"',
        )
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
        parts = urlsplit("")
    if not port_is_fine or parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise SelectorInvalid(f'"{text}" is not a selector', selector=text, hint=_hint(text))
    if parts.username is not None:
        raise SelectorInvalid("a selector holds no user name or password", hint="remove it")
    if not text.isascii() or any(sign.isspace() for sign in text):
        raise SelectorInvalid(f'"{text}" is not a URL as it is sent', selector=text, hint="percent-encode it")
    return Selector("url", parts._replace(path=parts.path or "/", fragment="").geturl())


def _hint(text: str) -> str:
    if text.lower() in ("*", "everything", "/", "*/*", "/*"):
        return 'did you mean "all"?'
    if text.startswith("/"):
        return f'a URL has a host: "https://shop.example.com{text}"'
    if "." in text.split("/", 1)[0] and " " not in text:
        return f'did you mean "https://{text}"?'
    return 'use "https://host/path" or "all"'
