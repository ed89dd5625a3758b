"""`bodega key`: what the key of a request is, and what made it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bodega.cli.header_option import header_field
from bodega.cli.output import print_json, print_lines
from bodega.config import read_config
from bodega.errors import ConfigInvalid
from bodega.snapshot import compile_snapshot, explain_key

if TYPE_CHECKING:
    from bodega.snapshot import KeyReport

_DOES = {
    "lookup": "is answered from the store, or fetched and kept under this key",
    "pass": "goes to the origin as it is, and nothing is kept",
    "predict": "asks a model: each row of the body is answered from the store, or computed and kept",
    "answer": "is answered by the configuration",
    "refuse": "is refused",
}


def key(
    url: Annotated[str, typer.Argument(help="https://host/path?query, as it is sent.")],
    file: Annotated[Path, typer.Option("--file", "-f", help="The file.")] = Path("bodega.toml"),
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A header; may be repeated.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="The method.  \\[default: GET, or POST with --body]", show_default=False)
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(metavar="TEXT|@FILE", help="A body, or @ and the file that holds it; `content-type` is a header."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Show the cache key of a request, what made it, and what the origin gets to see.

    Nothing runs and nothing is fetched. Two requests with one fingerprint get one stored answer.

        bodega key 'https://shop.example.com/images/a.webp?w=200&utm_source=x'

        bodega key https://shop.example.com/ --header 'Accept-Language: de' --json
    """
    if "://" not in url:
        raise ConfigInvalid(f'"{url}" is not a URL', hint=f'did you mean "https://{url.lstrip("/")}"?')
    config = read_config(file)
    snapshot = compile_snapshot(config.declarations, environment=os.environ)
    headers, content = dict(map(header_field, header or ())), _body(body)
    try:
        report = explain_key(
            snapshot, url, method=method or ("GET" if body is None else "POST"), headers=headers, body=content
        )
    except ValueError as error:
        raise ConfigInvalid(f"the URL: {error}") from None
    if as_json:
        print_json(asdict(report))
    else:
        print_lines("\n".join(f"{name:<14}{value}" for name, value in _rows(report)))


def _body(written: str | None) -> bytes:
    if written is None:
        return b""
    if not written.startswith("@"):
        return written.encode()
    try:
        return Path(written[1:]).read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{written[1:]}: {error.strerror}", path=("--body",)) from None


def _rows(report: KeyReport) -> list[tuple[str, str]]:
    rows = [
        ("does", _DOES[report.does] + (f" ({report.reason})" if report.reason else "")),
        ("distribution", report.distribution or "none"),
        ("behavior", report.behavior or "none"),
        ("policy", report.policy or "none"),
    ]
    if report.key:
        rows += [
            ("key", report.key.fingerprint),
            ("  scheme", report.key.scheme or "none: the origin is not told it"),
            ("  host", report.key.host),
            ("  path", report.key.path),
            ("  query", report.key.query or "none"),
            *((("  body", report.key.body),) if report.key.body is not None else ()),
            *((f"  {kind}", f"{name}: {value}") for kind, name, value in _of_key(report)),
        ]
        if report.key.names_user:
            rows.append(("  shared only", "it carries what is sent to the origin and is not in the key"))
    if report.sent:
        rows.append(("sent", report.sent.target))
        rows += [("  header", f"{name}: {value}") for name, value in report.sent.headers]
        dropped = (
            ("parameter", report.sent.dropped_parameters),
            ("header", report.sent.dropped_headers),
            ("cookie", report.sent.dropped_cookies),
        )
        left_out = [f"{kind} {name}" for kind, names in dropped for name in names]
        rows.append(("not sent", ", ".join(left_out) or "nothing of the request"))
    return rows


def _of_key(report: KeyReport) -> list[tuple[str, str, str]]:
    if report.key is None:
        return []
    headers = [("header", name, value) for name, value in report.key.headers]
    return headers + [("cookie", name, value) for name, value in report.key.cookies]
