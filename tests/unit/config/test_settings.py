from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bodega.certificates import CertificateFiles
from bodega.config import (
    EdgeSettings,
    listen_address,
    option_name,
    parse_config,
    settings_from,
    variable_name,
)
from bodega.errors import ConfigInvalid


def test_a_setting_has_the_same_name_everywhere() -> None:
    assert option_name("idle_timeout") == "--idle-timeout"
    assert variable_name("idle_timeout") == "BODEGA_IDLE_TIMEOUT"


def test_variables_lie_over_what_was_there() -> None:
    environment = {
        "BODEGA_MEMORY": "2GB",
        "BODEGA_THREADS": "3",
        "BODEGA_LISTEN": "127.0.0.1:1, [::1]:2",
        "BODEGA_REGION": "",
        "BODEGA_TOKEN": "not a setting of an edge",
    }
    assert settings_from(environment=environment, base=EdgeSettings(region="eu")) == EdgeSettings(
        region="eu", memory="2GB", threads=3, listen=("127.0.0.1:1", "[::1]:2")
    )


def test_options_lie_over_what_was_there_and_may_be_repeated() -> None:
    settings = settings_from(
        options={"listen": ("127.0.0.1:1", "unix:/run/x.sock"), "threads": "2"}, base=EdgeSettings(threads=3)
    )
    assert settings == EdgeSettings(threads=2, listen=("127.0.0.1:1", "unix:/run/x.sock"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": "many"}, '--threads: "many" is not a whole number'),
        ({"memory": "10"}, "--memory: 10 has no unit"),
        ({"idle_timeout": "0"}, '--idle-timeout: 0 is out of range; write "100ms" to "24h"'),
        ({"access_log_format": "xml"}, '--access-log-format: "xml" is not "json" or "combined"'),
        (
            {"memory_policy": "shelv"},
            '--memory-policy: "shelv" is not "shelf" or "lru" or "s3fifo"; did you mean "shelf"?',
        ),
        ({"admin_tls_cert": "x"}, "--admin-tls-key: a certificate and its key belong together"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        settings_from(options=options)
    assert str(caught.value).startswith(message)


def test_a_variable_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ConfigInvalid, match=r"^BODEGA_LISTEN: \"8080\" is only a port"):
        settings_from(environment={"BODEGA_LISTEN": "8080"})


@pytest.mark.parametrize(
    ("listen", "listen_tls", "addresses"),
    [
        ("127.0.0.1:8080", (), ("127.0.0.1:8443",)),
        (("unix:/run/x.sock", "0.0.0.0:80", ":8080"), (), ("0.0.0.0:443",)),
        ("[::]:80", (), ("[::]:443",)),
        (":0", (), ("127.0.0.1:0",)),
        ("unix:/run/x.sock", (), ("127.0.0.1:8443",)),
        ((), (), ("127.0.0.1:8443",)),
        (":80", (":9443", "unix:/run/tls.sock"), ("127.0.0.1:9443", "unix:/run/tls.sock")),
    ],
)
def test_tls_has_the_usual_port_beside_the_first_address(
    listen: str | tuple[str, ...], listen_tls: tuple[str, ...], addresses: tuple[str, ...]
) -> None:
    assert EdgeSettings(listen=listen, listen_tls=listen_tls, tls="dev").tls_addresses == addresses
    if listen:
        assert EdgeSettings(listen=listen).tls_addresses == ()


def test_the_port_beside_follows_what_is_said_last() -> None:
    from_file = EdgeSettings(tls="dev", listen=":80")
    assert settings_from(options={"listen": (":0",)}, base=from_file).tls_addresses == ("127.0.0.1:0",)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("dev", "dev"),
        (["dev"], "dev"),
        ("./dev", ("./dev",)),
        (["a.pem", CertificateFiles("b.pem", "b.key")], ("a.pem", CertificateFiles("b.pem", "b.key"))),
        (CertificateFiles("b.pem", "b.key"), (CertificateFiles("b.pem", "b.key"),)),
    ],
)
def test_certificates_are_files_folders_and_pairs(written: Any, kept: object) -> None:
    assert EdgeSettings(tls=written).tls == kept


