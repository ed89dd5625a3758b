"""Programs that come as Debian packages.

As root they are installed; otherwise they are fetched and unpacked under .tools/debian, with a small script for each
program under .tools/bin. Where there is no apt-get, the packages are named and the setup fails.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.setup.progress import ROOT, TOOLS, SetupFailed, note, run, step

UNPACKED = TOOLS / "debian"
SCRIPTS = TOOLS / "bin"

FOR_TESTS: Mapping[str, str] = {
    "curl": "curl",
    "chromium": "chromium",
    "h2load": "nghttp2-client",
    "haproxy": "haproxy",
    "nghttp": "nghttp2-client",
    "nginx": "nginx",
    "openssl": "openssl",
    "slowhttptest": "slowhttptest",
    "systemd-analyze": "systemd",
}
"""Programs that tests start, and the packages that hold them."""

FOR_BENCHMARKS: Mapping[str, str] = {
    "nginx": "nginx",
    "haproxy": "haproxy",
    "varnishd": "varnish",
    "traffic_server": "trafficserver",
    "openssl": "openssl",
    "h2load": "nghttp2-client",
}
"""Peers and the load generator of `make bench`."""


def prepare(programs: Mapping[str, str]) -> None:
    """Bring programs that are not on PATH.

    Args:
        programs: Name of the program, and the package that holds it.
    """
    missing = {program: package for program, package in programs.items() if find(program) is None}
    if not missing:
        return
    packages = sorted(set(missing.values()))
    if shutil.which("apt-get") is None:
        raise SetupFailed(f"install with this system's package manager, then try again: {' '.join(sorted(missing))}")
    if os.geteuid() == 0:
        install(packages)
    else:
        with step(f"Debian packages {', '.join(packages)}, unpacked in .tools/debian"):
            for package in packages:
                unpack(package)
            _write_scripts(missing)
    for program, package in missing.items():
        if find(program) is None:
            raise SetupFailed(f"{program} is still missing; as root: apt-get install {package}")


def install(packages: Sequence[str]) -> None:
    """Install packages as root; daemons among them are not started."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    with step(f"Debian packages {', '.join(packages)}"), _no_daemons():
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        try:
            run(command, log="apt-install", environment=environment)
        except SetupFailed:
            # The lists may be missing (a fresh image) or older than what the archive holds.
            run(["apt-get", "update"], log="apt-update")
            run(command, log="apt-install", environment=environment, hint=f"as root: {' '.join(command)}")


def unpack(package: str) -> Path:
    """Fetch a package and what it needs, without root, and unpack them under .tools/debian.

    Returns:
        The folder that stands for `/`.
    """
    apt = TOOLS / "apt"
    for folder in (apt / "lists" / "partial", apt / "archives" / "partial", UNPACKED):
        folder.mkdir(parents=True, exist_ok=True)
    # Lists of its own: those of the system cannot be written without root, and may be missing.
    options = [
        *("-o", f"Dir::State::lists={apt / 'lists'}"),
        *("-o", f"Dir::Cache={apt}"),
        *("-o", "APT::Sandbox::User="),
    ]
    hint = f"as root: apt-get install {package}"
    if not any(path.is_file() and path.name != "lock" for path in (apt / "lists").iterdir()):
        run(["apt-get", *options, "update"], log="apt-update", hint=hint)
    plan = run(
        ["apt-get", *options, "install", "--simulate", "--no-install-recommends", package],
        log=f"apt-plan-{package}",
        hint=hint,
    )
    # A package that is installed already may still lack the file that was asked for: fetch it all the same.
    names = sorted({package, *re.findall(r"^Inst (\S+)", plan, re.MULTILINE)})
    run(["apt-get", *options, "download", *names], log=f"apt-download-{package}", folder=apt / "archives", hint=hint)
    for archive in (apt / "archives").glob("*.deb"):
        run(["dpkg", "-x", archive, UNPACKED], log="dpkg", hint=hint)
        archive.unlink()
    return UNPACKED


def find(program: str) -> str | None:
    """Where a program is: among ours, on PATH, or where daemons live."""
    path = os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def _write_scripts(programs: Mapping[str, str]) -> None:
    # A script for each program, so that the unpacked libraries are seen by these programs and by nothing else.
    libraries = sorted({str(path.parent) for path in UNPACKED.rglob("*.so*")})
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    for program in programs:
        found = _find_unpacked(program)
        if found is None:
            continue
        script = SCRIPTS / program
        script.write_text(
            "#!/bin/sh\n"
            f'export LD_LIBRARY_PATH="{":".join(libraries)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n'
            f'exec "{found}" "$@"\n'
        )
        script.chmod(0o755)
        note(f"{program}: {script.relative_to(ROOT)}")


def _find_unpacked(program: str) -> Path | None:
    # A launcher in bin (chromium's) names /usr/lib, where nothing is: what it launches is found beside it.
    launched = UNPACKED / "usr" / "lib" / program / program
    if launched.is_file():
        return launched
    return next((path for path in UNPACKED.rglob(f"*bin/{program}") if not path.is_dir()), None)


class _no_daemons:  # noqa: N801 - reads as a statement
    """Keep packages from starting their services: bodega's tests and benchmarks start what they need themselves."""

    POLICY = Path("/usr/sbin/policy-rc.d")

    def __enter__(self) -> None:
        self._ours = not self.POLICY.exists()
        if self._ours:
            self.POLICY.write_text("#!/bin/sh\nexit 101\n")
            self.POLICY.chmod(0o755)

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self.POLICY.unlink(missing_ok=True)
