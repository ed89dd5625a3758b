"""Models that stand where an origin does."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.distributions import checks
from bodega.distributions.origin_transport import file_path
from bodega.distributions.shapes import CountShape, DurationShape, SizeShape, TextShape, about
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Duration, Size


@dataclass(frozen=True, slots=True)
class Model:
    """A model in a file, which the edge runs itself.

    Needs the extra ``models``: ``pip install "bodega[models]"``.

    Example:
        >>> Model("models/fraud.onnx").name
        'fraud'

    Attributes:
        model: The file, in the ONNX format.
        name: What it is called; by default as the file, without its ending.
        version: Of which version it is; by default the beginning of the digest of its contents.
        timeout: How long a row may take, waiting included.
        max_batch: Rows of one run, 1 to 4096.
        max_queue: Rows that may wait for a run.
        max_body: The longest body of a request, up to 256 MiB.
    """

    model: str = field(
        metadata=about(
            TextShape(examples=("models/fraud.onnx",)),
            "The file, in the ONNX format. Inputs, shapes and the batch axis come from its graph.",
        )
    )
    _: KW_ONLY
    name: str = field(
        default="",
        metadata=about(
            TextShape(examples=("fraud",)),
            "What it is called: in answers, and in `bodega purge model:NAME`.",
            default="as the file, without its ending",
        ),
    )
    version: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("v3",)),
            "Of which version it is. A file whose contents change under the same version shares no prediction all the "
            "same.",
            default="the beginning of the digest of its contents",
        ),
    )
    timeout: Duration = field(
        default="10s",
        metadata=about(DurationShape(), "How long a row may take, waiting included; then 504."),
    )
    max_batch: int = field(
        default=32, metadata=about(CountShape(1, 4_096), "The most rows of one run: those that wait when it begins.")
    )
    max_queue: int = field(
        default=1024,
        metadata=about(CountShape(1, 1_000_000), "Rows that may wait; beyond, 503 with `Retry-After`."),
    )
    max_body: Size = field(
        default="1MB", metadata=about(SizeShape(), "The longest body of a request, up to 256 MiB; beyond, 413.")
    )

    def __post_init__(self) -> None:
        """Check every field."""
        written: object = self.model
        if isinstance(written, Path):
            object.__setattr__(self, "model", str(written))
        file_path(self, "model")
        if self.name == "":
            named = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.model).name.removesuffix(".onnx")).strip("-._")
            object.__setattr__(self, "name", named[:60] or "model")
        checks.name(self.name, "name")
        if self.version is not None:
            checks.name(self.version, "version")
        if checks.duration(self.timeout, "timeout") == 0:
            raise ConfigInvalid("no model answers in no time", hint='write for instance "10s"', path=("timeout",))
        checks.count(self.max_batch, 1, 4_096, "max_batch")
        checks.count(self.max_queue, 1, 1_000_000, "max_queue")
        if not 1 <= checks.size(self.max_body, "max_body") <= _MAX_BODY_BYTES:
            raise ConfigInvalid("a body has 1 byte to 256 MiB", hint='write for instance "1MB"', path=("max_body",))


MODEL_PATHS = ("/predict", "/batch_predict", "/v2", "/v2/*")
"""Where a model that is alone on an edge answers."""

_MAX_BODY_BYTES = 256 * 1024 * 1024
