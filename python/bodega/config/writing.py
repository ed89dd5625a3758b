"""From nouns to the text of a `bodega.toml` that declares the same: the inverse of `bodega.distributions.read`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import tomli_w

from bodega.distributions import S3, Declarations, Distribution
from bodega.distributions.read import documented_fields
from bodega.distributions.shapes import ListShape, MapShape, NameShape, Shape, about_field

if TYPE_CHECKING:
    from dataclasses import Field


def to_document(declarations: Declarations) -> dict[str, Any]:
    """Return declarations as the plain values that stand in a document; what is as by default is left out."""
    return _Writer(declarations).document()


def to_text(declarations: Declarations) -> str:
    """Return declarations as the text of a `bodega.toml`."""
    return tomli_w.dumps(to_document(declarations))


@dataclass(slots=True)
class _Writer:
    """Where a document wants a name and a noun stands in its place, the noun is declared under a new name."""

    declarations: Declarations
    named: dict[str, dict[str, object]] = field(default_factory=lambda: {"origins": {}, "policies": {}})

    def document(self) -> dict[str, Any]:
        tables = {
            "origins": self._each(self.declarations.origins),
            "policies": self._each(self.declarations.policies),
            "distributions": self._each({each.name: each for each in self.declarations.distributions}),
        }
        for kind, nouns in self.named.items():
            tables[kind] |= self._each(nouns)
        return {kind: table for kind, table in tables.items() if table}

    def _each(self, nouns: Mapping[str, object]) -> dict[str, Any]:
        return {name: self._table(noun) for name, noun in list(nouns.items())}

    def _table(self, noun: Any) -> dict[str, Any]:
        table = {
            name: self._value(_shape(described), getattr(noun, name))
            for name, described in documented_fields(type(noun)).items()
            if not _is_default(described, getattr(noun, name))
        }
        if isinstance(noun, S3):
            # The bucket has no place of its own.
            return {"url": f"s3://{noun.bucket}", **table}
        return table

    def _value(self, shape: Shape | None, value: Any) -> Any:
        match value:
            case timedelta():
                return f"{round(value.total_seconds() * 1000)}ms"
            case str() | int() | float():
                return value
            case Mapping():
                of = shape.of if isinstance(shape, MapShape) else None
                return {str(key): self._value(of, each) for key, each in value.items()}
            case _ if is_dataclass(value):
                return self._name(shape.to, value) if isinstance(shape, NameShape) else self._table(value)
            case _:
                of = shape.of if isinstance(shape, ListShape) else None
                return [self._value(of, each) for each in value]

    def _name(self, kind: str, noun: object) -> str:
        named = self.named[kind]
        taken = {**self._declared(kind), **named}
        for name, known in named.items():
            if known == noun:
                return name
        number = len(named) + 1
        while (name := f"{'origin' if kind == 'origins' else 'policy'}-{number}") in taken:
            number += 1
        named[name] = noun
        # One may hold others.
        self._table(noun)
        return name

    def _declared(self, kind: str) -> Mapping[str, object]:
        return self.declarations.origins if kind == "origins" else self.declarations.policies


def _shape(described: Field[Any]) -> Shape | None:
    about = about_field(described)
    return None if about is None else about.shape


def _is_default(described: Field[Any], value: object) -> bool:
    if value is None or isinstance(value, Distribution):
        return True
    if described.default_factory is not MISSING:
        return bool(value == described.default_factory())
    return bool(value == described.default)
