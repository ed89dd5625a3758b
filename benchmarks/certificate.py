"""The certificate that all servers show: ECDSA with P-256, made for one measurement."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import programs
from benchmarks.failure import MeasurementFailed
from benchmarks.subjects import TlsPlace


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, each in a file, and both in one."""

    file: Path
    key: Path
    both: Path

    def at(self, port: int) -> TlsPlace:
        """Return what a server needs that speaks TLS at a port."""
        return TlsPlace(port=port, certificate=self.file, key=self.key, both=self.both)


def make(folder: Path) -> Certificate:
    """Make one that signs itself.

    Args:
        folder: A folder to make, for its files.

    Raises:
        MeasurementFailed: If openssl does not make it.
    """
    folder.mkdir()
    made = Certificate(file=folder / "certificate.pem", key=folder / "key.pem", both=folder / "both.pem")
    command = [
        *(programs.find("openssl"), "req", "-x509", "-nodes", "-days", "30"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example,IP:127.0.0.1"),
        # The client takes it as a server's own, not as that of an authority.
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-keyout", str(made.key), "-out", str(made.file)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise MeasurementFailed(f"openssl made no certificate: {done.stderr.strip()}")
    made.both.write_text(made.file.read_text() + made.key.read_text())
    return made
