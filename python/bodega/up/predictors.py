"""The two models that the edges of the demonstration run: where they are kept, and what is missing if they are not.

`make_predictors` makes them, in an interpreter that has scikit-learn; afterwards only ONNX Runtime is needed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodega.errors import BodegaError

if TYPE_CHECKING:
    from collections.abc import Sequence

INSTALL = 'pip install "bodega[models,demo]" makes them at the next start'
"""What to do where the models are missing."""

BREAST_CANCER = "breast-cancer"
MAGIKA = "magika"

_MAKER = Path(__file__).with_name("make_predictors.py")
_NEEDED = ("sklearn", "skl2onnx", "onnxruntime", "magika")
_MAKING_SECONDS = 300
_N_GOLDEN = 8
# How magika reads a file: so much of its beginning and of its end, less the space around them.
_BLOCK_BYTES = 4096
_N_TOKENS = 1024
_PADDING = 256


@dataclass(frozen=True)
class Predictors:
    """Models that are there.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    @property
    def breast_cancer(self) -> Path:
        """Gradient boosting: 30 measurements of a tumour, whether it is benign."""
        return self.folder / "breast-cancer.onnx"

    @property
    def magika(self) -> Path:
        """The model of magika: some bytes of a file, which kind of file it is."""
        return self.folder / "magika.onnx"

    @property
    def case(self) -> Path:
        """One case that it was not trained on, as `bodega predict -` reads it."""
        return self.folder / "case.json"

    @cached_property
    def cases(self) -> Sequence[dict[str, Any]]:
        """Cases that the first one was not trained on: `features`, and the `prediction` it has to make."""
        told: Sequence[dict[str, Any]] = json.loads((self.folder / "breast-cancer.json").read_text())["cases"]
        return told

    @property
    def golden(self) -> Sequence[dict[str, Any]]:
        """Those of them that an edge tries before the model serves."""
        return self.cases[:_N_GOLDEN]

    @cached_property
    def kinds(self) -> Sequence[str]:
        """The kinds of files that the second one knows, in the order of its output."""
        told: Sequence[str] = json.loads((self.folder / "magika.json").read_text())["labels"]
        return told

    def kind(self, scores: Sequence[float]) -> str:
        """Return the kind of file that has most."""
        return self.kinds[max(range(len(scores)), key=lambda at: scores[at])]


def cached_folder() -> Path:
    """Return where the models are kept: under ``XDG_CACHE_HOME``, else ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "bodega" / "up" / "predictors-1"


def find_or_make() -> tuple[Predictors | None, str]:
    """Return the models, made now if they are not there yet and can be; else why there are none."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None, f"onnxruntime is not installed: {INSTALL}"
    folder = cached_folder()
    if not folder.is_dir():
        if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
            return None, f"{', '.join(missing)} not installed: {INSTALL}"
        try:
            make(Path(sys.executable), folder)
        except BodegaError as error:
            return None, str(error)
    return Predictors(folder), ""


def make(python: Path, folder: Path) -> None:
    """Make the models, by an interpreter that has what that needs.

    Raises:
        BodegaError: If that fails; with what it said.
    """
    # A process of its own: what makes them is large, and nothing of it is needed later.
    command = [str(python), str(_MAKER), str(folder)]
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - what it runs is beside this file
            command, capture_output=True, text=True, check=False, timeout=_MAKING_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        raise BodegaError(f"making the models took longer than {_MAKING_SECONDS} s") from None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise BodegaError(f"the models could not be made: {last[0]}")


def beginning_and_end(content: bytes) -> list[int]:
    """Return what magika's model is given of a file: 1,024 bytes of its beginning, 1,024 of its end."""
    start = content[:_BLOCK_BYTES].lstrip()[:_N_TOKENS]
    end = content[-_BLOCK_BYTES:].rstrip()[-_N_TOKENS:]
    return [
        *start,
        *[_PADDING] * (_N_TOKENS - len(start)),
        *[_PADDING] * (_N_TOKENS - len(end)),
        *end,
    ]


def main() -> None:
    """Make the models by the interpreter that is named, unless they are there; without one, say where they belong."""
    folder = cached_folder()
    if sys.argv[1:] and not folder.is_dir():
        make(Path(sys.argv[1]), folder)
    print(folder)  # noqa: T201 - a program of its own


if __name__ == "__main__":
    main()
