"""The page that lists attacks names tests and counters that are there, and leaves no test of an attack out."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/concepts/attacks.md").read_text()
TESTS = ROOT / "tests/integration"
NAMED = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE))


def found_in(file: Path) -> set[tuple[str, str]]:
    return {(file.name, name) for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)}


def test_every_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 20
    missing = {(file, name) for file, name in NAMED if (file, name) not in found_in(TESTS / file)}
    assert not missing


def test_every_test_of_an_attack_is_named() -> None:
    for file in ("test_150_http2_floods.py", "test_152_http2_header_bombs.py", "test_156_tls_attacks.py"):
        assert found_in(TESTS / file) <= NAMED, file


def test_every_counter_is_there() -> None:
    metrics = (ROOT / "docs/reference/metrics.md").read_text()
    for name in set(re.findall(r"`(cdn_\w+)`", PAGE)):
        assert f"`{name}`" in metrics, name
    for label, source in (("kind", "http2/guard.rs"), ("reason", "tls/handshake.rs")):
        words = set(re.findall(rf'`{label}="(\w+)"`', PAGE))
        assert words
        code = (ROOT / "crates/bodega-server/src" / source).read_text()
        known = set(re.findall(r'=> "(\w+)"', code))
        assert words <= known, words - known


def test_every_kind_of_misuse_is_explained() -> None:
    code = (ROOT / "crates/bodega-server/src/http2/guard.rs").read_text()
    for kind in re.findall(r'=> "(\w+)"', code):
        assert f'`kind="{kind}"`' in PAGE, kind
