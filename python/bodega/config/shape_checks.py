"""Checks settings against the shapes of their fields, so that a bound or a word is written in one place."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from bodega.distributions import checks
from bodega.distributions.shapes import ChoiceShape, CountShape, FlagShape, about_field
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_shapes(settings: DataclassInstance) -> None:
    """Check each field that is a count, a choice or a flag; what else a shape says takes more than the shape to check.

    Raises:
        ConfigInvalid: If one is out of its bounds.
    """
    for field in fields(settings):
        written, described = getattr(settings, field.name), about_field(field)
        if described is None or (written is None and field.default is None):
            continue
        match described.shape:
            case CountShape(minimum, maximum):
                checks.count(written, minimum, maximum, field.name)
            case ChoiceShape(words):
                _check_choice(written, words, field.name)
            case FlagShape():
                checks.flag(written, field.name)


def _check_choice(written: Any, words: tuple[str, ...], name: str) -> None:
    if written not in words:
        listed = " or ".join(f'"{word}"' for word in words)
        raise ConfigInvalid(f'"{written}" is not {listed}', hint=checks.suggest(str(written), words), path=(name,))
