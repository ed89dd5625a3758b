"""Whether the files of declared models can be what an edge loads; nothing of them is loaded, and no code runs.

Start at `check_models`.
"""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from bodega import _native
from bodega.distributions import Model, ModelGroup
from bodega.errors import ModelRefused, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodega.distributions import Declarations
    from bodega.errors import KeyPath


def check_models(declarations: Declarations) -> list[Problem]:
    """Say what is wrong with the files and modules of models that behaviors use, as this machine has them.

    Those of distributions that are for some edges only are left out: their files lie there.
    """
    found: dict[KeyPath, Model] = {}
    for distribution in declarations.distributions:
        if distribution.edges != ("*",):
            continue
        for index, behavior in enumerate(distribution.behaviors):
            path: KeyPath = ("distributions", distribution.name, "behaviors", index, "origin")
            found.update(_models(declarations, behavior.origin, path))
    return [problem for path, model in found.items() for problem in _problems(model, path)]


def _models(declarations: Declarations, origin: object, path: KeyPath) -> Iterator[tuple[KeyPath, Model]]:
    if isinstance(origin, str):
        yield from _models(declarations, declarations.origins[origin], ("origins", origin))
    elif isinstance(origin, Model):
        yield path, origin
    elif isinstance(origin, ModelGroup):
        for index, member in enumerate(origin.models):
            yield from _models(declarations, member, (*path, "models", index))


def _problems(model: Model, path: KeyPath) -> Iterator[Problem]:
    if model.model:
        what, hint = _file_problem(Path(model.model), has_runner=model.runner is not None)
        if what:
            yield Problem(f"{model.model}: {what}", hint, (*path, "model"))
    if model.runner is not None:
        name = model.runner.partition(":")[0].partition(".")[0]
        if not _is_found(name, Path(model.model)):
            hint = "modules are found in the folder where the edge is started, in PYTHONPATH and beside the model"
            yield Problem(f'there is no module "{name}"', hint, (*path, "runner"))


def _file_problem(file: Path, *, has_runner: bool) -> tuple[str, str]:
    if not file.exists():
        return "there is no such file", "paths count from the folder where the edge is started"
    if has_runner:
        return "", ""
    if file.is_dir():
        return "a folder without a model.toml", "name the model in it, or write a model.toml into it"
    try:
        _native.check_model(file)
    except ModelRefused as refused:
        return refused.what, "name a model in the ONNX format; what Python runs has a `runner`"
    return "", ""


def _is_found(name: str, model: Path) -> bool:
    """Look for a module as a worker does, whose first place is the folder where it is started; imports nothing."""
    beside = model if model.is_dir() else model.parent
    if PathFinder.find_spec(name, [str(Path.cwd()), str(beside)]) is not None:
        return True
    # It has no specification if it is the program itself.
    with suppress(ValueError):
        return importlib.util.find_spec(name) is not None
    return False
