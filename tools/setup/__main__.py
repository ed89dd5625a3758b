"""Bring everything that a recipe of the Makefile needs: `python3 -m tools.setup RECIPE`."""

from __future__ import annotations

import sys
import time

from tools.setup import debian, go_program, native, predictors, python, rust
from tools.setup.progress import ROOT, SetupFailed, note

RECIPES = ("up", "test", "conformance", "lint", "bench", "docs", "wheel")


def main(recipe: str) -> int:
    """Prepare for one recipe.

    Args:
        recipe: One of `RECIPES`.

    Returns:
        0, or 1 after saying what is missing and what to do.
    """
    began = time.monotonic()
    try:
        python.prepare()
        environment = rust.prepare()
        if recipe != "conformance":
            native.prepare(environment)
        if recipe in {"up", "test"}:
            predictors.prepare(must_be=recipe == "test")
        if recipe == "test":
            debian.prepare(debian.FOR_TESTS)
            go_program.prepare(go_program.FOR_TESTS)
            python.separate("tritonclient", pins="tritonclient")
        if recipe in {"test", "wheel"}:
            note(f"wheel: {native.wheel(environment).relative_to(ROOT)}")
        if recipe == "bench":
            debian.prepare(debian.FOR_BENCHMARKS)
    except SetupFailed as failure:
        print(f"\nset-up stopped: {failure}", file=sys.stderr)
        return 1
    print(f"set up for `make {recipe}` in {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in RECIPES:
        sys.exit(f"usage: python3 -m tools.setup {'|'.join(RECIPES)}")
    sys.exit(main(sys.argv[1]))
