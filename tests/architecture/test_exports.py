"""What a package offers is what its `__all__` says: sorted, there, and nothing besides."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import bodega

MODULES = ["bodega", *(found.name for found in pkgutil.walk_packages(bodega.__path__, "bodega."))]
OFFERING = [name for name in MODULES if not name.endswith("__main__") and name != "bodega._native._core"]


def is_public(module: ModuleType) -> bool:
    return hasattr(module, "__path__") and not any(part.startswith("_") for part in module.__name__.split("."))


def visible(module: ModuleType) -> set[str]:
    """Names that whoever imports the module sees, without those of modules within it."""
    return {
        each
        for each, value in vars(module).items()
        if not each.startswith("_") and each != "annotations" and not isinstance(value, ModuleType)
    }


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the order that the linter keeps."""
    if name.isupper():
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)


@pytest.mark.parametrize("name", OFFERING)
def test_all_is_sorted_and_holds_what_is_there(name: str) -> None:
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is None:
        offered = visible(module) if is_public(module) else set()
        assert not offered, f"{name} is a package that shows {sorted(offered)} without __all__: say what it offers"
        return
    assert list(listed) == sorted(set(listed), key=order), f"{name}.__all__ is not sorted, or names something twice"
    missing = [each for each in listed if not hasattr(module, each)]
    assert not missing, f"{name}.__all__ names {missing}, which is not there"
    private = [each for each in listed if each.startswith("_") and not each.endswith("__")]
    assert not private, f"{name}.__all__ offers {private}, which its name calls private"


@pytest.mark.parametrize("name", OFFERING)
def test_a_package_leaks_nothing_that_all_does_not_name(name: str) -> None:
    module = importlib.import_module(name)
    if not is_public(module):
        return
    leaked = sorted(visible(module) - set(getattr(module, "__all__", ())))
    assert not leaked, f"{name} shows {leaked} besides its __all__: offer it, or import it under a name with _"
