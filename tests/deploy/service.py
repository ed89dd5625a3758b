"""Runs a unit as systemd would, as far as these tests need it: environment, folders, credentials, sockets."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60.0
PROGRAM = Path(sys.executable).with_name("bodega")


@dataclass
class Unit:
    """A unit file: its settings in order, by section."""

    path: Path
    settings: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        section = ""
        for line in self.path.read_text().splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("["):
                section = line.strip("[]")
            else:
                name, _, value = line.partition("=")
                self.settings.setdefault(section, []).append((name, value))

    def all(self, section: str, name: str) -> list[str]:
        """Return what a setting says, each time it stands there."""
        return [value for key, value in self.settings[section] if key == name]

    def one(self, section: str, name: str) -> str:
        """Return what a setting says last; empty if nothing."""
        return next(iter(reversed(self.all(section, name))), "")


class Service:
    """A service that runs, below a folder that stands for the machine's own."""

    def __init__(self, unit: Unit, root: Path, listener: socket.socket | None = None) -> None:
        self.unit = unit
        self._root = root
        self._listener = listener
        self._process: subprocess.Popen[bytes] | None = None
        self.log = root / f"{unit.path.stem}.log"

    def start(self) -> None:
        """Start it, and wait until it says that it is ready."""
        assert self.unit.one("Service", "Type") == "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            told = self._root / f"{self.unit.path.stem}.notify"
            told.unlink(missing_ok=True)
            manager.bind(str(told))
            manager.settimeout(SECONDS)
            environment = {**self._environment(), "NOTIFY_SOCKET": str(told)}
            command = self._command("ExecStart", environment)
            assert command[0] == "/usr/local/bin/bodega"
            command[0] = str(PROGRAM)
            with self.log.open("ab") as log:
                if self._listener is None:
                    self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
                else:
                    wrapped = [sys.executable, "-c", _ACTIVATE, str(self._listener.fileno()), *command]
                    descriptors = [self._listener.fileno()]
                    self._process = subprocess.Popen(
                        wrapped, env=environment, stdout=log, stderr=log, pass_fds=descriptors
                    )
            try:
                assert manager.recv(64) == b"READY=1"
            except TimeoutError:
                raise AssertionError(f"not ready:\n{self.log.read_text()}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it within the time that the unit gives it; return its status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(float(self.unit.one("Service", "TimeoutStopSec")))
        finally:
            process.kill()

    def _environment(self) -> dict[str, str]:
        credentials = self._root / "credentials" / self.unit.path.stem
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "CREDENTIALS_DIRECTORY": str(credentials)}
        for name in ("State", "Cache", "Runtime"):
            for folder in self.unit.all("Service", f"{name}Directory"):
                path = self._root / _FOLDERS[name] / folder
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                environment[f"{name.upper()}_DIRECTORY"] = str(path)
        for written in self.unit.all("Service", "LoadCredential"):
            name, _, source = written.partition(":")
            credentials.mkdir(mode=0o700, parents=True, exist_ok=True)
            (credentials / name).write_bytes(self.path(source).read_bytes())
        for written in self.unit.all("Service", "Environment"):
            name, _, value = written.partition("=")
            environment[name] = value.replace("%d", str(credentials)).replace("%t", str(self._root / "run"))
        for file in self.unit.all("Service", "EnvironmentFile"):
            lines = self.path(file).read_text().splitlines()
            environment |= dict(line.split("=", 1) for line in lines)
        return environment

    def path(self, of_machine: str) -> Path:
        """Return where a path of the machine is here."""
        return self._root / of_machine.lstrip("/")

    def _command(self, name: str, environment: dict[str, str]) -> list[str]:
        written = shlex.split(self.unit.one("Service", name))
        return [re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word) for word in written]


_FOLDERS = {"State": "var/lib", "Cache": "var/cache", "Runtime": "run"}
_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[2], sys.argv[2:])
"""
