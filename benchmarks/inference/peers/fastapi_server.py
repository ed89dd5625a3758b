"""The usual first design: FastAPI on uvicorn, ONNX Runtime, a dictionary of predictions."""

from __future__ import annotations

import sys
import time

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from session import Session  # type: ignore[import-not-found, unused-ignore]

TTL_SECONDS = 300


class Asked(BaseModel):
    """What is asked."""

    features: list[float]


def make() -> FastAPI:
    """Return the application."""
    session = Session()
    kept: dict[bytes, tuple[float, float]] = {}
    app = FastAPI()

    @app.post("/predict")
    async def predict(asked: Asked) -> dict[str, object]:
        row = np.asarray(asked.features, dtype=np.float32)
        key, now = row.tobytes(), time.monotonic()
        found = kept.get(key)
        if found is not None and found[1] > now:
            return {"prediction": found[0], "cached": True}
        prediction = float(session.run(row[None])[0])
        kept[key] = (prediction, now + TTL_SECONDS)
        return {"prediction": prediction, "cached": False}

    return app


if __name__ == "__main__":
    uvicorn.run(make(), port=int(sys.argv[1]), log_level="warning", access_log=False, loop="uvloop", http="httptools")
