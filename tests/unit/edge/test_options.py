from __future__ import annotations

import json

from bodega.config import EdgeSettings
from bodega.edge.options import n_cores, native_options


def test_settings_become_plain_numbers_with_every_default_filled_in() -> None:
    options = json.loads(
        native_options(EdgeSettings(memory="1GiB", idle_timeout="1m30s", trusted_proxies="10.0.0.0/8"))
    )
    assert options == {
        "name": "bodega",
        "region": "local",
        "listen": ["127.0.0.1:8080"],
        "threads": n_cores(),
        "memory_bytes": 1_073_741_824,
        "admin": None,
        "admin_token": None,
        "admin_tls_cert": None,
        "admin_tls_key": None,
        "trusted_proxies": ["10.0.0.0/8"],
        "debug_networks": [],
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
    }


def test_what_is_off_is_null() -> None:
    options = json.loads(native_options(EdgeSettings(admin="off", access_log="-", threads=3)))
    assert (options["admin"], options["access_log"], options["threads"]) == (None, "-", 3)
