"""What `tritonclient.grpc`, calls of grpcio alone, and a bodega say. Run by the client's own Python."""

# mypy: ignore-errors
# The client is in an environment of its own, which mypy does not see.

from __future__ import annotations

import pathlib
import queue
import struct

import grpc
import numpy as np
import told
import tritonclient.grpc as client
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

WHERE = told.where()
triton = client.InferenceServerClient(WHERE["fraud"])
channel = grpc.insecure_channel(WHERE["fraud"])
SERVICE = "/inference.GRPCInferenceService"


def _x(values):
    array = np.array(values, dtype=np.float32)
    tensor = client.InferInput("x", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    return tensor


def _refused(call, *args, **named):
    try:
        call(*args, **named)
    except InferenceServerException as error:
        return error.status().removeprefix("StatusCode."), error.message()
    raise AssertionError("it was answered")


def _call(method, message, *, over=channel, **named):
    """Bytes in, bytes out: grpcio alone."""
    return over.unary_unary(f"{SERVICE}/{method}").with_call(message, timeout=30, **named)


def _failed(method, message, **named):
    try:
        _call(method, message, **named)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("it was answered")


def _request(values, **more):
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(values) // 2, 2], "contents": {"fp32_contents": values}}
    return service_pb2.ModelInferRequest(**{"model_name": "fraud", "inputs": [tensor], **more})


def health():
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("fraud")
    assert triton.is_model_ready("fraud", "v1")
    assert not triton.is_model_ready("other")
    assert not triton.is_model_ready("fraud", "v2")


def metadata():
    assert triton.get_server_metadata().name == "bodega"
    model = triton.get_model_metadata("fraud", as_json=True)
    assert (model["name"], model["versions"], model["platform"]) == ("fraud", ["v1"], "onnxruntime_onnx")
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}]
    assert model["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["-1", "1"]}]


def config():
    found = triton.get_model_config("fraud").config
    assert (found.name, found.platform, found.backend) == ("fraud", "onnxruntime_onnx", "onnxruntime")
    assert found.max_batch_size == 4096
    assert [(each.name, each.data_type, list(each.dims)) for each in found.input] == [("x", 11, [2])]
    assert [(each.name, each.data_type, list(each.dims)) for each in found.output] == [("y", 11, [1])]


def index():
    found = triton.get_model_repository_index().models
    assert [(each.name, each.version, each.state) for each in found] == [("fraud", "v1", "READY")]


def statistics_are_what_happened():
    before = triton.get_inference_statistics("fraud").model_stats[0]
    for _ in range(2):
        triton.infer("fraud", [_x([[101, 1], [102, 1]])])
    _refused(triton.infer, "fraud", [_x([[1, 2, 3]])])
    after = triton.get_inference_statistics("fraud", "v1").model_stats[0]
    moved = {
        name: getattr(after.inference_stats, name).count - getattr(before.inference_stats, name).count
        for name in ("success", "fail", "cache_hit", "cache_miss")
    }
    assert moved == {"success": 2, "fail": 0, "cache_hit": 2, "cache_miss": 2}, moved
    assert after.inference_count - before.inference_count == 2
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.inference_stats.compute_infer.count == after.execution_count
    assert after.inference_stats.compute_infer.ns > before.inference_stats.compute_infer.ns
    assert after.last_inference > 0
    assert len(triton.get_inference_statistics().model_stats) == 1


def tensors_as_bytes():
    answer = triton.infer("fraud", [_x([[1, 2], [0.5, 1]])], request_id="7")
    assert answer.as_numpy("y").tolist() == [[5.0], [2.5]]
    said = answer.get_response()
    assert (said.id, said.model_name, said.model_version) == ("7", "fraud", "v1")
    assert said.raw_output_contents[0] == struct.pack("<2f", 5, 2.5)


def tensors_by_their_types():
    message, _ = _call("ModelInfer", _request([1, 2, 3, 4]).SerializeToString())
    said = service_pb2.ModelInferResponse.FromString(message)
    assert list(said.outputs[0].contents.fp32_contents) == [5.0, 11.0]
    assert (list(said.outputs[0].shape), list(said.raw_output_contents)) == ([2, 1], [])


def rows_are_those_of_rest():
    assert told.predict(WHERE["predict"], [7, 8])["cached"] is False
    _, call = _call("ModelInfer", _request([7, 8]).SerializeToString())
    assert "; hit" in dict(call.initial_metadata())["cache-status"]
    _, call = _call("ModelInfer", _request([8, 9]).SerializeToString())
    assert "fwd=uri-miss" in dict(call.initial_metadata())["cache-status"]
    assert told.predict(WHERE["predict"], [8, 9])["cached"] is True


def what_belongs_to_a_sequence_is_not_kept():
    for _ in range(2):
        triton.infer("fraud", [_x([[71, 72]])], sequence_id=5, sequence_start=True)
    assert told.predict(WHERE["predict"], [71, 72])["cached"] is False


def a_nan_is_computed_and_not_kept():
    for _ in range(2):
        answer = triton.infer("fraud", [_x([[np.nan, 72]])])
        assert np.isnan(answer.as_numpy("y")[0, 0])
    stats = triton.get_inference_statistics("fraud").model_stats[0]
    triton.infer("fraud", [_x([[np.nan, 72]])])
    after = triton.get_inference_statistics("fraud").model_stats[0]
    assert after.inference_stats.cache_miss.count - stats.inference_stats.cache_miss.count == 1


def a_large_batch():
    values = np.random.default_rng(8).random((512, 2), dtype=np.float32)
    answer = triton.infer("fraud", [_x(values)])
    assert np.allclose(answer.as_numpy("y")[:, 0], values @ np.array([1, 2], dtype=np.float32))
    code, message = _refused(triton.infer, "fraud", [_x(np.zeros((4097, 2)))])
    assert (code, "4096 rows" in message) == ("RESOURCE_EXHAUSTED", True), message


def strings_booleans_and_integers():
    typed = client.InferenceServerClient(WHERE["typed"])
    words = np.array([["a", "ü"], ["", "längeres"]], dtype=np.object_)
    on, count = np.array([True, False]), np.array([[2**60, -3], [0, 1]], dtype=np.int64)
    inputs = [
        client.InferInput("words", [2, 2], "BYTES"),
        client.InferInput("on", [2], "BOOL"),
        client.InferInput("count", [2, 2], "INT64"),
    ]
    for tensor, array in zip(inputs, (words, on, count), strict=True):
        tensor.set_data_from_numpy(array)
    outputs = [client.InferRequestedOutput(name) for name in ("said", "off", "twice")]
    answer = typed.infer("typed", inputs, outputs=outputs)
    assert [[each.decode() for each in row] for row in answer.as_numpy("said")] == words.tolist()
    assert answer.as_numpy("off").tolist() == [False, True]
    assert answer.as_numpy("twice").tolist() == [[2**61, -6], [0, 2]]
    request = service_pb2.ModelInferRequest(
        model_name="typed",
        inputs=[
            {"name": "words", "datatype": "BYTES", "shape": [1, 1], "contents": {"bytes_contents": ["ü".encode()]}},
            {"name": "on", "datatype": "BOOL", "shape": [1], "contents": {"bool_contents": [True]}},
            {"name": "count", "datatype": "INT64", "shape": [1, 2], "contents": {"int64_contents": [-1, 2]}},
        ],
    )
    with grpc.insecure_channel(WHERE["typed"]) as over:
        said = service_pb2.ModelInferResponse.FromString(_call("ModelInfer", request.SerializeToString(), over=over)[0])
    assert [(each.name, each.datatype) for each in said.outputs] == [
        ("twice", "INT64"),
        ("off", "BOOL"),
        ("said", "BYTES"),
    ]
    assert list(said.outputs[0].contents.int64_contents) == [-2, 4]
    assert list(said.outputs[1].contents.bool_contents) == [False]
    assert list(said.outputs[2].contents.bytes_contents) == ["ü".encode()]
    typed.close()


def messages_that_are_packed():
    values = np.zeros((512, 2), dtype=np.float32)
    for coding in ("gzip", "deflate"):
        answer = triton.infer("fraud", [_x(values)], compression_algorithm=coding)
        assert answer.as_numpy("y").shape == (512, 1)
    request = _request([0.0] * 1024).SerializeToString()
    message, _ = _call("ModelInfer", request, compression=grpc.Compression.Gzip)
    said = service_pb2.ModelInferResponse.FromString(message)
    assert list(said.outputs[0].contents.fp32_contents) == [0.0] * 512
    bomb = b"\0" * (3 << 20)
    code, message = _failed("ModelInfer", bomb, compression=grpc.Compression.Gzip)
    assert (code, "limit" in message) == ("RESOURCE_EXHAUSTED", True), message


def many_at_once():
    calls = channel.unary_unary(f"{SERVICE}/ModelInfer")
    asked = [calls.future(_request([at, 1]).SerializeToString(), timeout=30) for at in range(64)]
    said = [service_pb2.ModelInferResponse.FromString(each.result()) for each in asked]
    assert [each.outputs[0].contents.fp32_contents[0] for each in said] == [at + 2.0 for at in range(64)]


def over_tls():
    trusted = grpc.ssl_channel_credentials(pathlib.Path(WHERE["root"]).read_bytes())
    options = [("grpc.ssl_target_name_override", "localhost")]
    with grpc.secure_channel(WHERE["tls"], trusted, options) as over:
        _call("ModelInfer", _request([55, 1]).SerializeToString(), over=over)
    assert told.predict(WHERE["predict"], [55, 1])["cached"] is True


def who_says_who_they_are_shares_nothing():
    for _ in range(2):
        _, call = _call("ModelInfer", _request([81, 82]).SerializeToString(), metadata=[("authorization", "Bearer a")])
        assert "; hit" not in dict(call.initial_metadata())["cache-status"]
    assert told.predict(WHERE["predict"], [81, 82])["cached"] is False


def what_is_wrong_is_told():
    for inputs, words in [
        ([_x([[1, 2, 3]])], ["inputs.x", "FP32[2]", "FP32[1, 3]"]),
        ([], ["inputs.x", "missing"]),
        ([_x([[1, 2]]), _x([[1, 2]])], ["inputs.x", "twice"]),
    ]:
        code, message = _refused(triton.infer, "fraud", inputs)
        assert (code, [word for word in words if word not in message]) == ("INVALID_ARGUMENT", []), message
    output = [client.InferRequestedOutput("z")]
    code, message = _refused(triton.infer, "fraud", [_x([[1, 2]])], outputs=output)
    assert (code, "outputs.z" in message) == ("INVALID_ARGUMENT", True), message
    for name, version, words in [("other", "", "fraud"), ("fraud", "v2", "v1")]:
        code, message = _refused(triton.infer, name, [_x([[1, 2]])], model_version=version)
        assert (code, words in message) == ("NOT_FOUND", True), message
        code, message = _refused(triton.get_model_metadata, name, version)
        assert (code, words in message) == ("NOT_FOUND", True), message
    whole = _request([1, 2])
    for more, words in [
        ({"raw_input_contents": [b"12345678"]}, "has `contents`"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2]}]}, "neither"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, -2]}]}, "shorter than 0"),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"int_contents": [1, 2]}}]},
            "none of its datatype",
        ),
        (
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1]}}]},
            "1 elements",
        ),
    ]:
        request = service_pb2.ModelInferRequest(model_name="fraud", inputs=whole.inputs)
        if "inputs" in more:
            request = service_pb2.ModelInferRequest(model_name="fraud", **more)
        else:
            request.MergeFrom(service_pb2.ModelInferRequest(**more))
        code, message = _failed("ModelInfer", request.SerializeToString())
        assert (code, words in message) == ("INVALID_ARGUMENT", True), message


