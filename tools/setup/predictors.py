"""The models that `bodega up` serves: made once, by an environment that is used for nothing else."""

from __future__ import annotations

from pathlib import Path

from tools.setup import python
from tools.setup.progress import SetupFailed, note, run, step

_PROGRAM = (python.PYTHON, "-m", "bodega.up.predictors")


def prepare(*, must_be: bool) -> None:
    """Make the models, unless they are there.

    Args:
        must_be: Whether set-up fails without them; `bodega up` runs the rest.
    """
    try:
        if Path(run(_PROGRAM, log="predictors").strip()).is_dir():
            return
        environment = python.separate("demo", pins="demo")
        with step("models for `bodega up`: one is trained on real cases, one comes from a package"):
            run([*_PROGRAM, environment / "bin" / "python"], log="predictors")
    except SetupFailed as failure:
        if must_be:
            raise
        note(f"`bodega up` will have no models, and run the rest: {failure}")
