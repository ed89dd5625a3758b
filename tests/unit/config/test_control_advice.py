"""What is probably not meant about the control process of an edge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bodega.config import EdgeSettings, advise_settings

CONTROL = "https://control.example.com"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"control": CONTROL}, []),
        ({"control": CONTROL, "follow": "poll", "poll_every": "1m"}, []),
        ({"control": "http://10.0.0.1", "control_insecure": True}, []),
        ({"follow": "poll"}, [("follow", "no control process is followed")]),
        ({"control_insecure": True}, [("control_insecure", "no control process is followed")]),
        ({"control_token_file": "x"}, [("control_token_file", "no control process is followed")]),
        ({"control": CONTROL, "control_insecure": True}, [("control_insecure", "nothing needs this")]),
        ({"control": CONTROL, "control_token_file": "/none/token"}, [("control_token_file", "there is no file")]),
        ({"control": CONTROL, "poll_every": "1m"}, [("poll_every", "changes come by a stream")]),
    ],
    ids=str,
)
def test_what_makes_no_sense_together_is_pointed_out(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    found = advise_settings(EdgeSettings(**fields))
    assert [each.path for each in found] == [(name,) for name, _ in expected]
    for each, (_, what) in zip(found, expected, strict=True):
        assert each.what.startswith(what)


def test_a_token_file_that_is_there_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "edge.token"
    path.touch()
    assert advise_settings(EdgeSettings(control=CONTROL, control_token_file=str(path))) == []