def test_certificates_and_flags_are_options_and_variables_too() -> None:
    settings = settings_from(options={"tls": ("a.pem", "/etc/live"), "http2": "no", "tls_strict_names": "true"})
    assert (settings.tls, settings.http2, settings.tls_strict_names) == (("a.pem", "/etc/live"), False, True)
    assert settings_from(environment={"BODEGA_TLS": "dev", "BODEGA_HTTP2": "off"}) == EdgeSettings(
        tls="dev", http2=False
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen_tls = ':1'", "edge.listen_tls: TLS needs a certificate; name its file or folder in `tls`"),
        ("tls_client_auth = 'required'", "edge.tls_client_auth: client certificates are checked against authorities"),
        (
            "tls_client_ca = 'x'",
            "edge.tls_client_ca: nobody is asked for a client certificate; add",
        ),
        (
            "tls_client_ca = 'x'\ntls_client_auth = 'optional'",
            "edge.tls_client_auth: TLS needs a certificate; name its file or folder",
        ),
        ("tls = []", "edge.tls: no certificate is named"),
        ("tls = ['x', 'dev']", 'edge.tls[1]: "dev" stands alone'),
        ("tls = ['']", "edge.tls[0]: an empty path names no file"),
        ("tls = 5", "edge.tls: 5 is not a list"),
        ("tls = { certificate = 'x' }", "edge.tls: `key` is missing"),
        ("tls = [ { certificate = 'x', key = '' } ]", "edge.tls[0].key: an empty path names no file"),
        ("tls = 'dev'\nlisten = ':8443'", "edge.tls: 127.0.0.1:8443 is for HTTP already; say with `listen_tls`"),
        ("tls = 'dev'\nlisten_tls = ':8080'", "edge.listen_tls[0]: 127.0.0.1:8080 is there twice"),
        ("tls_min_version = 1.3", 'edge.tls_min_version: 1.3 is not "1.2" or "1.3"; did you mean "1.3"?'),
        ("tls_min_version = '1.1'", 'edge.tls_min_version: "1.1" is not "1.2" or "1.3"'),
        ("http2 = 'yes'", 'edge.http2: "yes" is not true or false'),
        ("max_streams = 0", "edge.max_streams: 0 is out of range; write 1 to 1000"),
        ("max_handshakes = 0", "edge.max_handshakes: 0 is out of range"),
        ("handshake_timeout = '0'", 'edge.handshake_timeout: 0 is out of range; write "100ms" to "24h"'),
        ("proxy_protocol = ['10.0.0.1/8']", "edge.proxy_protocol[0]:"),
    ],
)
def test_what_is_wrong_about_tls_is_explained_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(f"[edge]\n{text}\n").settings()
    assert f": {message}" in str(caught.value)
    assert caught.value.line in (2, 3)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        (":8080", "127.0.0.1:8080"),
        (":0", "127.0.0.1:0"),
        ("localhost:80", "127.0.0.1:80"),
        ("*:80", "0.0.0.0:80"),
        ("[::1]:80", "[::1]:80"),
        ("[0:0::1]:80", "[::1]:80"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:///run/x.sock", "unix:/run/x.sock"),
    ],
)
def test_an_address_to_listen_on_has_one_form(written: str, address: str) -> None:
    assert listen_address(written) == address


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("8080", 'did you mean "127.0.0.1:8080"?'),
        ("127.0.0.1", 'add a port: "127.0.0.1:8080"'),
        ("::1", 'add a port: "[::1]:8080"'),
        ("http://127.0.0.1:8080", 'did you mean "127.0.0.1:8080"?'),
        ("/run/x.sock", 'did you mean "unix:/run/x.sock"?'),
        ("shop.example.com:80", "listen on an address"),
        ("127.0.0.1:99999", "0 to 65535"),
        ("unix:x.sock", "did you mean"),
        ("unix:/" + "x" * 200, "107 bytes"),
        ("", "127.0.0.1:8080"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(written: str, hint: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        listen_address(written)
    assert hint in caught.value.hint


def test_the_token_is_never_shown() -> None:
    settings = EdgeSettings(admin_token="0123456789abcdef0123")
    assert "0123456789" not in repr(settings)
    with pytest.raises(ConfigInvalid) as caught:
        dataclasses.replace(settings, admin_token="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"admin": "0.0.0.0:1"},
        {"admin": "[::]:1", "admin_token": "0123456789abcdef"},
        {"admin": "10.0.0.1:1", "admin_tls_cert": "c", "admin_tls_key": "k"},
        {"listen": ()},
        {"listen": ("127.0.0.1:1", "127.0.0.1:1")},
        {"max_header": "2MiB"},
        {"max_header": "1B"},
        {"memory": "1kB"},
        {"fill_window": "1kB"},
        {"confirm_rate": 0},
        {"confirm_rate": 10_001},
        {"disk": "/var/cache/bodega"},
        {"disk": "cache:1GB"},
        {"disk": "/var/cache/bodega:1MB"},
        {"disk": "/var/cache/bodega:much"},
        {"name": "a b"},
        {"trusted_proxies": ["10.0.0.1/8"]},
        {"access_log": ""},
        {"threads": 0},
    ],
    ids=str,
)
def test_settings_that_contradict_themselves_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigInvalid):
        EdgeSettings(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "environment", "options"),
    [
        ("listen_tls = ':9443'", {}, {"tls": ("dev",)}),
        ("", {"BODEGA_LISTEN_TLS": ":9443"}, {"tls": ("dev",)}),
        ("tls_client_ca = 'x'", {"BODEGA_TLS": "dev"}, {"tls_client_auth": "required"}),
        ("admin = '0.0.0.0:1'\nadmin_tls_cert = 'c'\nadmin_tls_key = 'k'", {"BODEGA_ADMIN_TOKEN": "x" * 16}, {}),
        ("listen = ':1'\nlisten_tls = ':1'\ntls = 'dev'", {}, {"listen_tls": (":2",)}),
        ("listen = []", {}, {"tls": ("dev",)}),
    ],
)
def test_what_one_place_leaves_open_another_may_say(
    text: str, environment: dict[str, str], options: dict[str, str | tuple[str, ...]]
) -> None:
    config = parse_config(f"[edge]\n{text}\n")
    assert settings_from(config, environment, options) != EdgeSettings()
    with pytest.raises(ConfigInvalid):
        settings_from(config, environment if options else {})


