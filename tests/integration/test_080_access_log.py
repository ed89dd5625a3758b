"""The access log: one line a request, off unless asked for, and nothing a client sends looks like another line."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

from tests.integration.conftest import KEPT, Serve
from tests.integration.wire import Wire, get, request

from bodega.config import EdgeSettings
from bodega.testing import Answer, Origin, wait_until

HOSTILE = [
    'quote " and \\ backslash',
    '\\" 200 0 "-" "-" hit fresh',
    "escape \x1b[2J and tab\tand delete",
    "separators \x85 and \xe2\x80\xa8 and \xff\xfe",
    '127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /forged HTTP/1.1" 200 1 "-" "-" hit fresh',
    '{"status": 200}',
    "%0d%0a%00",
]


def lines(file: Path, count: int) -> list[str]:
    """Wait for so many lines, and return them; a line is what ends in a line feed and nothing else."""
    wait_until(lambda: file.exists() and file.read_bytes().count(b"\n") >= count, what=f"{count} lines")
    return file.read_bytes().decode().removesuffix("\n").split("\n")


def test_there_is_no_log_unless_it_is_asked_for() -> None:
    assert EdgeSettings().access_log == "off"


def test_json_lines_say_what_became_of_each_request(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    edge = serve(origin, access_log=str(file))
    with Wire(edge.url) as wire:
        fields = ("User-Agent: test/1", "Referer: https://a.test/")
        wire.get("/a?b=c", *fields)
        wire.get("/a?b=c", *fields)
        wire.get("/../a")
        wire.send(b"nonsense\r\n\r\n").rest()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines(file, 4)]
    assert [(each["status"], each["outcome"], each["reason"]) for each in entries] == [
        (200, "miss", "uri-miss"),
        (200, "hit", "fresh"),
        (400, "refused", "unsafe-path"),
        (400, "refused", "malformed"),
    ]
    first = entries[0]
    assert (first["client"], first["method"], first["host"]) == ("127.0.0.1", "GET", "edge.test")
    assert (first["target"], first["version"]) == ("/a?b=c", "1.1")
    assert (first["user_agent"], first["referer"]) == ("test/1", "https://a.test/")
    assert first["sent_bytes"] > 100
    assert 0 <= first["took_seconds"] < 60


def test_hostile_values_stay_within_their_line_and_value_in_json(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    edge = serve(origin, access_log=str(file))
    for value in HOSTILE:
        get(edge.url, "/a", f"User-Agent: {value}", f"Referer: {value}")
    said = lines(file, len(HOSTILE))
    answered = [get(edge.url, "/a", f"User-Agent: {value}").status for value in HOSTILE]
    assert len(said) == len(HOSTILE)
    for line, value, status in zip(said, HOSTILE, answered, strict=True):
        entry = json.loads(line)
        assert entry["status"] == status
        if status == 200:
            assert entry["user_agent"] == value.strip().encode("latin-1").decode("utf-8", "replace")
        assert not re.search(r"[\x00-\x1f]", line)


COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(?P<request>(?:[^"\\]|\\.)*)" '
    r'(?P<status>\d{3}) \d+ "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)" '
    r"(?P<outcome>\w+) (?P<reason>[\w-]+)"
)


def test_hostile_values_stay_within_their_line_and_value_in_the_combined_format(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    edge = serve(origin, access_log=str(file), access_log_format="combined")
    for value in HOSTILE:
        get(edge.url, "/a", f"User-Agent: {value}", f"Referer: {value}")
    said = lines(file, len(HOSTILE))
    assert len(said) == len(HOSTILE)
    for line in said:
        match = COMBINED.fullmatch(line)
        assert match is not None, line
        assert match["request"] in ("GET /a HTTP/1.1", "- - HTTP/1.1")
        assert not re.search(r"[\x00-\x1f\x7f\x85]", line)


def test_a_long_value_does_not_fill_the_disk(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    edge = serve(origin, access_log=str(file), max_header="1MiB")
    get(edge.url, "/a", f"User-Agent: {'a' * 100_000}", host=f"{'a' * 50_000}.test")
    [line] = lines(file, 1)
    assert len(line) < 10_000


def test_a_request_that_broke_off_is_in_the_log_with_its_reason(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    gate = threading.Event()
    origin.on("/a", Answer([b"first", gate], headers={**KEPT, "Content-Length": "100"}, break_after=5))
    edge = serve(origin, access_log=str(file))
    with Wire(edge.url) as wire:
        wire.send(request("/a")).head()
        gate.set()
        wire.rest()
    [line] = lines(file, 1)
    assert json.loads(line)["reason"] == "origin-broken"


def test_lines_are_appended_and_all_there_once_the_edge_has_stopped(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    file = tmp_path / "access.log"
    file.write_text("before\n")
    edge = serve(origin, access_log=str(file))
    with Wire(edge.url) as wire:
        for _ in range(100):
            wire.send(*(request("/a") for _ in range(50)))
            for _ in range(50):
                wire.reply()
    edge.stop()
    said = lines(file, 1)
    dropped = 5001 - len(said)
    assert (said[0], dropped) == ("before", 0)


def test_a_log_that_cannot_be_written_does_not_hold_up_serving(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, access_log="/dev/full")
    with Wire(edge.url) as wire:
        for _ in range(200):
            assert wire.get("/a").status == 200
