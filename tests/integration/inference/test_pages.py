"""The page to try a model in, in a real browser, and the same as JSON."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.integration.chromium import launched, opened
from tests.integration.inference import onnx_models

from bodega import Behavior, Distribution, EdgeMLServer, EdgeServer, Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# On a machine that is busy a page takes its time.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EdgeMLServer]:
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])), version="v1")
    with EdgeMLServer(model) as running:
        yield running


def facts(page: Page) -> dict[str, str]:
    names, values = page.locator("#answer dt").all_inner_texts(), page.locator("#answer dd").all_inner_texts()
    return dict(zip(names, values, strict=True))


@pytest.mark.timeout(120)
def test_a_model_is_tried_by_the_keyboard_alone(server: EdgeMLServer, browser: Browser) -> None:
    with opened(browser) as (page, problems):
        page.goto(f"{server.url}/models")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/models/fraud")
        expect(page.get_by_label("x[0]")).to_have_value("0.5")
        # The list, then the first field.
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("3")
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("4.5")
        page.keyboard.press("Enter")
        expect(page.locator("#prediction")).to_have_text("12.0")
        first = facts(page)
        assert (first["from"], first["version"]) == ("the model", "v1")
        assert "fwd=uri-miss" in first["Cache-Status"]
        assert re.fullmatch(r"\d+\.\d ms", first["took"])
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "predict"
        page.keyboard.press("Enter")
        expect(page.locator("#answer dd.good")).to_have_text("the cache")
        assert "; hit" in facts(page)["Cache-Status"]
        assert server.predict([3, 4.5])["cached"] is True
        assert problems == []


@pytest.mark.timeout(120)
def test_the_line_for_curl_does_the_same(server: EdgeMLServer, browser: Browser) -> None:
    with opened(browser) as (page, problems):
        page.goto(f"{server.url}/models/fraud")
        page.get_by_label("x[0]").fill("7")
        page.get_by_label("x[1]").fill("1e1")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#prediction")).to_have_text("27.0")
        line = page.locator("#curl").inner_text()
        assert problems == []
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=30, check=True)
    assert '"prediction":27.0,"cached":true' in done.stdout


@pytest.mark.timeout(120)
def test_a_link_puts_nothing_into_the_line_for_curl(tmp_path: Path, browser: Browser) -> None:
    model = Model(str(onnx_models.linear(tmp_path / "fraud.onnx", [1.0, 2.0])))
    distribution = Distribution("ml", behaviors=[Behavior(origin=model, policy="predictions")])
    with EdgeServer(distribution=distribution) as edge, opened(browser) as (page, problems):
        address = f"{edge.url}/it's';touch$IFS/models/fraud"
        page.goto(address)
        expect(page.get_by_label("x[0]")).to_have_value("0.5")
        words = shlex.split(page.locator("#curl").inner_text())
        assert words == ["curl", "-s", f"{address}/predict", "-d", '{"features": [0.5, 0.5]}']
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#prediction")).to_have_text("1.5")
        assert page.get_by_role("link", name="Models").get_attribute("href") == "/it's';touch$IFS/models"
        assert problems == []


@pytest.mark.timeout(120)
def test_what_is_wrong_is_shown_with_the_field(server: EdgeMLServer, browser: Browser) -> None:
    with opened(browser) as (page, _):
        page.goto(f"{server.url}/models/fraud")
        page.get_by_label("x[0]").fill("many")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer .bad")).to_have_text('"many" is no number')
        page.get_by_label("x[0]").fill("1e99")
        page.get_by_role("button", name="Predict").click()
        expect(page.locator("#answer .bad")).to_contain_text("features[0]: expected float32 in float32[2]")
        shown = facts(page)
        assert (shown["status"], shown["field"], shown["expected"]) == ("400", "features[0]", "float32 in float32[2]")


@pytest.mark.timeout(120)
def test_integers_of_64_bits_booleans_and_free_axes(tmp_path: Path, browser: Browser) -> None:
    with (
        EdgeMLServer(onnx_models.typed(tmp_path / "typed.onnx")) as server,
        opened(browser) as (page, problems),
    ):
        page.goto(f"{server.url}/models/typed")
        page.get_by_label("count[0]").fill("1152921504606846977")
        page.get_by_label("count[1]").fill("-3")
        page.get_by_label("on", exact=True).select_option("false")
        page.get_by_label("words as JSON").fill('["a", "</script>", "ü\'"]')
        page.get_by_role("button", name="Predict").click()
        expected = '{"twice":[2305843009213693954,-6],"off":true,"said":["a","</script>","ü\'"]}'
        expect(page.locator("#prediction")).to_have_text(expected)
        line = page.locator("#curl").inner_text()
        assert problems == []
        done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=30, check=True)
        assert expected in done.stdout


@pytest.mark.timeout(120)
def test_nothing_else_runs_in_a_page_and_both_schemes_are_readable(server: EdgeMLServer, browser: Browser) -> None:
    with opened(browser) as (page, problems):
        answer = page.goto(f"{server.url}/models/fraud")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        page.evaluate(_MORE_SCRIPT)
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in problem for problem in problems), problems
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert contrast(page, "main h1") >= 7
            assert contrast(page, ".quiet") >= 4.5


_MORE_SCRIPT = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
_COLOR = "selector => getComputedStyle(document.querySelector(selector)).color"
_BACK = """() => {
  const probe = document.createElement('div');
  probe.style.setProperty('color', 'Canvas');
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}"""


def contrast(page: Page, selector: str) -> float:
    """Compute the contrast of a text to what is behind it (WCAG 2.2, section 1.4.3)."""
    text, back = (luminance(page.evaluate(script, selector)) for script in (_COLOR, _BACK))
    return (max(text, back) + 0.05) / (min(text, back) + 0.05)


def luminance(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_same_as_json(server: EdgeMLServer) -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        about = {
            "name": "fraud",
            "version": "v1",
            "versions": ["v1"],
            "inputs": [{"name": "x", "type": "float32", "shape": [2]}],
            "outputs": [{"name": "y", "type": "float32", "shape": [1]}],
        }
        found = client.get("/models")
        assert (found.json(), found.headers["vary"]) == ({"models": [about]}, "Accept")
        assert client.get("/models/fraud").json() == client.get("/models/fraud/versions/v1").json() == about
        for path, words in [("/models/other", "there is fraud"), ("/models/fraud/versions/v2", "there is v1")]:
            answer = client.get(path)
            assert (answer.status_code, words in answer.json()["error"]) == (404, True), answer.text
        refused = client.post("/models/fraud", json={"features": [1, 2]})
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET")
        head = client.head("/models", headers={"accept": "text/html"})
        assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "text/html; charset=utf-8")
