"""Settings as the native core takes them: plain numbers, every default filled in."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.certificates import check_authorities
from bodega.config import ControlSettings, DiskTier
from bodega.distributions.shapes import DurationShape, SizeShape, about_field
from bodega.edge.certificates import certificate_entries
from bodega.edge.onnxruntime_library import onnxruntime_library
from bodega.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.certificates import CertificateFiles
    from bodega.config import EdgeSettings


def native_options(settings: EdgeSettings, certificates: Sequence[CertificateFiles] = (), *, hold: bool = False) -> str:
    """Write settings as the JSON that `NativeEdge` takes.

    Args:
        settings: Checked settings; ``"off"`` and what is not given become null.
        certificates: What `settings.tls` names, as it was found; the first is the default.
        hold: Leave clients in the system's queue until the edge is told to serve.

    Raises:
        ConfigInvalid: If the file of authorities for client certificates cannot be used.
    """
    if settings.tls_client_ca is not None:
        check_authorities(settings.tls_client_ca)
    options: dict[str, object] = {}
    # What only whoever follows the control process asks for.
    of_the_fleet = {described.name for described in fields(ControlSettings)}
    for described in fields(settings):
        if described.name in of_the_fleet:
            continue
        value = getattr(settings, described.name)
        about = about_field(described)
        assert about is not None, "every setting is described"
        if isinstance(about.shape, DurationShape):
            options[f"{described.name}_seconds"] = parse_duration(value)
        elif isinstance(about.shape, SizeShape):
            options[f"{described.name}_bytes"] = parse_size(value)
        else:
            options[described.name] = list(value) if isinstance(value, tuple) else value
    options["disk"] = _disk_options(settings.disk)
    del options["tls"]
    options["tls_certificates"] = certificate_entries(certificates)
    options["listen_tls"] = list(settings.tls_addresses)
    if settings.tls_client_ca is not None:
        options["tls_client_ca"] = str(Path(settings.tls_client_ca).expanduser())
    options["threads"] = settings.threads or n_cores()
    options["onnxruntime"] = onnxruntime_library()
    options["python"] = _interpreter()
    for name in ("admin", "access_log"):
        if options[name] == "off":
            options[name] = None
    if hold:
        options["hold"] = True
    return json.dumps(options)


def _disk_options(disk: object) -> dict[str, object] | None:
    if disk is None:
        return None
    assert isinstance(disk, DiskTier), "checked settings hold no short form"
    return {
        "path": str(Path(disk.path).expanduser()),
        "size_bytes": parse_size(disk.size),
        "reserve_bytes": None if disk.reserve is None else parse_size(disk.reserve),
        "admission": disk.admission,
        "policy": disk.policy,
        "rebuild": disk.rebuild,
    }


def _interpreter() -> str | None:
    """Find what workers of models are started with; None where Python is part of another program."""
    return sys.executable if Path(sys.executable or "").name.startswith(("python", "pypy")) else None


def n_cores() -> int:
    """Count the cores that this process may use, within containers and CPU sets too."""
    return max(1, len(os.sched_getaffinity(0)))
