"""mosec: a server in Rust before a worker in Python, with its own batches."""

from __future__ import annotations

from typing import Any

from mosec import Server, Worker  # type: ignore[import-not-found, unused-ignore]
from session import MAX_BATCH, MAX_WAIT_MS, Session  # type: ignore[import-not-found, unused-ignore]


class Predict(Worker):  # type: ignore[misc, unused-ignore]
    """The worker: `forward` takes one request, or a list of them where it batches."""

    def __init__(self) -> None:
        super().__init__()
        self._session = Session()

    def forward(self, asked: Any) -> Any:
        """Answer."""
        rows = asked if MAX_BATCH > 1 else [asked]
        answers = [{"prediction": float(value)} for value in self._session.run([row["features"] for row in rows])]
        return answers if MAX_BATCH > 1 else answers[0]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Predict, num=1, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS)
    server.run()
