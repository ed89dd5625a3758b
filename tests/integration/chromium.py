"""Chromium, as tests of pages have it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@contextmanager
def launched() -> Iterator[Browser]:
    """Run it without a window until the block ends."""
    program = shutil.which("chromium")
    assert program, "`make test` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS, headless=True)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """Open a page that notes what goes wrong. The authority of a test is none that a browser knows."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(f"{request.url}: {request.failure}"))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    try:
        yield page, problems
    finally:
        context.close()
