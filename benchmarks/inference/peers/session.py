"""The model as every peer runs it, in the environment of that peer: ONNX Runtime, one thread, no spinning."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime  # type: ignore[import-untyped, unused-ignore]

MAX_BATCH = int(os.environ["MAX_BATCH"])
"""How many rows a run may have; 1 where batching is off."""

MAX_WAIT_MS = 1
"""How long a row may wait for others, in milliseconds."""


class Session:
    """A model that takes rows and gives one number for each."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self._name = self._session.get_inputs()[0].name

    def run(self, rows: object) -> np.ndarray:
        """Run a batch."""
        batch = np.asarray(rows, dtype=np.float32)
        return np.asarray(self._session.run(None, {self._name: batch})[0][:, 0])
