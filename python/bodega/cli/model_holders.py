"""Which edges a change of a model is for: of all that are asked, those that have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bodega.errors import BodegaError, ModelRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bodega.edge import AdminClient, ModelVersion


@dataclass(frozen=True, slots=True)
class ModelsAsked:
    """What edges said of their models.

    Attributes:
        told: Those that answered, each with its models.
        failures: Those that did not, each with why.
    """

    told: tuple[tuple[AdminClient, tuple[ModelVersion, ...]], ...]
    failures: tuple[tuple[AdminClient, BodegaError], ...]

    def name_for(self, file: Path) -> str:
        """Find the model that a file is a version of: the only one of all edges, or the one that is called so.

        Raises:
            ModelRefused: If it may be one of several, or there is none.
        """
        names = self._unlike(lambda model: model.name)
        if len(names) == 1:
            return names[0]
        if file.stem in names:
            return file.stem
        asked = f"of which model is {file.name} a version? There is {_listed(names)}"
        raise ModelRefused(asked, hint=f"say it: --name {names[0]}" if names else "")

    def having(self, model: str, is_meant: Callable[[ModelVersion], bool]) -> tuple[AdminClient, ...]:
        """Return the edges that have a model.

        Args:
            model: How it was named, for the error.
            is_meant: Whether it is this one.

        Raises:
            ModelRefused: If none has it.
        """
        found = tuple(client for client, models in self.told if any(map(is_meant, models)))
        if not found:
            known = self._unlike(lambda each: f"{each.name}@{each.version}" if each.version else each.name)
            raise ModelRefused(f"no edge has {model}: there is {_listed(known)}")
        return found

    def _unlike(self, called: Callable[[ModelVersion], str]) -> list[str]:
        return list(dict.fromkeys(called(model) for _, models in self.told for model in models))


def ask_models(edges: Sequence[AdminClient]) -> ModelsAsked:
    """Ask edges for their models."""
    told: list[tuple[AdminClient, tuple[ModelVersion, ...]]] = []
    failures: list[tuple[AdminClient, BodegaError]] = []
    for each in edges:
        try:
            told.append((each, tuple(each.models())))
        except BodegaError as error:
            failures.append((each, error))
    return ModelsAsked(tuple(told), tuple(failures))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
