"""The layers of the Python packages, as pyproject.toml contracts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

REASONS = {
    "layers": "a layer imports only from layers below it, so that data flows one way and a package can be read alone",
    "native": "only these packages may import bodega._native, so that everything native is found from a few places",
    "siblings": "two packages that need each other are one, or hide a third",
}


def test_packages_import_only_what_their_layer_allows() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    broken = [f"{name}: {reason}" for name, reason in REASONS.items() if f"{name} BROKEN" in done.stdout]
    assert done.returncode == 0, "\n".join([*broken, "the contracts are in pyproject.toml", done.stdout, done.stderr])
    for name in REASONS:
        assert f"{name} KEPT" in done.stdout, f"the contract {name} was not checked:\n{done.stdout}"


def test_every_package_is_described_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    folder = ROOT / "python" / "bodega"
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    modules = [path.stem for path in folder.glob("[!_]*.py")]
    missing = [name for name in sorted([*packages, *modules]) if f"`bodega.{name}`" not in text]
    assert not missing, f"ARCHITECTURE.md has no paragraph on {missing}"
