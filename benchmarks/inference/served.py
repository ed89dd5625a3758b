"""A model served by each server: started, asked until it answers, checked against ONNX Runtime itself."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import instances
from benchmarks.exchange import LOOPBACK
from benchmarks.failure import MeasurementFailed
from benchmarks.inference.peers import Peer
from benchmarks.inference.questions import PLAIN, Question
from benchmarks.instances import Instance
from benchmarks.load import Post
from benchmarks.setting import Setting
from benchmarks.subjects import BODEGA, MEBIBYTE, Place, Subject

MEMORY_BYTES = 256 * MEBIBYTE

_HERE = Path(__file__).parent
_FIRST_ANSWER_SECONDS = 90.0
_TOLERANCE = 1e-4
_N_CHECKED = 20

Reference = Callable[[int], float]
"""What the model itself says to the row of a key."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that serves a model."""

    instance: Instance
    question: Question
    post: Post

    @property
    def name(self) -> str:
        """What the server is called."""
        return self.instance.name

    def ask(self, key: int) -> float:
        """Ask once.

        Raises:
            MeasurementFailed: If the answer is no prediction.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.instance.port, timeout=30)
        try:
            connection.request(
                "POST", self.question.path, self.question.body(key), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise MeasurementFailed(f"{self.name} answers {answer.status}: {said[:300]!r}")
        return self.question.read(json.loads(said))

    def check(self, reference: Reference, first_key: int) -> None:
        """Compare some answers with what the model says.

        Raises:
            MeasurementFailed: If one of them differs.
        """
        self.instance.process.resume()
        for key in range(first_key, first_key + _N_CHECKED):
            said, meant = self.ask(key), reference(key)
            if abs(said - meant) > _TOLERANCE * max(1.0, abs(meant)):
                raise MeasurementFailed(f"{self.name} predicts {said} where the model says {meant}")


@contextlib.contextmanager
def all_of(
    setting: Setting, peers: Sequence[Peer], model: Path, *, origin_port: int, label: str, is_batching: bool = True
) -> Iterator[list[Served]]:
    """Run bodega, if it takes part, and the peers, each serving a model; paused when the block begins.

    Args:
        setting: How to measure.
        peers: Which others.
        model: The file.
        origin_port: An origin, for what is no prediction.
        label: What to call their folders; not used before in this run.
        is_batching: Whether the peers batch.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for subject in (each for each in setting.subjects if each.name == BODEGA):
            place = stack.enter_context(bodega_place(setting, model, origin_port=origin_port, label=f"{label}-bodega"))
            found.append(_serve(stack, setting, subject, place, PLAIN))
        for peer in peers:
            subject = peer.subject(model, is_batching=is_batching)
            place = stack.enter_context(
                instances.place(
                    f"{label}-{peer.name}", within=setting.folders, origin_port=0, memory_bytes=MEMORY_BYTES
                )
            )
            found.append(_serve(stack, setting, subject, place, peer.question))
        try:
            yield found
        finally:
            for each in found:
                each.instance.process.resume()


@contextlib.contextmanager
def bodega_place(
    setting: Setting, model: Path, *, origin_port: int, label: str, disk_bytes: int | None = None
) -> Iterator[Place]:
    """Make a place where bodega serves a model."""
    template = (_HERE / ("bodega.toml" if disk_bytes is None else "bodega-disk.toml")).read_text()
    configuration = setting.folders.files / f"{label}.toml"
    configuration.write_text(template.replace("@MODEL@", str(model)))
    with instances.place(
        label,
        within=setting.folders,
        origin_port=origin_port,
        memory_bytes=MEMORY_BYTES,
        disk_bytes=disk_bytes,
        configuration=configuration,
    ) as place:
        yield place


def serve(setting: Setting, subject: Subject, place: Place) -> contextlib.AbstractContextManager[Served]:
    """Run bodega at a place until the block ends."""

    @contextlib.contextmanager
    def served() -> Iterator[Served]:
        with contextlib.ExitStack() as stack:
            each = _serve(stack, setting, subject, place, PLAIN)
            each.instance.process.resume()
            yield each

    return served()


def _serve(stack: contextlib.ExitStack, setting: Setting, subject: Subject, place: Place, question: Question) -> Served:
    instance = stack.enter_context(instances.at(place, subject, cores=setting.cores))
    each = Served(instance, question, Post(question.path, question.write(place.folder)))
    deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
    while True:
        try:
            each.ask(0)
        except (OSError, http.client.HTTPException, MeasurementFailed) as failure:
            if time.monotonic() > deadline:
                log = (place.folder / "output.log").read_text(errors="replace")[-2000:]
                raise MeasurementFailed(f"{subject.name} does not answer: {failure}\n{log}") from failure
            time.sleep(0.2)
        else:
            break
    # It takes no time from those that start after it.
    instance.process.pause()
    return each
