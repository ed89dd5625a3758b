from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tests.certificates import make_authority

from bodega.certificates import CertificateFiles
from bodega.config import DiskTier, EdgeSettings
from bodega.edge.onnxruntime_library import onnxruntime_library
from bodega.edge.options import n_cores, native_options
from bodega.errors import ConfigInvalid


def test_settings_become_plain_numbers_with_every_default_filled_in() -> None:
    options = json.loads(
        native_options(EdgeSettings(memory="1GiB", idle_timeout="1m30s", trusted_proxies="10.0.0.0/8"))
    )
    assert options == {
        "name": "bodega",
        "region": "local",
        "listen": ["127.0.0.1:8080"],
        "listen_tls": [],
        "tls_certificates": [],
        "tls_min_version": "1.2",
        "tls_strict_names": False,
        "tls_client_ca": None,
        "tls_client_auth": "off",
        "http2": True,
        "max_streams": 128,
        "handshake_timeout_seconds": 10.0,
        "max_handshakes": 1_024,
        "proxy_protocol": [],
        "threads": n_cores(),
        "memory_bytes": 1_073_741_824,
        "memory_policy": "shelf",
        "disk": None,
        "admin": None,
        "admin_token": None,
        "admin_tls_cert": None,
        "admin_tls_key": None,
        "trusted_proxies": ["10.0.0.0/8"],
        "debug_networks": [],
        "purge_networks": ["127.0.0.0/8", "::1/128"],
        "access_log": None,
        "access_log_format": "json",
        "max_connections": 16_384,
        "max_connections_per_client": 2_048,
        "max_header_bytes": 32_768,
        "max_body_bytes": 10_000_000_000,
        "header_timeout_seconds": 10.0,
        "idle_timeout_seconds": 90.0,
        "body_timeout_seconds": 30.0,
        "write_timeout_seconds": 30.0,
        "fill_window_bytes": 8_388_608,
        "confirm_rate": 50,
        "onnxruntime": onnxruntime_library(),
        "python": sys.executable,
    }


def test_certificates_stand_as_pairs_of_files_with_the_address_beside_that_of_http(tmp_path: Path) -> None:
    authorities = tmp_path / "clients.pem"
    authorities.write_bytes(make_authority().pem)
    settings = EdgeSettings(
        listen="10.0.0.1:80", tls="a.pem", tls_client_ca=str(authorities), tls_client_auth="required", http2=False
    )
    options = json.loads(native_options(settings, [CertificateFiles("a.pem", "a.key")]))
    assert options["tls_certificates"] == [{"certificate": "a.pem", "key": "a.key"}]
    assert options["listen_tls"] == ["10.0.0.1:443"]
    assert (options["tls_client_ca"], options["tls_client_auth"]) == (str(authorities), "required")
    assert options["http2"] is False
    assert "tls" not in options


def test_authorities_that_are_not_there_are_named() -> None:
    settings = EdgeSettings(tls="a.pem", tls_client_ca="/none/clients.pem", tls_client_auth="optional")
    with pytest.raises(ConfigInvalid, match=r"^tls_client_ca: /none/clients.pem: there is no such file"):
        native_options(settings)


def test_the_disk_tier_is_a_table_however_it_was_written() -> None:
    tier = {
        "path": "/var/cache/bodega",
        "size_bytes": 100_000_000_000,
        "reserve_bytes": None,
        "admission": "second",
        "policy": "shelf",
        "rebuild": False,
    }
    written = ("/var/cache/bodega:100GB", DiskTier(path="/var/cache/bodega", size="100GB"))
    for disk in written:
        assert json.loads(native_options(EdgeSettings(disk=disk)))["disk"] == tier
    always = DiskTier(path="~/cache", size="1GiB", reserve="2GB", admission="always")
    options = json.loads(native_options(EdgeSettings(disk=always)))["disk"]
    assert options["path"] == str(Path("~/cache").expanduser())
    assert (options["reserve_bytes"], options["admission"]) == (2_000_000_000, "always")


def test_what_is_off_is_null() -> None:
    options = json.loads(native_options(EdgeSettings(admin="off", access_log="-", threads=3)))
    assert (options["admin"], options["access_log"], options["threads"]) == (None, "-", 3)


def test_the_library_of_models_is_found_where_its_package_is() -> None:
    found = onnxruntime_library()
    assert found is not None
    assert Path(found).is_file()
    assert "providers" not in Path(found).name


def test_the_library_of_models_is_found_and_told_to_call_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert onnxruntime_library() is not None, "the extra `models` is installed for the tests"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    onnxruntime_library()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0", "whoever wants it has it"
