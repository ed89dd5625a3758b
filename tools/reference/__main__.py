"""Write every generated page and schema: what `make docs` does."""

from __future__ import annotations

import sys

from bodega.config import generate
from tools.reference import control_api, metrics, outcomes
from tools.setup.progress import ROOT

PAGES = (control_api, metrics, outcomes)


def main() -> int:
    """Write what differs.

    Returns:
        0 if everything could be written.
    """
    for page in PAGES:
        path = ROOT / page.PAGE
        text = page.render(ROOT)
        if path.is_file() and path.read_text() == text:
            print(f"same    {page.PAGE}")
        else:
            path.write_text(text)
            print(f"written {page.PAGE}")
    return generate.main(["--root", str(ROOT)])


if __name__ == "__main__":
    sys.exit(main())
