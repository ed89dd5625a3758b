"""Writes the pages of the store.

Styles and script carry a hash of their content in their names, so that they may be kept for a year; the pages that name
them are short-lived. `today/` is shorter still, and the account page is different for everybody.
"""

# ruff: noqa: E501 - paths of SVG, filters of ffmpeg and running text are not wrapped.
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bodega.up.drawing.produce import PRODUCTS, Product

HERE = Path(__file__).parent

LAYOUT = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title - The Corner Store</title>
<link rel="stylesheet" href="$style">
<link rel="icon" href="/icon.svg">
<script src="$script" defer></script>
</head>
<body>
<header class="awning">
<a class="name" href="/">The Corner Store</a>
<nav>
<a href="/products/">On the shelf</a>
<a href="/today/">Today</a>
<a href="/recipes/">Recipes</a>
<a href="/papers.html">Wrapping papers</a>
<a href="/tour.html">A look inside</a>
<a href="/model.html">What sells when</a>
<a href="/about.html">About</a>
<a href="/account/">Your account</a>
</nav>
</header>
<main>
<h1>$title</h1>
$content
</main>
<footer>Open from seven to nine, every day. What people nearby want again and again is on the shelf.</footer>
</body>
</html>
""")


@dataclass(frozen=True, slots=True)
class Page:
    """A page: where it lies, its title, what stands on it."""

    path: str
    title: str
    content: str


def write_site(directory: Path, *, images: Path) -> None:
    """Write every page of the site into `directory`; `images` says which wrapping papers there are."""
    assets = {name: _hashed(directory, name) for name in ("site.css", "site.js")}
    papers = sorted(path.name for path in (images / "papers").iterdir())
    for page in [*_front(), *map(_product, PRODUCTS), *_recipes(), _papers(papers), *_other()]:
        text = LAYOUT.substitute(
            title=page.title, content=page.content.strip(), style=assets["site.css"], script=assets["site.js"]
        )
        _write(directory / page.path, text)
    _write(directory / "robots.txt", "User-agent: *\nDisallow: /account/\nDisallow: /api/\n")
    _write(directory / "icon.svg", ICON)
    items = "".join(
        f"<item><title>{p.title}: {p.price}</title><link>/products/{p.name}.html</link></item>" for p in PRODUCTS
    )
    _write(
        directory / "feed.xml", f'<rss version="2.0"><channel><title>The Corner Store</title>{items}</channel></rss>\n'
    )


def _front() -> list[Page]:
    cards = "".join(
        f'<li><a href="/products/{p.name}.html"><img src="/images/{p.name}/card.webp" alt="{p.title}" loading="lazy">'
        f'<p>{p.title}<br><span class="price">{p.price}</span></p></a></li>'
        for p in PRODUCTS
    )
    welcome = (
        '<img class="wide" src="/images/apples/large.jpg" alt="Apples" width="1280" height="800">'
        "<p>The warehouse is far away. We are just round the corner: what you want is most likely here already, and what "
        "is not, we send for once, hand over while we unpack it, and keep.</p>"
    )
    return [
        Page("index.html", "Good morning", f'{welcome}<h2>On the shelf</h2><ul class="shelf">{cards}</ul>'),
        Page("products/index.html", "On the shelf", f'<ul class="shelf">{cards}</ul>'),
    ]


def _product(product: Product) -> Page:
    content = (
        f'<img class="wide" src="/images/{product.name}/large.jpg" alt="{product.title}" width="1280" height="800">'
        f'<p>{product.about}</p><p class="price">{product.price}</p>'
        f'<h2>A closer look</h2><img src="/images/{product.name}/detail.webp" alt="{product.title}, closer" width="960" height="720">'
        '<p><a href="/products/">Everything on the shelf</a></p>'
    )
    return Page(f"products/{product.name}.html", product.title, content)


def _recipes() -> list[Page]:
    links = "".join(
        f'<li><a href="/recipes/{recipe.path.rsplit("/", 1)[-1]}">{recipe.title}</a></li>' for recipe in RECIPES
    )
    return [Page("recipes/index.html", "Recipes", f"<ul>{links}</ul>"), *RECIPES]


def _papers(files: list[str]) -> Page:
    shown = "".join(
        f'<li><a href="/images/papers/{file}"><img src="/images/papers/{file}" alt="{Path(file).stem}" loading="lazy">'
        f"<p>{Path(file).stem.replace('-', ' ').capitalize()}</p></a></li>"
        for file in files
    )
    return Page(
        "papers.html",
        "Wrapping papers",
        f'<p>Drawn by arithmetic, printed next door.</p><ul class="shelf">{shown}</ul>',
    )


def _other() -> list[Page]:
    prices = "".join(f"<tr><td>{p.title}</td><td>{p.price}</td></tr>" for p in PRODUCTS)
    return [
        Page(
            "today/index.html",
            "Today",
            f"<p>Prices this morning. This page is kept for two seconds.</p><table>{prices}</table>",
        ),
        Page(
            "tour.html",
            "A look inside",
            '<video class="wide" src="/video/tour.mp4" controls muted width="960" height="540"></video>'
            "<p>Half a minute along the shelf. Jump anywhere: a range of the film is a hit as soon as the film is here.</p>",
        ),
        Page(
            "model.html",
            "What sells when",
            "<p>We keep a model of what the street buys, hour by hour. It is a large file, and everybody wants the same one.</p>"
            '<p><a href="/models/corner-store.safetensors" download>corner-store.safetensors</a></p>',
        ),
        Page(
            "about.html",
            "About",
            "<p>A small store that stands between a street and a warehouse. This site is what <code>bodega up</code> serves: "
            "a web origin for the pages, a bucket for pictures and the film, another for the model.</p>"
            '<p>The time at the warehouse, never kept: <a href="/api/time">/api/time</a>. An old address that moved: '
            '<a href="/shop">/shop</a>.</p>',
        ),
        Page("account.html", "Hello, {customer}", "<p>This page is yours alone, and nobody else gets to see it.</p>"),
        Page(
            "404.html",
            "Not on the shelf",
            '<p>We looked in the back as well. <a href="/products/">Here is what we have.</a></p>',
        ),
    ]


def _hashed(directory: Path, name: str) -> str:
    content = (HERE / name).read_text()
    stem, ending = name.split(".")
    file = f"assets/{stem}.{hashlib.sha256(content.encode()).hexdigest()[:8]}.{ending}"
    _write(directory / file, content)
    return f"/{file}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect y="12" width="32" height="20" fill="#e8dcc0"/>'
    '<path d="M0,12 L4,2 H28 L32,12Z" fill="#a63d2f"/><rect x="12" y="18" width="8" height="14" fill="#5b3a1e"/></svg>\n'
)

RECIPES = [
    Page(
        "recipes/tomato-soup.html",
        "Tomato soup",
        '<img src="/images/tomatoes/detail.webp" alt="Tomatoes" width="960" height="720">'
        "<ol><li>Soften two onions in olive oil for ten minutes.</li><li>Add a kilo of tomatoes in quarters and a carrot in "
        "slices.</li><li>Half an hour on a small flame, then through a sieve. Salt, pepper, a little cream.</li></ol>",
    ),
    Page(
        "recipes/lemon-cake.html",
        "Lemon cake",
        '<img src="/images/lemons/detail.webp" alt="Lemons" width="960" height="720">'
        "<ol><li>Beat four eggs with 200 g of sugar until pale.</li><li>Fold in 150 g of flour, 100 g of melted butter and the "
        "peel of two lemons.</li><li>Forty minutes at 170 degrees. Pour the juice with sugar over the warm cake.</li></ol>",
    ),
    Page(
        "recipes/pear-salad.html",
        "Pear salad",
        '<img src="/images/pears/detail.webp" alt="Pears" width="960" height="720">'
        "<ol><li>Two ripe pears in thin slices, a red onion in thinner ones.</li><li>Grapes in halves, an avocado in cubes.</li>"
        "<li>Lemon, oil, pepper. Eat at once.</li></ol>",
    ),
]
