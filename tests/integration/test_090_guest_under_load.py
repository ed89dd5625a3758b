"""An edge in this process while much happens at once: reloads, invalidations, ends, and copies of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from tests.integration.conftest import KEPT, Serve
from tests.integration.wire import Broken, Wire, get, request

from bodega import _native
from bodega.distributions import Answer as FixedAnswer
from bodega.distributions import Behavior, Declarations, Distribution
from bodega.edge import EdgeServer, Request
from bodega.errors import AddressInUse, EdgeClosed, SnapshotInvalid
from bodega.snapshot import compile_snapshot
from bodega.testing import Answer, Origin, wait_until


@contextmanager
def hammering(ask: Callable[[int], None], n_clients: int = 4) -> Iterator[Counter[str]]:
    """Let clients ask again and again while the block runs; whatever one of them raises fails the test."""
    ended, counts, failures = threading.Event(), Counter[str](), list[BaseException]()

    def run(number: int) -> None:
        try:
            while not ended.is_set():
                ask(number)
                counts["asked"] += 1
        except BaseException as error:  # noqa: BLE001 - Told below, on the test's own thread.
            failures.append(error)

    clients = [threading.Thread(target=run, args=(number,)) for number in range(n_clients)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: counts["asked"] > 20 or failures)
        yield counts
        before = counts["asked"]
        wait_until(lambda: counts["asked"] > before + 20 or failures)
    finally:
        ended.set()
        for client in clients:
            client.join()
    assert failures == []


def of_revision(number: int, origin: Origin) -> Distribution:
    """Declare what can be told apart by revision: a fixed answer, and the origin for the rest."""
    fixed = Behavior("/revision", answer=FixedAnswer(body=f"{number}"))
    return Distribution("site", behaviors=[fixed, Behavior(origin=origin.url)])


def test_fifty_reloads_under_load_drop_no_request_and_never_go_back(serve: Serve, origin: Origin) -> None:
    edge = serve(of_revision(0, origin), threads=2)
    wires = [Wire(edge.url) for _ in range(4)]
    newest = [0] * 4

    def ask(number: int) -> None:
        wire = wires[number]
        reply = wire.get("/revision")
        assert reply.status == 200
        assert int(reply.body) >= newest[number], "an older configuration came back"
        newest[number] = int(reply.body)
        assert wire.get("/kept").body == b"/kept"
        assert get(edge.url, f"/new/{number}").body == f"/new/{number}".encode()

    with hammering(ask):
        for number in range(1, 51):
            assert edge.reload(of_revision(number, origin)) == number + 1
            assert get(edge.url, "/revision").body == f"{number}".encode(), "in force once reload has returned"
    for wire in wires:
        wire.close()
    assert edge.stats().revision == 51
    assert origin.n_requests <= 5 + 4, "nothing that was kept is forgotten by a reload"


def test_a_request_under_way_keeps_the_configuration_it_began_with(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))
    edge = serve(of_revision(0, origin))
    with Wire(edge.url) as wire:
        wire.send(request("/slow"))
        wait_until(lambda: origin.n_requests == 1)
        edge.reload(Distribution("none", behaviors=[Behavior(answer=FixedAnswer(status=404, body="gone"))]))
        gate.set()
        assert wire.reply().body == b"slow"
        assert wire.get("/slow").status == 404


def test_a_snapshot_that_is_refused_leaves_the_old_one_serving(serve: Serve, origin: Origin) -> None:
    document = compile_snapshot(Declarations.of_origin(origin.url), 7, {}).document
    edge = _native.NativeEdge('{"listen": ["127.0.0.1:0"]}', document)
    try:
        [url] = edge.addresses()
        assert get(url, "/a").status == 200
        wrong = ["", "{}", document.replace('"schema": 1', '"schema": 2').replace('"schema":1', '"schema":2')]
        wrong.append(document.replace('"policies"', '"policy"'))
        for each in wrong:
            with pytest.raises(SnapshotInvalid):
                edge.reload(each)
        assert get(url, "/a").is_hit
        assert '"revision":7' in edge.stats().replace(" ", "")
    finally:
        edge.stop()


def test_an_invalidation_under_load_is_seen_by_every_request_that_begins_after_it(serve: Serve, origin: Origin) -> None:
    version = [0]
    origin.on("/a", lambda _: Answer(f"{version[0]}".encode(), headers=KEPT))
    edge = serve(origin, threads=2)

    def ask(_: int) -> None:
        oldest = version[0] - 1
        assert int(get(edge.url, "/a").body) >= oldest

    with hammering(ask):
        for number in range(1, 30):
            version[0] = number
            edge.invalidate("all" if number % 2 else "http://edge.test/a")
            assert get(edge.url, "/a").body == f"{number}".encode()


def test_requests_without_a_socket_run_beside_those_over_sockets(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, threads=2)

    def ask(number: int) -> None:
        path = f"/{number % 2}"
        body = edge.request("GET", path, headers={"host": "edge.test"}).body if number < 2 else get(edge.url, path).body
        assert body == path.encode()

    with hammering(ask):
        pass
    assert origin.n_requests == 2


async def test_a_hundred_requests_at_once_do_not_hold_up_the_loop(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    asked = [edge.handle_request(Request(f"/{number % 10}")) for number in range(100)]
    answers = await asyncio.gather(*asked)
    assert [answer.text for answer in answers] == [f"/{number % 10}" for number in range(100)]
    assert set(edge.metrics.get_stats()) == {
        "l1_hit_rate",
        "l2_hit_rate",
        "miss_rate",
        "avg_l1_latency_ms",
        "avg_l2_latency_ms",
        "avg_miss_latency_ms",
    }
    assert edge.metrics.get_stats()["l2_hit_rate"] == 0
    assert sum(edge.metrics.get_stats()[name] for name in ("l1_hit_rate", "l2_hit_rate", "miss_rate")) == 1


def test_edges_that_come_and_go_leave_neither_descriptors_nor_threads(origin: Origin) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))

    def one() -> None:
        with EdgeServer(origin_url=origin.url, threads=2, admin="127.0.0.1:0") as edge:
            get(edge.url, "/a")

    one()
    wait_until(lambda: origin.n_open == 0)
    before = held()
    for _ in range(10):
        one()
    wait_until(lambda: origin.n_open == 0)
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), what=f"{before} again")


def test_stop_from_several_threads_at_once_is_one_end(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    get(edge.url, "/a")
    stoppers = [threading.Thread(target=edge.stop) for _ in range(8)]
    for stopper in stoppers:
        stopper.start()
    for stopper in stoppers:
        stopper.join()
    edge.stop()
    assert not edge.is_running
    with pytest.raises(EdgeClosed):
        edge.stats()


def test_no_signal_handler_is_installed_and_signals_still_end_the_process(origin: Origin) -> None:
    program = f"""
