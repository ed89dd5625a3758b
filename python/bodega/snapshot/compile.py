"""From nouns to the snapshot: names given to what has none, policies flattened, every default filled in.

Pure: the environment that may name S3's region and endpoint is an argument.
No secret enters a snapshot; it says where credentials are, not what they are.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from bodega.distributions import (
    PRESETS,
    S3,
    Behavior,
    BodyKey,
    CachePolicy,
    Declarations,
    Distribution,
    Golden,
    HeaderEdits,
    Hsts,
    HttpOrigin,
    Jwt,
    Model,
    ModelGroup,
    Origin,
    OriginGroup,
    RegionalOrigin,
    ResolvedPolicy,
    SingleOrigin,
    resolve_policy,
)
from bodega.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SCHEMA = 1

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A compiled configuration.

    Attributes:
        revision: Grows with every configuration an edge is given, from 1.
        document: The JSON that the native core takes, whole.
    """

    revision: int
    document: str


def compile_snapshot(
    declarations: Declarations, revision: int = 1, environment: Mapping[str, str] | None = None
) -> Snapshot:
    """Compile what is declared.

    Args:
        declarations: Distributions with the origins and policies they name.
        revision: From 1; an edge takes only one that is higher than what it has.
        environment: Where ``AWS_REGION``, ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL_S3`` and ``AWS_ENDPOINT_URL`` are
            looked up for buckets that name no region or endpoint; empty by default.
    """
    compiler = _Compiler(declarations, environment or {})
    distributions = [compiler.distribution(each) for each in declarations.distributions]
    document = {
        "schema": SCHEMA,
        "revision": revision,
        "distributions": distributions,
        "origins": compiler.origins,
        "policies": compiler.policies,
    }
    return Snapshot(revision, json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


@dataclass(slots=True)
class _Compiler:
    declarations: Declarations
    environment: Mapping[str, str]
    origins: Json = field(default_factory=dict)
    policies: Json = field(default_factory=dict)

    def distribution(self, distribution: Distribution) -> Json:
        return {
            "name": distribution.name,
            "hosts": list(distribution.hosts),
            "viewer_protocol": distribution.viewer_protocol,
            "hsts": _hsts(distribution.written_hsts()),
            "behaviors": [
                self._behavior(behavior, f"{distribution.name}-{index}")
                for index, behavior in enumerate(distribution.behaviors)
            ],
        }

    def _behavior(self, behavior: Behavior, name: str) -> Json:
        return {
            "paths": list(behavior.paths),
            "methods": list(behavior.methods),
            "action": self._action(behavior),
            "policy": self._policy(self._written_policy(behavior), name),
            "strip_prefix": behavior.strip_prefix,
            "add_prefix": behavior.add_prefix,
            "allow": list(behavior.allow),
            "deny": list(behavior.deny),
            "request_headers": _edits(behavior.request_headers),
            "response_headers": _edits(behavior.response_headers),
            "authorization": _authorization(behavior),
            "body_key": _body_key(behavior.written_body_key),
        }

    def _written_policy(self, behavior: Behavior) -> str | CachePolicy:
        # What asks no origin keeps nothing, whatever the behavior's policy says.
        if behavior.origin is None:
            return "none"
        # The default of a behavior is for sites; answers of models have one of their own.
        is_model = isinstance(self.declarations.origin(behavior.origin), Model | ModelGroup)
        return "predictions" if is_model and behavior.policy == "web" else behavior.policy

    def _action(self, behavior: Behavior) -> Json:
        if behavior.redirect is not None:
            redirect = behavior.written_redirect()
            return {"kind": "redirect", "status": redirect.status, "location": redirect.location}
        if behavior.answer is not None:
            headers = dict(behavior.answer.headers)
            if behavior.answer.body:
                headers.setdefault("content-type", "text/plain; charset=utf-8")
            return {
                "kind": "answer",
                "status": behavior.answer.status,
                "headers": [list(pair) for pair in headers.items()],
                "body": behavior.answer.body,
            }
        assert behavior.origin is not None, "a behavior without an action cannot be made"
        return {"kind": "origin", "origin": self._origin(behavior.origin)}

    def _origin(self, origin: str | Origin) -> str:
        declared = self.declarations.origin(origin)
        if isinstance(declared, RegionalOrigin):
            # Compiled for no edge in particular, as to check it: all that it may come to has to be right.
            return [self._origin(member) for member in declared.members][-1]
        match declared:
            case OriginGroup():
                compiled = self._group(declared)
            case Model():
                compiled = _model(declared)
            case ModelGroup():
                compiled = {"kind": "models", "members": [self._origin(member) for member in declared.models]}
            case _:
                compiled = self._single(declared)
        wanted = origin if isinstance(origin, str) else _origin_name(declared)
        return _put(
            self.origins, wanted, compiled, reserved=() if isinstance(origin, str) else self.declarations.origins
        )

    def _single(self, origin: SingleOrigin) -> Json:
        return _http(origin) if isinstance(origin, HttpOrigin) else _s3(origin, self.environment)

    def _group(self, group: OriginGroup) -> Json:
        members = [self._origin(member) for member in group.group]
        return {"kind": "group", "members": members, "failover": list(group.failover)}

    def _policy(self, policy: str | CachePolicy, name: str) -> str:
        compiled = _policy(resolve_policy(policy, self.declarations.policies))
        if isinstance(policy, str):
            self.policies[policy] = compiled
            return policy
        return _put(self.policies, name, compiled, reserved={*PRESETS, *self.declarations.policies})


def _authorization(behavior: Behavior) -> Json:
    if behavior.authorization == "edge":
        jwt = None if behavior.jwt is None else _jwt(behavior.jwt)
        return {"kind": "edge", "tokens": behavior.tokens, "jwt": jwt, "forward": behavior.forward_authorization}
    return {"kind": behavior.authorization}


def _jwt(jwt: Jwt) -> Json:
    return {
        "keys": jwt.keys,
        "issuer": jwt.issuer,
        "audience": list(jwt.audience),
        "algorithms": list(jwt.algorithms),
        "leeway_seconds": parse_duration(jwt.leeway),
        "claims": dict(jwt.claims),
    }


def _body_key(body_key: BodyKey | None) -> Json | None:
    if body_key is None:
        return None
    return {
        "form": body_key.form,
        "ignored": list(body_key.ignored),
        "max_bytes": parse_size(body_key.max_body),
    }


def _hsts(hsts: Hsts | None) -> Json | None:
    if hsts is None:
        return None
    return {
        "max_age_seconds": _number(parse_duration(hsts.max_age)),
        "include_subdomains": hsts.include_subdomains,
        "preload": hsts.preload,
    }


def _put(table: Json, wanted: str, compiled: Json, reserved: Collection[str]) -> str:
    """Store under the name wanted, or, where another holds it, under the first free one with a number."""
    name, number = wanted, 1
    while name in reserved or table.get(name, compiled) != compiled:
        number += 1
        name = f"{wanted}-{number}"
    table[name] = compiled
    return name


def _origin_name(origin: Origin) -> str:
    if isinstance(origin, RegionalOrigin):
        return "by-region"
    if isinstance(origin, Model):
        written = origin.name
    elif isinstance(origin, ModelGroup):
        written = "models"
    elif isinstance(origin, OriginGroup):
        written = "-or-".join(each if isinstance(each, str) else _origin_name(each) for each in origin.group)
    else:
        written = origin.bucket if isinstance(origin, S3) else urlsplit(origin.url).netloc
    return re.sub(r"[^A-Za-z0-9._-]+", "-", written).strip("-._")[:60] or "origin"


def _http(origin: HttpOrigin) -> Json:
    return {"kind": "http", "url": origin.url, "host": origin.host, **_transport(origin)}


def _s3(origin: S3, environment: Mapping[str, str]) -> Json:
    region = origin.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    named = origin.endpoint or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    endpoint = named.rstrip("/") if named else f"https://s3.{region}.amazonaws.com"
    # A bucket with a dot in its name does not fit the certificate of AWS, which covers one label.
    path_style = origin.path_style if origin.path_style is not None else bool(named) or "." in origin.bucket
    return {
        "kind": "s3",
        "endpoint": endpoint,
        "bucket": origin.bucket,
        "prefix": origin.prefix,
        "region": region,
        "path_style": path_style,
        "credentials": _credentials(origin),
        "missing_as_404": origin.missing_as_404,
        "index_document": origin.index_document,
        **_transport(origin),
    }


def _model(model: Model) -> Json:
    return {
        "kind": "model",
        "path": model.model,
        "name": model.name,
        "version": model.version,
        "timeout_seconds": _number(parse_duration(model.timeout)),
        "max_batch": model.max_batch,
        "max_queue": model.max_queue,
        "max_body_bytes": parse_size(model.max_body),
        "ttl_seconds": None if model.ttl is None else _number(parse_duration(model.ttl)),
        "batch_wait_seconds": _number(parse_duration(model.batch_wait)),
        "provider": model.provider,
        "threads": model.threads,
        "isolated": model.isolated,
        "runner": model.runner,
        "ignored": list(model.ignored),
        "golden": [_golden(each) for each in model.golden],
        "max_memory_bytes": None if model.max_memory is None else parse_size(model.max_memory),
        "region_only": model.region_only,
    }


def _golden(golden: Golden) -> Json:
    # As texts: numbers keep the digits in which they were written, and the core reads them as those of a request.
    return {
        "features_json": json.dumps(golden.features, allow_nan=False),
        "prediction_json": None if golden.prediction is None else json.dumps(golden.prediction, allow_nan=False),
        "tolerance": golden.tolerance,
    }


def _credentials(origin: S3) -> Json:
    if origin.unsigned:
        return {"kind": "unsigned"}
    if origin.credentials_file is not None:
        return {"kind": "file", "path": origin.credentials_file, "profile": origin.profile}
    return {"kind": "environment"}


def _transport(origin: SingleOrigin) -> Json:
    return {
        "connect_timeout_seconds": _number(parse_duration(origin.connect_timeout)),
        "first_byte_timeout_seconds": _number(parse_duration(origin.first_byte_timeout)),
        "between_bytes_timeout_seconds": _number(parse_duration(origin.between_bytes_timeout)),
        "attempts": origin.attempts,
        "max_connections": origin.max_connections,
        "max_queue": origin.max_queue,
        "queue_timeout_seconds": _number(parse_duration(origin.queue_timeout)),
        "health": {
            "max_failures": origin.health.max_failures,
            "retry_after_seconds": _number(parse_duration(origin.health.retry_after)),
            "fail_fast": origin.health.fail_fast,
        },
        "ca_file": origin.ca_file,
    }


def _policy(policy: ResolvedPolicy) -> Json:
    return {
        "store": policy.store,
        "mode": policy.mode,
        "min_ttl_seconds": _number(policy.min_ttl_seconds),
        "default_ttl_seconds": _number(policy.default_ttl_seconds),
        "heuristic_only": policy.heuristic_only,
        "max_ttl_seconds": _number(policy.max_ttl_seconds),
        "negative_ttl_seconds": {str(status): _number(seconds) for status, seconds in policy.negative_ttl_seconds},
        "stale_while_revalidate_seconds": _number(policy.stale_while_revalidate_seconds),
        "stale_if_error_seconds": _number(policy.stale_if_error_seconds),
        "strict_seconds": None if policy.strict_seconds is None else _number(policy.strict_seconds),
        "refresh_every_seconds": None
        if policy.refresh_every_seconds is None
        else _number(policy.refresh_every_seconds),
        "key": {
            "query": {
                "kind": policy.key_query.kind,
                "names": list(policy.key_query.names),
                "sorted": policy.key_sorted,
            },
            "headers": list(policy.key_headers),
            "cookies": list(policy.key_cookies),
            "host": policy.key_host,
        },
        "forward": {
            "query": {"kind": policy.forward_query.kind, "names": list(policy.forward_query.names)},
            "headers": list(policy.forward_headers),
            "all_headers": policy.forward_all_headers,
            "cookies": list(policy.forward_cookies),
        },
        "check_content_type": policy.check_content_type,
        "tags": list(policy.tags),
        "strip_tags": policy.strip_tags,
        "max_object_bytes": policy.max_object_bytes,
    }


def _edits(edits: HeaderEdits) -> Json:
    return {"set": [list(pair) for pair in edits.set.items()], "remove": list(edits.remove)}


def _number(seconds: float) -> int | float:
    return int(seconds) if seconds == int(seconds) else seconds
