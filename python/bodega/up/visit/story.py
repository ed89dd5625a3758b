"""What happens on a visit, in which order, and what should come of it.

One function a step. A step asks the edges, changes or stops the origin, and says what should be so.
"""

from __future__ import annotations

import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from bodega.up.model_file import model_size_bytes
from bodega.up.predictors import beginning_and_end
from bodega.up.premises import FILM_PATH, MODEL_PATH
from bodega.up.visit.browser import Browser
from bodega.up.visit.crowd import wander
from bodega.up.visit.http2_browser import Http2Browser
from bodega.up.visit.report import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bodega.client import Fleet
    from bodega.up.edge_process import EdgeProcess
    from bodega.up.origins import Origins
    from bodega.up.predictors import Predictors
    from bodega.up.visit.exchange import Exchange
    from bodega.up.visit.record import Record

TODAY_SECONDS = 2.2
"""A little more than the site's `/today/` may be kept."""

N_CASES = 4
"""Cases that every edge is asked about."""

KINDS = {"/": "html", "/images/apples/large.jpg": "jpeg", "/images/apples/card.webp": "webp", FILM_PATH: "mp4"}
"""Files of the store, and what they are."""

FLEET = 4
"""Machines that ask for the model at the same moment."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What every step works with.

    Attributes:
        edges: In the order of the places.
        origins: What is behind them.
        authority: Signed the edges' certificates.
        fleet: The control process that they follow, if there is one.
        record: Where everything goes that is seen.
        browsers: One for each edge.
        predictors: The models that the edges run; None where there are none.
        no_predictors: Why there are none.
    """

    edges: list[EdgeProcess]
    origins: Origins
    authority: Path
    fleet: Fleet | None
    record: Record
    browsers: list[Browser]
    predictors: Predictors | None = None
    no_predictors: str = ""
    _originals: dict[Path, str] = field(default_factory=dict)

    def edit(self, file: Path, old: str, new: str) -> None:
        """Change a file of the origin until `restore`; it is replaced whole, never seen half written."""
        text = file.read_text()
        self._originals.setdefault(file, text)
        _replace(file, text.replace(old, new))

    def restore(self) -> None:
        """Put back what was changed."""
        for file, text in self._originals.items():
            _replace(file, text)

    def get(self, browser: Browser, path: str, note: str = "", **headers: str) -> Exchange:
        """Ask for something and keep what came."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.record.saw(browser.get(path, named, note))

    def post(self, browser: Browser, path: str, document: object, note: str = "") -> Exchange:
        """Send a document and keep what came."""
        return self.record.saw(browser.post(path, document, note))

    def load_everywhere(self, path: str) -> list[Exchange]:
        """Load a page and what it names from one edge after the other, and keep what came."""
        exchanges: list[Exchange] = []
        for browser in self.browsers:
            began = time.perf_counter()
            loaded = browser.load(path)
            self.record.saw_load(loaded, time.perf_counter() - began)
            exchanges += loaded
        return exchanges


def tell(
    edges: list[EdgeProcess],
    origins: Origins,
    authority: Path,
    fleet: Fleet | None,
    record: Record,
    predictors: Predictors | None = None,
    no_predictors: str = "",
) -> None:
    """Make the whole visit.

    Args:
        edges: The edges, in the order of the places.
        origins: What is behind them; it is changed and stopped, and is as before afterwards.
        authority: Signed the edges' certificates.
        fleet: The control process that they follow, if there is one.
        record: Where everything goes that is seen.
        predictors: The models that the edges run; None where there are none.
        no_predictors: Why there are none.

    Raises:
        EdgeError: If an edge breaks off or does not answer at all.
    """
    visit = Visit(
        edges, origins, authority, fleet, record, [Browser(edge) for edge in edges], predictors, no_predictors
    )
    try:
        for step, title in STEPS:
            record.step(step.__name__, title)
            step(visit)
    finally:
        origins.set_down(False)
        visit.restore()
        for browser in visit.browsers:
            browser.close()


def cold(visit: Visit) -> None:
    """Load the front page everywhere for the first time."""
    exchanges = visit.load_everywhere("/")
    _all(visit, "everything came from the origin", exchanges, ("miss", "collapsed"))
    _same_as_origin(visit, exchanges)


def warm(visit: Visit) -> None:
    """Load the front page everywhere again."""
    before = visit.origins.sent().requests
    exchanges = visit.load_everywhere("/")
    _all(visit, "everything came from memory", exchanges, ("hit",))
    _same_as_origin(visit, exchanges)
    n_asked = visit.origins.sent().requests - before
    visit.record.check("the origins were asked nothing", n_asked == 0, f"{n_asked} requests")


def https(visit: Visit) -> None:
    """Load the front page by HTTPS twice, over one connection of HTTP/2 to each edge."""
    check = visit.record.check
    exchanges: list[Exchange] = []
    for browser in visit.browsers:
        with Http2Browser(browser.edge, visit.authority) as secure:
            first = _load_by_https(visit, browser, secure)
            before = visit.origins.sent().requests
            again = _load_by_https(visit, browser, secure)
            n_asked = visit.origins.sent().requests - before
        spoken = f"{secure.protocol} over {secure.version}, {len(first) + len(again)} requests on one connection"
        check(f"{browser.edge.place.title} speaks HTTP/2", secure.protocol == "HTTP/2", spoken)
        _all(visit, "the second time everything came from memory", again, ("hit",))
        check("the origins were asked nothing for that", n_asked == 0, f"{n_asked} requests")
        exchanges += [*first, *again]
    _same_as_origin(visit, exchanges)


def _load_by_https(visit: Visit, browser: Browser, secure: Http2Browser) -> list[Exchange]:
    began = time.perf_counter()
    page = secure.get("/")
    loaded = [page, *secure.get_all(browser.named(page))]
    visit.record.saw_load(loaded, time.perf_counter() - began)
    return loaded


def changed(visit: Visit) -> None:
    """See a short-lived page expire, unchanged and then changed."""
    browser, page = visit.browsers[0], visit.origins.premises.page("/today/")
    first = visit.get(browser, "/today/", "kept for two seconds")
    time.sleep(TODAY_SECONDS)
    unchanged = visit.get(browser, "/today/", "two seconds later")
    visit.edit(page, "Prices this morning", "Prices this afternoon")
    time.sleep(TODAY_SECONDS)
    after = visit.get(browser, "/today/", "changed at the origin meanwhile")
    again = visit.get(browser, "/today/", "and again")
    check = visit.record.check
    check("the expired page was confirmed with a 304", unchanged.outcome == "revalidated", unchanged.said)
    check("what was confirmed is the same page", unchanged.checksum == first.checksum, f"{unchanged.n_bytes} bytes")
    check("the changed page was fetched", b"this afternoon" in after.body, after.said)
    check("and is kept again", again.outcome == "hit" and again.checksum == after.checksum, again.said)


def invalidated(visit: Visit) -> None:
    """Change a page that is kept for a minute, then make every edge forget it."""
    path = "/products/apples.html"
    page = visit.origins.premises.page(path)
    for browser in visit.browsers:
        visit.get(browser, path, "kept for a minute")
    visit.edit(page, "2.40 a kilo", "1.90 a kilo")
    old = [visit.get(browser, path, "changed at the origin") for browser in visit.browsers]
    began = time.perf_counter()
    applied = _invalidate(visit, f"{visit.edges[0].url}{path}")
    took = time.perf_counter() - began
    new = [visit.get(browser, path, "invalidated") for browser in visit.browsers]
    check = visit.record.check
    check("until then the kept page was given", all(b"2.40" in each.body for each in old), "2.40 a kilo")
    check("no edge gave it afterwards", all(b"1.90" in each.body for each in new), "1.90 a kilo")
    check("three edges forgot it within a second", took < 1, f"{milliseconds(took)}{applied}")


def _invalidate(visit: Visit, url: str) -> str:
    """Make all edges forget a URL; return how long each took, where that is known."""
    if visit.fleet is None:
        # Ports do not count: it is the same URL on each of them.
        for edge in visit.edges:
            edge.admin.invalidate([url])
        return ""
    applied = visit.fleet.invalidate(urls=[url]).wait(timeout="10s").applied
    return f"; {', '.join(f'{edge} {milliseconds(ms / 1000)}' for edge, ms in applied.items())}"


def private(visit: Visit) -> None:
    """Look at the account page as two customers, and at a clock."""
    browser, check = visit.browsers[1], visit.record.check
    seen = {name: visit.get(browser, "/account/", name, Cookie=f"customer={name}") for name in ("ada", "grace")}
    stranger = visit.get(browser, "/account/", "without a cookie")
    clock = [visit.get(browser, "/api/time")]
    # It shows milliseconds, and an origin next door answers twice within one.
    time.sleep(0.005)
    clock.append(visit.get(browser, "/api/time"))
    moved = visit.get(browser, "/shop", "an old address")
    own = all(f"Hello, {name}".encode() in exchange.body for name, exchange in seen.items())
    check("each saw their own page", own and b"Hello, stranger" in stranger.body, ", ".join([*seen, "stranger"]))
    check("nothing of it was kept", all(each.outcome == "pass" for each in (*seen.values(), stranger)), stranger.said)
    check("the clock at the origin goes on", clock[0].body != clock[1].body, clock[1].said)
    check("the edge sends on by itself", moved.status == 308, f"status {moved.status}")


def film(visit: Visit) -> None:
    """Jump into the film, then watch it, then jump again."""
    browser, content = visit.browsers[1], visit.origins.premises.object(FILM_PATH).read_bytes()
    first, last = 600_000, 699_999
    expected = zlib.crc32(content[first : last + 1])
    jump = visit.get(browser, FILM_PATH, "a range of it, cold", Range=f"bytes={first}-{last}")
    whole = visit.get(browser, FILM_PATH, "all of it")
    again = visit.get(browser, FILM_PATH, "the range again", Range=f"bytes={first}-{last}")
    check = visit.record.check
    for each in (jump, again):
        check("the range is the right one", (each.status, each.checksum) == (206, expected), f"{each.n_bytes} bytes")
    check("the film is the film", whole.checksum == zlib.crc32(content), f"{whole.n_bytes} bytes")
    check("the second range came from memory", again.outcome == "hit", again.said)


def model(visit: Visit) -> None:
    """Load a large file: once cold, then warm, then in another place by several machines at once."""
    tokyo, london = visit.browsers[0], visit.browsers[1]
    expected = _checksum_of(visit, MODEL_PATH)
    before = visit.origins.sent().requests
    first = visit.get(tokyo, MODEL_PATH, "cold")
    warm = [visit.get(tokyo, MODEL_PATH, "warm") for _ in range(3)]
    between = visit.origins.sent().requests
    with ThreadPoolExecutor(FLEET) as pool:
        notes = [f"machine {number} of {FLEET}, at once" for number in range(1, FLEET + 1)]
        fleet = [visit.record.saw(each) for each in pool.map(lambda note: london.get(MODEL_PATH, note=note), notes)]
    after = visit.origins.sent().requests
    check = visit.record.check
    check(
        "every copy is right",
        all(each.checksum == expected for each in (first, *warm, *fleet)),
        f"{first.n_bytes} bytes",
    )
    check("the warm copies came from memory", all(each.outcome == "hit" for each in warm), warm[-1].said)
    check("Tokyo asked its origin once", between - before == 1, f"{between - before} requests")
    check(f"{FLEET} machines at once were one request, too", after - between == 1, f"{after - between} requests")
    faster = first.seconds / median(each.seconds for each in warm)
    check("warm was faster than cold", faster > 1, f"{faster:.1f} times")


def predictions(visit: Visit) -> None:
    """Ask the models that the edges run: cases that were never trained on, and which kind of file the store's are."""
    check, models = visit.record.check, visit.predictors
    if models is None:
        check("no models: the rest goes on", True, visit.no_predictors)
        return
    before = visit.origins.sent().requests
    _tumours(visit, models)
    _kinds(visit, models)
    n_asked = visit.origins.sent().requests - before
    check("no origin was asked for any of it", n_asked == 0, f"{n_asked} requests")


