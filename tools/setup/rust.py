"""Cargo: the one on PATH if it is new enough, else a Rust of our own under .tools/rust."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

from tools.setup import debian, python
from tools.setup.progress import ROOT, TOOLS, SetupFailed, note, run, step

OWN = TOOLS / "rust"
BY_HAND = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"


def prepare() -> dict[str, str]:
    """Find or install cargo, and a C compiler to link with.

    Returns:
        Variables under which cargo is to be run.
    """
    _prepare_linker()
    wanted = _wanted()
    environment = find(wanted)
    if environment is None:
        environment = _install(wanted)
    return environment


def find(wanted: tuple[int, ...]) -> dict[str, str] | None:
    """The variables for a cargo that is new enough, or nothing."""
    own = {"RUSTUP_HOME": str(OWN / "rustup"), "CARGO_HOME": str(OWN / "cargo")}
    usual = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    candidates: list[tuple[str | None, dict[str, str]]] = [
        (shutil.which("cargo"), {}),
        (shutil.which("cargo", path=str(usual)), {}),
        (shutil.which("cargo", path=str(OWN / "cargo" / "bin")), own),
    ]
    for cargo, variables in candidates:
        if cargo is None:
            continue
        environment = {**variables, "PATH": f"{Path(cargo).parent}{os.pathsep}{os.environ['PATH']}"}
        version = _version(cargo, environment)
        if version is not None and version >= wanted:
            return environment
        if version is not None:
            note(f"{cargo} is {_dotted(version)}; {_dotted(wanted)} or later is needed")
    return None


def _install(wanted: tuple[int, ...]) -> dict[str, str]:
    by_hand = f"Install Rust {_dotted(wanted)} or later, then try again:\n    {BY_HAND}"
    report = TOOLS / "rust.json"
    with step("Rust, in .tools/rust"):
        # Its installer in a wheel: verified by the pins, leaves PATH and the home directory alone.
        installer = python.separate("rust-installer", pins="rust")
        run(
            [installer / "bin" / "python", "-m", "puccinialin", "--location", OWN, "--info-json", report],
            log="rust",
            hint=by_hand,
        )
    variables: dict[str, str] = json.loads(report.read_text())["env"]
    run(["rustup", "component", "add", "clippy", "rustfmt"], log="rust-components", environment=variables, hint=by_hand)
    environment = find(wanted)
    if environment is None:
        raise SetupFailed(by_hand)
    return environment


def _prepare_linker() -> None:
    if shutil.which("cc") is not None:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetupFailed("a C compiler is needed to link; as root: apt-get install gcc libc6-dev")
    debian.install(["gcc", "libc6-dev"])


def _wanted() -> tuple[int, ...]:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    return tuple(int(part) for part in manifest["workspace"]["package"]["rust-version"].split("."))


def _version(cargo: str, environment: dict[str, str]) -> tuple[int, ...] | None:
    found = subprocess.run(
        [cargo, "--version"], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    numbers = re.match(r"cargo (\d+)\.(\d+)\.(\d+)", found.stdout)
    return tuple(int(number) for number in numbers.groups()) if numbers else None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)
