from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from bodega.config import EdgeSettings
from bodega.distributions.shapes import ChoiceShape, CountShape, FlagShape, about_field
from bodega.errors import ConfigInvalid


def wrong() -> Iterator[Any]:
    for field in fields(EdgeSettings):
        described = about_field(field)
        match described and described.shape:
            case CountShape(minimum, maximum):
                given: list[object] = [minimum - 1, maximum + 1, True, "1"]
            case ChoiceShape(words):
                given = [words[0].upper() + "x", 1]
            case FlagShape():
                given = ["yes", 1]
            case _:
                given = []
        yield from (pytest.param(field.name, each, id=f"{field.name}={each!r}") for each in given)


@pytest.mark.parametrize(("name", "given"), list(wrong()))
def test_what_the_shape_of_a_setting_does_not_allow_is_refused(name: str, given: Any) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        EdgeSettings(**{name: given})
    assert refused.value.path == (name,)


def test_a_choice_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(ConfigInvalid, match='"polls" is not "stream" or "poll"') as refused:
        EdgeSettings(follow="polls")
    assert '"poll"' in refused.value.hint


def test_the_bounds_themselves_and_nothing_where_that_is_the_default_are_taken() -> None:
    assert EdgeSettings(threads=None, max_streams=1, confirm_rate=10_000).threads is None
    with pytest.raises(ConfigInvalid, match="NoneType"):
        EdgeSettings(max_streams=None)  # type: ignore[arg-type]
