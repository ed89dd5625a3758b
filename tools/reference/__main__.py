"""Write every generated page of docs/reference."""

from __future__ import annotations

from tools.reference import outcomes
from tools.setup.progress import ROOT

PAGES = (outcomes,)

for page in PAGES:
    path = ROOT / page.PAGE
    text = page.render(ROOT)
    if path.is_file() and path.read_text() == text:
        print(f"same    {page.PAGE}")
    else:
        path.write_text(text)
        print(f"written {page.PAGE}")
