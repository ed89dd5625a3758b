"""The crates that crates.toml calls pure are held to lints/pure.toml, and those lints bite."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = ROOT / "lints" / "pure.toml"
RULES = tomllib.loads(Path(__file__).with_name("crates.toml").read_text())
PURE_CRATES = sorted(name for name, rule in RULES.items() if rule.get("kind") == "pure")

# One line for each way in which a crate stops being pure.
ACTS = {
    "a clock": "let _ = std::time::SystemTime::now();",
    "a stopwatch": "let _ = std::time::Instant::now();",
    "a file": 'let _ = std::fs::read_to_string("x");',
    "an opened file": 'let _ = std::fs::File::open("x");',
    "a socket": 'let _ = std::net::TcpStream::connect("127.0.0.1:1");',
    "a thread": "let _ = std::thread::spawn(|| ());",
    "the environment": 'let _ = std::env::var("X");',
    "a random source": "let _ = std::hash::RandomState::new();",
}


@pytest.mark.parametrize("name", PURE_CRATES)
def test_a_pure_crate_links_to_the_lints(name: str) -> None:
    link = ROOT / "crates" / name / "clippy.toml"
    assert link.is_symlink(), f"{name} is pure and its clippy.toml is no link: ln -s ../../lints/pure.toml {link}"
    assert link.resolve() == PURE


def test_no_other_crate_links_to_the_lints() -> None:
    linked = sorted(path.parent.name for path in (ROOT / "crates").glob("*/clippy.toml"))
    assert linked == PURE_CRATES, "crates.toml says which crates are pure"


def test_the_lints_of_pure_crates_repeat_what_the_root_sets() -> None:
    root = tomllib.loads((ROOT / "clippy.toml").read_text())
    pure = tomllib.loads(PURE.read_text())
    for key, value in root.items():
        if key == "disallowed-methods":
            missing = {each["path"] for each in value} - {each["path"] for each in pure[key]}
            assert not missing, f"lints/pure.toml replaces clippy.toml and does not ban {missing}"
        else:
            assert pure[key] == value, f"lints/pure.toml replaces clippy.toml, and {key} differs"


def test_every_ban_has_a_reason() -> None:
    pure = tomllib.loads(PURE.read_text())
    for each in [*pure["disallowed-methods"], *pure["disallowed-types"]]:
        assert "pure crate" in each["reason"], each["path"]


def test_each_act_is_refused_by_the_lints(tmp_path: Path) -> None:
    crate = tmp_path / "acts"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "acts"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n')
    lines = ["pub fn act() {", *(f"    {line}" for line in ACTS.values()), "}"]
    (crate / "src" / "lib.rs").write_text("\n".join(lines) + "\n")
    shutil.copy(PURE, crate / "clippy.toml")
    done = subprocess.run(
        ["cargo", "clippy", "--offline", "--message-format=short", "--target-dir", str(tmp_path / "target")],
        cwd=crate,
        env={**os.environ, "CARGO_TERM_COLOR": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    for number, act in enumerate(ACTS, start=2):
        warned = [line for line in done.stderr.splitlines() if f"lib.rs:{number}:" in line and "disallowed" in line]
        assert warned, f"lints/pure.toml lets {act} pass\n{done.stderr}"
