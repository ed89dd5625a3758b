"""A content delivery network that you run yourself, for models and media.

What a person types first is here; everything else is in the package of its subject, exceptions in `bodega.errors`.
Names are loaded when they are first used: whoever only declares loads no native module, and `bodega --help` is quick.
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from bodega.client import CacheInvalidationSystem, Fleet, Purge, connect
    from bodega.config import DiskTier
    from bodega.distributions import (
        S3,
        Answer,
        Behavior,
        BodyKey,
        CachePolicy,
        Distribution,
        ForwardRules,
        Golden,
        HeaderEdits,
        Health,
        Hsts,
        HttpOrigin,
        Jwt,
        KeyRules,
        Model,
        ModelGroup,
        OriginGroup,
        Redirect,
        RegionalOrigin,
    )
    from bodega.edge import EdgeMetrics, EdgeMLServer, EdgeServer, EdgeStats, Request, Response
    from bodega.errors import BodegaError
    from bodega.serving import Runner

__version__ = "0.1.0"

__all__ = [
    "S3",
    "Answer",
    "Behavior",
    "BodegaError",
    "BodyKey",
    "CacheInvalidationSystem",
    "CachePolicy",
    "DiskTier",
    "Distribution",
    "EdgeMLServer",
    "EdgeMetrics",
    "EdgeServer",
    "EdgeStats",
    "Fleet",
    "ForwardRules",
    "Golden",
    "HeaderEdits",
    "Health",
    "Hsts",
    "HttpOrigin",
    "Jwt",
    "KeyRules",
    "Model",
    "ModelGroup",
    "OriginGroup",
    "Purge",
    "Redirect",
    "RegionalOrigin",
    "Request",
    "Response",
    "Runner",
    "__version__",
    "connect",
]

_HOMES = {
    "bodega.distributions": {
        "S3",
        "Answer",
        "Behavior",
        "BodyKey",
        "CachePolicy",
        "Distribution",
        "ForwardRules",
        "Golden",
        "HeaderEdits",
        "Health",
        "Hsts",
        "HttpOrigin",
        "Jwt",
        "KeyRules",
        "Model",
        "ModelGroup",
        "OriginGroup",
        "Redirect",
        "RegionalOrigin",
    },
    "bodega.client": {"CacheInvalidationSystem", "Fleet", "Purge", "connect"},
    "bodega.config": {"DiskTier"},
    "bodega.edge": {"EdgeMLServer", "EdgeMetrics", "EdgeServer", "EdgeStats", "Request", "Response"},
    "bodega.errors": {"BodegaError"},
    "bodega.serving": {"Runner"},
}


def __getattr__(name: str) -> object:
    """Load a name from the package of its subject."""
    for home, names in _HOMES.items():
        if name in names:
            value: object = getattr(_importlib.import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Offer the names that are not loaded yet, too."""
    return sorted({*globals(), *__all__})
