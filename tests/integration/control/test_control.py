"""The process: begins, goes on where it ended, refuses what it should."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.control.conftest import SECONDS, ControlProcess, beat, place, register

from bodega.errors import AddressInUse
from bodega.journal import backup, check, restore
from bodega.runtime import ControlRecord, control_records


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bodega", "control", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=folder,
        check=False,
    )


def test_it_says_that_it_is_well_without_a_token(control: ControlProcess) -> None:
    health = httpx.get(f"{control.url}/health", trust_env=False).json()
    assert health == {"status": "ok", "position": 1, "n_edges": 0, "n_here": 0}


def test_what_was_told_is_there_after_any_end(control: ControlProcess) -> None:
    with control.client() as client:
        purge = client.post("/v1/invalidations", json={"selectors": ["tag:a"]}).json()
        register(client, "tokyo-1")
    first = control.token
    for number in (signal.SIGTERM, signal.SIGKILL):
        assert control.end(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        control.start()
        assert control.token == first
        with control.client() as client:
            assert client.get(f"/v1/invalidations/{purge['id']}").json()["selectors"] == ["tag:a"]
            [edge] = client.get("/v1/edges").json()
            assert (edge["name"], edge["is_here"]) == ("tokyo-1", False)
    control.end()
    # One file: everything is in it.
    assert not control.journal.with_name("journal.db-wal").exists()
    assert check(control.journal).problems == ()


def test_the_first_token_is_for_its_user_alone_and_in_no_log(control: ControlProcess) -> None:
    path = control.journal.with_name("journal.db.token")
    assert path.stat().st_mode & 0o777 == 0o600
    with control.client() as client:
        client.get("/v1/edges")
        events = client.get("/v1/journal/events").text
    with control.client("bdg_000000000000_wrong") as client:
        assert client.get("/v1/edges").status_code == 401
    control.end()
    secret = control.token.split("_", 2)[2]
    assert secret not in control.errors()
    assert secret.encode() not in control.journal.read_bytes()
    assert secret not in events
    assert "hash" not in events


def test_another_process_on_the_same_journal_is_refused(control: ControlProcess, tmp_path: Path) -> None:
    ended = run("--journal", str(control.journal), "--listen", "127.0.0.1:0", folder=tmp_path)
    assert ended.returncode == 1
    assert "is in use by process" in ended.stderr


def test_plain_http_beyond_this_machine_has_to_be_asked_for(tmp_path: Path) -> None:
    ended = run("--listen", "0.0.0.0:0", folder=tmp_path)
    assert ended.returncode == 2
    assert "--insecure" in ended.stderr
    assert not (tmp_path / "journal.db").exists()


def test_a_port_that_is_taken(control: ControlProcess, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    ended = run("--listen", control.url.removeprefix("http://"), folder=folder)
    assert ended.returncode == AddressInUse.EXIT_STATUS
    assert "is taken" in ended.stderr
    assert list(folder.iterdir()) == []


def test_a_damaged_journal_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    before = path.read_bytes()
    ended = run("--listen", "127.0.0.1:0", folder=tmp_path)
    assert ended.returncode == 1
    assert "bodega journal" in ended.stderr
    assert path.read_bytes() == before


def test_a_body_that_is_too_large(client: httpx.Client) -> None:
    refused = client.post("/v1/configurations", content=b" " * (3 << 20), headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert "2,097,152" in refused.json()["error"]


@pytest.mark.parametrize("token", ["", "x", "bdg_", "bdg_00_x_y", "bdg__", "Bearer"])
def test_no_token_is_none(control: ControlProcess, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    refused = httpx.get(f"{control.url}/v1/edges", headers=headers, trust_env=False)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


def test_everybody_is_heard_beside_many_who_follow(control: ControlProcess) -> None:
    with control.client() as client:
        streams = [client.stream("GET", "/v1/journal/stream") for _ in range(50)]
        opened = [stream.__enter__() for stream in streams]
        try:
            assert all(stream.status_code == 200 for stream in opened)
            assert register(client, "tokyo-1").status_code == 200
            assert beat(client, "tokyo-1", 1).json().items() >= {"position": 2, "drained": False}.items()
        finally:
            for stream in streams:
                stream.__exit__(None, None, None)


def test_those_who_follow_are_let_go_at_the_end(control: ControlProcess) -> None:
    with control.client() as client, client.stream("GET", "/v1/journal/stream") as stream:
        said = stream.iter_lines()
        assert '"hello"' in next(said)
        assert control.end() == 0
        # An orderly end, not one that was cut off.
        assert all('"heartbeat"' in line for line in said)
    assert control.errors() == ""


def test_it_is_found_by_its_user_as_long_as_it_runs(control: ControlProcess) -> None:
    token_file = control.journal.with_name("journal.db.token")
    folder = Path(control.environment["BODEGA_RUNTIME_DIR"])
    for number in (signal.SIGTERM, signal.SIGKILL):
        found = ControlRecord(control.pid, control.url, token_file)
        assert control_records(control.environment) == [found]
        assert [each.stat().st_mode & 0o777 for each in folder.iterdir()] == [0o600]
        control.end(number)
        assert control_records(control.environment) == []
        assert list(folder.iterdir()) == []
        control.start()


def test_without_a_folder_to_be_found_in_it_serves(tmp_path: Path) -> None:
    control = ControlProcess(tmp_path)
    (tmp_path / "run").mkdir(mode=0o755)
    control.start()
    try:
        assert httpx.get(f"{control.url}/health", trust_env=False).status_code == 200
        assert "is open to others" in control.errors()
    finally:
        control.end()


def test_a_heartbeat_is_answered_alike_on_the_short_way_and_on_the_long_one(control: ControlProcess) -> None:
    with control.client() as client:
        register(client, "tokyo-1")
        reader = client.post("/v1/tokens", json={"name": "reader", "scopes": ["read"]}).json()["token"]
        made = client.post("/v1/tokens", json={"name": "paris-1", "scopes": ["edges"], "edge": "paris-1"})
        at = place(client, 2)
        good = {"instance": "instance-1", "at": at, "of_later": 1}
        cases: list[tuple[int, str, dict[str, Any], str | None]] = [
            (200, "tokyo-1", good, control.token),
            (401, "tokyo-1", good, None),
            (401, "tokyo-1", good, f"{control.token}x"),
            (403, "tokyo-1", good, reader),
            (403, "tokyo-1", good, made.json()["token"]),
            (404, "paris-1", good, control.token),
            (409, "tokyo-1", {**good, "instance": "instance-2"}, control.token),
            (422, "tokyo-1", {**good, "hit_rate": 2}, control.token),
            (422, "tokyo-1", {"at": at}, control.token),
        ]
        for status, edge, said, token in cases:
            short, long = (
                httpx.post(
                    f"{control.url}/v1/edges/{edge}/heartbeat",
                    content=json.dumps(said),
                    headers={
                        "Content-Type": content_type,
                        **({} if token is None else {"Authorization": f"Bearer {token}"}),
                    },
                    trust_env=False,
                )
                for content_type in ("application/json", "application/json; charset=utf-8")
            )
            assert short.status_code == long.status_code == status
            assert short.json() == long.json()
        [edge] = client.get("/v1/edges").json()
        assert edge["position"] == 2


def test_who_is_further_in_another_history_has_not_applied_this_one(control: ControlProcess, tmp_path: Path) -> None:
    with control.client() as client:
        register(client, "tokyo-1")
        backup(control.journal, tmp_path / "backup.db")
        client.post("/v1/invalidations", json={"selectors": ["tag:a"]})
        client.post("/v1/invalidations", json={"selectors": ["tag:b"]})
        lost = place(client, 4)
    control.end()
    restore(tmp_path / "backup.db", control.journal)
    control.start()
    with control.client() as client:
        purge = client.post("/v1/invalidations", json={"selectors": ["tag:c"]}).json()
        assert purge["position"] == 3
        said = {"instance": "instance-1", "at": lost}
        assert client.post("/v1/edges/tokyo-1/heartbeat", json=said).status_code == 200
        report = client.get(f"/v1/invalidations/{purge['id']}").json()
        assert (report["waiting"], report["applied"], report["is_complete"]) == (["tokyo-1"], {}, False)
        beat(client, "tokyo-1", 3)
        report = client.get(f"/v1/invalidations/{purge['id']}").json()
        assert (list(report["applied"]), report["is_complete"]) == (["tokyo-1"], True)
