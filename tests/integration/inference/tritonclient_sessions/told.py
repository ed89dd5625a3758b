"""Runs the functions of a session in their order, and says of each in one line of JSON what became of it."""

from __future__ import annotations

import inspect
import json
import sys
import traceback
import urllib.request
from typing import Any


def run(name: str, found: dict[str, Any]) -> None:
    """Run what a module calls a case: its functions that begin with no underscore."""
    if name != "__main__":
        return
    for case in cases(found):
        try:
            found[case]()
        except Exception:  # noqa: BLE001 - Whatever it is, the test says it.
            print(json.dumps({case: traceback.format_exc()}), flush=True)
        else:
            print(json.dumps({case: None}), flush=True)


def cases(found: dict[str, Any]) -> list[str]:
    """Name the cases."""
    ours = [each for each in found.values() if inspect.isfunction(each) and each.__module__ == "__main__"]
    return [each.__name__ for each in ours if not each.__name__.startswith("_")]


def where() -> dict[str, str]:
    """Tell where what is."""
    told: dict[str, str] = json.loads(sys.argv[1])
    return told


def predict(url: str, features: object) -> Any:
    """Ask for one prediction by `/predict`."""
    request = urllib.request.Request(url, data=json.dumps({"features": features}).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)