import signal
before = [signal.getsignal(number) for number in range(1, 32)]
from bodega.edge import EdgeServer
with EdgeServer(origin_url={origin.url!r}) as edge:
    assert [signal.getsignal(number) for number in range(1, 32)] == before
    print(open("/proc/self/status").read(), flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            status = dict(line.split(":\t") for line in iter(process.stdout.readline, "\n") if ":\t" in line)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == -signal.SIGTERM
        finally:
            process.kill()
    caught = int(status["SigCgt"], 16)
    # Python itself catches SIGINT; nobody else catches anything.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
        assert not caught >> (number - 1) & 1, signal.Signals(number).name


def test_the_childs_copy_after_a_fork_refuses_while_the_parents_goes_on(origin: Origin) -> None:
    program = f"""
import os
from bodega.edge import EdgeServer
from bodega.errors import AddressInUse, EdgeClosed, SnapshotInvalid
with EdgeServer(origin_url={origin.url!r}, threads=2) as edge:
    assert edge.request("GET", "/a").status == 200
    pid = os.fork()
    if pid == 0:
        refused = 0
        for act in (edge.stats, edge.start, lambda: edge.request("GET", "/a"), lambda: edge.invalidate("all"),
                    lambda: edge.url, edge.prometheus, lambda: edge.admin_url):
            try:
                act()
            except EdgeClosed as error:
                assert "fork" in str(error), error
                refused += 1
            except Exception as error:
                print("child:", repr(error), flush=True)
        edge.stop()
        with EdgeServer(origin_url={origin.url!r}) as own:
            assert own.request("GET", "/a").status == 200
        os._exit(0 if refused == 7 else 10 + refused)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code
    assert edge.request("GET", "/a").is_hit
print("well")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


@contextmanager
def bodega_edge(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `bodega edge` in a process of its own; yield it with its address."""
    command = [sys.executable, "-m", "bodega", "edge", "--json", *arguments]
    environment = {**os.environ, "BODEGA_RUNTIME_DIR": str(folder / "run")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, cwd=folder
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["listening"][0]
        finally:
            process.kill()


def test_sigterm_answers_those_who_wait_to_be_accepted(origin: Origin, tmp_path: Path) -> None:
    """Who has connected is promised an answer: here the system accepts for an edge that has not come to it yet."""
    with bodega_edge(tmp_path, "--origin", origin.url, "--listen", ":0", "--threads", "2") as (process, url):
        get(url, "/a")
        process.send_signal(signal.SIGSTOP)
        wires = [Wire(url).send(request("/a")) for _ in range(100)]
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        try:
            assert {wire.reply().status for wire in wires} == {200}
        finally:
            for wire in wires:
                wire.close()
        assert process.wait(30) == 0


def test_a_client_on_a_kept_connection_is_told_before_its_edge_ends(origin: Origin, tmp_path: Path) -> None:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate, headers=KEPT))

    def is_refused() -> bool:
        try:
            Wire(url).close()
        except ConnectionRefusedError:
            return True
        return False

    with bodega_edge(tmp_path, "--origin", origin.url, "--listen", ":0") as (process, url), Wire(url) as wire:
        wire.get("/a")
        wire.send(request("/slow"))
        wait_until(lambda: origin.n_requests == 2)
        process.send_signal(signal.SIGTERM)
        wait_until(is_refused, what="the port to be closed while draining")
        gate.set()
        reply = wire.reply()
        assert (reply.body, reply["Connection"]) == (b"slow", "close")
        wire.close()
        assert process.wait(30) == 0


