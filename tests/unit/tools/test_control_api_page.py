from __future__ import annotations

from tools.reference import control_api
from tools.setup.progress import ROOT


def test_the_page_says_what_the_code_does() -> None:
    assert (ROOT / control_api.PAGE).read_text() == control_api.render(ROOT), "`make docs` writes it anew"


def test_the_scope_of_each_operation_is_said() -> None:
    page = control_api.render(ROOT)
    operations = page.split("### `")[1:]
    assert len(operations) > 20
    for operation in operations:
        name, _, text = operation.partition("`")
        assert ("Needs the scope" in text) == (name != "GET /health"), name
