"""Questions by HTTP/2 whose body does not come: what is told for the head alone, and what once the time is over."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import h2.config
import h2.connection
import h2.events
import pytest
from tests.integration.inference import onnx_models

from bodega import Behavior, Distribution, EdgeServer, Model
from bodega.config import EdgeSettings
from bodega.distributions.model import MODEL_PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GRPC = {"content-type": "application/grpc", "te": "trailers"}
SERVICE = "/inference.GRPCInferenceService"
LONG_SECONDS = 20


def serve(folder: Path, body_timeout: str) -> EdgeServer:
    model = Model(str(onnx_models.linear(folder / "fraud.onnx", [1.0, 2.0])))
    distribution = Distribution("ml", behaviors=[Behavior(MODEL_PATHS, origin=model, policy="predictions")])
    settings = EdgeSettings(listen="127.0.0.1:0", admin="off", body_timeout=body_timeout)
    return EdgeServer(distribution=distribution, settings=settings)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    """An edge that waits for longer than a test does."""
    with serve(tmp_path_factory.mktemp("patient"), "10min") as running:
        yield running


def ask(edge: EdgeServer, path: str, fields: dict[str, str], begin: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a head and the beginning of a body, and then nothing; status, fields and body of what comes first."""
    parts = urlsplit(edge.url)
    protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    protocol.initiate_connection()
    head = {":method": "POST", ":scheme": "http", ":authority": "edge.test", ":path": path, **fields}
    protocol.send_headers(1, list(head.items()))
    protocol.send_data(1, begin)
    status, body = 0, b""
    said: dict[str, str] = {}
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=LONG_SECONDS) as connection:
        connection.sendall(protocol.data_to_send())
        while received := connection.recv(65_536):
            for event in protocol.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived | h2.events.InformationalResponseReceived):
                    said = {name.decode(): value.decode() for name, value in event.headers or []}
                    status = int(said[":status"])
                    if status < 200:
                        return status, said, b""
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                elif isinstance(event, h2.events.StreamEnded):
                    return status, said, body
            connection.sendall(protocol.data_to_send())
    raise AssertionError("the connection ended")


@pytest.mark.parametrize(
    ("method", "status", "words"),
    [("ModelStreamInfer", "12", "streams"), ("NoSuchThing", "12", "ModelInfer"), ("RepositoryModelLoad", "7", "admin")],
)
def test_a_method_that_there_is_not_is_told_before_its_body(
    patient: EdgeServer, method: str, status: str, words: str
) -> None:
    """A stream has no end, and its client heard 400 after the time for bodies."""
    code, said, _ = ask(patient, f"{SERVICE}/{method}", GRPC, struct.pack(">BI", 0, 3) + b"abc")
    assert (code, said["grpc-status"], words in unquote(said["grpc-message"])) == (200, status, True), said


def test_what_is_too_long_is_not_asked_to_come(patient: EdgeServer) -> None:
    fields = {"content-length": "9999999", "expect": "100-continue", "content-type": "application/json"}
    code, _, body = ask(patient, "/predict", fields, b"")
    assert (code, "9999999" in json.loads(body)["error"]) == (413, True)
    assert ask(patient, "/predict", {**fields, "content-length": "20"}, b"")[0] == 100
    code, said, _ = ask(patient, f"{SERVICE}/ModelInfer", {**GRPC, "content-length": "9999999"}, b"")
    assert (code, said["grpc-status"]) == (200, "8")


def test_a_body_that_does_not_go_on_is_told_in_the_form_of_the_interface(tmp_path: Path) -> None:
    with serve(tmp_path, "300ms") as edge:
        code, said, body = ask(edge, f"{SERVICE}/ModelInfer", GRPC, b"\0\0")
        assert (code, said["grpc-status"], body) == (200, "4", b"")
        assert said["content-type"] == "application/grpc"
        code, said, body = ask(edge, "/predict", {"content-type": "application/json"}, b"{")
        assert (code, json.loads(body)) == (400, {"error": "the request was not sent whole"})