def _tumours(visit: Visit, models: Predictors) -> None:
    check = visit.record.check
    for browser in visit.browsers:
        place, right = browser.edge.place.title, 0
        for case in models.cases[:N_CASES]:
            asked = {"features": case["features"]}
            first = visit.post(browser, "/predict", asked, "computed here")
            again = visit.post(browser, "/predict", asked, "and kept")
            said, kept = json.loads(first.body), json.loads(again.body)
            is_right = _is_near(said["prediction"], case["prediction"]) and not said["cached"]
            right += is_right and kept["cached"] and kept["prediction"] == said["prediction"]
        check(f"{place} computed each once, as scikit-learn would have", right == N_CASES, f"{right} of {N_CASES}")
    rows = [case["features"] for case in models.cases[: 2 * N_CASES]]
    batch = visit.post(visit.browsers[0], "/batch_predict", {"features": rows}, "half of them known")
    cached = json.loads(batch.body)["cached"]
    known = [True] * N_CASES + [False] * N_CASES
    check("of a batch only new rows were computed", cached == known, f"{sum(cached)} of {len(cached)} were kept")


def _kinds(visit: Visit, models: Predictors) -> None:
    browser, premises = visit.browsers[1], visit.origins.premises
    for path, kind in KINDS.items():
        content = (
            premises.object(path) if path.startswith(("/images/", "/video/")) else premises.page(path)
        ).read_bytes()
        asked = {"features": beginning_and_end(content)}
        answers = [visit.post(browser, "/models/magika/predict", asked, note) for note in (path, "and kept")]
        said = [json.loads(each.body) for each in answers]
        found = models.kind(said[0]["prediction"])
        is_kept = [each["cached"] for each in said] == [False, True] and said[0]["prediction"] == said[1]["prediction"]
        visit.record.check(f"magika knows {path}", found == kind and is_kept, found)


