"""A `model.toml`: what is said of a model, in a file beside it.

The same fields as those of `Model`, by the same names; `model` is relative to the folder. Where that names no file, the
folder's only ``.onnx`` is meant, or with `runner` the folder itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bodega.distributions.model import Model, ModelFile, read_files_by
from bodega.distributions.positions import locate_keys
from bodega.distributions.read import read_fields
from bodega.distributions.toml_text import locate, parse_toml, read_text
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    pass

FILE_NAME = "model.toml"


def find_model_file(model: Path) -> Path | None:
    """Return the file that says what a model is: the path itself, or what is in the folder; None if it is no such."""
    if model.suffix == ".toml":
        return model
    return model / FILE_NAME if (model / FILE_NAME).is_file() else None


def read_model_file(path: Path, *, has_runner: bool = False) -> ModelFile:
    """Read a file; `has_runner` says that a runner is named elsewhere.

    Raises:
        ConfigInvalid: With every problem found, each with its line.
    """
    text = read_text(path, "name a folder that has a model.toml, or the file itself")
    document = parse_toml(text, str(path))
    lines = locate_keys(text)
    try:
        fields = read_fields(Model, document)
    except ConfigInvalid as error:
        found = [locate(problem, str(path), lines) for problem in error.problems]
        raise ConfigInvalid.of(sorted(found, key=lambda problem: problem.line or 0)) from None
    folder = path.parent
    if fields.get("model"):
        fields["model"] = str(folder / Path(fields["model"]).expanduser())
    elif has_runner or "runner" in fields:
        fields["model"] = str(folder)
    else:
        fields["model"] = str(_only_model(folder, path))
    return ModelFile(path, fields, lines)


def _only_model(folder: Path, path: Path) -> Path:
    found = sorted(folder.glob("*.onnx"))
    if len(found) == 1:
        return found[0]
    what = "there is no .onnx beside it" if not found else f"there are {len(found)} files .onnx beside it"
    raise ConfigInvalid(what, hint='name one: model = "fraud.onnx"', file=str(path))


def _file_of(model: Path, has_runner: bool) -> ModelFile | None:
    found = find_model_file(model)
    return None if found is None else read_model_file(found, has_runner=has_runner)


read_files_by(_file_of)
