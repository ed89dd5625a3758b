"""MLServer: a runtime of its own around ONNX Runtime, in the process that serves."""

from __future__ import annotations

from typing import Any

from mlserver import MLModel  # type: ignore[import-not-found, unused-ignore]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found, unused-ignore]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found, unused-ignore]
from session import Session  # type: ignore[import-not-found, unused-ignore]


class OnnxModel(MLModel):  # type: ignore[misc, unused-ignore]
    """One model."""

    async def load(self) -> bool:
        """Load it."""
        self._session = Session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run what MLServer has batched."""
        rows: Any = NumpyCodec.decode_input(payload.inputs[0])
        answers = self._session.run(rows).reshape(-1, 1)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", answers)])
