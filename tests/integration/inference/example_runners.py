"""Runners that do as they should, and many that do not; workers of the tests import them from here."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

import bodega


class Linear(bodega.Runner):
    """The weighted sum, with the weights that its file holds."""

    inputs = {"features": "float32[3]"}  # noqa: RUF012
    outputs = {"score": "float32[]"}  # noqa: RUF012

    def load(self, path: str) -> None:
        self.weights = np.array(json.loads(Path(path).read_text()), dtype=np.float32)

    def predict(self, batch: Any) -> Any:
        return {"score": batch["features"] @ self.weights}


class Tokens(bodega.Runner):
    """A tokenizer and a model behind it: texts in, numbers out."""

    inputs = {"text": "string[]"}  # noqa: RUF012
    outputs = {"n_tokens": "int64[]", "score": "float64[2]", "words": "string[?]"}  # noqa: RUF012

    def load(self, path: str) -> None:
        self.weights = {word: at + 1 for at, word in enumerate(Path(path).read_text().split())}

    def predict(self, batch: Any) -> Any:
        tokens = [text.lower().split() for text in batch["text"]]
        scores = [[sum(self.weights.get(word, 0) for word in words), len(set(words))] for words in tokens]
        longest = max(map(len, tokens))
        words = np.array([[*words, *[""] * (longest - len(words))] for words in tokens], dtype=object)
        return {
            "n_tokens": np.array([len(words) for words in tokens]),
            "score": np.array(scores, dtype=np.float64),
            "words": words.reshape(len(tokens), longest),
        }


class Remote(bodega.Runner):
    """A model behind HTTP, whose address is in the file."""

    inputs = {"x": "float64[]"}  # noqa: RUF012
    outputs = {"y": "float64[]"}  # noqa: RUF012

    def load(self, path: str) -> None:
        self.url = Path(path).read_text()

    def predict(self, batch: Any) -> Any:
        body = json.dumps(batch["x"].tolist()).encode()
        with urllib.request.urlopen(self.url, data=body, timeout=5) as response:
            return {"y": np.array(json.load(response), dtype=np.float64)}


class Kinds(bodega.Runner):
    """Every type of numbers, as it comes; and what is shared without a copy."""

    inputs = {  # noqa: RUF012
        "floats": "float64[2]",
        "small": "int8[?]",
        "large": "uint64[]",
        "on": "bool[2]",
        "texts": "string[?]",
    }
    outputs = {**inputs, "is_shared": "bool[]", "n_rows": "int64[]"}  # noqa: RUF012

    def predict(self, batch: Any) -> Any:
        arrays = [array for name, array in batch.items() if name != "texts"]
        is_shared = all(not array.flags.owndata and not array.flags.writeable for array in arrays)
        n_rows = len(batch["large"])
        return {**batch, "is_shared": np.full(n_rows, is_shared), "n_rows": np.full(n_rows, n_rows)}


class Wayward(bodega.Runner):
    """Does what its row says."""

    inputs = {"what": "string[]"}  # noqa: RUF012
    outputs = {"pid": "int64[]"}  # noqa: RUF012

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def warm(self) -> None:
        print("ready")

    def predict(self, batch: Any) -> Any:
        given: Any = np.full(len(batch["what"]), os.getpid())
        for what in batch["what"]:
            given = self.do(what, given)
        return {"pid": given}

    def do(self, what: str, given: Any) -> Any:
        match what.partition("/")[0]:
            case "abort":
                os.abort()
            case "segfault":
                ctypes.string_at(0)
            case "exit":
                sys.exit(7)
            case "hang":
                time.sleep(3600)
            case "raise":
                raise ValueError(f"not {what}")
            case "print":
                print("printed", "x" * 10_000)
                print("said", file=sys.stderr)
            case "flood":
                for _ in range(20_000):
                    print("again and again")
            case "leak":
                self.kept.append(b"x" * (64 << 20))
            case "swell":
                while True:
                    self.kept.append(b"x" * (16 << 20))
            case "garbage":
                for descriptor in range(3, 10):
                    try:
                        os.write(descriptor, b"\xff" * 100)
                    except OSError:
                        continue
            case "child":
                if os.fork() == 0:
                    time.sleep(3600)
            case "close":
                os.closerange(0, 100)
                time.sleep(3600)
        return given


class Liar(bodega.Runner):
    """Gives what it does not declare."""

    inputs = {"how": "string[]"}  # noqa: RUF012
    outputs = {"score": "float32[2]"}  # noqa: RUF012

    def predict(self, batch: Any) -> Any:
        n_rows, how = len(batch["how"]), batch["how"][0]
        right = np.zeros((n_rows, 2), dtype=np.float32)
        lies: dict[str, Any] = {
            "right": {"score": right},
            "bare": right,
            "rows": {"score": right[:0]},
            "axes": {"score": np.zeros((n_rows, 3), dtype=np.float32)},
            "flat": {"score": right.ravel()},
            "type": {"score": right.astype(np.float64)},
            "endian": {"score": right.astype(">f4")},
            "texts": {"score": [["a", "b"]] * n_rows},
            "missing": {},
            "other": {"price": right},
            "more": {"score": right, "price": right},
            "nothing": None,
            "none": {"score": None},
            "nones": {"score": [None] * n_rows},
        }
        return lies[how]


class Undeclared:
    """Has no outputs."""

    inputs = {"x": "float32[2]"}  # noqa: RUF012


class Misdeclared(bodega.Runner):
    """Has an output of a type that there is not."""

    inputs = {"x": "float32[2]"}  # noqa: RUF012
    outputs = {"y": "float31[2]"}  # noqa: RUF012


class Mute(bodega.Runner):
    """Says what it takes and gives, and not how."""

    inputs = {"x": "float32[2]"}  # noqa: RUF012
    outputs = {"y": "float32[]"}  # noqa: RUF012


class Bare:
    """The same without `Runner`."""

    inputs = Mute.inputs
    outputs = Mute.outputs


class FailsToLoad(bodega.Runner):
    """Cannot be loaded."""

    inputs = {"x": "float32[2]"}  # noqa: RUF012
    outputs = {"y": "float32[]"}  # noqa: RUF012

    def predict(self, batch: Any) -> Any:
        return batch

    def load(self, path: str) -> None:
        raise FileNotFoundError(f"no weights in {path or 'nothing'}")


class DiesOnLoad(FailsToLoad):
    """Takes its process with it."""

    def load(self, path: str) -> None:  # noqa: ARG002
        os.abort()


class FailsTheSecondTime(bodega.Runner):
    """Can be loaded once: there is a file then."""

    inputs = {"what": "string[]"}  # noqa: RUF012
    outputs = {"pid": "int64[]"}  # noqa: RUF012

    def load(self, path: str) -> None:
        starts = Path(path)
        with starts.open("a") as file:
            file.write("x")
        if starts.stat().st_size > 1:
            raise RuntimeError("only once")

    def predict(self, batch: Any) -> Any:  # noqa: ARG002
        os.abort()


class Environment(bodega.Runner):
    """Says which variables it has."""

    inputs = {"name": "string[]"}  # noqa: RUF012
    outputs = {"value": "string[]"}  # noqa: RUF012

    def predict(self, batch: Any) -> Any:
        return {"value": np.array([os.environ.get(name, "") for name in batch["name"]], dtype=object)}