def _is_near(said: dict[str, Any], meant: dict[str, Any]) -> bool:
    """Whether a prediction is what scikit-learn's own model said, as far as float32 holds it."""
    pairs = zip(said["probabilities"], meant["probabilities"], strict=True)
    return said["label"] == meant["label"] and all(abs(one - other) < 1e-5 for one, other in pairs)


def crowd(visit: Visit) -> None:
    """Let visitors wander about everywhere."""
    root = visit.origins.premises.site
    found = sorted(f"/{page.relative_to(root)}".removesuffix("index.html") for page in root.rglob("*.html"))
    pages = [page for page in found if page not in ("/404.html", "/account.html")]
    began = time.perf_counter()
    exchanges = wander(visit.edges, pages, seed=1)
    took = time.perf_counter() - began
    visit.record.saw_many(exchanges)
    for edge in visit.edges:
        here = [each for each in exchanges if each.place == edge.place]
        is_served = all(each.status == 200 for each in here)
        visit.record.check(f"{edge.place.title}: everybody was served", is_served, _spread(here))
    visit.record.check("visitors came and went", len(exchanges) > 0, f"{len(exchanges)} requests in {took:.1f} s")
    _same_as_origin(visit, exchanges)


def down(visit: Visit) -> None:
    """Stop the web origin, look around, and start it again."""
    browser, check = visit.browsers[0], visit.record.check
    fresh = visit.get(browser, "/today/", "still up")
    time.sleep(TODAY_SECONDS)
    visit.origins.set_down(True)
    front = visit.get(browser, "/", "the origin is down")
    today = visit.get(browser, "/today/", "expired, and the origin is down")
    unseen = visit.get(browser, "/about.html?never=seen", "nobody has ever asked for this")
    visit.origins.set_down(False)
    back = visit.get(browser, "/about.html?never=seen", "the origin is up again")
    check("what was kept is served", front.status == 200 and front.outcome in ("hit", "stale"), front.said)
    check("what had expired is served, too", today.status == 200 and today.checksum == fresh.checksum, today.said)
    is_plain = unseen.status in (502, 503, 504)
    check("what was never kept is a plain error", is_plain, f"status {unseen.status}, {unseen.n_bytes} bytes")
    check("and all is well again", back.status == 200, back.said)


