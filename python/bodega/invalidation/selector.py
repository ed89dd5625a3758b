"""Selectors: which entries an invalidation means.

The same words are used on the command line, in Python and on the wire; the edge reads them once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from bodega.errors import SelectorInvalid

Kind: TypeAlias = Literal["all", "url", "prefix", "glob", "tag", "model", "distribution"]

_LONGEST_TAG = 256
_LONGEST_PATTERN = 1024
_LONGEST_MARKED_RUN = 64


@dataclass(frozen=True, slots=True)
class Selector:
    """A checked selector.

    Attributes:
        kind: What it selects by.
        text: The selector as it is sent.
    """

    kind: Kind
    text: str


def parse_selector(written: str) -> Selector:
    """Read a selector that a person wrote.

    Args:
        written: ``"all"``; ``"https://host/path?query"``, in all its variants, and without a query with every query;
            ``"prefix:https://host/folder/"``, what begins so; ``"glob:host/*.webp"``, with ``*`` for any run of
            characters and ``?`` for one; ``"tag:NAME"``, also with ``*``; ``"model:NAME"``, all answers of a model;
            ``"distribution:NAME"``, everything of it.

    Raises:
        SelectorInvalid: If it is none of these.
    """
    text = written.strip()
    if text == "all":
        return Selector("all", text)
    kind, _, rest = text.partition(":")
    match kind:
        case "prefix":
            return Selector("prefix", f"prefix:{_prefix(text, rest)}")
        case "glob":
            return Selector("glob", f"glob:{_pattern(text, rest)}")
        case "tag":
            return Selector("tag", f"tag:{_tag(text, rest)}")
        case "model":
            return Selector("model", f"model:{_tag(text, rest)}")
        case "distribution" if rest and rest.isascii() and rest.isprintable() and " " not in rest:
            return Selector("distribution", text)
        case _:
            parts = _url(text, text)
            return Selector("url", parts._replace(path=parts.path or "/", fragment="").geturl())


def reaches_a_whole_site(text: str) -> bool:
    """Whether a selector, as it is sent, names everything of a site or of all: more than most people mean."""
    kind, _, rest = text.partition(":")
    match kind:
        case "all":
            return True
        case "tag":
            return not rest.strip("*")
        case "prefix":
            return urlsplit(rest).path in ("", "/")
        case "glob":
            host, slash, path = rest.removeprefix("https://").removeprefix("http://").partition("/")
            return not path.strip("*") if slash and path else not slash and not host.strip("*")
    return False


def _prefix(text: str, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise SelectorInvalid(
            f'"{text}": a prefix is a URL', selector=text, hint='"prefix:https://shop.example.com/images/"'
        )
    parts = _url(text, url)
    if "?" in url:
        raise SelectorInvalid(
            f'"{text}": a prefix has no query', selector=text, hint="it reaches every query of the paths below it"
        )
    if len(parts.path) > _LONGEST_PATTERN:
        raise SelectorInvalid(f"a prefix has at most {_LONGEST_PATTERN} characters", selector=text)
    return parts._replace(path=parts.path or "/", fragment="").geturl()


def _pattern(text: str, pattern: str) -> str:
    bare = pattern.removeprefix("https://").removeprefix("http://")
    if not bare or bare.startswith("/"):
        raise SelectorInvalid(
            f'"{text}": a pattern begins with the host',
            selector=text,
            hint='"glob:shop.example.com/*.webp", or "glob:*/a" for every host',
        )
    if not _is_sent(bare) or "#" in bare:
        raise SelectorInvalid(f'"{text}" matches no URL as it is sent', selector=text, hint="percent-encode it")
    if len(bare) > _LONGEST_PATTERN:
        raise SelectorInvalid(f"a pattern has at most {_LONGEST_PATTERN} characters", selector=text)
    _check_runs(text, bare)
    return pattern


def _tag(text: str, tag: str) -> str:
    if not tag or len(tag) > _LONGEST_TAG:
        raise SelectorInvalid(f'"{text}": a tag has 1 to {_LONGEST_TAG} characters', selector=text)
    if not _is_sent(tag) or "," in tag:
        raise SelectorInvalid(
            f'"{text}": a tag is visible ASCII without spaces and commas',
            selector=text,
            hint="give several tags as several selectors",
        )
    if "*" in tag:
        _check_runs(text, tag)
    return tag


def _check_runs(text: str, pattern: str) -> None:
    if any("?" in run and len(run) > _LONGEST_MARKED_RUN for run in pattern.split("*")):
        raise SelectorInvalid(
            f'"{text}": what stands between two "*" and holds "?" has at most {_LONGEST_MARKED_RUN} characters',
            selector=text,
        )


def _url(text: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
        parts = urlsplit("")
    if not port_is_fine or parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise SelectorInvalid(f'"{text}" is not a selector', selector=text, hint=_hint(text))
    if parts.username is not None:
        raise SelectorInvalid("a selector holds no user name or password", hint="remove it")
    if not _is_sent(url):
        raise SelectorInvalid(f'"{text}" is not a URL as it is sent', selector=text, hint="percent-encode it")
    return parts


def _is_sent(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _hint(text: str) -> str:
    if text.lower() in ("*", "everything", "/", "*/*", "/*"):
        return 'did you mean "all"?'
    if text.startswith("/"):
        return f'a URL has a host: "https://shop.example.com{text}"'
    if "*" in text and "/" in text:
        return f'did you mean "glob:{text}"?'
    if "." in text.split("/", 1)[0] and " " not in text:
        return f'did you mean "https://{text}"?'
    return 'use "https://host/path", "tag:NAME", "prefix:https://host/folder/", "glob:host/*.webp" or "all"'
