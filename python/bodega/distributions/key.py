"""What is in the key of an answer, and what goes to the origin beside it.

What is not in the key is not sent to the origin of a behavior that stores; `ForwardRules` names the exceptions.
A field left out is inherited from the policy that is extended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bodega.distributions import checks
from bodega.distributions.shapes import ChoiceShape, EitherShape, FlagShape, ListShape, NounShape, TextShape, about
from bodega.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class Deny:
    """All query parameters but those named.

    Attributes:
        deny: Names of query parameters, as they are sent.
    """

    deny: str | Sequence[str] = field(
        metadata=about(
            ListShape(TextShape(examples=("utm_source", "fbclid"))),
            "Query parameters that are left out; all others count.",
        )
    )

    def __post_init__(self) -> None:
        """Check the names."""
        object.__setattr__(self, "deny", _parameters(self.deny, "deny"))


Query: TypeAlias = Literal["all", "none"] | Sequence[str] | Deny
"""``"all"``, ``"none"``, the names that count, or `Deny` with the names that do not."""

_QUERY_SHAPE = EitherShape(
    (ChoiceShape(("all", "none")), ListShape(TextShape(examples=("page", "lang"))), NounShape(Deny))
)
_COOKIES_SHAPE = ListShape(TextShape(examples=("session",)))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """What tells two answers apart, beside method and path.

    Attributes:
        query: Query parameters in the key.
        sort: Whether parameters are sorted by name before they are keyed and sent.
        headers: Header names in the key; without case.
        cookies: Cookie names in the key; with case.
        host: Whether the host is in the key.
    """

    query: Query | None = field(
        default=None,
        metadata=about(
            _QUERY_SHAPE,
            'Query parameters in the key, and so sent to the origin: "all", "none", a list of names, or '
            "`{ deny = [...] }` for all but those named.",
            default="inherited",
        ),
    )
    sort: bool | None = field(
        default=None,
        metadata=about(
            FlagShape(),
            "Sort parameters by name before they are keyed and sent, so that `?a=1&b=2` and `?b=2&a=1` are one object.",
            default="inherited",
        ),
    )
    headers: Sequence[str] | None = field(
        default=None,
        metadata=about(
            ListShape(TextShape(examples=("x-currency",))),
            "Request headers in the key, and so sent to the origin; compared without case.",
            default="inherited",
        ),
    )
    cookies: Sequence[str] | None = field(
        default=None,
        metadata=about(
            _COOKIES_SHAPE, "Cookies in the key, and so sent to the origin; compared with case.", default="inherited"
        ),
    )
    host: bool | None = field(
        default=None,
        metadata=about(
            FlagShape(),
            "Keep answers of different hosts apart. Only turn it off where all hosts of the "
            "distribution serve the same.",
            default="inherited",
        ),
    )

    def __post_init__(self) -> None:
        """Check the names."""
        _set_query(self, self.query)
        _set_names(self, self.headers, self.cookies)
        for name in ("sort", "host"):
            if getattr(self, name) is not None:
                checks.flag(getattr(self, name), name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRules:
    """What is sent to the origin although it is not in the key.

    A request that carries one of these is answered from the cache, or its answer stored, only where the answer says
    so itself (``public``, ``s-maxage`` or a targeted field): never by a default TTL.

    Attributes:
        query: Query parameters that are sent.
        headers: Header names that are sent; ``"cookie"`` stands for all cookies. ``"all"``: every header but cookies;
            the origin says in ``Vary`` on which its answers depend, and only ``Authorization`` names a user then.
        cookies: Cookie names that are sent.
    """

    query: Query | None = field(
        default=None,
        metadata=about(
            _QUERY_SHAPE,
            "Query parameters that are sent to the origin though they are not in the key.",
            default="inherited",
        ),
    )
    headers: Literal["all"] | Sequence[str] | None = field(
        default=None,
        metadata=about(
            EitherShape((ChoiceShape(("all",)), ListShape(TextShape(examples=("authorization", "cookie"))))),
            'Request headers that are sent though they are not in the key; "cookie" stands for all cookies. "all": '
            "every header but cookies, for origins that say in `Vary` on which of them their answers depend; requests "
            "with `Authorization` are still answered only with what is marked as shared.",
            default="inherited",
        ),
    )
    cookies: Sequence[str] | None = field(
        default=None,
        metadata=about(_COOKIES_SHAPE, "Cookies that are sent though they are not in the key.", default="inherited"),
    )

    def __post_init__(self) -> None:
        """Check the names."""
        _set_query(self, self.query)
        if self.headers == "all":
            _set_names(self, None, self.cookies)
        elif isinstance(self.headers, str):
            raise ConfigInvalid(
                f'"{self.headers}" is not "all"',
                hint=f'a list of names is written ["{self.headers}"]',
                path=("headers",),
            )
        else:
            _set_names(self, self.headers, self.cookies)


def _set_query(rules: KeyRules | ForwardRules, query: Query | None) -> None:
    if query is None or isinstance(query, Deny):
        return
    if isinstance(query, str):
        if query not in ("all", "none"):
            hint = checks.suggest(query, ("all", "none")) or f'a list of names is written ["{query}"]'
            raise ConfigInvalid(f'"{query}" is neither "all" nor "none"', hint=hint, path=("query",))
        return
    object.__setattr__(rules, "query", _parameters(query, "query"))


def _set_names(rules: KeyRules | ForwardRules, headers: Sequence[str] | None, cookies: Sequence[str] | None) -> None:
    if headers is not None:
        names = enumerate(checks.as_tuple(headers, "headers"))
        object.__setattr__(rules, "headers", tuple(checks.header_name(name, "headers", index) for index, name in names))
    if cookies is not None:
        names = enumerate(checks.as_tuple(cookies, "cookies"))
        object.__setattr__(rules, "cookies", tuple(checks.cookie_name(name, "cookies", index) for index, name in names))


def _parameters(names: str | Sequence[str], where: str) -> tuple[str, ...]:
    checked = checks.as_tuple(names, where)
    for index, name in enumerate(checked):
        checks.text(name, where, index)
        if not name or any(sign in name for sign in "&=?#"):
            raise ConfigInvalid(
                f'"{name}" is not the name of a parameter', hint='for instance "page"', path=(where, index)
            )
    return checked
