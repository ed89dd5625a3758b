"""mosec: a server in Rust before workers in Python, with its own batches. Run in an environment of its own."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from mosec import Server, Worker  # type: ignore[import-not-found]


class Predict(Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self.name = self.session.get_inputs()[0].name

    def forward(self, rows: list[Any]) -> list[Any]:
        batch = np.asarray([row["features"] for row in rows], dtype=np.float32)
        return [{"prediction": float(value)} for value in self.session.run(None, {self.name: batch})[0][:, 0]]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Predict, num=1, max_batch_size=32, max_wait_time=1)
    server.run()
