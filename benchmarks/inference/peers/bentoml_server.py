"""BentoML: a service whose method takes arrays of rows, and is batched by BentoML."""

from __future__ import annotations

import bentoml  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from session import MAX_BATCH, MAX_WAIT_MS, Session  # type: ignore[import-not-found, unused-ignore]


@bentoml.service(
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    http={"response": {"trace_id": False}},
    traffic={"timeout": 60},
)
class Predictor:
    """One worker, which serves HTTP and runs the model."""

    def __init__(self) -> None:
        self._session = Session()

    # Below a second the dispatcher sheds what it believes to come too late; it never waits that long.
    @bentoml.api(  # type: ignore[untyped-decorator, unused-ignore]
        batchable=MAX_BATCH > 1, max_batch_size=max(MAX_BATCH, 2), max_latency_ms=1000 * MAX_WAIT_MS
    )
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Run a batch."""
        return np.asarray(self._session.run(features))
