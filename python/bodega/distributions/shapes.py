"""The shapes of values that a person may write, as data.

A noun's fields carry one shape and one text each (`about`); four readers interpret them:
`bodega.distributions.read` turns a document into nouns, `bodega.config.schema` into a schema for editors,
`bodega.config.reference` into the reference page, and `bodega.config.shape_checks` checks settings against them.
Nothing here reads or checks anything, so that the four cannot disagree with a fifth.
"""

from __future__ import annotations

from dataclasses import Field, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TextShape:
    """A text; `examples` show what is meant, `pattern` is for editors only."""

    examples: tuple[str, ...] = ()
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class DurationShape:
    """A duration with its unit, ``"24h"``, or one of a few words."""

    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SizeShape:
    """A size with its unit, ``"10GB"``."""


@dataclass(frozen=True, slots=True)
class CountShape:
    """A whole number within bounds."""

    minimum: int = 0
    maximum: int = 2**31 - 1


@dataclass(frozen=True, slots=True)
class NumberShape:
    """A number within bounds, with or without decimals."""

    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class ValueShape:
    """Any value: texts, numbers, lists and tables of them."""


@dataclass(frozen=True, slots=True)
class FlagShape:
    """True or false."""


@dataclass(frozen=True, slots=True)
class ChoiceShape:
    """One of a few words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListShape:
    """A list; where `alone` is true, a single value may stand without brackets."""

    of: Shape
    alone: bool = False


@dataclass(frozen=True, slots=True)
class MapShape:
    """A table from names to values of one shape; `key_text` says what the names are."""

    of: Shape
    key_text: str = "name"
    numeric_keys: bool = False


@dataclass(frozen=True, slots=True)
class NounShape:
    """A table that becomes a noun; `named` nouns take their first field from the table's name."""

    noun: type[Any]
    named: bool = False


@dataclass(frozen=True, slots=True)
class OriginShape:
    """An origin: an address, or a table with ``url`` whose scheme decides the noun."""


@dataclass(frozen=True, slots=True)
class NameShape:
    """The name of something declared elsewhere in the document."""

    to: Literal["origins", "policies"]


@dataclass(frozen=True, slots=True)
class EitherShape:
    """One of several shapes, told apart by the kind of value (text, list, table)."""

    shapes: tuple[Shape, ...]


Shape: TypeAlias = (
    TextShape
    | DurationShape
    | SizeShape
    | CountShape
    | NumberShape
    | ValueShape
    | FlagShape
    | ChoiceShape
    | ListShape
    | MapShape
    | NounShape
    | OriginShape
    | NameShape
    | EitherShape
)


@dataclass(frozen=True, slots=True)
class About:
    """What a field of a noun is: its shape, its text, and its default in words where the value does not say it."""

    shape: Shape
    text: str
    default_text: str | None = None


def about(shape: Shape, text: str, *, default: str | None = None) -> Mapping[str, About]:
    """Describe a field; the result is its `metadata`.

    Args:
        shape: What may be written.
        text: One or two sentences for the reference page and for editors.
        default: The default in words, where the field's own default does not say it.
    """
    return {"bodega": About(shape, text, default)}


def about_field(field: Field[Any]) -> About | None:
    """Return what a field was described as, or nothing for a field that is not for documents."""
    found = field.metadata.get("bodega")
    return found if isinstance(found, About) else None
