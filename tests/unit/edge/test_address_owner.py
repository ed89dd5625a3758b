from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bodega.edge.address_owner import find_owner, free_neighbor, is_free
from bodega.edge.listening import explain_start_error
from bodega.errors import AddressInUse, AddressInvalid, ConfigInvalid, EdgeError


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_listens_on_a_port_is_found(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as held:
        held.bind((host, 0))
        held.listen()
        shown = f"[{host}]" if ":" in host else host
        address = f"{shown}:{held.getsockname()[1]}"
        assert str(os.getpid()) in (find_owner(address) or "")
        assert not is_free(address)
        neighbor = free_neighbor(address)
        assert neighbor is not None
        assert neighbor.startswith(shown)


def test_whoever_listens_on_all_addresses_holds_each() -> None:
    with socket.socket() as held:
        held.bind(("0.0.0.0", 0))
        held.listen()
        assert find_owner(f"127.0.0.1:{held.getsockname()[1]}")


def test_who_listens_on_a_path_is_found(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(tmp_path / "x.sock"))
        held.listen()
        assert str(os.getpid()) in (find_owner(f"unix:{tmp_path / 'x.sock'}") or "")


def test_nobody_holds_a_free_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert find_owner(f"127.0.0.1:{port}") is None


def test_an_address_in_use_is_explained_with_its_owner_and_the_way_out() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        address = f"127.0.0.1:{held.getsockname()[1]}"
        error = explain_start_error(OSError("in use"), ["127.0.0.1:0", address], [], None)
        assert isinstance(error, AddressInUse)
        assert error.what.startswith(f"{address} is taken by ")
        assert "use `--listen 127.0.0.1:" in error.hint
        assert "or `:0`" in error.hint
        assert "--admin" in explain_start_error(OSError("in use"), [], [], address).hint
        assert "--listen-tls" in explain_start_error(OSError("in use"), [], [address], None).hint


def test_a_path_in_use_and_a_path_left_behind_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(path))
        held.listen()
        assert isinstance(explain_start_error(OSError("x"), [f"unix:{path}"], [], None), AddressInUse)
    assert type(explain_start_error(OSError("x"), [f"unix:{path}"], [], None)) is EdgeError


@pytest.mark.parametrize("address", ["192.0.2.1:8080", "unix:/no/such/folder/x.sock"])
def test_an_address_that_this_machine_does_not_have_is_explained(address: str) -> None:
    assert isinstance(explain_start_error(OSError("x"), [address], [], None), AddressInvalid)


def test_an_error_of_the_configuration_is_not_explained_away() -> None:
    error = ConfigInvalid("no")
    assert explain_start_error(error, ["192.0.2.1:8080"], [], None) is error
