"""Signed tokens that an edge checks itself: JSON Web Tokens (RFC 7519), by the public keys of who makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from bodega.distributions import checks
from bodega.distributions.origin_transport import file_path
from bodega.distributions.shapes import ChoiceShape, DurationShape, ListShape, MapShape, TextShape, about
from bodega.errors import ConfigInvalid
from bodega.units import Duration

if TYPE_CHECKING:
    from collections.abc import Sequence

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_MAX_LEEWAY_SECONDS = 300
_OWN_CLAIMS = ("iss", "aud", "exp", "nbf")


@dataclass(frozen=True, slots=True)
class Jwt:
    """Let in who presents a token that an issuer has signed.

    Example:
        >>> Jwt("issuer.jwks.json", issuer="https://id.example.com", audience="shop").audience
        ('shop',)

    Attributes:
        keys: The file of the issuer's public keys: a JWK Set (RFC 7517).
        issuer: Who makes the tokens: their `iss`.
        audience: For whom they are: one of these is in their `aud`.
        algorithms: How they may be signed; none: as the keys say.
        leeway: How far the issuer's clock may be from the edge's, up to 5 minutes.
        claims: What else they have to say.
    """

    keys: str = field(
        metadata=about(
            TextShape(examples=("/etc/bodega/issuer.jwks.json",)),
            "The file of the issuer's public keys: a JWK Set (RFC 7517), as its `jwks_uri` has it. At most 100 keys in "
            "1 MiB, and nothing secret. Read with the configuration.",
        )
    )
    _: KW_ONLY
    issuer: str = field(
        metadata=about(TextShape(examples=("https://id.example.com",)), "Who makes the tokens: exactly their `iss`.")
    )
    audience: str | Sequence[str] = field(
        metadata=about(
            ListShape(TextShape(examples=("shop",)), alone=True),
            "For whom the tokens are: one of these has to be in their `aud`.",
        )
    )
    algorithms: str | Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(ChoiceShape(ALGORITHMS), alone=True),
            "How tokens may be signed. A key that says its `alg` is held to that besides.",
            default="as the keys say",
        ),
    )
    leeway: Duration = field(
        default="30s",
        metadata=about(
            DurationShape(),
            "How far the issuer's clock may be from the edge's: for so long a token lets in after its `exp` and before "
            "its `nbf`. Up to 5 minutes.",
        ),
    )
    claims: Mapping[str, str] = field(
        default_factory=dict,
        metadata=about(
            MapShape(TextShape(), "claim"),
            'What else the tokens have to say: `{ scope = "predict" }`. Of a claim that is a list, '
            "one has to be this; of `scope`, each word has to be there.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        file_path(self, "keys")
        _filled(self.issuer, "issuer")
        audience = checks.as_tuple(self.audience, "audience")
        if not audience:
            raise ConfigInvalid(
                "tokens for somebody else let in nobody",
                hint='name your service: audience = "shop"',
                path=("audience",),
            )
        for index, name in enumerate(audience):
            _filled(name, "audience", *(() if isinstance(self.audience, str) else (index,)))
        object.__setattr__(self, "audience", audience)
        self._set_algorithms()
        if checks.duration(self.leeway, "leeway") > _MAX_LEEWAY_SECONDS:
            raise ConfigInvalid(
                f'"{self.leeway}" is too long: clocks that far apart are wrong',
                hint='write "5m" or shorter',
                path=("leeway",),
            )
        self._set_claims()

    def _set_algorithms(self) -> None:
        algorithms = checks.as_tuple(self.algorithms, "algorithms")
        for index, name in enumerate(algorithms):
            if name not in ALGORITHMS:
                where = () if isinstance(self.algorithms, str) else (index,)
                raise ConfigInvalid(
                    f'"{name}" is no algorithm that counts: it has to be one with public keys',
                    hint=checks.suggest(name, ALGORITHMS) or f"write some of {', '.join(ALGORITHMS)}",
                    path=("algorithms", *where),
                )
        object.__setattr__(self, "algorithms", algorithms)

    def _set_claims(self) -> None:
        if not isinstance(self.claims, Mapping):
            raise ConfigInvalid("claims are a table", hint='write { scope = "predict" }', path=("claims",))
        for name, wanted in self.claims.items():
            _filled(name, "claims")
            if name in _OWN_CLAIMS:
                raise ConfigInvalid(f'"{name}" is checked anyway', hint="remove it", path=("claims", name))
            _filled(wanted, "claims", name)
        object.__setattr__(self, "claims", dict(self.claims))


def _filled(value: object, *field: str | int) -> None:
    if not checks.text(value, *field):
        raise ConfigInvalid("an empty text is in no token", path=field)
