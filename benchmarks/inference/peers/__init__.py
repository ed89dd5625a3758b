"""Other ways to serve a model, each as its documentation says and in an environment of its own.

Each gets one worker, one thread a run, its batching on (32 rows, 1 ms) and its logs and metrics off. The programs are
beside this file; those with `_server` in their names run with the interpreter of their environment, never with ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.setup import python
from tools.setup.progress import ROOT, TOOLS, SetupFailed

from benchmarks import template
from benchmarks.failure import MeasurementFailed
from benchmarks.inference.questions import BATCH_OF_ONE, PLAIN, TENSOR, Question
from benchmarks.running import free_port
from benchmarks.subjects import Place, Subject

MOSEC = "mosec"
FIRST_DESIGN = "FastAPI"

_HERE = Path(__file__).parent
_MAX_BATCH = 32


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is compared.

    Attributes:
        name: What it is called in figures.
        package: The package whose version counts.
        question: How it is asked.
        command: Makes the command that runs it, after `env`: from the folder of its environment and its place.
        batches: Whether it can be told to batch or not.
    """

    name: str
    package: str
    question: Question
    command: Callable[[Path, Place, int], list[str]]
    batches: bool = True

    @property
    def pins(self) -> str:
        """Stem of its file under requirements/, and name of its environment."""
        return f"inference-{self.package}"

    def set_up(self) -> None:
        """Make its environment, unless that has been done.

        Raises:
            MeasurementFailed: If that is not possible; with what to do.
        """
        try:
            python.separate(self.pins, pins=self.pins)
        except SetupFailed as failure:
            raise MeasurementFailed(f"{self.name}: {failure}; --peers leaves one out") from failure

    def subject(self, model: Path, *, is_batching: bool) -> Subject:
        """Return it as a server that serves a model."""
        environment = TOOLS / self.pins
        max_batch = _MAX_BATCH if is_batching else 1

        def prepare(place: Place) -> list[str]:
            values = {
                "MODEL": model,
                "MAX_BATCH": max_batch,
                "PYTHONPATH": _HERE,
                "PYTHONDONTWRITEBYTECODE": 1,
                "OMP_NUM_THREADS": 1,
                "OPENBLAS_NUM_THREADS": 1,
                # So that they call nobody.
                "ORT_DISABLE_TELEMETRY": 1,
                "BENTOML_DO_NOT_TRACK": "True",
                "HOME": place.folder,
            }
            return [
                "env",
                *(f"{name}={value}" for name, value in values.items()),
                *self.command(environment / "bin", place, max_batch),
            ]

        return Subject(name=self.name, programs=(), version=self.version, prepare=prepare)

    def version(self) -> str:
        """Return its version and that of its ONNX Runtime."""
        pinned = (ROOT / "requirements" / f"{self.pins}.txt").read_text().splitlines()
        found = {name: rest.split()[0] for name, _, rest in (line.partition("==") for line in pinned) if rest}
        return f"{self.package} {found[self.package]}, onnxruntime {found['onnxruntime']}"


def _program(file: str) -> Callable[[Path, Place, int], list[str]]:
    return lambda bin_folder, place, _: [str(bin_folder / "python"), str(_HERE / file), str(place.port)]


def _mosec(bin_folder: Path, place: Place, _: int) -> list[str]:
    words = ["--address", "127.0.0.1", "--port", str(place.port), "--timeout", "60000", "--log-level", "error"]
    return [str(bin_folder / "python"), str(_HERE / "mosec_server.py"), *words]


def _bentoml(bin_folder: Path, place: Place, _: int) -> list[str]:
    words = ["--host", "127.0.0.1", "--port", str(place.port), "--working-dir", str(_HERE), "--quiet"]
    return [str(bin_folder / "bentoml"), "serve", "bentoml_server:Predictor", *words]


def _mlserver(bin_folder: Path, place: Place, max_batch: int) -> list[str]:
    folder = place.folder / "mlserver"
    folder.mkdir(exist_ok=True)
    # A batch of one is none at all.
    values = {"PORT": place.port, "GRPC_PORT": free_port(), "MAX_BATCH": max_batch if max_batch > 1 else 0}
    for file in ("settings.json", "model-settings.json"):
        template.fill(_HERE / "mlserver" / file, folder / file, values)
    (folder / "runtime.py").write_text((_HERE / "mlserver" / "runtime.py").read_text())
    return [str(bin_folder / "mlserver"), "start", str(folder)]


PEERS: Sequence[Peer] = (
    Peer(FIRST_DESIGN, "fastapi", PLAIN, _program("fastapi_server.py"), batches=False),
    Peer(MOSEC, "mosec", PLAIN.at("/inference"), _mosec),
    Peer("LitServe", "litserve", PLAIN, _program("litserve_server.py")),
    Peer("BentoML", "bentoml", BATCH_OF_ONE, _bentoml),
    Peer("MLServer", "mlserver", TENSOR, _mlserver),
)
"""All of them."""

NAMES = tuple(peer.name for peer in PEERS)
