"""Writes what is generated from the nouns: the schema for editors and the reference page.

``python -m bodega.config.generate`` writes both below the current folder; ``--check`` writes nothing and fails where
what is there differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.config.reference import reference
from bodega.config.schema import schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def generated() -> Mapping[str, str]:
    """Return the texts of all generated files, by their path from the root of the repository."""
    return {
        "schemas/bodega.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        "docs/reference/configuration.md": reference(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare the generated files.

    Args:
        arguments: ``--check`` to compare, ``--root`` for the root of the repository.

    Returns:
        0, or 1 where a comparison found a difference.
    """
    parser = argparse.ArgumentParser(prog="python -m bodega.config.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository")
    options = parser.parse_args(arguments)
    different = []
    for name, text in generated().items():
        file = options.root / name
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        different.append(name)
        if not options.check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for name in different:
        done = "differs from the sources; run: python -m bodega.config.generate" if options.check else "written"
        sys.stdout.write(f"{name}: {done}\n")
    return 1 if different and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