def test_a_steady_stream_of_newcomers_does_not_keep_an_edge_from_ending(origin: Origin, tmp_path: Path) -> None:
    """A drain waited for a pause between newcomers, which under load never came."""
    with bodega_edge(tmp_path, "--origin", origin.url, "--listen", ":0") as (process, url):
        get(url, "/a")
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                # From some moment on they are refused, and those between the two are reset.
                with suppress(OSError, Broken):
                    get(url, "/a", "Connection: close")

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            ended.set()
            for client in clients:
                client.join()


def test_an_upgrade_cuts_no_kept_connection_before_its_client_is_told(origin: Origin, tmp_path: Path) -> None:
    with ExitStack() as stack:
        running, url = stack.enter_context(bodega_edge(tmp_path, "--origin", origin.url, "--listen", ":0"))
        wires: dict[int, Wire] = {}

        def ask(number: int) -> None:
            if number not in wires:
                wires[number] = Wire(url)
            reply = wires[number].get(f"/{number}")
            assert (reply.status, reply.body) == (200, f"/{number}".encode())
            if reply["Connection"] == "close":
                wires.pop(number).close()

        with hammering(ask):
            for _ in range(2):
                arguments = ("--origin", origin.url, "--take-over", str(running.pid))
                successor, _ = stack.enter_context(bodega_edge(tmp_path, *arguments))
                assert running.wait(40) == 0
                running = successor
        for wire in wires.values():
            wire.close()


def test_a_port_that_a_guest_holds_is_in_use_for_another(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, threads=2)
    address = edge.url.removeprefix("http://")
    with pytest.raises(AddressInUse, match="is taken by") as caught:
        serve(origin, listen=address)
    assert caught.value.owner is not None
    assert f"pid {os.getpid()}" in caught.value.owner
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(AddressInUse):
            serve(origin, listen=f"127.0.0.1:{other.getsockname()[1]}")
