"""The reference page of the configuration: generated from the nouns' own fields."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from bodega.certificates import CertificateFiles
from bodega.config.disk_tier import DiskTier
from bodega.config.edge_settings import EdgeSettings
from bodega.config.settings import option_name, variable_name
from bodega.distributions import (
    PRESETS,
    S3,
    Answer,
    Behavior,
    CachePolicy,
    Distribution,
    ForwardRules,
    Golden,
    HeaderEdits,
    Health,
    HttpOrigin,
    Jwt,
    KeyRules,
    Model,
    ModelGroup,
    OriginGroup,
    Redirect,
    RegionalOrigin,
    ResolvedPolicy,
)
from bodega.distributions.read import documented_fields
from bodega.distributions.resolve import PRESET_TEXTS
from bodega.distributions.shapes import (
    ChoiceShape,
    CountShape,
    DurationShape,
    EitherShape,
    FlagShape,
    ListShape,
    MapShape,
    NameShape,
    NounShape,
    NumberShape,
    OriginShape,
    Shape,
    SizeShape,
    TextShape,
    ValueShape,
    about_field,
)
from bodega.units import format_duration


def reference() -> str:
    """Return the page as Markdown."""
    parts = [_OPENING, "## `[edge]`\n\n" + _EDGE, _settings_table()]
    parts += ["### certificate and key", _noun_table(CertificateFiles)]
    parts += ["### disk tier", _noun_table(DiskTier)]
    for title, text, nouns in _SECTIONS:
        parts.append(f"## {title}\n\n{text}")
        for heading, noun in nouns:
            if heading:
                parts.append(f"### {heading}")
            parts.append(_noun_table(noun))
        if title == "`[policies.NAME]`":
            parts.append("### Built-in policies")
            parts.append("\n".join(f"- `{name}`: {text}" for name, text in PRESET_TEXTS.items()))
            parts.append(_preset_table())
    return "\n\n".join(parts) + "\n"


def _settings_table() -> str:
    rows = ["| setting | type | default | what it is |", "|---|---|---|---|"]
    for name, described in documented_fields(EdgeSettings).items():
        spoken = f"`{name}`<br>`{option_name(name)}`<br>`{variable_name(name)}`"
        rows.append(f"| {spoken} | {_type(described)} | {default_in_words(described)} | {_text(described)} |")
    return "\n".join(rows)


def _noun_table(noun: type[Any]) -> str:
    rows = ["| key | type | default | what it is |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {_type(described)} | {default_in_words(described)} | {_text(described)} |"
        for name, described in documented_fields(noun).items()
    ]
    return "\n".join(rows)


def _preset_table() -> str:
    rows = {
        "stored": lambda policy: "yes" if policy.store else "no",
        "`mode`": lambda policy: policy.mode,
        "`default_ttl`": lambda policy: "heuristic" if policy.heuristic_only else _duration(policy.default_ttl_seconds),
        "`min_ttl`, `max_ttl`": lambda policy: (
            f"{_duration(policy.min_ttl_seconds)}, {_duration(policy.max_ttl_seconds)}"
        ),
        "`negative_ttl`": lambda policy: (
            ", ".join(f"{status}: {_duration(seconds)}" for status, seconds in policy.negative_ttl_seconds) or "none"
        ),
        "`stale_while_revalidate`": lambda policy: _duration(policy.stale_while_revalidate_seconds),
        "`stale_if_error`": lambda policy: _duration(policy.stale_if_error_seconds),
        "`key.query`, sorted": lambda policy: f"{policy.key_query.kind}, {'yes' if policy.key_sorted else 'no'}",
        "`key.host`": lambda policy: "yes" if policy.key_host else "no",
        "`forward`": _forwarded,
    }
    lines = [f"| | {' | '.join(f'`{name}`' for name in PRESETS)} |", "|---" * (len(PRESETS) + 1) + "|"]
    for label, cell in rows.items():
        cells = [
            "-" if not policy.store and label not in ("stored", "`forward`") else cell(policy)
            for policy in PRESETS.values()
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _forwarded(policy: ResolvedPolicy) -> str:
    if not policy.store:
        return "everything"
    if policy.forward_all_headers:
        return "every header but `Cookie`"
    return ", ".join(f"`{name}`" for name in policy.forward_headers) or "nothing"


def _duration(seconds: float) -> str:
    return format_duration(seconds)


def _type(described: Field[Any]) -> str:
    about = about_field(described)
    assert about is not None, "only documented fields are on the page"
    return _shape(about.shape)


def _text(described: Field[Any]) -> str:
    about = about_field(described)
    assert about is not None, "only documented fields are on the page"
    examples = _examples(about.shape)
    shown = f" For instance {', '.join(f'`{json}`' for json in examples)}." if examples else ""
    return (about.text + shown).replace("|", "\\|")


def default_in_words(described: Field[Any]) -> str:
    """Return the default of a field as the page shows it."""
    about = about_field(described)
    assert about is not None, "only documented fields are on the page"
    if about.default_text is not None:
        return about.default_text
    if described.default is MISSING and described.default_factory is MISSING:
        return "required"
    default = described.default
    if default is MISSING or default is None or default in ("", ()):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return "`[" + ", ".join(f'"{member}"' for member in default) + "]`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


def _examples(shape: Shape) -> list[str]:
    match shape:
        case TextShape(examples):
            return [f'"{example}"' for example in examples]
        case ListShape(TextShape(examples)) if examples:
            return ["[" + ", ".join(f'"{example}"' for example in examples) + "]"]
        case ListShape(EitherShape() as of, alone=True):
            return _examples(of)
        case EitherShape(shapes):
            return [example for each in shapes for example in _examples(each)]
        case _:
            return []


def _shape(shape: Shape) -> str:
    match shape:
        case TextShape():
            return "text"
        case DurationShape():
            return "duration"
        case SizeShape():
            return "size"
        case CountShape(minimum, maximum):
            return f"{minimum} to {maximum}" if maximum < 2**31 - 1 else f"{minimum} or more"
        case NumberShape(minimum, maximum):
            return f"number, {minimum:g} to {maximum:g}"
        case ValueShape():
            return "any value"
        case FlagShape():
            return "true or false"
        case ChoiceShape(words):
            return " or ".join(f'`"{word}"`' for word in words) if len(words) < 4 else "one of " + ", ".join(words)
        case ListShape(of, alone):
            return f"{_shape(of)}, or a list of them" if alone else f"list: {_shape(of)}"
        case MapShape(of, key_text):
            return f"table: {key_text} to {_shape(of)}"
        case NounShape(noun):
            return f"table: {_NOUN_NAMES.get(noun, noun.__name__)}"
        case OriginShape():
            return "name, address or table"
        case NameShape(to):
            return "name of a policy" if to == "policies" else "name of an origin"
        case EitherShape(shapes):
            return ", or ".join(_shape(each) for each in shapes)


_NOUN_NAMES: dict[type[Any], str] = {
    KeyRules: "[key](#key)",
    ForwardRules: "[forward](#forward)",
    HeaderEdits: "[header edits](#header-edits)",
    Redirect: "[redirect](#redirect)",
    Answer: "[answer](#answer)",
    CachePolicy: "[policy](#policiesname)",
    Behavior: "[behavior](#behaviors)",
    Health: "[health](#health)",
    CertificateFiles: "[certificate and key](#certificate-and-key)",
    DiskTier: "[disk tier](#disk-tier)",
    Golden: "[golden](#golden)",
    Jwt: "[jwt](#jwt)",
}

_OPENING = """\
# Configuration

