"""Says what is being done, for how long, and what to do when it fails.

Output of commands goes to a file under .tools/log; a failing command shows the end of it.
While a step runs, its line shows the seconds and what the command says at the moment: every second on a terminal, every
half minute elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
LOG = TOOLS / "log"


class SetupFailed(Exception):
    """A step that could not be done; the text says what to do."""


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show one step with the time it takes."""
    began = time.monotonic()
    ended = threading.Event()
    on_terminal = sys.stdout.isatty()
    ticker = threading.Thread(target=_tick, args=(what, began, ended, on_terminal), daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        _end(ticker, ended, "failed", what, began, on_terminal)
        raise
    _end(ticker, ended, "done", what, began, on_terminal)


def note(what: str) -> None:
    """Say something in passing."""
    print(f"     {what}", flush=True)


def run(
    command: Sequence[str | Path],
    *,
    log: str,
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    hint: str = "",
) -> str:
    """Run a command, keep its output in a file, and return that output.

    Args:
        command: The command and its arguments.
        log: Stem of the file under .tools/log.
        environment: Variables beside those of this process.
        folder: Where to run it.
        hint: What to do should it fail.

    Raises:
        SetupFailed: If it exits other than 0; with the end of its output.
    """
    LOG.mkdir(parents=True, exist_ok=True)
    path = LOG / f"{log}.log"
    words = [str(word) for word in command]
    try:
        _Running.log = path
        with path.open("wb") as file:
            code = subprocess.run(
                words,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
    except FileNotFoundError as error:
        raise SetupFailed(f"{words[0]} is not installed. {hint}") from error
    finally:
        _Running.log = None
    output = path.read_text(errors="replace")
    if code != 0:
        tail = "\n".join(f"  | {line}" for line in output.splitlines()[-25:])
        lines = [f"`{' '.join(words)}` ended with code {code}:", tail, f"all of it: {path.relative_to(ROOT)}", hint]
        raise SetupFailed("\n".join(line for line in lines if line))
    return output


class _Running:
    """The file that the running command writes to."""

    log: Path | None = None


def _tick(what: str, began: float, ended: threading.Event, on_terminal: bool) -> None:
    if not on_terminal:
        # A log that stays silent for minutes looks as if it hung.
        while not ended.wait(30):
            print(f"...  {what} ({_elapsed(began)}) {_last_line()}".rstrip(), flush=True)
        return
    while True:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{f'...  {what} ({_elapsed(began)}) {_last_line()}'[:width]}", end="", flush=True)
        if ended.wait(1):
            return


def _last_line() -> str:
    if _Running.log is None or not _Running.log.is_file():
        return ""
    with _Running.log.open("rb") as file:
        file.seek(max(0, _Running.log.stat().st_size - 400))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-1].split())[:60] if lines else ""


def _end(
    ticker: threading.Thread, ended: threading.Event, word: str, what: str, began: float, on_terminal: bool
) -> None:
    ended.set()
    ticker.join()
    start = "\r\x1b[K" if on_terminal else ""
    print(f"{start}{word:4} {what} ({_elapsed(began)})", flush=True)


def _elapsed(began: float) -> str:
    seconds = time.monotonic() - began
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