STEPS: tuple[tuple[Callable[[Visit], None], str], ...] = (
    (cold, "The front page everywhere for the first time: every edge fetches it from the origin."),
    (warm, "The same again: every edge has it in memory."),
    (https, "The same by HTTPS, twice: all that the page names at once, over one connection of HTTP/2."),
    (changed, "A page that may be kept for two seconds expires: unchanged, then changed at the origin."),
    (invalidated, "A page that is kept for a minute changes, and every edge is told to forget it."),
    (private, "Pages that belong to one person, or to one moment, are never kept."),
    (film, "A film: jump into it, watch it, jump again."),
    (
        model,
        f"A model file of {model_size_bytes() / 1e6:.0f} MB: from far away, from memory, and by a fleet at once.",
    ),
    (predictions, "Models that every edge runs itself: a prediction is computed once, then kept."),
    (crowd, "Many visitors in three places wander about the store."),
    (down, "The web origin goes down, and comes back."),
)
"""The steps by name and title, in their order."""


def _all(visit: Visit, what: str, exchanges: Iterable[Exchange], outcomes: tuple[str, ...]) -> None:
    others = [each for each in exchanges if each.status != 200 or each.outcome not in outcomes]
    seen = f"{others[0].path} in {others[0].place.title}: {others[0].status}, {others[0].said}" if others else "all"
    visit.record.check(what, not others, seen)


