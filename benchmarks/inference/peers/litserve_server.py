"""LitServe: FastAPI in one process, the model in another, queues between them."""

from __future__ import annotations

import sys
from typing import Any

import litserve  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from session import MAX_BATCH, MAX_WAIT_MS, Session  # type: ignore[import-not-found, unused-ignore]


class Predict(litserve.LitAPI):  # type: ignore[misc, unused-ignore]
    """What is done with a request; `batch` and `unbatch` are called where batching is on."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - as LitServe calls it
        """Load the model in its process."""
        self._session = Session()

    # LitServe evaluates an annotation of its argument, and takes none for "as it came".
    def decode_request(self, request) -> list[float]:  # type: ignore[no-untyped-def]
        """Take the row."""
        row: list[float] = request["features"]
        return row

    def batch(self, inputs: list[list[float]]) -> list[list[float]]:
        """Rows as they are: they become one array at once."""
        return inputs

    def predict(self, rows: Any) -> Any:
        """Run the model."""
        return self._session.run(rows) if MAX_BATCH > 1 else self._session.run([rows])[0]

    def unbatch(self, output: np.ndarray) -> list[float]:
        """Part what came out."""
        numbers: list[float] = output.tolist()
        return numbers

    def encode_response(self, output: float) -> dict[str, float]:
        """Answer."""
        return {"prediction": float(output)}


if __name__ == "__main__":
    api = Predict(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_MS / 1e3 if MAX_BATCH > 1 else 0.0)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=False, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="error",
        generate_client_file=False,
        access_log=False,
    )
