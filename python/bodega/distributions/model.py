"""Models that stand where an origin does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import KW_ONLY, MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bodega.distributions import checks
from bodega.distributions.origin_transport import file_path
from bodega.distributions.shapes import (
    ChoiceShape,
    CountShape,
    DurationShape,
    FlagShape,
    ListShape,
    NounShape,
    NumberShape,
    SizeShape,
    TextShape,
    ValueShape,
    about,
)
from bodega.distributions.toml_text import locate
from bodega.errors import ConfigInvalid, KeyPath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bodega.units import Duration, Size


@dataclass(frozen=True, slots=True)
class Golden:
    """A row, and what a model has to answer for it before it is put in force.

    Example:
        >>> Golden([0.5, 1.2, 3.0], prediction=0.25).tolerance
        1e-05

    Attributes:
        features: The row, as `features` has it in a request.
        prediction: What is expected; None: whatever it is, so that it is one.
        tolerance: How far a number may be from what is expected, relative to it where that is over 1.
    """

    features: Any = field(hash=False, metadata=about(ValueShape(), "The row, as `features` has it in a request."))
    _: KW_ONLY
    prediction: Any = field(
        default=None,
        hash=False,
        metadata=about(
            ValueShape(), "What is expected: a number, a text, a list, or a table of them.", default="any prediction"
        ),
    )
    tolerance: float = field(
        default=1e-5,
        metadata=about(
            NumberShape(0, 1e9),
            "How far a number may be from what is expected, relative to it where that is over 1; also how far from its "
            "own alone in a batch.",
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("features", "prediction"):
            object.__setattr__(self, name, checks.json_value(getattr(self, name), name))
        checks.number(self.tolerance, 0, 1e9, "tolerance")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a file says.

    Attributes:
        path: The file.
        fields: Those that it names.
        lines: The line of every key, from 1.
    """

    path: Path
    fields: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def located(self, error: ConfigInvalid) -> ConfigInvalid:
        """Return the same error, with file and line where it is about what the file says."""
        return ConfigInvalid.of(
            locate(problem, str(self.path), self.lines) if problem.path and problem.path[0] in self.fields else problem
            for problem in error.problems
        )


_FILE_READERS: list[Callable[[Path, bool], ModelFile | None]] = []


def read_files_by(reader: Callable[[Path, bool], ModelFile | None]) -> None:
    """Have a `Model` ask this what the file or folder says that it is given, and whether a runner is named beside it.

    What reads a document makes models of it, too: so it is told here, and not known.
    """
    _FILE_READERS.append(reader)


