"""Metrics have the same names in the code, in the documents and in whatever reads them."""

from __future__ import annotations

import re
from pathlib import Path

from tools.reference import metrics

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"\bcdn_[a-z0-9_]+\b")
LITERAL = re.compile(r'"(cdn_[a-z0-9_]+)')
READERS = (
    "python/bodega/**/*.py",
    "docs/**/*.md",
    "benchmarks/**/*.py",
    "tests/**/*.py",
    "README.md",
    "ARCHITECTURE.md",
)


def known() -> set[str]:
    """Every name that a scrape may hold."""
    names = set()
    for metric in metrics.read(ROOT):
        names.add(metric.name)
        if metric.kind == "histogram":
            names |= {f"{metric.name}{suffix}" for suffix in ("_bucket", "_sum", "_count")}
    return names


def test_every_metric_of_the_source_is_read() -> None:
    source = (ROOT / metrics.SOURCE).read_text().split("#[cfg(test)]")[0]
    assert {metric.name for metric in metrics.read(ROOT)} == set(NAME.findall(source))


def test_the_reference_page_lists_the_metrics_of_the_code() -> None:
    page = ROOT / metrics.PAGE
    assert page.read_text() == metrics.render(ROOT), (
        f"{metrics.PAGE} is not what {metrics.SOURCE} says: run `make docs`"
    )


def test_names_and_kinds_follow_the_conventions() -> None:
    for metric in metrics.read(ROOT):
        assert metric.name.startswith("cdn_"), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), f"{metric.name} is a {metric.kind}"
        assert metric.help.endswith("."), f"{metric.name} is not explained by a sentence"


def test_nobody_reads_a_metric_that_is_not_there() -> None:
    names = known()
    for pattern in READERS:
        for path in ROOT.glob(pattern):
            if path == Path(__file__):
                continue
            unknown = set(NAME.findall(path.read_text())) - names
            assert not unknown, f"{path.relative_to(ROOT)} names {sorted(unknown)}, which {metrics.SOURCE} does not"


def test_names_are_written_in_one_place_only() -> None:
    for path in (ROOT / "crates").rglob("src/**/*.rs"):
        if path == ROOT / metrics.SOURCE or "tests" in path.relative_to(ROOT).parts or path.name == "tests.rs":
            continue
        code = path.read_text().split("#[cfg(test)]")[0]
        assert not LITERAL.findall(code), (
            f"{path.relative_to(ROOT)} writes a metric's name: use the constant of names.rs"
        )
