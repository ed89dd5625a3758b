"""The declared nouns: distributions, behaviors, policies, origins.

They hold what a person writes, checked when it is made: an invalid noun does not exist.
They know nothing of files (that is `bodega.config`), nor of what the data plane executes (that is `bodega.snapshot`).
Start at `Distribution`; `resolve_policy` says what a policy means once presets and `extends` are filled in.
"""

from __future__ import annotations

import bodega.distributions.model_file  # noqa: F401 - It reads what models say of themselves.
from bodega.distributions.actions import Answer, HeaderEdits, Redirect
from bodega.distributions.behavior import Behavior
from bodega.distributions.body_key import BodyKey
from bodega.distributions.declarations import Declarations
from bodega.distributions.distribution import Distribution
from bodega.distributions.hsts import Hsts
from bodega.distributions.jwt import Jwt
from bodega.distributions.key import Deny, ForwardRules, KeyRules
from bodega.distributions.model import Golden, Model
from bodega.distributions.origin_groups import ModelGroup, Origin, OriginGroup, RegionalOrigin
from bodega.distributions.origin_transport import Health
from bodega.distributions.origins import S3, HttpOrigin, SingleOrigin, origin_from_url
from bodega.distributions.policy import CachePolicy
from bodega.distributions.resolve import PRESETS, ResolvedPolicy, ResolvedQuery, resolve_policy
from bodega.distributions.targeting import meant_for

__all__ = [
    "PRESETS",
    "S3",
    "Answer",
    "Behavior",
    "BodyKey",
    "CachePolicy",
    "Declarations",
    "Deny",
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
    "Origin",
    "OriginGroup",
    "Redirect",
    "RegionalOrigin",
    "ResolvedPolicy",
    "ResolvedQuery",
    "SingleOrigin",
    "meant_for",
    "origin_from_url",
    "resolve_policy",
]
