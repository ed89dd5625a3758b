"""Says what the key of a request is under a snapshot, and what made it; the native core decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bodega import _native

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bodega.snapshot.compile import Snapshot

Named = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """A key and its parts.

    Attributes:
        fingerprint: Equal for two requests if and only if an edge takes them for one; 32 hexadecimal digits.
        scheme: By which the client comes, where the origin is told it; None where it is not.
        host: The host, or the distribution's name where the policy leaves the host out.
        path: The path in its normal form.
        query: What the policy leaves of the query, in its normal form.
        body: What of the body is in the key: JSON in its canonical form, or how many bytes; None for nothing.
        headers: Headers that are in the key and in the request.
        cookies: Cookies that are in the key and in the request.
        names_user: Something is sent to the origin that is not in the key: only what is marked as shared answers.
    """

    fingerprint: str
    scheme: str | None
    host: str
    path: str
    query: str
    body: str | None
    headers: tuple[Named, ...]
    cookies: tuple[Named, ...]
    names_user: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """What the origin is asked, and what of the request is left out.

    Attributes:
        target: Path and query.
        headers: All header fields, without the host's.
        dropped_parameters: Parameters of the query that are left out.
        dropped_headers: Headers that are left out.
        dropped_cookies: Cookies that are left out.
    """

    target: str
    headers: tuple[Named, ...]
    dropped_parameters: tuple[str, ...]
    dropped_headers: tuple[str, ...]
    dropped_cookies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What would become of a request.

    Attributes:
        host: The host as it is looked for.
        distribution: Which serves it; None if none does.
        behavior: Its behavior, ``shop/0 /images/*``; None if none matches.
        policy: The behavior's policy.
        does: ``lookup`` asks the store, ``pass`` the origin, ``predict`` a model, ``answer`` is configured,
            ``refuse`` is an error.
        reason: Why it is passed or refused (``docs/reference/outcomes.md``).
        key: The key, for a lookup.
        sent: What the origin is asked, if it is.
    """

    host: str
    distribution: str | None
    behavior: str | None
    policy: str | None
    does: Literal["lookup", "pass", "predict", "answer", "refuse"]
    reason: str | None
    key: Key | None
    sent: Sent | None


def explain_key(
    snapshot: Snapshot,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    body: bytes = b"",
) -> KeyReport:
    """Say what the key of a request is, and what made it. No edge has to run, and nothing is fetched.

    Args:
        snapshot: What `compile_snapshot` made.
        url: ``https://host/path?query``, as it is sent.
        method: The method.
        headers: Header fields of the request, as a mapping or as pairs.
        body: The request's body, as it is sent; it counts where the behavior has a `body_key`.

    Raises:
        SnapshotInvalid: If the native core refuses the snapshot.
        ValueError: If the URL is not as it is sent.
    """
    fields = [(name, value.encode("latin-1")) for name, value in _pairs(headers or ())]
    read = json.loads(_native.explain_key(snapshot.document, method, url, fields, body))
    key, sent = read.pop("key"), read.pop("sent")
    return KeyReport(
        **read,
        key=key and Key(**key | {part: _named(key[part]) for part in ("headers", "cookies")}),
        sent=sent
        and Sent(
            target=sent["target"],
            headers=_named(sent["headers"]),
            dropped_parameters=tuple(sent["dropped_parameters"]),
            dropped_headers=tuple(sent["dropped_headers"]),
            dropped_cookies=tuple(sent["dropped_cookies"]),
        ),
    )


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return headers.items() if isinstance(headers, Mapping) else headers


def _named(pairs: list[list[str]]) -> tuple[Named, ...]:
    return tuple((name, value) for name, value in pairs)
