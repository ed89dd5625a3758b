from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bodega.edge.activation import take_activated
from bodega.edge.listeners import Listeners
from bodega.runtime import notify


def test_sockets_of_the_service_manager_are_taken_once() -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "x"}
    assert take_activated(environment) == Listeners((3, 4))
    assert environment == {"PATH": "x"}
    assert not take_activated(environment)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("http:https:http", Listeners((3, 5), (4,))),
        ("https:https:https", Listeners((), (3, 4, 5))),
        ("bodega.socket:https", Listeners((3, 5), (4,))),
        ("", Listeners((3, 4, 5))),
    ],
)
def test_sockets_that_are_called_https_are_for_tls(names: str, taken: Listeners) -> None:
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", "LISTEN_FDNAMES": names}
    assert take_activated(environment) == taken


@pytest.mark.parametrize("environment", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}, {"LISTEN_FDS": "2"}])
def test_sockets_of_another_process_are_left_alone(environment: dict[str, str]) -> None:
    before = dict(environment)
    assert not take_activated(environment)
    assert environment == before


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(64) == b"READY=1"


@pytest.mark.parametrize("target", ["", "/no/such/socket", "nonsense"])
def test_nobody_to_tell_is_no_error(target: str) -> None:
    notify("READY=1", {"NOTIFY_SOCKET": target})
