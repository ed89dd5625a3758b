"""Chromium, as a person has it: a page of many parts and a film, over HTTP/2, without an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error
from tests.integration.chromium import launched, opened
from tests.integration.conftest import KEPT, Front

from bodega.testing import Answer, Origin, Received

N_PARTS = 100
PAGE = f"""<!doctype html><title>bodega</title><link rel="icon" href="data:,">
{"".join(f'<script src="/part/{n}.js"></script>' for n in range(N_PARTS))}"""
FILM = bytes(range(256)) * 4096


def answer(asked: Received) -> Answer:
    if asked.target == "/":
        return Answer(PAGE.encode(), headers={**KEPT, "Content-Type": "text/html; charset=utf-8"})
    if asked.target.startswith("/part/"):
        body = b"window.n_parts = (window.n_parts || 0) + 1;"
        return Answer(body, headers={**KEPT, "Content-Type": "text/javascript"})
    if asked.target == "/film":
        return Answer(FILM, headers={**KEPT, "Content-Type": "video/mp4", "ETag": '"film"', "Accept-Ranges": "bytes"})
    return Answer(asked.body, headers={"Cache-Control": "no-store"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as running:
        yield running


@pytest.mark.timeout(120)
def test_a_page_with_many_parts_comes_over_http2(front: Front, browser: Browser) -> None:
    with Origin({"*": answer}) as origin:
        edge = front(origin)
        for _ in range(2):
            with opened(browser) as (page, problems):
                page.goto(f"{edge.tls}/", wait_until="load")
                assert page.evaluate("window.n_parts") == N_PARTS
                protocols = page.evaluate(
                    "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                    ".filter(each => each.name.startsWith('https')).map(each => each.nextHopProtocol)"
                )
                assert protocols == ["h2"] * (N_PARTS + 1)
                assert problems == []
        assert origin.n_requests == N_PARTS + 1


@pytest.mark.timeout(120)
def test_a_film_is_read_in_parts_and_a_form_is_sent(front: Front, browser: Browser) -> None:
    with Origin({"*": answer}) as origin:
        edge = front(origin)
        with opened(browser) as (page, problems):
            page.goto(f"{edge.tls}/", wait_until="load")
            parts = page.evaluate(
                """async () => {
                    const found = [];
                    for (const range of ['bytes=0-', 'bytes=1000-1999', 'bytes=-10']) {
                        const answer = await fetch('/film', { headers: { Range: range } });
                        found.push([answer.status, (await answer.arrayBuffer()).byteLength]);
                    }
                    return found;
                }"""
            )
            assert parts == [[206, len(FILM)], [206, 1000], [206, 10]]
            sent = page.evaluate(
                """async () => {
                    const answer = await fetch('/form', { method: 'POST', body: 'x'.repeat(300000) });
                    return (await answer.text()).length;
                }"""
            )
            assert sent == 300_000
            assert problems == []
        assert len([asked for asked in origin.requests if asked.target == "/film"]) == 1


@pytest.mark.timeout(120)
def test_a_certificate_that_the_browser_does_not_know_is_not_taken(front: Front, browser: Browser) -> None:
    """What the other tests look past is there."""
    with Origin({"*": answer}) as origin:
        edge = front(origin)
        context = browser.new_context()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            context.new_page().goto(f"{edge.tls}/")
        context.close()
        assert origin.n_requests == 0
