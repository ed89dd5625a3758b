"""Ask the public suite for HTTP caches what it thinks of an edge, with what is kept in memory or on disk alone.

`python -m tests.conformance.public_suite FOLDER --mode rfc --on-disk` runs https://github.com/http-tests/cache-tests,
which lies in FOLDER with its dependencies (`npm install` there), against an edge of this tree, and prints how many of
its required and optimal tests pass, and which do not. It takes about a minute; with `--on-disk` two.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.conformance.forgetful_edge import ForgetfulEdge

from bodega import DiskTier
from bodega.distributions import Behavior, CachePolicy, Distribution
from bodega.edge import EdgeServer
from bodega.testing import free_port

KINDS = ("required", "optimal")
"""What is judged; the rest of its tests only look."""

_LIST = """
import tests from './tests/index.mjs'
const kinds = {}
for (const suite of tests) for (const test of suite.tests) {
  if (!test.browser_only) kinds[test.id] = test.kind ?? 'required'
}
console.log(JSON.stringify(kinds))
"""


@dataclass(frozen=True, slots=True)
class Score:
    """What came of one run.

    Attributes:
        passed: By kind, how many tests passed.
        failed: By kind, what did not, and why.
        n_restarts: How often the edge was started anew meanwhile.
        n_from_disk: How many answers came from its disk.
    """

    passed: Mapping[str, int]
    failed: Mapping[str, Mapping[str, str]]
    n_restarts: int
    n_from_disk: int

    def lines(self) -> list[str]:
        """Lay it out for people."""
        lines = []
        for kind in KINDS:
            lines.append(f"{kind}: {self.passed[kind]}/{self.passed[kind] + len(self.failed[kind])}")
            lines += [f"  {test}: {why}" for test, why in sorted(self.failed[kind].items())]
        if self.n_restarts:
            lines.append(f"{self.n_from_disk} answers came from disk, in {self.n_restarts + 1} lives of the edge")
        return lines


def main() -> int:
    """Run it.

    Returns:
        0 if it ran; what passes is for the reader to judge.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.public_suite", description=main.__doc__)
    parser.add_argument("suite", type=Path, help="the suite's folder")
    parser.add_argument("--mode", choices=("safe", "rfc"), default="rfc", help="of the edge's policy (default: rfc)")
    parser.add_argument("--on-disk", action="store_true", help="nothing that is asked for again is in memory")
    parser.add_argument("--json", action="store_true", help="one document on standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _server(options.suite, Path(folder)) as origin:
        edge = EdgeServer(
            distribution=_distribution(origin, options.mode),
            disk=DiskTier(path=f"{folder}/disk", size="64MiB", reserve="0", admission="always")
            if options.on_disk
            else None,
        )
        with edge:
            score = asyncio.run(_run(options.suite, edge, is_forgetful=options.on_disk))
    if options.json:
        document = {name: getattr(score, name) for name in Score.__dataclass_fields__}
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(score.lines()))
    return 0


def _distribution(origin: str, mode: Literal["safe", "rfc"]) -> Distribution:
    policy = CachePolicy(extends="rfc", mode=mode)
    return Distribution("suite", hosts="*", behaviors=[Behavior(origin=origin, policy=policy)])


@contextmanager
def _server(suite: Path, folder: Path) -> Iterator[str]:
    """Run the suite's origin."""
    port = free_port()
    settings = {"protocol": "http", "port": str(port), "pidfile": str(folder / "pid")}
    process = subprocess.Popen(
        ["node", "test-engine/server/server.mjs"], cwd=suite, env=_environment(**settings), stdout=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/package.json"):
                break
        yield url
    finally:
        process.kill()
        process.wait()


async def _run(suite: Path, edge: EdgeServer, *, is_forgetful: bool) -> Score:
    if not is_forgetful:
        return _score(await _kinds(suite), await _results(suite, edge.url), 0, 0)
    forgetful = ForgetfulEdge(edge, _subject)
    listener = await asyncio.start_server(forgetful.serve, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        results = await _results(suite, f"http://127.0.0.1:{port}")
    return _score(await _kinds(suite), results, forgetful.n_restarts, forgetful.n_from_disk)


def _subject(target: str) -> str | None:
    """Return which test a request belongs to; others set it up, or ask what came of it."""
    _, kind, *rest = target.split("?", maxsplit=1)[0].split("/")
    return rest[0] if kind == "test" and rest else None


def _score(kinds: Mapping[str, str], results: Mapping[str, Any], n_restarts: int, n_from_disk: int) -> Score:
    passed = dict.fromkeys(KINDS, 0)
    failed: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for test, kind in kinds.items():
        if kind not in KINDS:
            continue
        result = results.get(test, ["-", "it did not run"])
        if result is True:
            passed[kind] += 1
        else:
            failed[kind][test] = ": ".join(str(part) for part in result)
    return Score(passed, failed, n_restarts, n_from_disk)


async def _kinds(suite: Path) -> dict[str, str]:
    kinds: dict[str, str] = await _node(suite, "--input-type=module", "-e", _LIST)
    return kinds


async def _results(suite: Path, base: str) -> dict[str, Any]:
    results: dict[str, Any] = await _node(suite, "--no-warnings", "test-engine/cli.mjs", base=base)
    return results


async def _node(suite: Path, *arguments: str, **settings: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        "node", *arguments, cwd=suite, env=_environment(**settings), stdout=subprocess.PIPE
    )
    written, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"node {arguments[0]} ended with {process.returncode}: has `npm install` been run in {suite}?")
    return json.loads(written)


def _environment(**settings: str) -> dict[str, str]:
    # As npm would say it; no `id` means every test.
    return {**os.environ, "npm_package_config_id": "", **{f"npm_config_{name}": it for name, it in settings.items()}}


if __name__ == "__main__":
    sys.exit(main())
