"""The JSON schema of `bodega.toml`, for editors: generated from the nouns' own fields."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any, TypeAlias

from bodega.config.edge_settings import EdgeSettings
from bodega.distributions import PRESETS, S3, Declarations, HttpOrigin, Model, ModelGroup, OriginGroup, RegionalOrigin
from bodega.distributions.read import documented_fields
from bodega.distributions.shapes import (
    ChoiceShape,
    CountShape,
    DurationShape,
    EitherShape,
    FlagShape,
    ListShape,
    MapShape,
    NameShape,
    NounShape,
    NumberShape,
    OriginShape,
    Shape,
    SizeShape,
    TextShape,
    ValueShape,
    about_field,
)

Json: TypeAlias = dict[str, Any]


def schema() -> Json:
    """Return the schema, in draft 7, which editors of TOML understand."""
    nouns: dict[str, Json] = {}
    properties = {"edge": {"description": "This machine; a change needs a restart.", **_noun(EdgeSettings, nouns)}}
    properties |= _properties(Declarations, nouns)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "bodega.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "definitions": dict(sorted(nouns.items())),
    }


def _noun(noun: type[Any], nouns: dict[str, Json]) -> Json:
    name = noun.__name__
    if name not in nouns:
        nouns[name] = {}  # Holds the place: nouns may nest.
        nouns[name] |= {
            "type": "object",
            "additionalProperties": False,
            "properties": _properties(noun, nouns),
            **_required(noun),
        }
    return {"$ref": f"#/definitions/{name}"}


def _properties(noun: type[Any], nouns: dict[str, Json]) -> dict[str, Json]:
    return {name: _field(described, nouns) for name, described in documented_fields(noun).items()}


def _required(noun: type[Any]) -> Json:
    missing = [
        name
        for name, described in documented_fields(noun).items()
        if described.default is MISSING and described.default_factory is MISSING
    ]
    return {"required": missing} if missing else {}


def _field(described: Field[Any], nouns: dict[str, Json]) -> Json:
    about = about_field(described)
    assert about is not None, "only documented fields have a schema"
    shape = _shape(about.shape, nouns)
    # In draft 7 nothing beside a `$ref` counts, so that a text needs `allOf`.
    told = {"allOf": [shape]} if "$ref" in shape else shape
    written = {"description": about.text, **told}
    default = described.default
    if isinstance(default, str | int | float | bool) and default != "":
        written["default"] = default
    return written


def _shape(shape: Shape, nouns: dict[str, Json]) -> Json:
    match shape:
        case TextShape(examples, pattern):
            return {
                "type": "string",
                **({"examples": list(examples)} if examples else {}),
                **({"pattern": pattern} if pattern else {}),
            }
        case DurationShape(words):
            quantity = _quantity(r"^\s*(0+(\.0+)?|(\d+(\.\d+)?\s*([mM][sS]|[mM][iI][nN]|[smhdwySMHDWY])\s*)+)\s*$")
            quantity["anyOf"] += [{"const": word} for word in words]
            return quantity
        case SizeShape():
            return _quantity(r"^\s*(0+(\.0+)?|\d+(\.\d+)?\s*[kKmMgGtTpPeE]?[iI]?[bB])\s*$")
        case CountShape(minimum, maximum):
            return {"type": "integer", "minimum": minimum, "maximum": maximum}
        case NumberShape(minimum, maximum):
            return {"type": "number", "minimum": minimum, "maximum": maximum}
        case ValueShape():
            return {}
        case FlagShape():
            return {"type": "boolean"}
        case ChoiceShape(words):
            return {"enum": list(words)}
        case ListShape(of, alone):
            many = {"type": "array", "items": _shape(of, nouns)}
            return {"anyOf": [_shape(of, nouns), many]} if alone else many
        case MapShape(of, _, numeric_keys):
            values = _shape(of, nouns)
            if numeric_keys:
                return {"type": "object", "patternProperties": {r"^[3-5]\d\d$": values}, "additionalProperties": False}
            return {"type": "object", "additionalProperties": values}
        case NounShape(noun, _):
            return _noun(noun, nouns)
        case OriginShape():
            address = {"type": "string", "examples": ["https://www.example.com"]}
            others = [_noun(noun, nouns) for noun in (OriginGroup, RegionalOrigin, Model, ModelGroup)]
            return {"anyOf": [address, _origin(nouns), *others]}
        case NameShape(to):
            return {"type": "string", **({"examples": list(PRESETS)} if to == "policies" else {})}
        case EitherShape(shapes):
            return {"anyOf": [_shape(each, nouns) for each in shapes]}


def _quantity(pattern: str) -> Json:
    return {"anyOf": [{"type": "string", "pattern": pattern}, {"const": 0}]}


def _origin(nouns: dict[str, Json]) -> Json:
    if "Origin" not in nouns:
        url = _properties(HttpOrigin, nouns)["url"] | {"examples": ["https://www.example.com", "s3://bucket/prefix"]}
        nouns["Origin"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {**_properties(S3, nouns), **_properties(HttpOrigin, nouns), "url": url},
            "required": ["url"],
        }
    return {"$ref": "#/definitions/Origin"}
