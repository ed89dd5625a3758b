"""Reads Prometheus' text format (0.0.4) strictly: what the server's own parser would refuse is an error here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)="(?P<value>(?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: what is behind the family's name, the labels, the value."""

    suffix: str
    labels: dict[str, str]
    value: float


@dataclass(slots=True)
class Family:
    """A metric with its samples."""

    name: str
    help: str
    kind: str = ""
    samples: list[Sample] = field(default_factory=list)

    def value(self, suffix: str = "", **labels: str) -> float:
        """Return the value of the one sample that has these labels among its own."""
        [found] = [each for each in self.samples if each.suffix == suffix and labels.items() <= each.labels.items()]
        return found.value


def parse_exposition(text: str) -> dict[str, Family]:
    """Return the families by name, each checked."""
    assert text.endswith("\n"), "the last line has no end"
    families: dict[str, Family] = {}
    current: Family | None = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, help_text = line.removeprefix("# HELP ").partition(" ")
            assert name not in families, f"{name} is there twice"
            assert help_text, f"{name} says nothing of itself"
            current = families[name] = Family(name, help_text)
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert current is not None
            assert (current.name, current.kind, current.samples) == (name, "", []), line
            assert kind in _SUFFIXES, line
            current.kind = kind
        else:
            assert current is not None
            current.samples.append(_sample(current, line))
    for family in families.values():
        _check(family)
    return families


def _sample(family: Family, line: str) -> Sample:
    match = _SAMPLE.fullmatch(line)
    assert match is not None, f"no sample: {line!r}"
    suffix = match["name"].removeprefix(family.name)
    assert match["name"].startswith(family.name), f"{line!r} is not of {family.name}"
    assert suffix in _SUFFIXES[family.kind], f"{line!r} is not of a {family.kind}"
    labels: dict[str, str] = {}
    written, position = match["labels"] or "", 0
    while position < len(written):
        label = _LABEL.match(written, position)
        assert label is not None, f"malformed labels: {line!r}"
        assert label["name"] not in labels, f"a label twice: {line!r}"
        labels[label["name"]] = label["value"]
        position = label.end()
    return Sample(suffix, labels, float(match["value"]))


def _check(family: Family) -> None:
    assert family.kind, f"{family.name} has no type"
    seen = [(each.suffix, tuple(sorted(each.labels.items()))) for each in family.samples]
    assert len(seen) == len(set(seen)), f"a sample of {family.name} is there twice"
    if family.kind == "counter":
        assert family.name.endswith("_total"), f"{family.name}: a counter's name ends in _total"
    if family.kind != "gauge":
        assert all(each.value >= 0 for each in family.samples), family.name
    if family.kind == "histogram":
        _check_histogram(family)


def _check_histogram(family: Family) -> None:
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for each in family.samples:
        rest = tuple(sorted((name, value) for name, value in each.labels.items() if name != "le"))
        series.setdefault(rest, []).append(each)
    for labels, samples in series.items():
        buckets = [(float(each.labels["le"]), each.value) for each in samples if each.suffix == "_bucket"]
        assert buckets == sorted(buckets), f"buckets of {family.name}{labels} do not grow"
        assert buckets[-1][0] == float("inf"), f"{family.name}{labels} has no bucket for all"
        [count] = [each.value for each in samples if each.suffix == "_count"]
        assert buckets[-1][1] == count, f"{family.name}{labels}: the last bucket is not the count"
        assert len([each for each in samples if each.suffix == "_sum"]) == 1
