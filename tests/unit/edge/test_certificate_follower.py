from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bodega.certificates import Finding
from bodega.edge.certificate_follower import CertificateFollower
from bodega.errors import ConfigInvalid


@dataclass
class Edge:
    """What the follower asks of a running edge."""

    changed: bool = False
    wrong: str = ""
    findings: list[Finding] = field(default_factory=list)
    n_reloads: int = 0

    def certificates_changed(self) -> bool:
        return self.changed

    def reload_certificates(self) -> None:
        self.changed = False
        self.n_reloads += 1
        if self.wrong:
            raise ConfigInvalid(self.wrong)

    def certificate_findings(self) -> list[Finding]:
        return self.findings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("bodega.edge.certificate_follower.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


def following(edge: Edge, said: list[tuple[str, str]]) -> CertificateFollower:
    return CertificateFollower(edge, lambda kind, text: said.append((kind, text)))  # type: ignore[arg-type]


def test_files_are_looked_at_once_a_minute_and_read_where_they_have_changed(
    clock: list[float], said: list[tuple[str, str]]
) -> None:
    edge = Edge(changed=True)
    follower = following(edge, said)
    follower.follow()
    assert edge.n_reloads == 0
    clock[0] += 60
    follower.follow()
    follower.follow()
    assert edge.n_reloads == 1
    assert said == [("note", "certificates have changed and are in force")]
    clock[0] += 60
    follower.follow()
    assert edge.n_reloads == 1


def test_what_cannot_be_used_is_told_once(clock: list[float], said: list[tuple[str, str]], tmp_path: Path) -> None:
    edge = Edge(changed=True, wrong="site.pem: there is no such file")
    follower = following(edge, said)
    for _ in range(5):
        clock[0] += 60
        follower.follow()
    assert said == [
        ("error", "certificates not reloaded, those of before stay in force: site.pem: there is no such file")
    ]


def test_what_nobody_renews_is_told_once_a_day(clock: list[float], said: list[tuple[str, str]]) -> None:
    edge = Edge(findings=[Finding("warning", "site.pem: expires in 3 days", "renew it")])
    follower = following(edge, said)
    follower.tell()
    for _ in range(2 * 24 * 60):
        clock[0] += 60
        follower.follow()
    assert said == [("warning", "site.pem: expires in 3 days; renew it")] * 3
    assert edge.n_reloads == 0
