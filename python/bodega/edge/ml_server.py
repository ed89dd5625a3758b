"""A model on an edge in this process: predictions as calls.

`EdgeMLServer` is a thin face over `EdgeServer` before a `Model`: the same native core, the same cache, and the same
answers by `POST /predict` at its `url`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypedDict

from bodega.distributions import Behavior, CachePolicy, Distribution, Model
from bodega.distributions.model import MODEL_PATHS
from bodega.edge.nonfinite_rows import NonfiniteRows, Request
from bodega.edge.plain_rows import FIELD, plain, refused
from bodega.edge.prediction_refusals import prediction_refused
from bodega.edge.server import EdgeServer
from bodega.errors import EdgeClosed
from bodega.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from bodega.edge.models import ModelSwap
    from bodega.edge.response import Response
    from bodega.units import Duration, Size

Features: TypeAlias = Any
"""A row: a sequence of the input's shape (list, tuple, array, generator), or a mapping from the inputs' names to such.

Numbers are Python's, NumPy's, decimals or fractions; with NaN or infinities, too.
"""


class _Whose(TypedDict):
    edge_region: str
    model: str
    version: str


class Prediction(_Whose):
    """The answer for one row."""

    prediction: Any
    cached: bool


class Predictions(_Whose):
    """The answer for several rows, in their order."""

    predictions: list[Any]
    count: int
    cached: list[bool]


class EdgeMLServer:
    """A model, and an edge that keeps what it says.

    It runs from the first prediction (or `start`) to `stop`, or to the end of the process. What is stopped is closed
    until `start`.

    Example:
        >>> server = EdgeMLServer("fraud.onnx")                        # doctest: +SKIP
        >>> server.predict([0.5, 1.2, 3.0])["prediction"]              # doctest: +SKIP
        0.25
    """

    def __init__(
        self,
        model: str | Path | Model,
        region: str | None = None,
        *,
        ttl: Duration | None = None,
        memory: Size | None = None,
        listen: str | Sequence[str] | None = None,
    ) -> None:
        """Check everything; nothing runs yet.

        Args:
            model: The file, or a `Model` that says more about it.
            region: What answers say as `edge_region`.
            ttl: How long a prediction is kept; 5 minutes by default.
            memory: Bound of what is kept.
            listen: Where clients connect to; a free port of this machine by default.
        """
        policy = "predictions" if ttl is None else CachePolicy(extends="predictions", default_ttl=ttl)
        self.model = model if isinstance(model, Model) else Model(str(model))
        behavior = Behavior(MODEL_PATHS, origin=self.model, policy=policy)
        distribution = Distribution("models", behaviors=[behavior])
        self._stopped = threading.Event()
        self._edge = EdgeServer(region, distribution=distribution, memory=memory, listen=listen)

    @property
    def edge(self) -> EdgeServer:
        """The edge itself: statistics, metrics, what is stored."""
        return self._edge

    @property
    def url(self) -> str:
        """Where clients connect to.

        Raises:
            EdgeClosed: If it is not running.
        """
        return self._edge.url

    def predict(self, features: Features, *, timeout: Duration = "60s") -> Prediction:
        """Answer for one row, from the cache or by the model.

        Args:
            features: The row: any sequence of the input's shape, or a mapping from the inputs' names to such.
            timeout: How long to wait.

        Raises:
            PredictionRefused: If it is no row of this model's, or the model failed.
            ConfigInvalid: With the first one, if the model cannot be loaded.
            EdgeClosed: After `stop`.
            TimeoutError: If there was no answer in time.
        """
        return self._ask_row(features, timeout)

    async def batch_predict(
        self,
        features: Features,
        *,
        timeout: Duration = "60s",  # noqa: ASYNC109 - The bound of the machine, which ends the request there too.
    ) -> Predictions:
        """Answer for several rows: those that are kept from the cache, the others by the model, in the order given.

        Args:
            features: The rows; of a two-dimensional array its rows.
            timeout: How long to wait.

        Raises:
            PredictionRefused: If one is no row of this model's, or the model failed.
            ConfigInvalid: With the first ones, if the model cannot be loaded.
            EdgeClosed: After `stop`.
            TimeoutError: If there was no answer in time.
        """
        return await asyncio.to_thread(self._ask_rows, features, timeout)

    def invalidate(self) -> int:
        """Forget all predictions. Returns the number of the invalidation.

        Raises:
            EdgeClosed: After `stop`.
        """
        return self._serving().invalidate(f"model:{self.model.name}")

    def load(self, model: str | Path, version: str | None = None) -> ModelSwap:
        """Put another version in force, from this file; no prediction fails for it, and none of the old one is left.

        Args:
            model: The file.
            version: What the version is called; None for the beginning of the digest of its contents.

        Raises:
            ModelRefused: If it cannot be loaded; what served before goes on serving.
            EdgeClosed: After `stop`.
        """
        return self._serving().update_model(self.model.name, model, version=version)

    def start(self) -> Self:
        """Load the model and serve, after `stop` with an empty cache. Does nothing where it already runs.

        Raises:
            ConfigInvalid: If the model cannot be loaded.
        """
        self._stopped.clear()
        self._edge.start()
        return self

    def stop(self) -> None:
        """End it; what was kept is gone."""
        self._stopped.set()
        self._edge.stop()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _ask_row(self, features: Features, timeout: Duration) -> Prediction:
        row, asking = plain(features), self._asking(timeout)
        body = _as_json(row)
        if body is not None:
            answer: Prediction = _read(asking("POST", "/predict", {}, body))
            return answer
        version, [(prediction, is_kept)] = self._nonfinite(asking).ask([row], [FIELD])
        return {"prediction": prediction, "cached": is_kept, **self._whose(version)}

    def _ask_rows(self, features: Features, timeout: Duration) -> Predictions:
        rows, asking = plain(features), self._asking(timeout)
        body = _as_json(rows)
        if body is not None:
            answer: Predictions = _read(asking("POST", "/batch_predict", {}, body))
            return answer
        if not isinstance(rows, list):
            raise refused("expected an array of rows, each the inputs of one prediction", FIELD)
        version, told = self._nonfinite(asking).ask(rows, [f"{FIELD}[{at}]" for at in range(len(rows))])
        predictions, kept = (list(column) for column in zip(*told, strict=True))
        return {"predictions": predictions, "count": len(rows), "cached": kept, **self._whose(version)}

    def _serving(self) -> EdgeServer:
        if not self._stopped.is_set():
            self._edge.start()
            if not self._stopped.is_set():
                return self._edge
            # Another thread stopped it meanwhile.
            self._edge.stop()
        raise EdgeClosed("this server is stopped", hint="start() it again")

    def _asking(self, timeout: Duration) -> Request:
        edge, deadline = self._serving(), time.monotonic() + parse_duration(timeout)

        def request(method: str, path: str, fields: dict[str, str], body: bytes) -> Response:
            left = timedelta(seconds=max(0.001, deadline - time.monotonic()))
            return edge.request(method, path, headers=fields, body=body, timeout=left)

        return request

    def _nonfinite(self, asking: Request) -> NonfiniteRows:
        return NonfiniteRows(self.model.name, self.model.ignored, asking)

    def _whose(self, version: str) -> _Whose:
        return {"edge_region": self._edge.region, "model": self.model.name, "version": version}


def _as_json(features: Any) -> bytes | None:
    """Write a body; None where JSON has no number for something in it."""
    try:
        return json.dumps({FIELD: features}, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return None


def _read(answer: Response) -> Any:
    if answer.status == HTTPStatus.OK:
        return answer.json()
    raise prediction_refused(answer.status, answer.body)
