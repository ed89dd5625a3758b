"""From a parsed document to nouns: one reader for every shape.

All problems of a document are collected, not only the first.
Paths within a problem begin where the caller says; `bodega.config.file` adds file and line.
Start at `read_noun`.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, replace
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bodega.distributions.checks import suggest
from bodega.distributions.model import Model
from bodega.distributions.origin_groups import ModelGroup, Origin, OriginGroup, RegionalOrigin
from bodega.distributions.origins import S3, HttpOrigin, bucket_and_prefix, origin_from_url
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
from bodega.errors import ConfigInvalid, KeyPath, Problem
from bodega.units import UnitInvalid, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Noun = TypeVar("Noun")


def read_noun(noun: type[Noun], table: object, path: KeyPath = (), **given: object) -> Noun:
    """Make a noun of a table.

    Args:
        noun: A dataclass whose fields are described with `about`.
        table: What the document holds there.
        path: Where it stands; problems are reported under it.
        given: Fields that come from elsewhere, such as the name of the table.

    Raises:
        ConfigInvalid: With every problem found in the table.
    """
    values = read_fields(noun, table, path, **given)
    try:
        return noun(**values)
    except ConfigInvalid as error:
        raise error.under(*path) from None


def read_fields(noun: type[Any], table: object, path: KeyPath = (), **given: object) -> dict[str, Any]:
    """Read the fields that a table holds, without making the noun.

    Raises:
        ConfigInvalid: With every problem found in the table.
    """
    entries = _table(table, path)
    known = documented_fields(noun)
    problems: list[Problem] = []
    values: dict[str, Any] = dict(given)
    for key, written in entries.items():
        if key not in known or key in given:
            problems.append(unknown_key(key, [name for name in known if name not in given], path))
            continue
        for value in _attempt(_shape(known[key]), written, (*path, key), problems):
            values[key] = value
    for name, described in known.items():
        if (
            name not in values
            and name not in entries
            and described.default is MISSING
            and described.default_factory is MISSING
        ):
            problems.append(Problem(f"`{name}` is missing", _example(name, _shape(described)), path))
    if problems:
        raise ConfigInvalid.of(problems)
    return values


def read_shape(shape: Shape, value: object, path: KeyPath) -> object:
    """Read one value.

    Raises:
        ConfigInvalid: If it is not of that shape.
    """
    match shape:
        case TextShape() | NameShape():
            return _of_type(str, value, "a text in quotes", path)
        case DurationShape(words):
            return value if value in words else _quantity(parse_duration, value, path)
        case SizeShape():
            return _quantity(parse_size, value, path)
        case CountShape(minimum, maximum):
            return _count(value, minimum, maximum, path)
        case NumberShape(minimum, maximum):
            return _number(value, minimum, maximum, path)
        case ValueShape():
            return value
        case FlagShape():
            return _of_type(bool, value, "true or false", path)
        case ChoiceShape(words):
            return _choice(value, words, path)
        case ListShape(of, alone):
            return _list(value, of, alone, path)
        case MapShape(of, _, numeric_keys):
            return _map(value, of, numeric_keys, path)
        case NounShape(noun, _):
            return read_noun(noun, value, path)
        case OriginShape():
            return _origin(value, path)
        case EitherShape(shapes):
            return _either(value, shapes, path)


def documented_fields(noun: type[Any]) -> dict[str, Field[Any]]:
    """Return the fields of a noun that a document may hold, by name, in order; what it inherits comes last."""
    own = get_annotations(noun)
    found = sorted(fields(noun), key=lambda described: described.name not in own)
    return {described.name: described for described in found if about_field(described) is not None}


def unknown_key(key: str, known: Iterable[str], path: KeyPath) -> Problem:
    """Describe a key that means nothing, with the nearest that does."""
    names = list(known)
    hint = suggest(key.replace("-", "_"), names) or (f"there are {', '.join(names)}" if names else "remove it")
    return Problem(f'"{key}" is not known here', hint, (*path, key))


def _attempt(shape: Shape, value: object, path: KeyPath, problems: list[Problem]) -> list[object]:
    """Read one value into a list of one, or note its problems and return an empty list."""
    try:
        return [read_shape(shape, value, path)]
    except ConfigInvalid as error:
        problems.extend(error.problems)
        return []


def _shape(described: Field[Any]) -> Shape:
    about = about_field(described)
    assert about is not None, "only documented fields are read"
    return about.shape


def _table(value: object, path: KeyPath) -> Mapping[str, object]:
    return cast("Mapping[str, object]", _of_type(dict, value, "a table", path))


def _of_type(kind: type[Any], value: object, expected: str, path: KeyPath) -> Any:
    if not isinstance(value, kind):
        hint = f'did you mean "{value}"?' if kind is str and isinstance(value, int | float) else ""
        raise ConfigInvalid(f"{shown(value)} is not {expected}", hint=hint, path=path)
    return value


def _quantity(parse: Callable[[object], float], value: object, path: KeyPath) -> object:
    try:
        parse(value)
    except UnitInvalid as error:
        what = error.what if isinstance(value, str | int | float) else error.what.replace("a dict", "a table")
        raise ConfigInvalid(what, hint=error.hint, path=path) from None
    return value


def _count(value: object, minimum: int, maximum: int, path: KeyPath) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        whole = isinstance(value, str) and value.strip().isdecimal()
        hint = f"write {str(value).strip()} without quotes" if whole else f"write {minimum} to {maximum}"
        raise ConfigInvalid(f"{shown(value)} is not a whole number", hint=hint, path=path)
    if not minimum <= value <= maximum:
        raise ConfigInvalid(f"{value} is out of range", hint=f"write {minimum} to {maximum}", path=path)
    return value


def _number(value: object, minimum: float, maximum: float, path: KeyPath) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigInvalid(f"{shown(value)} is not a number", hint=f"write {minimum:g} to {maximum:g}", path=path)
    # What is not a number lies within no bounds.
    if not minimum <= value <= maximum:
        raise ConfigInvalid(f"{value} is out of range", hint=f"write {minimum:g} to {maximum:g}", path=path)
    return float(value)


def _choice(value: object, words: tuple[str, ...], path: KeyPath) -> str:
    if isinstance(value, str) and value in words:
        return value
    listed = " or ".join(f'"{word}"' for word in words) if len(words) < 4 else "one of " + ", ".join(words)
    hint = suggest(value, words) if isinstance(value, str) else ""
    meant = next((word for word in (str(value), str(value).upper()) if word in words), None)
    hint = f'did you mean "{meant}"?' if meant else hint
    raise ConfigInvalid(f"{shown(value)} is not {listed}", hint=hint, path=path)


def _list(value: object, of: Shape, alone: bool, path: KeyPath) -> object:
    if alone and not isinstance(value, list) and _fits(of, value):
        return read_shape(of, value, path)
    if not isinstance(value, list):
        hint = "put it in brackets: [ ... ]" if _fits(of, value) else ""
        raise ConfigInvalid(f"{shown(value)} is not a list", hint=hint, path=path)
    problems: list[Problem] = []
    members: list[object] = []
    for index, member in enumerate(value):
        members += _attempt(of, member, (*path, index), problems)
    if problems:
        raise ConfigInvalid.of(problems)
    return tuple(members)


def _map(value: object, of: Shape, numeric_keys: bool, path: KeyPath) -> object:
    if isinstance(of, NounShape) and of.named:
        return _named_nouns(value, of.noun, path)
    problems: list[Problem] = []
    entries: dict[str | int, object] = {}
    for key, written in _table(value, path).items():
        if numeric_keys and not (key.isascii() and key.isdecimal() and len(key) < 10):
            problems.append(Problem(f'"{key}" is not a number', "for instance 404", (*path, key)))
            continue
        for made in _attempt(of, written, (*path, key), problems):
            entries[int(key) if numeric_keys else key] = made
    if problems:
        raise ConfigInvalid.of(problems)
    return entries


def _named_nouns(value: object, noun: type[Any], path: KeyPath) -> tuple[object, ...]:
    problems: list[Problem] = []
    made: list[object] = []
    for name, written in _table(value, path).items():
        try:
            made.append(read_noun(noun, written, (*path, name), name=name))
        except ConfigInvalid as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigInvalid.of(problems)
    return tuple(made)


def _either(value: object, shapes: tuple[Shape, ...], path: KeyPath) -> object:
    for shape in shapes:
        if _fits(shape, value):
            if (
                isinstance(shape, ChoiceShape)
                and value not in shape.words
                and any(isinstance(s, ListShape) for s in shapes)
            ):
                hint = suggest(str(value), shape.words) or f'a list is written ["{value}"]'
                raise ConfigInvalid(f"{shown(value)} is not {_kind(shape)}", hint=hint, path=path)
            return read_shape(shape, value, path)
    expected = " or ".join(_kind(shape) for shape in shapes)
    raise ConfigInvalid(f"{shown(value)} is not {expected}", path=path)


def _fits(shape: Shape, value: object) -> bool:
    match shape:
        case TextShape() | NameShape() | ChoiceShape() | DurationShape() | SizeShape():
            return isinstance(value, str)
        case ListShape(of, alone):
            return isinstance(value, list) or (alone and _fits(of, value))
        case MapShape() | NounShape():
            return isinstance(value, dict)
        case OriginShape():
            return isinstance(value, str | dict)
        case ValueShape():
            return True
        case FlagShape():
            return isinstance(value, bool)
        case CountShape():
            return isinstance(value, int)
        case NumberShape():
            return isinstance(value, int | float)
        case EitherShape(shapes):
            return any(_fits(each, value) for each in shapes)


def _kind(shape: Shape) -> str:
    match shape:
        case ChoiceShape(words):
            return " or ".join(f'"{word}"' for word in words)
        case ListShape():
            return "a list"
        case MapShape() | NounShape():
            return "a table"
        case _:
            return "a text"


def _origin(value: object, path: KeyPath) -> Origin | str:
    if isinstance(value, str):
        # A name stays a name; an address becomes an origin. What is neither is told which scheme it lacks.
        if "://" in value or path[0] == "origins":
            try:
                return origin_from_url(value)
            except ConfigInvalid as error:
                raise error.under(*path) from None
        return value
    table = dict(_table(value, path))
    if "group" in table:
        why = "a group has members and `failover`; what else there is to say belongs to each member"
        return _of_origins(OriginGroup, table, why, path)
    if "regions" in table:
        why = "a choice by region has `regions` and `otherwise`; what else there is to say belongs to each of them"
        return _of_origins(RegionalOrigin, table, why, path)
    if "models" in table:
        why = "a group has its models; what else there is to say belongs to each of them"
        _refuse_misplaced(table, ModelGroup, Model, why, path)
        return _of_origins(ModelGroup, table, why, path)
    if "model" in table or "runner" in table:
        why = "a model is a file that the edge runs: nothing is connected to"
        return _of_origins(Model, table, why, path)
    if "url" not in table:
        hint = (
            f'write url = "s3://{table["bucket"]}"'
            if "bucket" in table
            else 'for instance url = "https://www.example.com"'
        )
        raise ConfigInvalid("`url` is missing", hint=hint, path=path)
    url = cast("str", _of_type(str, table["url"], "a text in quotes", (*path, "url")))
    if not url.lower().startswith("s3://"):
        _refuse_misplaced(table, HttpOrigin, S3, 'it is for "s3://" origins', path)
        return read_noun(HttpOrigin, table, path)
    _refuse_misplaced(table, S3, HttpOrigin, "it is for web servers; a store sees its own host", path)
    del table["url"]
    if "bucket" in table:
        raise ConfigInvalid("the bucket is a part of `url`", hint="remove it here", path=(*path, "bucket"))
    bucket, prefix = bucket_and_prefix(url, *path, "url")
    if prefix and "prefix" in table:
        raise ConfigInvalid(
            "the prefix is there twice", hint="write it in `url` or in `prefix`", path=(*path, "prefix")
        )
    given: dict[str, object] = {"bucket": bucket, "prefix": prefix} if prefix else {"bucket": bucket}
    try:
        return read_noun(S3, table, path, **given)
    except ConfigInvalid as error:
        # The document has no `bucket`: it stands in the address.
        moved = {(*path, "bucket"): (*path, "url")}
        raise ConfigInvalid.of(replace(each, path=moved.get(each.path, each.path)) for each in error.problems) from None


def _of_origins(noun: type[Noun], table: Mapping[str, object], why: str, path: KeyPath) -> Noun:
    _refuse_misplaced(table, noun, HttpOrigin, why, path)
    _refuse_misplaced(table, noun, S3, why, path)
    return read_noun(noun, table, path)


def _refuse_misplaced(table: Mapping[str, object], noun: type[Any], other: type[Any], why: str, path: KeyPath) -> None:
    here, there = documented_fields(noun), documented_fields(other)
    misplaced = [key for key in table if key not in here and key in there and key != "url"]
    if misplaced:
        raise ConfigInvalid.of(
            Problem(f'"{key}" has no meaning for this origin', why, (*path, key)) for key in misplaced
        )


def _example(name: str, shape: Shape) -> str:
    match shape:
        case TextShape(examples) if examples:
            return f'for instance {name} = "{examples[0]}"'
        case ListShape(NounShape()):
            return f"add {name} = [ {{ ... }} ]"
        case _:
            return f"add `{name}`"


def shown(value: object) -> str:
    """Show a value of a document as it is written there, shortened; tables and lists by their kind alone."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value)
