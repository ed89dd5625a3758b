"""What `tritonclient.http` and a bodega say to each other. Run by the client's own Python."""

# mypy: ignore-errors
# The client is in an environment of its own, which mypy does not see.

from __future__ import annotations

import numpy as np
import told
import tritonclient.http as client
from tritonclient.utils import InferenceServerException

WHERE = told.where()
triton = client.InferenceServerClient(WHERE["fraud"])


def _x(values, *, binary=True):
    array = np.array(values, dtype=np.float32)
    tensor = client.InferInput("x", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def _refused(call, *args, **named):
    try:
        call(*args, **named)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError("it was answered")


def health():
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("fraud")
    assert triton.is_model_ready("fraud", "v1")
    assert not triton.is_model_ready("other")
    assert not triton.is_model_ready("fraud", "v2")


def metadata():
    server = triton.get_server_metadata()
    assert server["name"] == "bodega"
    assert "binary_tensor_data" in server["extensions"]
    model = triton.get_model_metadata("fraud")
    assert model == triton.get_model_metadata("fraud", "v1")
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert model["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}]


def index():
    assert {"name": "fraud", "version": "v1", "state": "READY"} in triton.get_model_repository_index()


def config():
    assert triton.get_model_config("fraud", "v1") == {
        "name": "fraud",
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": 4096,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [2]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [1]}],
        "dynamic_batching": {"preferred_batch_size": [64]},
    }


def statistics_are_what_happened():
    before = triton.get_inference_statistics("fraud")["model_stats"][0]
    for _ in range(2):
        triton.infer("fraud", [_x([[101, 1], [102, 1]])])
    after = triton.get_inference_statistics()["model_stats"][0]
    moved = {
        name: after["inference_stats"][name]["count"] - before["inference_stats"][name]["count"]
        for name in ("success", "fail", "cache_hit", "cache_miss")
    }
    assert moved == {"success": 2, "fail": 0, "cache_hit": 2, "cache_miss": 2}, moved
    assert after["inference_count"] - before["inference_count"] == 2
    runs, n_runs = ([each["inference_stats"]["compute_infer"] for each in (before, after)], after["execution_count"])
    assert (runs[1]["count"], runs[1]["ns"] > runs[0]["ns"]) == (n_runs, True)


def tensors_as_bytes():
    answer = triton.infer("fraud", [_x([[1, 2], [0.5, 1]])], request_id="7")
    assert answer.as_numpy("y").tolist() == [[5.0], [2.5]]
    told_of = answer.get_response()
    assert (told_of["id"], told_of["model_name"], told_of["model_version"]) == ("7", "fraud", "v1")
    assert answer.get_output("y")["parameters"]["binary_data_size"] == 8


def tensors_as_json():
    outputs = [client.InferRequestedOutput("y", binary_data=False)]
    answer = triton.infer("fraud", [_x([[3, 4]], binary=False)], model_version="v1", outputs=outputs)
    assert answer.as_numpy("y").tolist() == [[11.0]]
    assert answer.get_output("y")["data"] == [11.0]


def rows_are_those_of_predict():
    triton.infer("fraud", [_x([[7, 8]])])
    assert told.predict(WHERE["predict"], [7, 8])["cached"] is True


def a_large_batch():
    values = np.random.default_rng(7).random((512, 2), dtype=np.float32)
    answer = triton.infer("fraud", [_x(values)])
    assert np.allclose(answer.as_numpy("y")[:, 0], values @ np.array([1, 2], dtype=np.float32))
    status, message = _refused(triton.infer, "fraud", [_x(np.zeros((4097, 2), dtype=np.float32))])
    assert (status, "4096 rows" in message) == ("413", True), message


def bodies_and_answers_that_are_packed():
    values = np.zeros((512, 2), dtype=np.float32)
    for coding in ("gzip", "deflate"):
        for binary in (True, False):
            answer = triton.infer(
                "fraud",
                [_x(values, binary=binary)],
                outputs=[client.InferRequestedOutput("y", binary_data=binary)],
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
            assert answer.as_numpy("y").shape == (512, 1)
            answer = triton.infer("fraud", [_x([[61, 62]], binary=binary)], request_compression_algorithm=coding)
            assert answer.as_numpy("y").tolist() == [[185.0]]
    assert told.predict(WHERE["predict"], [61, 62])["cached"] is True


def strings_booleans_and_integers():
    typed = client.InferenceServerClient(WHERE["typed"])
    for binary in (True, False):
        words = np.array([["a", "ü"], ["", "längeres"]], dtype=np.object_)
        on, count = np.array([True, False]), np.array([[2**60, -3], [0, 1]], dtype=np.int64)
        inputs = [
            client.InferInput("words", [2, 2], "BYTES"),
            client.InferInput("on", [2], "BOOL"),
            client.InferInput("count", [2, 2], "INT64"),
        ]
        for tensor, array in zip(inputs, (words, on, count), strict=True):
            tensor.set_data_from_numpy(array, binary_data=binary)
        names = ("said", "off", "twice")
        outputs = [client.InferRequestedOutput(name, binary_data=binary) for name in names]
        answer = typed.infer("typed", inputs, outputs=outputs)
        said = [[each.decode() if isinstance(each, bytes) else each for each in row] for row in answer.as_numpy("said")]
        assert said == words.tolist()
        assert answer.as_numpy("off").tolist() == [False, True]
        assert answer.as_numpy("twice").tolist() == [[2**61, -6], [0, 2]]
        assert [each["name"] for each in answer.get_response()["outputs"]] == list(names)
    typed.close()


def many_at_once():
    asked = [triton.async_infer("fraud", [_x([[at, 1]])]) for at in range(32)]
    assert [each.get_result().as_numpy("y")[0, 0] for each in asked] == [at + 2.0 for at in range(32)]


def what_is_wrong_is_told():
    for inputs, status, words in [
        ([_x([[1, 2, 3]])], "400", ["inputs.x", "FP32[2]", "FP32[1, 3]"]),
        ([], "400", ["inputs.x", "missing"]),
        ([_x([[1, 2]]), _x([[1, 2]])], "400", ["inputs.x", "twice"]),
    ]:
        found, message = _refused(triton.infer, "fraud", inputs)
        assert (found, [word for word in words if word not in message]) == (status, []), message
    integers = client.InferInput("x", [1, 2], "INT64")
    integers.set_data_from_numpy(np.array([[1, 2]]))
    found, message = _refused(triton.infer, "fraud", [integers])
    assert (found, "INT64[1, 2]" in message) == ("400", True), message
    output = [client.InferRequestedOutput("z")]
    found, message = _refused(triton.infer, "fraud", [_x([[1, 2]])], outputs=output)
    assert (found, "outputs.z" in message) == ("400", True), message
    for name, version, words in [("other", "", "fraud"), ("fraud", "v2", "v1")]:
        found, message = _refused(triton.infer, name, [_x([[1, 2]])], model_version=version)
        assert (found, words in message) == ("404", True), message


def what_is_not_offered_is_told():
    for call in (triton.load_model, triton.unload_model):
        status, message = _refused(call, "fraud")
        assert (status, "admin" in message) == ("403", True), message


told.run(__name__, globals())