def what_is_no_message_is_told():
    for message in (b"\xff\xff\xff", b"\x2a\x80", b"\x0b", bytes(range(256))):
        code, details = _failed("ModelInfer", message)
        assert (code, "cannot be read" in details) == ("INVALID_ARGUMENT", True), (message, details)
    many = b"\x2a\x00" * 100_000
    code, details = _failed("ModelInfer", many)
    assert (code, "4096" in details) == ("RESOURCE_EXHAUSTED", True), details
    code, details = _failed("ModelInfer", b"\0" * 2_000_000)
    assert (code, "limit" in details) == ("RESOURCE_EXHAUSTED", True), details


def what_is_not_offered_is_told():
    code, message = _refused(triton.load_model, "fraud")
    assert (code, "admin" in message) == ("PERMISSION_DENIED", True), message
    code, message = _refused(triton.unload_model, "fraud")
    assert (code, "admin" in message) == ("PERMISSION_DENIED", True), message
    code, message = _refused(triton.get_system_shared_memory_status)
    assert (code, "ModelInfer" in message) == ("UNIMPLEMENTED", True), message
    assert _failed("NoSuchThing", b"")[0] == "UNIMPLEMENTED"
    stream = channel.stream_stream(f"{SERVICE}/ModelStreamInfer")(iter([b""]), timeout=30)
    assert stream.code().name == "UNIMPLEMENTED", stream.details()


def a_stream_is_refused_while_it_is_open():
    came = queue.SimpleQueue()
    with client.InferenceServerClient(WHERE["fraud"]) as streaming:
        streaming.start_stream(lambda **told_of: came.put(told_of["error"]))
        # Before anything is asked by it.
        error = came.get(timeout=20)
    assert error.status() == "StatusCode.UNIMPLEMENTED", error


told.run(__name__, globals())