This page is generated from the sources (`make docs`); the guide is [Declaring](../guides/declaring.md).

A duration has its unit: `"250ms"`, `"90s"`, `"10m"`, `"24h"`, `"7d"`, `"1y"`, also `"1h30m"`.
A size has its unit: `"512kB"`, `"64MB"`, `"10GB"` are decimal, `"64MiB"`, `"10GiB"` binary.
A number without a unit is an error; only `0` needs none.
Unknown keys are errors."""

_EDGE = """\
This machine.
Each setting is also an option of `bodega edge` and a variable: an option wins over a variable, that over the file,
that over the default.
A change needs a restart; a reload says so and goes on serving."""

_SECTIONS: tuple[tuple[str, str, tuple[tuple[str, type[Any]], ...]], ...] = (
    (
        "`[origins]`",
        (
            'An origin is an address, `site = "https://www.example.com"` or `images = '
            '"s3://bucket/prefix"`, or a table with '
            "`url` and more.\nA group of origins is a table with `group`: "
            '`both = { group = ["site-a", "site-b"] }`.\n'
            "One that is reached differently from each region is a table with `regions`: "
            '`site = { regions = { "ap-*" = "site-tokyo" }, otherwise = "site-dublin" }`.\n'
            "A model in a file is a table with `model`: "
            '`fraud = { model = "models/fraud.onnx" }`; models under the same paths are one with `models`: '
            '`all = { models = ["fraud", "language"] }`.\n'
            "No secret stands in the file: S3 credentials come from the environment or from "
            "`credentials_file`."
        ),
        (
            ("Web servers", HttpOrigin),
            ("Buckets: `s3://`", S3),
            ("health", Health),
            ("Groups", OriginGroup),
            ("By region", RegionalOrigin),
            ("Models", Model),
            ("golden", Golden),
            ("Groups of models", ModelGroup),
        ),
    ),
    (
        "`[policies.NAME]`",
        (
            "What is kept, for how long, and what tells two answers apart.\n"
            "What a policy leaves out it inherits from the one it extends."
        ),
        (("", CachePolicy), ("key", KeyRules), ("forward", ForwardRules)),
    ),
    (
        "`[distributions.NAME]`",
        "A site: its hosts, and what is done with their requests.",
        (
            ("", Distribution),
            ("behaviors", Behavior),
            ("redirect", Redirect),
            ("answer", Answer),
            ("header edits", HeaderEdits),
            ("jwt", Jwt),
        ),
    ),
)
