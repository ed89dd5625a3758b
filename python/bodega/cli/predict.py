"""`bodega predict`: asks a model on a running edge."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import typer.core

from bodega.cli.output import print_json, print_lines
from bodega.errors import ConfigInvalid, EdgeNotFound, PredictionRefused

_TIMEOUT_SECONDS = 60
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
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer as JSON, for programs.")] = False,
) -> None:
    """Ask a model on a running edge.

    bodega predict 0.5,-1.2,3

    bodega predict '{"age": 41, "name": ["a", "b"]}' --url https://shop.example.com/predict

    bodega predict --batch '[[0.5, 1.2, 3], [1, 2, 3]]' --json
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ConfigInvalid(f'"{url}" is no URL', hint="write it as http://HOST:PORT/predict", path=("--url",))
    target = url.removesuffix("/predict") + "/batch_predict" if batch and url.endswith("/predict") else url
    answer = _ask(target, _read(features))
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


def _ask(url: str, features: str) -> dict[str, Any]:
    body = f'{{"features": {features}}}'.encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - Checked above.
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - Checked above.
            content = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error.code, error.read()) from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise EdgeNotFound(f"nobody answers at {url}: {why}", hint="name the edge by --url") from None
    answer: dict[str, Any] = {}
    try:
        answer = json.loads(content)
        is_ours = {"cached", "model", "version"} <= answer.keys()
    except (ValueError, AttributeError):
        is_ours = False
    if not is_ours:
        raise PredictionRefused(f"what answers at {url} is no model of bodega's")
    return answer


def _refused(status: int, content: bytes) -> PredictionRefused:
    try:
        told = json.loads(content)
        return PredictionRefused(str(told["error"]), status=status, field=str(told.get("field", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        first = content.decode("utf-8", "replace").splitlines() or [""]
        return PredictionRefused(f"{status}: {first[0]}", status=status)
