"""A runner in its worker: loaded, and asked through shared memory."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import mmap
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodega.serving import frames
from bodega.serving.runner import Runner
from bodega.serving.specs import TensorSpec

if TYPE_CHECKING:
    from types import ModuleType

_MAX_SAID = 1_000


def _descriptors() -> tuple[socket.socket, int]:
    connection, memory = socket.socket(fileno=os.dup(0)), os.dup(1)
    # What a model prints goes to the log, and what it reads is empty.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return connection, memory


def serve_runner() -> None:
    """Load the runner that the edge names, and run what it asks, until that lets go of it."""
    connection, memory = _descriptors()
    started = frames.receive(connection)
    if started is None:
        return
    start = json.loads(started[2])
    try:
        runner, inputs, outputs, code = _load(start["runner"], start["path"], start["ignored"])
    except Exception as error:  # noqa: BLE001 - Whatever is wrong with somebody's model is said.
        _print_place(error)
        frames.send(connection, frames.ERROR, 0, _said(error, f"{start['runner']}: "))
        return
    from bodega.serving.arrays import SharedArrays

    arrays = SharedArrays(mmap.mmap(memory, 0), inputs, outputs)
    hello = {"inputs": _ports(inputs), "outputs": _ports(outputs), "is_batched": True, "code": code}
    frames.send(connection, frames.HELLO, 0, json.dumps(hello).encode())
    while (asked := frames.receive(connection)) is not None and asked[0] == frames.RUN:
        _, number, payload = asked
        try:
            n_rows, batch = arrays.batch(payload)
            answer = arrays.answer(n_rows, runner.predict(batch))
        except Exception as error:  # noqa: BLE001 - See above.
            _print_place(error)
            frames.send(connection, frames.ERROR, number, _said(error))
        else:
            frames.send(connection, frames.ANSWER, number, answer)
    if hasattr(runner, "close"):
        runner.close()


def _load(
    named: str, path: str, ignored: list[str]
) -> tuple[Any, dict[str, TensorSpec], dict[str, TensorSpec], str | None]:
    if path:
        # What belongs to a model may lie beside it.
        sys.path.append(str(Path(path) if Path(path).is_dir() else Path(path).parent))
    module_name, class_name = named.split(":")
    module = importlib.import_module(module_name)
    runner = getattr(module, class_name)()
    inputs, outputs = _specs(runner, "inputs"), _specs(runner, "outputs")
    # What `Runner` itself has there is a form, which gives nothing.
    if not callable(getattr(runner, "predict", None)) or getattr(type(runner), "predict", None) is Runner.predict:
        raise TypeError("it defines no `predict`: write for instance def predict(self, batch)")
    if hasattr(runner, "load"):
        runner.load(path)
    if hasattr(runner, "warm"):
        runner.warm()
    # Inputs that are not part of the key stand last, as the edge has them.
    inputs = dict(sorted(inputs.items(), key=lambda item: item[0] in ignored))
    return runner, inputs, outputs, _digest(module)


def _specs(runner: object, name: str) -> dict[str, TensorSpec]:
    declared = getattr(runner, name, None)
    if not declared or not isinstance(declared, dict):
        raise TypeError(f'it declares no `{name}`: write for instance {name} = {{"x": "float32[3]"}}')
    return {str(tensor): TensorSpec.parse(written) for tensor, written in declared.items()}


def _digest(module: ModuleType) -> str | None:
    """Tell apart what the code was when it was loaded: what it predicts depends on it."""
    try:
        source = inspect.getsourcefile(module)
    except TypeError:
        return None
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None


def _ports(specs: dict[str, TensorSpec]) -> list[dict[str, object]]:
    return [{"name": name, "element": spec.element, "row": spec.axes, "has_axis": True} for name, spec in specs.items()]


def _said(error: Exception, begin: str = "") -> bytes:
    return f"{begin}{type(error).__name__}: {error}"[:_MAX_SAID].encode(errors="replace")


def _print_place(error: Exception) -> None:
    """Print where it happened, and not what was said of it: that may quote an input."""
    places = "".join(traceback.format_tb(error.__traceback__))
    print(f"{places}{type(error).__name__}", file=sys.stderr, flush=True)  # noqa: T201
