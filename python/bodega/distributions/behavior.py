"""Behaviors: which requests, what is done with them, under which policy.

The behaviors of a distribution are tried in order; the first whose path and method match decides.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Literal

from bodega.distributions import checks
from bodega.distributions.actions import Answer, HeaderEdits, Redirect
from bodega.distributions.body_key import FORMS, BodyKey
from bodega.distributions.jwt import Jwt
from bodega.distributions.origin_groups import Origin, is_origin
from bodega.distributions.origin_transport import file_path
from bodega.distributions.origins import origin_from_url
from bodega.distributions.policy import CachePolicy
from bodega.distributions.shapes import (
    ChoiceShape,
    EitherShape,
    FlagShape,
    ListShape,
    NameShape,
    NounShape,
    OriginShape,
    TextShape,
    about,
)
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

AUTHORIZATIONS = ("pass", "key", "edge")

_NETWORKS = ListShape(TextShape(examples=("10.0.0.0/8", "2001:db8::/32")), alone=True)


@dataclass(frozen=True, slots=True)
class Behavior:
    """What is done with the requests that match.

    Example:
        >>> Behavior("/images/*", origin=S3("shop-images"), policy="immutable").paths
        ('/images/*',)

    Attributes:
        path: A glob over the raw path, or several; none matches every path.
        methods: Methods that match; none matches every method.
        origin: A declared origin's name, an address, or an origin.
        redirect: Where to send the client instead.
        answer: What to answer instead.
        policy: A preset's or a declared policy's name, or a policy.
        strip_prefix: Taken from the path before the origin sees it.
        add_prefix: Put before the path, after `strip_prefix`.
        request_headers: Edits on the way to the origin.
        response_headers: Edits on the way to the client.
        allow: Networks that may ask; none: everybody.
        deny: Networks that may not.
        body_key: Whether answers to POST and QUERY are kept, and by what of their bodies.
        authorization: Among whom answers to requests with credentials are shared.
        tokens: With ``authorization="edge"`` the file of those who may ask.
        jwt: With ``authorization="edge"`` whose signed tokens let in, beside or in place of `tokens`.
        forward_authorization: With ``authorization="edge"`` whether the origin is sent the token.
        region_only: Whether requests stay in the region of the edge that takes them.
    """

    path: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("/images/*", "*.webp")), alone=True),
            "Patterns over the raw path, without the query: `*` is any run of characters including "
            "`/`, `?` is one character.",
            default="every path",
        ),
    )
    _: KW_ONLY
    methods: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(ChoiceShape(checks.METHODS), alone=True),
            "Methods that match, in upper case.",
            default="every method",
        ),
    )
    origin: str | Origin | None = field(
        default=None,
        metadata=about(OriginShape(), "Name of an origin in `[origins]`, or its address, or a table as there."),
    )
    redirect: str | Redirect | None = field(
        default=None,
        metadata=about(
            EitherShape((TextShape(examples=("https://www.example.com{path}{query}",)), NounShape(Redirect))),
            "Send the client elsewhere instead of asking an origin.",
        ),
    )
    answer: Answer | None = field(
        default=None, metadata=about(NounShape(Answer), "Give a fixed answer instead of asking an origin.")
    )
    policy: str | CachePolicy = field(
        default="web",
        metadata=about(
            EitherShape((NameShape("policies"), NounShape(CachePolicy))),
            "What is kept and for how long: a preset, a policy of yours by its name, or a table as in `[policies]`.",
        ),
    )
    strip_prefix: str = field(
        default="",
        metadata=about(
            TextShape(examples=("/images",)), "Taken from the beginning of the path before the origin sees it."
        ),
    )
    add_prefix: str = field(
        default="",
        metadata=about(TextShape(examples=("/v2",)), "Put before the path that the origin sees, after `strip_prefix`."),
    )
    request_headers: HeaderEdits = field(
        default_factory=HeaderEdits, metadata=about(NounShape(HeaderEdits), "Edits on the way to the origin.")
    )
    response_headers: HeaderEdits = field(
        default_factory=HeaderEdits, metadata=about(NounShape(HeaderEdits), "Edits on the way to the client.")
    )
    allow: str | Sequence[str] = field(
        default=(),
        metadata=about(_NETWORKS, "Networks that may ask; others are answered 403.", default="everybody"),
    )
    deny: str | Sequence[str] = field(
        default=(),
        metadata=about(_NETWORKS, "Networks that may not ask, also where `allow` names them.", default="nobody"),
    )

    body_key: Literal["json", "raw"] | BodyKey | None = field(
        default=None,
        metadata=about(
            EitherShape((ChoiceShape(FORMS), NounShape(BodyKey))),
            "Keep answers to POST and QUERY under the policy, by method, URL, content type and body: `json` if equal "
            "values of JSON are one, `raw` if equal bytes are, or a table. Only for what changes nothing: such "
            "requests do not invalidate their URL.",
            default="they pass",
        ),
    )
    authorization: Literal["pass", "key", "edge"] = field(
        default="pass",
        metadata=about(
            ChoiceShape(AUTHORIZATIONS),
            "Among whom answers to requests with credentials are shared. "
            '"pass": what a model answers to them is neither kept nor taken from what is kept; for other origins '
            "`policy` says what they are sent and what is kept. "
            '"key": a keyed hash of `Authorization` is in the key (for a model of `Cookie`, too), so that each '
            "credential has answers of its own; other origins are sent it. "
            '"edge": the edge asks for a bearer token that `tokens` names or `jwt` describes (401 otherwise), and all '
            "who have one share.",
        ),
    )
    tokens: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("/etc/bodega/clients.tokens",)),
            'With `authorization = "edge"` the file of those who may ask: a line for each token, its SHA-256 in '
            "hexadecimal digits and what it is for; `bodega tokens add FILE NAME` makes one. "
            "Read with the configuration.",
            default="none",
        ),
    )
    jwt: Jwt | None = field(
        default=None,
        metadata=about(
            NounShape(Jwt),
            'With `authorization = "edge"` whose signed tokens let in (RFC 7519); where there are `tokens`, too, '
            "either does.",
        ),
    )
    forward_authorization: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            'With `authorization = "edge"` the origin is sent the token of the one who asks first. Its answer is for '
            "all who have one.",
        ),
    )
    region_only: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            "Requests, and all that they bring, are sent to no other region than the edge's: origins elsewhere are not "
            "asked, and where none is left the answer is 503. Each origin has to say in which `region` it is.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field, and that exactly one thing is to be done."""
        self._set_lists()
        self._set_action()
        if isinstance(self.policy, str):
            checks.name(self.policy, "policy")
        elif not isinstance(self.policy, CachePolicy):
            raise ConfigInvalid("a policy is a name or a CachePolicy", path=("policy",))
        checks.path_prefix(self.strip_prefix, "strip_prefix")
        checks.path_prefix(self.add_prefix, "add_prefix")
        self._set_body_key()
        if self.authorization not in AUTHORIZATIONS:
            raise ConfigInvalid(
                f'"{self.authorization}" is no way to share answers',
                hint=f"write one of {', '.join(AUTHORIZATIONS)}",
                path=("authorization",),
            )
        self._check_tokens()
        checks.flag(self.region_only, "region_only")
        for name in ("request_headers", "response_headers"):
            if not isinstance(getattr(self, name), HeaderEdits):
                raise ConfigInvalid("header edits are a HeaderEdits", path=(name,))

    @property
    def paths(self) -> tuple[str, ...]:
        """The path patterns; empty for every path."""
        return checks.as_tuple(self.path, "path")

    def written_redirect(self) -> Redirect:
        """Return the redirect of a behavior that has one."""
        assert isinstance(self.redirect, Redirect), "asked of a behavior that redirects"
        return self.redirect

    @property
    def written_body_key(self) -> BodyKey | None:
        """What of a body is in the key."""
        assert not isinstance(self.body_key, str), "a form alone has become a BodyKey"
        return self.body_key

    def _check_tokens(self) -> None:
        checks.flag(self.forward_authorization, "forward_authorization")
        if self.authorization == "edge":
            if self.tokens is None and self.jwt is None:
                raise ConfigInvalid(
                    "nobody could ask: no tokens are known",
                    hint='write tokens = "clients.tokens", `bodega tokens add clients.tokens NAME` makes one; or `jwt`',
                    path=("tokens",),
                )
            if self.tokens is not None:
                file_path(self, "tokens")
            if not isinstance(self.jwt, Jwt | None):
                raise ConfigInvalid("signed tokens are described by a Jwt", path=("jwt",))
            return
        for name in ("tokens", "jwt", "forward_authorization"):
            if getattr(self, name):
                raise ConfigInvalid(
                    "it is for tokens that the edge checks",
                    hint='write authorization = "edge", or leave it out',
                    path=(name,),
                )

    def _set_body_key(self) -> None:
        if isinstance(self.body_key, str):
            try:
                object.__setattr__(self, "body_key", BodyKey(self.body_key))
            except ConfigInvalid as error:
                first = error.problems[0]
                raise ConfigInvalid(first.what, hint=first.hint, path=("body_key",)) from None
        elif not isinstance(self.body_key, BodyKey | None):
            raise ConfigInvalid('the key of a body is "json", "raw" or a BodyKey', path=("body_key",))
        if self.body_key is None:
            return
        if self.origin is None:
            raise ConfigInvalid("no origin is asked here, and so no answer kept", hint="remove it", path=("body_key",))
        if self.methods and not {"POST", "QUERY"} & set(self.methods):
            raise ConfigInvalid(
                f"it is for POST and QUERY, and this behavior takes {', '.join(self.methods)}",
                hint='add "POST" to `methods`, or remove it',
                path=("body_key",),
            )

    def _set_lists(self) -> None:
        for name, check in (
            ("path", checks.path_pattern),
            ("methods", checks.method),
            ("allow", checks.network),
            ("deny", checks.network),
        ):
            written = getattr(self, name)
            alone = isinstance(written, str)
            members = enumerate(checks.as_tuple(written, name))
            checked = tuple(check(member, name) if alone else check(member, name, index) for index, member in members)
            object.__setattr__(self, name, checked)

    def _set_action(self) -> None:
        given = [name for name in ("origin", "redirect", "answer") if getattr(self, name) is not None]
        if not given:
            raise ConfigInvalid(
                "nothing is to be done with these requests", hint='add `origin = "..."`, `redirect` or `answer`'
            )
        if len(given) > 1:
            raise ConfigInvalid(
                f"{given[0]} and {given[1]} exclude each other", hint="keep one of them", path=(given[1],)
            )
        if isinstance(self.origin, str):
            try:
                if "://" in self.origin:
                    object.__setattr__(self, "origin", origin_from_url(self.origin))
                elif not _is_name(self.origin):
                    origin_from_url(self.origin)
            except ConfigInvalid as error:
                raise error.under("origin") from None
        elif self.origin is not None and not is_origin(self.origin):
            raise ConfigInvalid(
                "an origin is a name, an address, an HttpOrigin, an S3, a Model, a ModelGroup, an OriginGroup or a "
                "RegionalOrigin",
                path=("origin",),
            )
        if isinstance(self.redirect, str):
            try:
                object.__setattr__(self, "redirect", Redirect(self.redirect))
            except ConfigInvalid as error:
                first = error.problems[0]
                raise ConfigInvalid(first.what, hint=first.hint, path=("redirect",)) from None
        elif not isinstance(self.redirect, Redirect | None):
            raise ConfigInvalid("a redirect is an address or a Redirect", path=("redirect",))
        if not isinstance(self.answer, Answer | None):
            raise ConfigInvalid("an answer is an Answer", path=("answer",))


def _is_name(written: str) -> bool:
    try:
        checks.name(written)
    except ConfigInvalid:
        return False
    return True
