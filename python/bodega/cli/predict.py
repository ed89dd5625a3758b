"""`bodega predict`: asks a model on a running edge."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import typer.core

from bodega.cli.output import print_json, print_lines, say
from bodega.cli.predict_request import PredictRequest, request_to
from bodega.config import is_seen_on_the_way
from bodega.errors import ConfigInvalid, EdgeNotFound, PredictionRefused

_NEGATIVE = re.compile(r"-\.?[0-9]")


class PredictCommand(typer.core.TyperCommand):
    """A command whose argument may begin as an option does: `-1,2`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Their own type differs by version.
        """Put numbers below zero behind the mark that ends options; no option begins with a digit."""
        end = args.index("--") if "--" in args else len(args)
        before, behind = args[:end], args[end + 1 :]
        numbers = [arg for arg in before if _NEGATIVE.match(arg)]
        options = [arg for arg in before if not _NEGATIVE.match(arg)]
        return super().parse_args(ctx, [*options, "--", *numbers, *behind] if numbers else args)


def predict(
    features: Annotated[
        str, typer.Argument(help="The inputs: numbers between commas, or JSON; `-` reads JSON from standard input.")
    ],
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where the model answers.")
    ] = "http://127.0.0.1:8080/predict",
    batch: Annotated[
        bool, typer.Option("--batch", help="The inputs are an array of rows: `/batch_predict` is asked.")
    ] = False,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with the token that the edge asks for.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A header; may be repeated.")
    ] = None,
    cacert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Certificates to check the edge's against.  \\[default: the system's]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer as JSON, for programs.")] = False,
) -> None:
    """Ask a model on a running edge.

    bodega predict 0.5,-1.2,3

    bodega predict '{"age": 41, "name": ["a", "b"]}' --url https://shop.example.com/predict

    bodega predict --batch '[[0.5, 1.2, 3], [1, 2, 3]]' --json

    bodega predict 0.5,-1.2,3 --url https://shop.example.com/predict --token-file shop.token

    With --json a refusal is JSON too: `error`, and where it says them `status`, `field`, `expected`, `given`.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ConfigInvalid(f'"{url}" is no URL', hint="write it as http://HOST:PORT/predict", path=("--url",))
    target = url.removesuffix("/predict") + "/batch_predict" if batch and url.endswith("/predict") else url
    request = request_to(target, token_file, header or (), cacert)
    if token_file is not None and is_seen_on_the_way(target):
        say("warning", "plain HTTP shows the token to whoever is on the way: use https://")
    try:
        answer = _ask(request, _read(features))
    except (EdgeNotFound, PredictionRefused) as error:
        if not as_json:
            raise
        print_json(_told(error))
        raise typer.Exit(1) from None
    if as_json:
        print_json(answer)
        return
    values = answer["predictions"] if batch else [answer["prediction"]]
    cached = answer["cached"] if batch else [answer["cached"]]
    about = f"{answer['model']}@{answer['version']}"
    print_lines(
        "\n".join(
            f"{json.dumps(value, ensure_ascii=False)}  {'kept' if is_kept else 'computed'}  {about}"
            for value, is_kept in zip(values, cached, strict=True)
        )
    )


def _read(written: str) -> Any:
    text = sys.stdin.read() if written == "-" else written
    try:
        # As it is sent: numbers keep all their digits.
        json.loads(text)
    except ValueError:
        listed = f"[{text}]"
        try:
            json.loads(listed)
        except ValueError as error:
            hint = "numbers between commas, or JSON in quotes: '[0.5, 1.2]'"
            raise ConfigInvalid(f"these are no inputs: {error}", hint=hint, path=("FEATURES",)) from None
        return listed
    return text


def _ask(request: PredictRequest, features: str) -> dict[str, Any]:
    content = request.send(f'{{"features": {features}}}'.encode())
    answer: dict[str, Any] = {}
    try:
        answer = json.loads(content)
        is_ours = {"cached", "model", "version"} <= answer.keys()
    except (ValueError, AttributeError):
        is_ours = False
    if not is_ours:
        raise PredictionRefused(f"what answers at {request.url} is no model of bodega's")
    return answer


def _told(error: EdgeNotFound | PredictionRefused) -> dict[str, Any]:
    told: dict[str, Any] = {"error": str(error)}
    if isinstance(error, PredictionRefused):
        told["status"] = error.status
        told |= {name: getattr(error, name) for name in ("field", "expected", "given") if getattr(error, name)}
    return told