@pytest.mark.parametrize(
    ("text", "environment", "options", "message"),
    [
        ("listen_tls = ':9443'", {"BODEGA_NAME": "x"}, {"name": "y"}, "bodega.toml:2: edge.listen_tls: TLS needs"),
        ("name = 'x'", {"BODEGA_LISTEN_TLS": ":9443"}, {"name": "y"}, "BODEGA_LISTEN_TLS: TLS needs"),
        ("name = 'x'", {"BODEGA_NAME": "x"}, {"listen_tls": (":9443",)}, "--listen-tls: TLS needs"),
        ("name = 'x'", {"BODEGA_ADMIN_TLS_CERT": "x"}, {}, "BODEGA_ADMIN_TLS_KEY: a certificate and its key"),
        ("admin_tls_cert = 'x'", {}, {}, "bodega.toml:1: edge.admin_tls_key: a certificate and its key"),
    ],
)
def test_a_contradiction_is_named_by_where_its_setting_was_written(
    text: str, environment: dict[str, str], options: dict[str, str | tuple[str, ...]], message: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        settings_from(parse_config(f"[edge]\n{text}\n"), environment, options)
    assert str(caught.value).startswith(message)


CONTROL = "https://control.example.com"


def test_whom_to_follow_is_set_like_everything_else() -> None:
    options: dict[str, str | tuple[str, ...]] = {
        "control": f"{CONTROL}/",
        "place": ("-33.9,151.2",),
        "capacity": "2.5",
        "follow": "poll",
        "control_insecure": "true",
    }
    settings = settings_from(options=options, environment={"BODEGA_KIND": "shield", "BODEGA_CATCH_UP_WAIT": "0s"})
    assert (settings.control, settings.place, settings.capacity) == (CONTROL, (-33.9, 151.2), 2.5)
    assert (settings.follow, settings.kind, settings.control_insecure) == ("poll", "shield", True)
    assert settings.catch_up_wait == "0s"
    from_file = parse_config(f"[edge]\ncontrol = '{CONTROL}'\nplace = [35.7, 139]\ncapacity = 3\n").settings()
    assert (from_file.control, from_file.place, from_file.capacity) == (CONTROL, (35.7, 139.0), 3.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "control = 'control.example.com'",
            'edge.control: "control.example.com" is no URL of a control process; write',
        ),
        ("control = 'ftp://x'", 'edge.control: "ftp://x" is no URL of a control process'),
        ("control = 'https://x/v1'", 'edge.control: "https://x/v1" is no URL of a control process'),
        ("control = 'https://x:port'", 'edge.control: "https://x:port" is no URL of a control process'),
        ("control = 'https://'", 'edge.control: "https://" is no URL of a control process'),
        ("control = 'http://10.0.0.1:9280'", "edge.control: plain HTTP to 10.0.0.1 would show the token"),
        ("control = 'http://[2001:db8::1]:9280'", "edge.control: plain HTTP to 2001:db8::1 would show the token"),
        (f"control = '{CONTROL}'\nname = 'Tokyo_1'", 'edge.name: "Tokyo_1" is no name of an edge in a fleet'),
        ("control_token_file = ''", "edge.control_token_file: an empty path names no file"),
        ("follow = 'pull'", 'edge.follow: "pull" is not "stream" or "poll"'),
        ("poll_every = '10ms'", 'edge.poll_every: 10ms is out of range; write "1s" to "1h"'),
        ("catch_up_wait = '1h'", 'edge.catch_up_wait: 1h is out of range; write "0s" to "1m"'),
        ("kind = 'tiny'", 'edge.kind: "tiny" is not'),
        ("place = [91, 0]", "edge.place: 91.0 is out of range; write latitude and longitude"),
        ("place = [0, 181]", "edge.place[1]: 181 is out of range"),
        ("place = [1]", "edge.place: a place has two numbers, and here are 1"),
        ("place = ['a', 'b']", 'edge.place[0]: "a" is not a number'),
        ("place = [nan, 0]", "edge.place[0]: nan is out of range"),
        ("capacity = 0", "edge.capacity: 0 is out of range"),
        ("capacity = true", "edge.capacity: true is not a number"),
    ],
)
def test_what_is_wrong_about_whom_to_follow_is_explained_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_config(f"[edge]\n{text}\n").settings()
    assert f": {message}" in str(caught.value)
    assert caught.value.line in (2, 3)


def test_a_password_in_the_url_of_a_control_process_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigInvalid, match="the token goes into a file") as caught:
        EdgeSettings(control="https://edge:hunter2@control.example.com")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.0.1", "localhost", "control.localhost", "[::1]"])
def test_plain_http_within_this_machine_needs_not_be_asked_for(host: str) -> None:
    assert EdgeSettings(control=f"http://{host}:9280").control == f"http://{host}:9280"


def test_plain_http_beyond_it_has_to_be_asked_for() -> None:
    assert EdgeSettings(control="http://10.0.0.1:9280", control_insecure=True).control == "http://10.0.0.1:9280"


@pytest.mark.parametrize("admin", ["off", "127.0.0.1:0", "[::1]:9180", "unix:/run/x.sock"])
def test_an_admin_listener_of_this_machine_needs_no_token(admin: str) -> None:
    assert EdgeSettings(admin=admin).admin == admin
