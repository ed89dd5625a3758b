"""`bodega edge`: an edge in the foreground."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bodega import certificates
from bodega.cli.output import advise as print_advice
from bodega.cli.output import print_json, say
from bodega.config import advise as find_advice
from bodega.config import advise_settings, read_config, settings_from
from bodega.distributions import Declarations, Model, ModelGroup, resolve_policy
from bodega.edge import Foreground
from bodega.edge.foreground import Loaded
from bodega.errors import ConfigInvalid
from bodega.units import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.cli.settings_options import Typed
    from bodega.distributions import ResolvedPolicy
    from bodega.edge.running import RunningEdge

_USUAL_FILE = Path("bodega.toml")


def edge(
    file: Annotated[
        Path | None, typer.Argument(help="What to serve.  \\[default: bodega.toml here, if there is one]")
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Serve this one origin, without a file: https://host, or s3://bucket."),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Serve this model, without a file: POST /predict.  In the ONNX format, a model.toml, or its folder.  "
            "May be there several times.",
        ),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="With --origin: how long answers are kept that say nothing.  \\[default: 24h]  With --model: how long "
            "predictions are.  \\[default: 5m]",
        ),
    ] = None,
    take_over: Annotated[
        int | None,
        typer.Option(
            metavar="PID", help="Take the listeners of this running edge over; it finishes what it has, and ends."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Once it serves, print where as one line of JSON.")] = False,
    *,
    typed: Typed,
) -> None:
    """Run an edge.

    Put it before a site, and ask twice:

        bodega edge --origin http://127.0.0.1:9000 --listen 127.0.0.1:8080

        curl -sI http://127.0.0.1:8080/ | grep -i cache-status

    Serve what a file declares, or upgrade a running edge without refusing a connection:

        bodega edge shop.toml --memory 4GB

        bodega edge shop.toml --take-over 812

    Answer predictions with a model, each input computed once and kept:

        bodega edge --model fraud.onnx --listen 127.0.0.1:8080

        curl -s http://127.0.0.1:8080/predict -d '{"features": [0.5, 1.2, 3]}'

    Several models, or versions of one, each under its name:

        bodega edge --model fraud.onnx --model language.onnx

        curl -s http://127.0.0.1:8080/models/fraud/predict -d '{"features": [0.5, 1.2, 3]}'

    SIGHUP reads the file again. SIGTERM and Ctrl-C finish what is under way, for up to 30 s; a second one ends at once.
    """
    source = _source(file, origin, tuple(model or ()), ttl, typed)

    def started(running: RunningEdge, loaded: Loaded) -> None:
        if as_json:
            print_json(
                {
                    "pid": os.getpid(),
                    "listening": running.addresses,
                    "admin": running.admin_address,
                    "name": loaded.settings.name,
                    "region": loaded.settings.region,
                }
            )
        _greet(running, loaded, source)

    Foreground(source, say, take_over).run(started)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file, or one origin, or models, under what variables and options say."""

    file: Path | None
    origin: str | None
    models: tuple[Path, ...]
    ttl: str | None
    typed: Typed

    def load(self) -> Loaded:
        config = None
        if self.file is not None:
            config = read_config(self.file)
            declarations = config.declarations
            for advice in find_advice(declarations, os.environ):
                print_advice(config.locate(advice))
        elif self.origin is not None:
            declarations = _of_origin(self.origin, self.ttl)
        elif self.models:
            declarations = _of_models(self.models, self.ttl)
        else:
            # What is served comes from the control process.
            declarations = Declarations()
        settings = settings_from(config, os.environ, self.typed.options)
        if not declarations.distributions and settings.control is None:
            raise ConfigInvalid(
                "nothing is declared that could be served",
                hint="add [distributions.NAME]; `bodega init -` prints an example",
                file=str(self.file),
            )
        for advice in advise_settings(settings):
            print_advice(advice)
        return Loaded(settings, declarations)


def _source(file: Path | None, origin: str | None, models: tuple[Path, ...], ttl: str | None, typed: Typed) -> _Source:
    given = [str(file)] if file is not None else []
    given += [option for option, is_given in (("--origin", origin is not None), ("--model", models)) if is_given]
    if len(given) > 1:
        raise ConfigInvalid(f"{given[0]} and {given[1]} exclude each other", hint="leave one of them out")
    if origin is not None or models:
        return _Source(None, origin, models, ttl, typed)
    if ttl is not None:
        raise ConfigInvalid(
            "`--ttl` goes with `--origin` or `--model`",
            hint="in a file, set default_ttl in the policy",
            path=("--ttl",),
        )
    if file is not None:
        return _Source(file, None, (), None, typed)
    if _USUAL_FILE.is_file():
        return _Source(_USUAL_FILE, None, (), None, typed)
    if settings_from(None, os.environ, typed.options).control is not None:
        return _Source(None, None, (), None, typed)
    raise ConfigInvalid(
        "nothing to serve: there is no bodega.toml here",
        hint="put an edge before a site:   bodega edge --origin http://127.0.0.1:9000\n"
        "  write a file to start from:  bodega init\n"
        "  see one at work:             bodega up",
    )


