"""`make conformance` counts what ran, and what did not run is no success."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools import conformance
from tools.conformance import (
    SCENARIOS,
    FrontCount,
    Scenario,
    front_table,
    read_fronts,
    read_scenarios,
    read_titles,
    read_verdicts,
    table,
    tabulate,
)

BOTH = Scenario("rfc9111-4-reuse/x", ("9111 4", "9111 5.1"), {"safe": "x (safe)", "rfc": "x (rfc)"})
FRONT = FrontCount("HTTP/2", 3)
PLAIN = Scenario("010-hits/y", (), {"safe": "y"})
TITLES = {"9111 4": "Reuse", "9111 4.1": "Vary", "9111 5.1": "Age"}


def test_a_file_counts_in_each_of_its_sections_and_once_in_the_total() -> None:
    rows, total = tabulate([BOTH, PLAIN], {"x (safe)": True, "x (rfc)": False, "y": True}, TITLES)
    assert [row.section for row in rows] == ["9111 4", "9111 5.1", ""]
    assert [(row.cell("safe"), row.cell("rfc")) for row in rows] == [("1/1", "0/1"), ("1/1", "0/1"), ("1/1", "-")]
    assert (len(total.files), total.cell("safe"), total.cell("rfc")) == (2, "2/2", "0/1")
    assert total.has_failed()


def test_what_did_not_run_did_not_pass() -> None:
    _, total = tabulate([PLAIN], {}, TITLES)
    assert total.cell("safe") == "0/1"


def test_a_file_without_modes_runs_in_that_of_its_policy(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "one.toml").write_text('why = "x"\nrfc = "9111 4"\n[policy]\nmode = "rfc"\n', encoding="utf-8")
    (folder / "two.toml").write_text('why = "x"\nrfc = ["9111 4", "9111 5.1"]\n', encoding="utf-8")
    (folder / "three.toml").write_text('why = "x"\nmodes = ["safe", "rfc"]\n', encoding="utf-8")
    (tmp_path / "sections.toml").write_text('"9111 4" = "Reuse"\n', encoding="utf-8")
    assert list(read_scenarios(tmp_path)) == [
        Scenario("a/one", ("9111 4",), {"rfc": "a/one"}),
        Scenario("a/three", (), {"safe": "a/three (safe)", "rfc": "a/three (rfc)"}),
        Scenario("a/two", ("9111 4", "9111 5.1"), {"safe": "a/two"}),
    ]


def test_verdicts_are_told_from_what_else_cargo_says() -> None:
    events = [
        {"type": "suite", "event": "started"},
        {"type": "test", "event": "started", "name": "a"},
        {"type": "test", "event": "ok", "name": "a"},
        {"type": "test", "event": "failed", "name": "b", "stdout": "status 200 instead of 304"},
    ]
    verdicts, told = read_verdicts(["warning: x", *map(json.dumps, events)])
    assert verdicts == {"a": True, "b": False}
    assert told == ["warning: x", "failed: b", "status 200 instead of 304"]


@pytest.mark.parametrize(
    ("code", "verdicts", "fronts", "expected"),
    [
        pytest.param(0, {"x (safe)": True, "x (rfc)": True}, (0, [FRONT]), 0, id="all passed"),
        pytest.param(101, {"x (safe)": True, "x (rfc)": False}, (0, [FRONT]), 1, id="one failed"),
        pytest.param(0, {"x (safe)": True}, (0, [FRONT]), 1, id="one was not run"),
        pytest.param(101, {}, (0, [FRONT]), 1, id="nothing compiled"),
        pytest.param(0, {"x (safe)": True, "x (rfc)": True}, (101, [FRONT]), 1, id="one failed through a front"),
        pytest.param(0, {"x (safe)": True, "x (rfc)": True}, (0, []), 1, id="no front was tried"),
    ],
)
def test_the_exit_status_is_0_only_if_all_ran_and_passed(
    code: int,
    verdicts: dict[str, bool],
    fronts: tuple[int, list[FrontCount]],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(conformance, "read_scenarios", lambda _: [BOTH])
    monkeypatch.setattr(conformance, "run", lambda: (code, verdicts, []))
    monkeypatch.setattr(conformance, "run_fronts", lambda: (*fronts, []))
    assert conformance.main(["--json"]) == expected
    document = json.loads(capsys.readouterr().out)
    assert document["total"]["tests"] == 1
    assert document["total"]["rfc"]["passed"] == verdicts.get("x (rfc)", False)
    assert [front["passed"] for front in document["fronts"]] == [front.passed for front in fronts[1]]


def test_what_the_fronts_print_is_counted_with_what_was_left_out() -> None:
    said = [
        "running 4 tests",
        ".scenarios over HTTP/2: 7 passed, 1 failed, 5 left out",
        "left out over HTTP/2: 3, no CONNECT",
        "left out over HTTP/2: 2, it is late",
        "scenarios over HTTP/1.1 over TLS: 9 passed, 0 failed, 0 left out",
    ]
    plain = FrontCount("HTTP/1.1 over TLS", 9)
    assert read_fronts(said) == [plain, FrontCount("HTTP/2", 7, 1, {"no CONNECT": 3, "it is late": 2})]
    assert front_table(read_fronts(said))[1:] == [
        "HTTP/1.1 over TLS           9        0         0",
        "HTTP/2                      7        1         5",
        "left out: no CONNECT",
        "left out: it is late",
    ]


def test_the_table_has_a_line_for_each_section_and_colors_only_if_asked() -> None:
    rows, total = tabulate([BOTH], {"x (safe)": True, "x (rfc)": False}, TITLES)
    plain = table(rows, total, colored=False)
    assert "RFC 9111 HTTP Caching" in plain
    assert "4         Reuse      1      1/1      0/1" in plain
    assert plain[-1] == "1 failed"
    assert not any("\x1b" in line for line in plain)
    assert any("\x1b[31;1m" in line for line in table(rows, total, colored=True))


def test_every_section_that_a_file_names_is_listed_and_every_rfc_has_a_title() -> None:
    titles = read_titles(SCENARIOS)
    for scenario in read_scenarios(SCENARIOS):
        assert set(scenario.sections) <= set(titles), scenario.name
    assert {section.split(" ")[0] for section in titles} <= set(conformance.TITLES)


def test_what_lies_in_the_folder_of_an_rfc_names_a_section() -> None:
    for scenario in read_scenarios(SCENARIOS):
        assert scenario.sections or not scenario.name.startswith("rfc"), scenario.name