@dataclass(frozen=True, slots=True, init=False)
class Model:
    """A model in a file, which the edge runs itself, or has a process of Python run.

    A folder with a `model.toml`, or that file, says the same fields; what is given here wins over it.

    Needs the extra ``models``: ``pip install "bodega[models]"``.

    Example:
        >>> Model("models/fraud.onnx").name
        'fraud'

    Attributes:
        model: The file, in the ONNX format, a `model.toml`, or its folder; with `runner` what that is to load: a file,
            a folder, or nothing.
        name: What it is called; by default as the file without its ending, or as the class that runs it.
        version: Of which version it is; by default the beginning of the digest of its contents.
        timeout: How long a row may take, waiting included.
        max_batch: Rows of one run, 1 to 4096.
        max_queue: Rows that may wait for a run, and the most of one request.
        max_body: The longest body of a request, up to 256 MiB.
        ttl: How long a prediction is kept, within what the behavior's policy allows; by default as that says.
        batch_wait: How long a run waits for rows that may join it, up to 1 s; 0 for no timer.
        threads: Threads of one run.
        provider: What computes: ``"cpu"``, or ``"cuda"`` where the package `onnxruntime-gpu` and a device are.
        ignored: Inputs, and other members of a row, that its prediction does not depend on.
        golden: What it has to answer before it is put in force.
        isolated: Whether it runs in a process of its own.
        runner: What runs it instead of ONNX Runtime, as ``package.module:Class``: a `bodega.Runner`.
        max_memory: The most memory of its process, which is started again beyond; 16 MiB at least. Of one without, of
            the process in which it is tried before it is loaded: beyond, it is refused.
        region_only: Whether inputs stay in the region; what the edge computes itself does.
    """

    model: str = field(
        default="",
        metadata=about(
            TextShape(examples=("models/fraud.onnx",)),
            "The file, in the ONNX format: inputs, shapes and the batch axis come from its graph. Or a `model.toml`, "
            "or a folder with one. With `runner` it is what that is to load: a file, a folder, or an empty text.",
        ),
    )
    _: KW_ONLY
    name: str = field(
        default="",
        metadata=about(
            TextShape(examples=("fraud",)),
            "What it is called: in answers, and in `bodega purge model:NAME`.",
            default="as the file, without its ending; as the class, without a file",
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
        default=64, metadata=about(CountShape(1, 4_096), "The most rows of one run: those that wait when it begins.")
    )
    max_queue: int = field(
        default=4096,
        metadata=about(
            CountShape(1, 1_000_000),
            "Rows that may wait; beyond, 503 with `Retry-After`. A request with more rows than that is 413.",
        ),
    )
    max_body: Size = field(
        default="1MB", metadata=about(SizeShape(), "The longest body of a request, up to 256 MiB; beyond, 413.")
    )
    ttl: Duration | None = field(
        default=None,
        metadata=about(
            DurationShape(),
            "How long a prediction is kept: as the model says it, within the policy's bounds.",
            default="as the behavior's policy says",
        ),
    )
    batch_wait: Duration = field(
        default="0",
        metadata=about(
            DurationShape(),
            "How long a run waits for rows that may join it, up to 1 s. With 0 there is no timer: what is queued when "
            "a run ends is the next one.",
        ),
    )
    threads: int = field(default=1, metadata=about(CountShape(1, 1_024), "Threads of one run."))
    provider: Literal["cpu", "cuda"] = field(
        default="cpu",
        metadata=about(
            ChoiceShape(("cpu", "cuda")),
            "What computes. `cuda` needs the package `onnxruntime-gpu` and a device: without them it is refused.",
        ),
    )
    ignored: Sequence[str] = field(
        default=(),
        metadata=about(
            ListShape(TextShape(examples=("request_id",))),
            "Inputs that the prediction does not depend on: they reach the model and are not part of the key. Other "
            "members of a row that are named here are passed over.",
        ),
    )
    golden: Sequence[Golden] = field(
        default=(),
        metadata=about(
            ListShape(NounShape(Golden)),
            "What it has to answer before it is put in force. Where they do not agree alone and in a batch, rows are "
            "not batched.",
        ),
    )
    isolated: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            "Whether it runs in a process of its own: a crash of it is 503 for a moment, and nothing else.",
        ),
    )
    runner: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("shop.models:Fraud",)),
            "What runs it instead of ONNX Runtime, in a process of its own: a `bodega.Runner`, as "
            "`package.module:Class`. Modules are found where the edge was started, in PYTHONPATH and beside the model.",
        ),
    )
    max_memory: Size | None = field(
        default=None,
        metadata=about(
            SizeShape(),
            "The most memory of its process, 16 MiB at least. One that takes more is started again; a model without a "
            "process of its own is tried in one, and refused if it takes more there.",
            default="no bound",
        ),
    )
    region_only: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            "Inputs are sent to no other region. What ONNX Runtime computes on the edge is sent nowhere; a `runner`, "
            "which may send its inputs anywhere, is refused.",
        ),
    )

    def __init__(
        self,
        model: str | Path = "",
        *,
        name: str | None = None,
        version: str | None = None,
        timeout: Duration | None = None,
        max_batch: int | None = None,
        max_queue: int | None = None,
        max_body: Size | None = None,
        ttl: Duration | None = None,
        batch_wait: Duration | None = None,
        threads: int | None = None,
        provider: Literal["cpu", "cuda"] | None = None,
        ignored: Sequence[str] | None = None,
        golden: Sequence[Golden] | None = None,
        isolated: bool | None = None,
        runner: str | None = None,
        max_memory: Size | None = None,
        region_only: bool | None = None,
    ) -> None:
        """Fill in what is not given: from a `model.toml`, if `model` names one, else by default. Check every field.

        Raises:
            ConfigInvalid: If something cannot be; what a `model.toml` says with its line.
        """
        arguments = locals()
        given = {name: arguments[name] for name in _FIELDS if arguments[name] is not None}
        if not isinstance(model, str | Path):
            raise ConfigInvalid(f"a {type(model).__name__} is not a path", path=("model",))
        given["model"] = str(model)
        file = None
        for read in _FILE_READERS if given["model"] else ():
            file = read(Path(given["model"]).expanduser(), "runner" in given)
        told: Mapping[str, Any] = {} if file is None else file.fields
        for described in fields(self):
            default = None if described.default is MISSING else described.default
            named = {**given, **told} if described.name == "model" else {**told, **given}
            object.__setattr__(self, described.name, named.get(described.name, default))
        try:
            self._check()
        except ConfigInvalid as error:
            raise error if file is None else file.located(error) from None

    def _check(self) -> None:
        if self.runner is None or self.model:
            file_path(self, "model")
        if not self.name:
            called = Path(self.model).name.removesuffix(".onnx") or str(self.runner).rpartition(":")[2]
            named = re.sub(r"[^A-Za-z0-9._-]+", "-", called).strip("-._")
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
        self._check_runs()
        self._check_rows()
        self._check_process()

    def _check_runs(self) -> None:
        if checks.duration(self.batch_wait, "batch_wait") > 1:
            raise ConfigInvalid(
                "every row would wait as long", hint='write "0" to "1s", for instance "2ms"', path=("batch_wait",)
            )
        checks.count(self.threads, 1, 1_024, "threads")
        if self.provider not in ("cpu", "cuda"):
            raise ConfigInvalid(f'"{self.provider}" computes nothing', hint='write "cpu" or "cuda"', path=("provider",))

    def _check_rows(self) -> None:
        if self.ttl is not None:
            checks.duration(self.ttl, "ttl")
        ignored = checks.as_tuple(self.ignored, "ignored")
        for index, name in enumerate(ignored):
            if not checks.text(name, "ignored", index):
                raise ConfigInvalid("an empty text names no input", path=("ignored", index))
        object.__setattr__(self, "ignored", ignored)
        if not isinstance(self.golden, Iterable):
            raise ConfigInvalid(
                f"a {type(self.golden).__name__} is not a list of examples",
                hint="write golden=[Golden([0.5, 1.2], prediction=0.25)]",
                path=("golden",),
            )
        golden = tuple(self.golden)
        for index, each in enumerate(golden):
            if not isinstance(each, Golden):
                raise ConfigInvalid(
                    f"a {type(each).__name__} is not Golden",
                    hint="write Golden([0.5, 1.2], prediction=0.25)",
                    path=("golden", index),
                )
        object.__setattr__(self, "golden", golden)

    def _check_process(self) -> None:
        for name in ("isolated", "region_only"):
            checks.flag(getattr(self, name), name)
        if self.region_only and self.runner is not None:
            raise ConfigInvalid(
                "nobody knows where a runner sends its inputs", hint="leave `runner` or this out", path=("region_only",)
            )
        if self.runner is not None:
            module, _, name = checks.text(self.runner, "runner").partition(":")
            if not all(part.isidentifier() for part in (*module.split("."), name)):
                raise ConfigInvalid(
                    f'"{self.runner}" is no class', hint='write "package.module:Class"', path=("runner",)
                )
            if self.provider != "cpu":
                raise ConfigInvalid(
                    "a runner chooses its device itself", hint="leave `provider` out", path=("provider",)
                )
        if self.max_memory is not None and checks.size(self.max_memory, "max_memory") < _MIN_MEMORY_BYTES:
            raise ConfigInvalid("no process is as small", hint='write "16MiB" or more', path=("max_memory",))


_FIELDS = tuple(described.name for described in fields(Model))


MODEL_PATHS = (
    *("/predict", "/batch_predict"),
    *("/models", "/models/*"),
    *("/v2", "/v2/*", "/inference.GRPCInferenceService/*"),
)
"""Where models answer that are alone on an edge."""

_MAX_BODY_BYTES = 256 * 1024 * 1024
_MIN_MEMORY_BYTES = 16 * 1024 * 1024
