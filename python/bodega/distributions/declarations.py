"""Everything that is declared together: distributions, and the origins and policies they name.

A `Declarations` that exists is whole: every name refers to something, no host belongs to two distributions,
no policies extend one another in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bodega.distributions import checks
from bodega.distributions.behavior import Behavior
from bodega.distributions.distribution import Distribution
from bodega.distributions.model import MODEL_PATHS, Model
from bodega.distributions.origin_groups import ModelGroup, OriginGroup, RegionalOrigin, is_origin
from bodega.distributions.origins import S3, HttpOrigin, origin_from_url
from bodega.distributions.policy import CachePolicy
from bodega.distributions.resolve import PRESETS, known_policies, resolve_policy
from bodega.distributions.shapes import MapShape, NounShape, OriginShape, about
from bodega.errors import ConfigInvalid, KeyPath, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bodega.distributions.origin_groups import Origin
    from bodega.distributions.origins import SingleOrigin
    from bodega.units import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Distributions with the origins and policies that their behaviors name.

    Attributes:
        origins: By name.
        policies: By name, beside the presets.
        distributions: In the order of the document.
    """

    origins: Mapping[str, Origin] = field(
        default_factory=dict,
        metadata=about(
            MapShape(OriginShape()),
            "Where the truth is: an address (`https://host`, `http://host:port`, `s3://bucket/prefix`), "
            "a table with `url` and the fields below, a group of origins (a table with `group`), or a choice by "
            "region (a table with `regions`).",
        ),
    )
    policies: Mapping[str, CachePolicy] = field(
        default_factory=dict,
        metadata=about(MapShape(NounShape(CachePolicy)), "What is kept, for how long, under which key."),
    )
    distributions: Sequence[Distribution] = field(
        default=(), metadata=about(MapShape(NounShape(Distribution, named=True)), "The sites, by name.")
    )

    def __post_init__(self) -> None:
        """Check names and references; all problems are reported together."""
        object.__setattr__(self, "origins", dict(self.origins))
        object.__setattr__(self, "policies", dict(self.policies))
        object.__setattr__(self, "distributions", tuple(self.distributions))
        problems = [
            *self._name_problems(),
            *self._policy_problems(),
            *self._host_problems(),
            *self._group_problems(),
            *self._reference_problems(),
        ]
        if problems:
            raise ConfigInvalid.of(problems)

    @classmethod
    def of_origin(cls, url: str, *, ttl: Duration | None = None) -> Declarations:
        """Declare the simplest case: one origin for every host, under the preset ``web``.

        Args:
            url: The origin's address.
            ttl: Freshness of answers that say nothing; None for the preset's 24 h, ``"0"`` to keep only what they say.

        Raises:
            ConfigInvalid: If the address or the duration cannot be used; its path is ``("origin",)`` or ``("ttl",)``.
        """
        try:
            origin = origin_from_url(url)
        except ConfigInvalid as error:
            raise error.under("origin") from None
        try:
            policy = "web" if ttl is None else CachePolicy(default_ttl=ttl)
        except ConfigInvalid as error:
            raise ConfigInvalid(error.what, hint=error.hint, path=("ttl",)) from None
        behavior = Behavior(origin=origin, policy=policy)
        return cls(distributions=[Distribution("default", behaviors=[behavior])])

    @classmethod
    def of_models(cls, models: Sequence[str | Model], *, ttl: Duration | None = None) -> Declarations:
        """Declare models for every host: ``POST /predict``, ``/batch_predict``, ``/models/NAME/predict`` and ``/v2``.

        Args:
            models: The models, or their files. Of several versions of one the first is asked where none is named.
            ttl: How long a prediction is kept; None for the preset's 5 minutes.

        Raises:
            ConfigInvalid: If a path or the duration cannot be used; its path begins with ``"model"`` or ``"ttl"``.
        """
        try:
            policy = "predictions" if ttl is None else CachePolicy(extends="predictions", default_ttl=ttl)
        except ConfigInvalid as error:
            raise ConfigInvalid(error.what, hint=error.hint, path=("ttl",)) from None
        made = [each if isinstance(each, Model) else Model(each) for each in models]
        if ttl is not None:
            # What is typed wins over what a `model.toml` says.
            made = [replace(each, ttl=ttl) if each.ttl is not None else each for each in made]
        origin = made[0] if len(made) == 1 else ModelGroup(made)
        behavior = Behavior(MODEL_PATHS, origin=origin, policy=policy)
        return cls(distributions=[Distribution("default", behaviors=[behavior])])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of all distributions, as they are declared."""
        return tuple(host for each in self.distributions for host in checks.as_tuple(each.hosts, "hosts"))

    def strict_seconds(self) -> list[float]:
        """Return the `strict` of each behavior that has one, in seconds."""
        resolved = (
            resolve_policy(behavior.policy, self.policies) for each in self.distributions for behavior in each.behaviors
        )
        return [policy.strict_seconds for policy in resolved if policy.strict_seconds is not None]

    def origin(self, behavior_origin: str | Origin) -> Origin:
        """Return the origin that a behavior means.

        Raises:
            KeyError: If it is a name that is not declared; in a `Declarations` that exists, no behavior has one.
        """
        return self.origins[behavior_origin] if isinstance(behavior_origin, str) else behavior_origin

    def _name_problems(self) -> Iterator[Problem]:
        for table, names in (("origins", self.origins), ("policies", self.policies)):
            for name in names:
                try:
                    checks.name(name)
                except ConfigInvalid as error:
                    yield from error.under(table, name).problems
        for name, origin in self.origins.items():
            if not is_origin(origin):
                yield Problem(f"a {type(origin).__name__} is not an origin", path=("origins", name))
        seen: set[str] = set()
        for distribution in self.distributions:
            if distribution.name in seen:
                yield Problem(
                    f'two distributions are called "{distribution.name}"',
                    "rename one",
                    ("distributions", distribution.name),
                )
            seen.add(distribution.name)

    def _policy_problems(self) -> Iterator[Problem]:
        for name, policy in self.policies.items():
            if name in PRESETS:
                yield Problem(
                    f'"{name}" is built in', f'give yours another name and write extends = "{name}"', ("policies", name)
                )
                continue
            try:
                resolve_policy(policy, self.policies)
            except ConfigInvalid as error:
                yield from error.under("policies", name).problems

    def _host_problems(self) -> Iterator[Problem]:
        owners: dict[str, str] = {}
        for distribution in self.distributions:
            for index, host in enumerate(checks.as_tuple(distribution.hosts, "hosts")):
                owner = owners.setdefault(host, distribution.name)
                if owner != distribution.name:
                    yield Problem(
                        f'the host "{host}" already belongs to the distribution "{owner}"',
                        "name each host once",
                        ("distributions", distribution.name, "hosts", index),
                    )

    def _group_problems(self) -> Iterator[Problem]:
        for name, origin in self.origins.items():
            yield from self._member_problems(origin, ("origins", name))

    def _member_problems(self, origin: object, path: KeyPath) -> Iterator[Problem]:
        match origin:
            case OriginGroup():
                for index, member in enumerate(origin.group):
                    yield from self._member_problem(member, (OriginGroup, RegionalOrigin), (*path, "group", index))
            case RegionalOrigin():
                for region, member in origin.regions.items():
                    yield from self._member_problem(member, (RegionalOrigin,), (*path, "regions", region))
                yield from self._member_problem(origin.otherwise, (RegionalOrigin,), (*path, "otherwise"))
            case ModelGroup():
                for index, model in enumerate(origin.models):
                    yield from self._model_problem(model, (*path, "models", index))

    def _model_problem(self, model: str | Model, path: KeyPath) -> Iterator[Problem]:
        if not isinstance(model, str) or isinstance(self.origins.get(model), Model):
            return
        if model in self.origins:
            yield Problem(f'"{model}" is no model', "name origins that are a `model` each", path)
            return
        known = [name for name, origin in self.origins.items() if isinstance(origin, Model)]
        hint = checks.suggest(model, known) or f'declare it: [origins] {model} = {{ model = "{model}.onnx" }}'
        yield Problem(f'no model is called "{model}"', hint, path)

    def _member_problem(
        self, member: str | SingleOrigin, too_much: tuple[type[Origin], ...], path: KeyPath
    ) -> Iterator[Problem]:
        if not isinstance(member, str):
            return
        if member not in self.origins:
            known = [name for name, origin in self.origins.items() if not isinstance(origin, too_much)]
            hint = checks.suggest(member, known) or f'declare it: [origins] {member} = "https://..."'
            yield Problem(f'no origin is called "{member}"', hint, path)
        elif isinstance(self.origins[member], Model | ModelGroup):
            what = "a model" if isinstance(self.origins[member], Model) else "a group of models"
            yield Problem(f'"{member}" is {what}', "let a behavior name it: nothing stands in for it", path)
        elif isinstance(self.origins[member], OriginGroup) and OriginGroup in too_much:
            yield Problem(f'"{member}" is a group itself', "name its members here instead", path)
        elif isinstance(self.origins[member], too_much):
            yield Problem(f'"{member}" is chosen by region itself', "name one of those it may come to", path)

    def _reference_problems(self) -> Iterator[Problem]:
        for distribution in self.distributions:
            for index, behavior in enumerate(distribution.behaviors):
                path = ("distributions", distribution.name, "behaviors", index)
                if isinstance(behavior.origin, str) and behavior.origin not in self.origins:
                    yield Problem(
                        f'no origin is called "{behavior.origin}"',
                        self._origin_hint(behavior.origin),
                        (*path, "origin"),
                    )
                else:
                    yield from self._member_problems(behavior.origin, (*path, "origin"))
                    yield from self._body_key_problems(behavior, path)
                    yield from self._region_problems(behavior, path)
                if isinstance(behavior.policy, str):
                    if behavior.policy not in known_policies(self.policies):
                        known = known_policies(self.policies)
                        hint = checks.suggest(behavior.policy, known) or f"there are {', '.join(known)}"
                        yield Problem(f'no policy is called "{behavior.policy}"', hint, (*path, "policy"))
                    continue
                try:
                    resolve_policy(behavior.policy, self.policies)
                except ConfigInvalid as error:
                    yield from error.under(*path, "policy").problems

    def _body_key_problems(self, behavior: Behavior, path: KeyPath) -> Iterator[Problem]:
        if behavior.body_key is None or behavior.origin is None:
            return
        if isinstance(self.origin(behavior.origin), Model):
            yield Problem(
                "a model reads the body itself: its rows are in the key",
                "remove it; `ignored` of the model says what does not count",
                (*path, "body_key"),
            )

    def _region_problems(self, behavior: Behavior, path: KeyPath) -> Iterator[Problem]:
        if not behavior.region_only or behavior.origin is None:
            return
        left: list[str | Origin] = [behavior.origin]
        while left:
            written = left.pop()
            if isinstance(written, str) and written not in self.origins:
                continue
            origin = self.origin(written)
            if isinstance(origin, RegionalOrigin):
                left += origin.members
            elif isinstance(origin, OriginGroup):
                left += origin.group
            elif isinstance(origin, HttpOrigin | S3) and origin.region is None:
                called = f'"{written}"' if isinstance(written, str) else "an origin"
                yield Problem(
                    f"requests stay in their region, and {called} does not say in which it is",
                    'add for instance region = "eu-west-2" to the origin, or "eu-*"',
                    (*path, "region_only"),
                )

    def _origin_hint(self, written: str) -> str:
        close = checks.suggest(written, list(self.origins))
        if close:
            return close
        if "." in written:
            return f'an address has a scheme: did you mean "https://{written}"?'
        if self.origins:
            return f"there are {', '.join(self.origins)}"
        return f'declare it: [origins] {written} = "https://..."'
