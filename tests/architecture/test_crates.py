"""The graph of crates is the one that crates.toml allows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("crates.toml")


@cache
def table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text())


@cache
def crates() -> dict[str, Any]:
    """Every crate of the workspace, as cargo sees it."""
    usual = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    own = ROOT / ".tools" / "rust" / "cargo" / "bin"
    cargo = shutil.which("cargo", path=os.pathsep.join([os.environ["PATH"], str(usual), str(own)]))
    assert cargo, "cargo is not on PATH: run the tests by `make test`"
    done = subprocess.run(
        [cargo, "metadata", "--no-deps", "--format-version=1", "--offline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {package["name"]: package for package in json.loads(done.stdout)["packages"]}


def rules() -> dict[str, Any]:
    return {name: rule for name, rule in table().items() if name != "external"}


def test_every_crate_has_a_rule_and_every_rule_a_crate() -> None:
    assert sorted(crates()) == sorted(rules()), f"{TABLE.name} lists what the workspace does not hold, or the reverse"


@pytest.mark.parametrize("name", sorted(rules()))
def test_a_crate_depends_only_on_those_it_may(name: str) -> None:
    rule = rules()[name]
    for dependency in crates()[name]["dependencies"]:
        other = dependency["name"]
        if other not in rules():
            continue
        is_for_tests = dependency["kind"] == "dev" and rules()[other]["kind"] == "development"
        assert other in rule["may_depend_on"] or is_for_tests, (
            f"{name} depends on {other}, which it may not: {rule['why']} ({TABLE.relative_to(ROOT)})"
        )


@pytest.mark.parametrize("name", sorted(name for name, rule in rules().items() if rule["kind"] == "pure"))
def test_a_pure_crate_takes_no_dependency_that_acts(name: str) -> None:
    forbidden = set(table()["external"]["forbidden_in_pure"])
    taken = {each["name"] for each in crates()[name]["dependencies"] if each["kind"] is None}
    assert not taken & forbidden, (
        f"{name} is pure and depends on {sorted(taken & forbidden)}: no sockets, threads, clock or random source"
    )


def test_every_crate_is_described_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    missing = [name for name in rules() if f"`{name}`" not in text]
    assert not missing, f"ARCHITECTURE.md has no paragraph on {missing}"