def _of_origin(origin: str, ttl: str | None) -> Declarations:
    try:
        return Declarations.of_origin(origin, ttl=ttl)
    except ConfigInvalid as error:
        if error.path == ("ttl",):
            raise ConfigInvalid(error.what, hint=error.hint, path=("--ttl",)) from None
        # "`--origin localhost:9000`: no scheme" reads better than a quotation within a quotation.
        raise ConfigInvalid(error.what, hint=error.hint, path=("--origin",)) from None


def _of_models(models: tuple[Path, ...], ttl: str | None) -> Declarations:
    for model in models:
        if not model.is_file() and not (model / "model.toml").is_file():
            hint = "name a model in the ONNX format, a model.toml, or a folder with one"
            raise ConfigInvalid(f"{model} is no file", hint=hint, path=("--model",))
    try:
        return Declarations.of_models([str(model.absolute()) for model in models], ttl=ttl)
    except ConfigInvalid as error:
        if error.line is not None:
            # In a `model.toml`.
            raise
        option = "--ttl" if error.path[:1] == ("ttl",) else "--model"
        raise ConfigInvalid(error.what, hint=error.hint, path=(option,)) from None


def _greet(running: RunningEdge, loaded: Loaded, source: _Source) -> None:
    for address in running.addresses:
        say("ready", f"listening on {address}")
    if loaded.settings.tls == "dev":
        _explain_development(running, loaded)
    if loaded.settings.control is not None:
        say("note", f"follows {loaded.settings.control}: it says what is served, and purges go there")
    elif source.models:
        [distribution] = loaded.declarations.distributions
        [behavior] = distribution.behaviors
        origin = behavior.origin
        members = origin.models if isinstance(origin, ModelGroup) else (origin,)
        models = [member for member in members if isinstance(member, Model)]
        names = list(dict.fromkeys(model.name for model in models))
        paths = "/predict, /batch_predict and /v2" if len(names) == 1 else "/models/NAME/predict and /v2"
        kept = _kept(models, resolve_policy(behavior.policy, loaded.declarations.policies))
        say("note", f"POST {paths} ask {', '.join(names)}; {kept}")
        say("note", f"forget them: `bodega purge model:{names[0]}`")
        page = f"/{names[0]}" if len(names) == 1 else ""
        say("note", f"try it in a browser: {running.addresses[0]}/models{page}")
    elif source.origin is not None:
        [distribution] = loaded.declarations.distributions
        [behavior] = distribution.behaviors
        seconds = resolve_policy(behavior.policy, loaded.declarations.policies).default_ttl_seconds
        say("note", f"origin {source.origin}")
        if seconds:
            kept = f"answers that say nothing are kept {_spaced(seconds)} (`--ttl 0`: only what they say)"
        else:
            kept = "answers are kept only as long as they say"
        say("note", f"{kept}; forget everything: `bodega purge all`")
    else:
        for each in loaded.declarations.distributions:
            many = "behavior" if len(each.behaviors) == 1 else "behaviors"
            say("note", f"{each.name}: {', '.join(each.hosts)} ({len(each.behaviors)} {many})")
        say("note", f"read {source.file} again: `kill -HUP {os.getpid()}`; forget everything: `bodega purge all`")
    if running.admin_address is None:
        say("note", "no admin listener: `bodega purge` and `bodega status` do not reach this edge")


def _kept(models: Sequence[Model], policy: ResolvedPolicy) -> str:
    """Say how long predictions are kept: as each model says, within the policy's bounds, else as the policy does."""
    names_of: dict[float, list[str]] = {}
    for model in models:
        seconds = policy.default_ttl_seconds
        if model.ttl is not None:
            seconds = min(max(parse_duration(model.ttl), policy.min_ttl_seconds), policy.max_ttl_seconds)
        names = names_of.setdefault(seconds, [])
        if model.name not in names:
            names.append(model.name)
    said = [(f"kept {_spaced(seconds)}" if seconds else "not kept", names) for seconds, names in names_of.items()]
    if len(said) == 1:
        return f"predictions are {said[0][0]}"
    return ", ".join(f"those of {' and '.join(names)} are {how}" for how, names in said)


def _explain_development(running: RunningEdge, loaded: Loaded) -> None:
    made = certificates.development_certificate(loaded.declarations.hosts, os.environ)
    url = next((url for url in running.addresses if url.startswith("https:")), None)
    if url is not None:
        say("note", f"its certificate is for development: `{made.curl_command(url)}`")
    say("note", f"trust it on this machine: `{made.trust_command}`")
    if made.left_out:
        say("warning", f"not on the certificate, because the names may be somebody's: {', '.join(made.left_out)}")


def _spaced(seconds: float) -> str:
    written = format_duration(seconds)
    number = written.rstrip("abcdefghijklmnopqrstuvwxyz")
    return f"{number} {written.removeprefix(number)}"
