from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from bodega.errors import AddressInUse, EdgeError
from bodega.up import control_process, demonstration
from bodega.up.demonstration import ANY_PORTS, Demonstration, Options


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(AddressInUse, match=f"127.0.0.1:{port} is taken"):
            demonstration._ports(port, 1)


def test_any_ports_are_free_and_different() -> None:
    plain, tls = demonstration._ports(ANY_PORTS, 3)
    assert len({*plain, *tls}) == 6


def test_a_file_that_names_certificates_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "bodega.toml"
    file.write_text('[edge]\ntls = "/etc/live"\n')
    assert Demonstration(Options(file=file)).authority is None


def test_what_fails_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EdgeError("no")

    file = tmp_path / "bodega.toml"
    file.write_text("")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(demonstration, "start_edge", fail)
    monkeypatch.setattr(control_process, "is_installed", lambda: False)
    started = Demonstration(Options(file=file, port_base=ANY_PORTS))
    with pytest.raises(EdgeError):
        started.start()
    assert list(scratch.iterdir()) == []
