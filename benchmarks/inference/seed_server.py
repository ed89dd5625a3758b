"""The usual first design: FastAPI on uvicorn, ONNX Runtime, a dictionary of predictions."""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

TTL_SECONDS = 300


class Asked(BaseModel):
    features: list[float]


def make(path: str) -> FastAPI:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options)
    name = session.get_inputs()[0].name
    kept: dict[bytes, tuple[float, float]] = {}
    app = FastAPI()

    @app.post("/predict")
    async def predict(asked: Asked) -> dict[str, object]:
        row = np.asarray(asked.features, dtype=np.float32)
        key, now = row.tobytes(), time.monotonic()
        found = kept.get(key)
        if found is not None and found[1] > now:
            return {"prediction": found[0], "cached": True, "edge_region": "local"}
        prediction = float(session.run(None, {name: row[None, :]})[0][0, 0])
        kept[key] = (prediction, now + TTL_SECONDS)
        return {"prediction": prediction, "cached": False, "edge_region": "local"}

    return app


if __name__ == "__main__":
    uvicorn.run(make(sys.argv[1]), port=int(sys.argv[2]), log_level="error", access_log=False)
