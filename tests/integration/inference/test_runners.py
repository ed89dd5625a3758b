"""Models that Python runs, in processes of their own: as they should, and as they should not."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.edge.conftest import wait_until
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import post, serve

from bodega import Behavior, CachePolicy, Distribution, EdgeMLServer, EdgeServer, Model
from bodega.errors import ConfigInvalid, PredictionRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = "tests.integration.inference.example_runners"
ROOT = Path(__file__).parents[3]


def workers_of(edge: int | None = None) -> set[int]:
    """The workers that an edge has, by their numbers: of this process, if none is named."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            command = (process / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if parent == (edge or os.getpid()) and b"bodega.serving.worker" in command:
            found.add(int(process.name))
    return found


def is_there(pid: int) -> bool:
    """Whether a process exists, and is more than what is left of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = workers_of()
    yield
    wait_until(lambda: workers_of() <= before)


@pytest.fixture
def wayward() -> Iterator[EdgeServer]:
    with serve(Model(runner=f"{HERE}:Wayward", timeout="40s", max_memory="400MB")) as edge:
        yield edge


@pytest.fixture
def impatient() -> Iterator[EdgeServer]:
    """The same, where one that says nothing has less time."""
    with serve(Model(runner=f"{HERE}:Wayward", timeout="2s")) as edge:
        yield edge


def ask(edge: EdgeServer, row: object) -> tuple[int, Any]:
    """Ask for one row; returns the status and the prediction, or what was said."""
    status, answer, _ = post(f"{edge.url}/predict", {"features": row})
    return status, answer["prediction"] if status == 200 else answer["error"]


class Log:
    """What an edge would write to its log."""

    def __init__(self, edge: EdgeServer) -> None:
        assert edge._running is not None
        self._running = edge._running
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """All lines so far."""
        self._lines += [text for _, text in self._running.take_events()]
        return "\n".join(self._lines)


def until_it_runs(edge: EdgeServer, pid: int) -> int:
    """Wait for another worker than `pid`; returns its number, as it says it itself."""
    seen = []

    def runs() -> bool:
        # Each time another row, since what is kept needs no worker.
        status, said = ask(edge, f"ok/{time.monotonic_ns()}")
        seen.append(said)
        return status == 200 and said != pid

    wait_until(runs, within_seconds=40)
    assert isinstance(seen[-1], int)
    return seen[-1]


# As they should.


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.json"
    path.write_text("[1, 2, -4]")
    return path


def test_a_runner_is_a_model_like_any_other(weights: Path) -> None:
    with EdgeMLServer(Model(str(weights), runner=f"{HERE}:Linear", name="fraud", version="v7")) as server:
        first = server.predict([1, 2, 0.5])
        assert (first["prediction"], first["cached"], first["model"], first["version"]) == (3.0, False, "fraud", "v7")
        assert server.predict((1.0, 2, 0.5)) == {**first, "cached": True}
        with pytest.raises(PredictionRefused, match=r"float32\[3\]"):
            server.predict([1, 2])
        [worker] = workers_of()
        assert worker != os.getpid()
    wait_until(lambda: not is_there(worker))


async def test_rows_come_back_in_their_order_whatever_they_were_run_with(weights: Path) -> None:
    with EdgeMLServer(Model(str(weights), runner=f"{HERE}:Linear")) as server:
        rows = [[float(at), 0.0, 0.0] for at in range(1_000)]
        assert (await server.batch_predict(rows))["predictions"] == [row[0] for row in rows]


def test_texts_in_and_numbers_out(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("große mittlere kleine")
    with serve(Model(str(words), runner=f"{HERE}:Tokens")) as edge:
        status, answer, _ = post(
            f"{edge.url}/batch_predict", {"features": ["Große kleine Kiste", "", {"text": "kleine"}]}
        )
        assert status == 200, answer
        given = answer["predictions"]
        assert [each["n_tokens"] for each in given] == [3, 0, 1]
        assert [each["score"] for each in given] == [[4.0, 3.0], [0.0, 0.0], [3.0, 1.0]]
        assert [word for word in given[0]["words"] if word] == ["große", "kleine", "kiste"]


def test_a_remote_model_is_asked_once_for_a_row(tmp_path: Path) -> None:
    asked: list[Any] = []

    class Doubling(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.extend(rows)
            body = json.dumps([2 * row for row in rows]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    address = tmp_path / "address.txt"
    with http.server.HTTPServer(("127.0.0.1", 0), Doubling) as remote:
        address.write_text(f"http://127.0.0.1:{remote.server_port}/")
        thread = threading.Thread(target=remote.serve_forever)
        thread.start()
        try:
            with serve(Model(str(address), runner=f"{HERE}:Remote")) as edge:
                assert [ask(edge, 1.5), ask(edge, 1.5), ask(edge, 4)] == [(200, 3.0), (200, 3.0), (200, 8.0)]
                assert asked == [1.5, 4.0]
                remote.shutdown()
                remote.server_close()
                status, said = ask(edge, 5)
                assert (status, "URLError" in said) == (500, True), said
                assert ask(edge, 4) == (200, 8.0)
        finally:
            remote.shutdown()
            thread.join()


def test_arrays_are_shared_and_not_copied() -> None:
    with serve(Model(runner=f"{HERE}:Kinds")) as edge:
        row = {"floats": [0.1, -2], "small": [1, -128], "large": 2**64 - 1, "on": [True, False], "texts": ["a", "ü"]}
        status, given = ask(edge, row)
        assert status == 200, given
        assert given == {**row, "is_shared": True, "n_rows": 1}
        # Rows of two forms in one batch are of two runs.
        rows = [row, {**row, "small": []}, {**row, "texts": [], "small": []}, {**row, "large": 1}]
        _, answer, _ = post(f"{edge.url}/batch_predict", {"features": rows})
        for each, asked in zip(answer["predictions"], rows, strict=True):
            assert {name: each[name] for name in asked} == asked
            assert each["is_shared"]


def test_its_code_and_its_files_are_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "factor.txt").write_text("2")
    code = (
        "class Times:\n    inputs = {'x': 'float64[]'}\n    outputs = {'y': 'float64[]'}\n"
        "    def load(self, path):\n        self.factor = float(open(path + '/factor.txt').read())\n"
        "    def predict(self, batch):\n        return batch['x'] * self.factor\n"
    )
    (tmp_path / "times_of_the_test.py").write_text(code)
    model = Model(str(tmp_path), runner="times_of_the_test:Times")
    seen = []
    for factor, added in [("2", ""), ("3", ""), ("3", " + 1")]:
        (tmp_path / "factor.txt").write_text(factor)
        (tmp_path / "times_of_the_test.py").write_text(code.rstrip() + added + "\n")
        with EdgeMLServer(model) as server:
            answer = server.predict(5)
            seen.append((answer["prediction"], answer["version"]))
    assert [prediction for prediction, _ in seen] == [10.0, 15.0, 16.0]
    assert len({version for _, version in seen}) == 3


def test_workers_have_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BODEGA_TOKEN", "AWS_SECRET_ACCESS_KEY", "SHOP_PASSWORD", "SHOP_MODELS"):
        monkeypatch.setenv(name, "hunter2")
    with serve(Model(runner=f"{HERE}:Environment")) as edge:
        names = ["BODEGA_TOKEN", "AWS_SECRET_ACCESS_KEY", "SHOP_PASSWORD", "SHOP_MODELS"]
        assert [ask(edge, name) for name in names] == [(200, ""), (200, ""), (200, ""), (200, "hunter2")]


# As they should not.


@pytest.mark.parametrize(
    ("runner", "words"),
    [
        pytest.param("nowhere.models:Fraud", ["nowhere.models:Fraud", "No module named 'nowhere'"], id="module"),
        pytest.param(f"{HERE}:Nothing", ["has no attribute 'Nothing'"], id="class"),
        pytest.param(f"{HERE}:Undeclared", ["declares no `outputs`"], id="undeclared"),
        pytest.param(f"{HERE}:Misdeclared", ["float31[2]", "float32"], id="misdeclared"),
        pytest.param(f"{HERE}:Mute", ["Mute: TypeError: it defines no `predict`"], id="mute"),
        pytest.param(f"{HERE}:Bare", ["it defines no `predict`"], id="bare"),
        pytest.param(f"{HERE}:FailsToLoad", ["FileNotFoundError", "no weights in nothing"], id="load"),
        pytest.param(f"{HERE}:DiesOnLoad", ["killed by SIGABRT"], id="dies"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_the_cause(runner: str, words: list[str]) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        serve(Model(runner=runner)).start()
    for word in words:
        assert word in str(refused.value)


def test_a_lie_about_shapes_is_told_from_what_was_declared() -> None:
    with serve(Model(runner=f"{HERE}:Liar")) as edge:
        for how, words in {
            "rows": ["`score`", "float32[2]", "float32[0, 2]"],
            "axes": ["float32[2]", "float32[1, 3]"],
            "flat": ["float32[2]", "float32[2] came"],
            "type": ["float32[2]", "float64[1, 2] came"],
            "endian": ["float32[2]", ">f4[1, 2] came"],
            "texts": ["float32[2]", "string[1, 2] came"],
            "missing": ["`score`", "nothing came"],
            "other": ["`score`", "`price`"],
            "more": ["`score`", "`price`"],
            "nothing": ["`score`", "predict gave None"],
            "none": ["`score` is declared as float32[2]; None came"],
            "nones": ["float32[2]", "object[1] came"],
        }.items():
            status, said = ask(edge, how)
            assert status == 500, said
            for word in words:
                assert word in said
            assert ask(edge, "right") == ask(edge, "bare") == (200, [0.0, 0.0])


@pytest.mark.parametrize(
    ("edge", "what"),
    [
        ("wayward", "abort"),
        ("wayward", "segfault"),
        ("wayward", "exit"),
        ("impatient", "garbage"),
        ("impatient", "close"),
    ],
)
def test_a_worker_that_dies_is_503_and_started_again(request: pytest.FixtureRequest, edge: str, what: str) -> None:
    wayward: EdgeServer = request.getfixturevalue(edge)
    status, pid = ask(wayward, "ok")
    assert status == 200
    status, answer, fields = post(f"{wayward.url}/predict", {"features": f"{what}/now"})
    if what == "garbage" and status == 200:
        # It said what it had to before that was seen.
        status, answer, fields = post(f"{wayward.url}/predict", {"features": "next"})
    # One that is there and says nothing has its time.
    assert status == 503 or (what, status) == ("close", 504), answer
    assert answer["error"].startswith(("the model does not run", "the model did not answer in time"))
    assert status == 504 or int(fields["retry-after"]) > 0
    assert ask(wayward, "ok") == (200, pid), "what is kept needs no worker"
    assert until_it_runs(wayward, pid) != pid
    wait_until(lambda: not is_there(pid))


def test_a_worker_that_is_killed_is_started_again(wayward: EdgeServer) -> None:
    _, pid = ask(wayward, "ok")
    assert workers_of() == {pid}
    os.kill(pid, signal.SIGKILL)
    until_it_runs(wayward, pid)
    [model] = wayward.models()
    assert model.restarts == 1
    assert model.process_bytes is not None
    assert model.process_bytes > 1_000_000


def test_hits_go_on_while_a_worker_hangs(impatient: EdgeServer) -> None:
    _, pid = ask(impatient, "ok")
    answers: list[tuple[int, Any]] = []
    hanging = threading.Thread(target=lambda: answers.append(ask(impatient, "hang")))
    hanging.start()
    n_hits = 0
    while hanging.is_alive():
        assert ask(impatient, "ok") == (200, pid)
        n_hits += 1
    hanging.join()
    [(status, said)] = answers
    assert status in (503, 504), said
    assert n_hits >= 10
    until_it_runs(impatient, pid)
    wait_until(lambda: not is_there(pid))


def test_a_row_that_fails_takes_no_other_with_it(wayward: EdgeServer) -> None:
    _, pid = ask(wayward, "ok")
    rows = [f"{'raise' if at == 7 else 'ok'}/{at}" for at in range(20)]
    status, answer, _ = post(f"{wayward.url}/batch_predict", {"features": rows})
    assert (status, "not raise/7" in answer["error"]) == (500, True), answer
    # The others were computed, and are kept.
    status, answer, _ = post(f"{wayward.url}/batch_predict", {"features": [row for row in rows if row[0] == "o"]})
    assert (status, answer["predictions"], all(answer["cached"])) == (200, [pid] * 19, True)


def test_what_it_prints_is_in_the_log_and_its_inputs_are_not(wayward: EdgeServer) -> None:
    log = Log(wayward)
    assert ask(wayward, "raise/secret")[0] == 500
    assert ask(wayward, "print")[0] == 200
    wait_until(lambda: "said" in log.text)
    assert "model Wayward: printed xxx" in log.text
    assert "ValueError" in log.text
    assert "secret" not in log.text
    assert max(map(len, log.text.splitlines())) < 1_000
    assert ask(wayward, "flood")[0] == 200
    wait_until(lambda: "lines more" in log.text)
    assert log.text.count("again and again") < 5_000


def test_a_worker_that_leaks_is_replaced_and_no_request_fails() -> None:
    with serve(Model(runner=f"{HERE}:Wayward", timeout="40s", max_memory="400MB")) as edge:
        _, first = ask(edge, "ok")
        pids = []
        for at in range(12):
            status, said = ask(edge, f"leak/{at}")
            assert status == 200, said
            pids.append(said)
        assert len(set(pids)) >= 2, "64 MiB a row, of 400 MB"
        assert pids[0] == first
        wait_until(lambda: not is_there(first))


def test_a_worker_that_swells_in_a_run_is_ended_in_it(wayward: EdgeServer) -> None:
    _, pid = ask(wayward, "ok")
    assert ask(wayward, "swell")[0] == 503
    until_it_runs(wayward, pid)


def test_what_a_worker_has_started_ends_with_it(wayward: EdgeServer) -> None:
    _, pid = ask(wayward, "child")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1
    assert ask(wayward, "abort")[0] == 503
    wait_until(lambda: not is_there(int(children[0])))


def test_what_is_stored_stands_in_while_it_is_started_again(tmp_path: Path) -> None:
    policy = CachePolicy(extends="predictions", default_ttl="50ms", stale_if_error="1h")
    model = Model(str(tmp_path / "starts"), runner=f"{HERE}:Wayward", timeout="40s")
    (tmp_path / "starts").touch()
    with EdgeServer(distribution=Distribution("ml", behaviors=[Behavior(origin=model, policy=policy)])) as edge:
        first, pid = ask(edge, "ok")
        assert first == 200
        assert ask(edge, "abort")[0] == 503
        # Kept, stale or asked of the next one: never an error.
        for _ in range(20):
            status, _ = ask(edge, "ok")
            assert status == 200
        until_it_runs(edge, pid)


def test_one_that_cannot_be_started_again_is_given_more_and_more_time(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    with serve(Model(str(starts), runner=f"{HERE}:FailsTheSecondTime")) as edge:
        assert ask(edge, "now")[0] == 503
        wait_until(lambda: starts.stat().st_size >= 4, within_seconds=40)
        assert ask(edge, "later")[0] == 503
        log = Log(edge)
        wait_until(lambda: log.text.count("started again in") >= 3)
        told = [line for line in log.text.splitlines() if "started again in" in line]
    assert "killed by SIGABRT" in told[0]
    assert "only once" in told[1]
    delays = [float(line.split("again in ")[1].split(" s")[0]) for line in told]
    for number, delay in enumerate(delays[:3]):
        assert 0.1 * 2**number - 0.1 <= delay <= 0.2 * 2**number + 0.1, delays


def test_an_edge_that_is_killed_leaves_no_worker(tmp_path: Path) -> None:
    program = (
        "from bodega import EdgeMLServer, Model\n"
        f"server = EdgeMLServer(Model(runner='{HERE}:Wayward', timeout='1h'))\n"
        "print(server.predict('ok')['prediction'], server.url, flush=True)\n"
        "server.predict('hang', timeout='1h')\n"
    )
    edge = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert edge.stdout is not None
        pid = int(edge.stdout.readline().split()[0])
        assert workers_of(edge.pid) == {pid}
    finally:
        edge.kill()
        edge.wait()
        assert edge.stdout is not None
        edge.stdout.close()
    wait_until(lambda: not is_there(pid))


# ONNX in a process of its own.


def test_an_isolated_model_gives_bit_for_bit_what_it_gives_in_the_edge(tmp_path: Path) -> None:
    weights = [0.1, -1.7, 3e-3]
    onnx_models.linear(tmp_path / "here.onnx", weights, 0.3)
    onnx_models.linear(tmp_path / "apart.onnx", weights, 0.3)
    models = Model(str(tmp_path / "here.onnx")), Model(str(tmp_path / "apart.onnx"), isolated=True)
    with serve(*models) as edge:
        assert len(workers_of()) == 1
        rows = [[at / 7, at / 3, -at] for at in range(300)]
        answers = [post(f"{edge.url}/{name}/batch_predict", {"features": rows})[1] for name in ("here", "apart")]
        assert answers[0]["predictions"] == answers[1]["predictions"]


def test_an_isolated_model_of_many_types_and_failures(tmp_path: Path) -> None:
    onnx_models.typed(tmp_path / "typed.onnx")
    onnx_models.picky(tmp_path / "picky.onnx")
    onnx_models.one_row_at_a_time(tmp_path / "single.onnx")
    names = ("typed", "picky", "single")
    with serve(*(Model(str(tmp_path / f"{name}.onnx"), isolated=True) for name in names)) as edge:
        row = {"count": [2**60, -3], "on": True, "words": ["a", "ü"]}
        rows = [row, {"count": [1.0, 1], "on": False, "words": []}]
        _, answer, _ = post(f"{edge.url}/typed/batch_predict", {"features": rows})
        assert answer["predictions"] == [
            {"twice": [2**61, -6], "off": False, "said": ["a", "ü"]},
            {"twice": [2, 2], "off": True, "said": []},
        ]
        assert post(f"{edge.url}/picky/batch_predict", {"features": [[1], [7]]})[0] == 500
        assert post(f"{edge.url}/picky/predict", {"features": [1]})[1]["prediction"] == 20.0
        _, answer, _ = post(f"{edge.url}/single/batch_predict", {"features": [[1, 2, 3], [4, 5, 6]]})
        assert answer["predictions"] == [[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]]


def test_another_file_ends_the_worker_of_the_one_before(tmp_path: Path) -> None:
    model = Model(str(onnx_models.linear(tmp_path / "score.onnx", [1.0])), isolated=True)
    distribution = Distribution("ml", behaviors=[Behavior(origin=model)])
    with EdgeServer(distribution=distribution) as edge:
        assert ask(edge, [3]) == (200, 3.0)
        [before] = workers_of()
        onnx_models.linear(tmp_path / "score.onnx", [2.0])
        edge.reload(distribution)
        assert ask(edge, [3]) == (200, 6.0)
        wait_until(lambda: not is_there(before))
        assert len(workers_of()) == 1


def test_a_file_that_is_no_model_is_found_on_trial(tmp_path: Path) -> None:
    path = tmp_path / "nothing.onnx"
    path.write_bytes(b"these are no weights")
    for isolated in (False, True):
        with pytest.raises(ConfigInvalid, match=r"nothing\.onnx"):
            serve(Model(str(path), isolated=isolated)).start()


def test_a_model_is_tried_once_before_it_is_loaded(tmp_path: Path) -> None:
    model = Model(str(onnx_models.linear(tmp_path / "score.onnx", [1.0, 3.0])))
    distribution = Distribution("ml", behaviors=[Behavior(origin=model)])
    with EdgeServer(distribution=distribution) as edge:
        assert ask(edge, [3, 1]) == (200, 6.0)
        log = Log(edge)
        wait_until(lambda: log.text.count("its trial took") == 1)
        assert workers_of() == set()
        again = Model(str(tmp_path / "score.onnx"), version="v2")
        edge.reload(Distribution("ml", behaviors=[Behavior(origin=again)]))
        assert ask(edge, [3, 1]) == (200, 6.0)
        assert log.text.count("its trial took") == 1