def _spread(exchanges: list[Exchange]) -> str:
    hits = [each.seconds for each in exchanges if each.outcome == "hit"]
    others = [each.seconds for each in exchanges if each.outcome != "hit"]
    seen = f"{len(exchanges)} requests, {len(hits) / len(exchanges):.1%} from memory"
    seen += f"; half of them within {milliseconds(median(hits))}" if hits else ""
    return seen + (f", half of the others within {milliseconds(median(others))}" if others else "")


def _same_as_origin(visit: Visit, exchanges: list[Exchange]) -> None:
    """Compare every answer with the file behind it; pages that are different each time have none."""
    checksums = {path: _checksum_of(visit, path) for path in {each.path for each in exchanges if _has_file(each.path)}}
    compared = [each for each in exchanges if each.path in checksums]
    wrong = [each for each in compared if each.checksum != checksums[each.path]]
    seen = f"{wrong[0].path} in {wrong[0].place.title}" if wrong else f"{len(compared)} answers, byte for byte"
    visit.record.check("what came is what lies at the origin", not wrong, seen)


def _replace(file: Path, text: str) -> None:
    changed = file.with_name(f".{file.name}.new")
    changed.write_text(text)
    changed.replace(file)


def _has_file(path: str) -> bool:
    return not path.startswith(("/account", "/api/", "/today/"))


def _checksum_of(visit: Visit, path: str) -> int:
    is_object = path.startswith(("/images/", "/video/", "/models/"))
    premises = visit.origins.premises
    checksum = 0
    with (premises.object(path) if is_object else premises.page(path)).open("rb") as file:
        while piece := file.read(1 << 20):
            checksum = zlib.crc32(piece, checksum)
    return checksum
