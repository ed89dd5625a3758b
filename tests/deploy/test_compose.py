"""`deploy/compose.yaml`: right by the specification's schema, and what its services run works together."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.deploy.containers import Containers

from bodega.config import read_config
from bodega.testing import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
SCHEMA = json.loads((Path(__file__).parent / "compose-spec" / "compose-spec.json").read_text())


@pytest.fixture
def compose() -> dict[str, Any]:
    file: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return file


def test_it_is_a_compose_file(compose: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(compose)


def test_the_schema_finds_what_is_wrong(compose: dict[str, Any]) -> None:
    compose["services"]["edge"]["ulimit"] = compose["services"]["edge"].pop("ulimits")
    with pytest.raises(jsonschema.ValidationError, match="ulimit"):
        jsonschema.Draft7Validator(SCHEMA).validate(compose)


def test_what_it_names_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        sources = [mounted.split(":")[0] for mounted in service["volumes"]]
        assert all(source in compose["volumes"] or (DEPLOY / source).is_file() for source in sources)
        build = service["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    assert read_config(DEPLOY / "site.toml").declarations.distributions


def test_it_gives_away_little(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    # Tokens go over this port in the clear.
    assert compose["services"]["control"]["ports"] == ["127.0.0.1:9280:9280"]


@pytest.mark.timeout(240)
def test_its_services_work_together(compose: dict[str, Any], tmp_path: Path) -> None:
    beside = tmp_path / "deploy"
    beside.mkdir()
    shutil.copy(DEPLOY / "site.toml", beside)
    ports = dict(zip((9280, 8080), _free_ports(2), strict=True))
    compose["services"]["edge"]["command"][-1] = "/var/cache/bodega:300MB"
    containers = Containers(compose, tmp_path, beside, ports)
    url = f"http://127.0.0.1:{ports[8080]}/hello"
    try:
        containers.start()
        wait_until(lambda: _get(url) == b"hello from the edge\n", timeout_seconds=60)
        text = (beside / "site.toml").read_text()
        (beside / "site.toml").write_text(text.replace("hello from the edge", "hello again"))
        containers.run("publish")
        wait_until(lambda: _get(url) == b"hello again\n", timeout_seconds=60)
    finally:
        statuses = containers.stop()
    assert statuses == {"control": 0, "publish": 0, "token": 0, "edge": 0}


def _free_ports(n: int) -> list[int]:
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    found = [each.getsockname()[1] for each in with_ports]
    for each in with_ports:
        each.close()
    return found


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return b""
