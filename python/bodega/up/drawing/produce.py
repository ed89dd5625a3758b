"""What the store sells, and how each of it looks: one function a kind, each returns SVG around the point 0,0.

A kind is drawn about 100 units wide; `scene` places many of them.
"""

# ruff: noqa: E501 - paths of SVG, filters of ffmpeg and running text are not wrapped.
from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

Draw = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Product:
    """Something on the shelf.

    Attributes:
        name: As in its address, plural.
        title: As on its page.
        price: As on its label.
        about: Two sentences for its page.
        draw: Returns one of it as SVG, about 100 units wide around 0,0; no two are the same.
        ground: Colors of the cloth it lies on.
    """

    name: str
    title: str
    price: str
    about: str
    draw: Draw
    ground: tuple[str, str]


def apple(rng: random.Random) -> str:
    """Draw an apple, red to yellow."""
    hue = rng.choice([4, 8, 12, 40, 75])
    body = "M0,-30 C-20,-52 -56,-40 -52,0 C-50,34 -24,52 0,44 C24,52 50,34 52,0 C56,-40 20,-52 0,-30Z"
    stem = '<path d="M0,-30 Q4,-48 14,-56" stroke="#5b3a1e" stroke-width="5" fill="none"/>'
    leaf = '<path d="M8,-46 Q30,-66 44,-48 Q26,-38 8,-46Z" fill="#4d8b31"/>'
    return _round(body, hue, 72, rng) + stem + leaf


def tomato(rng: random.Random) -> str:
    """Draw a tomato with its star of leaves."""
    body = "M0,-34 C-34,-46 -58,-24 -54,6 C-50,36 -24,44 0,42 C24,44 50,36 54,6 C58,-24 34,-46 0,-34Z"
    points = " ".join(
        f"{math.cos(k * math.pi / 5) * (26 if k % 2 == 0 else 8):.0f},{math.sin(k * math.pi / 5) * (14 if k % 2 == 0 else 5) - 32:.0f}"
        for k in range(10)
    )
    return _round(body, rng.choice([2, 6, 10]), 80, rng) + f'<polygon points="{points}" fill="#3d7a2a"/>'


def lemon(rng: random.Random) -> str:
    """Draw a lemon, lying on its side."""
    body = "M-60,0 C-56,-8 -48,-10 -44,-16 C-24,-42 24,-42 44,-16 C48,-10 56,-8 60,0 C56,8 48,10 44,16 C24,42 -24,42 -44,16 C-48,10 -56,8 -60,0Z"
    return _round(body, rng.choice([50, 53, 56]), 88, rng)


def pear(rng: random.Random) -> str:
    """Draw a pear, green to gold."""
    body = "M0,-58 C-18,-58 -18,-30 -28,-14 C-52,14 -42,56 0,56 C42,56 52,14 28,-14 C18,-30 18,-58 0,-58Z"
    stem = '<path d="M0,-56 Q2,-70 10,-76" stroke="#5b3a1e" stroke-width="5" fill="none"/>'
    return _round(body, rng.choice([58, 66, 78]), 58, rng) + stem


def carrot(rng: random.Random) -> str:
    """Draw a carrot with its green."""
    body = "M-60,2 C-20,-16 20,-24 44,-22 C62,-18 62,18 44,20 C20,22 -20,12 -60,2Z"
    rings = "".join(
        f'<path d="M{x},{-12 - x / 8:.0f} q4,8 0,14" stroke="#b3540d" stroke-width="2" fill="none"/>'
        for x in (-20, 4, 26)
    )
    green = "".join(
        f'<path d="M52,0 Q74,{dy} 92,{dy * 1.4:.0f}" stroke="#4d8b31" stroke-width="6" fill="none" stroke-linecap="round"/>'
        for dy in (-22, -6, 10, 24)
    )
    return green + _round(body, rng.choice([22, 26, 29]), 88, rng) + rings


def grapes(rng: random.Random) -> str:
    """Draw a bunch of grapes."""
    hue = rng.choice([275, 290, 85])
    rows = [(x * 22 - (n - 1) * 11, y * 19 - 40) for y, n in enumerate([4, 5, 4, 3, 2, 1]) for x in range(n)]
    berries = "".join(
        f'<g transform="translate({x},{y}) scale(.25)">{_round("M-52,0 a52,52 0 1,0 104,0 a52,52 0 1,0 -104,0Z", hue, 42, rng)}</g>'
        for x, y in rows
    )
    return '<path d="M0,-44 Q-4,-62 8,-72" stroke="#5b3a1e" stroke-width="5" fill="none"/>' + berries


def avocado(rng: random.Random) -> str:
    """Draw an avocado, whole or cut."""
    skin = "M0,-58 C-22,-56 -26,-30 -36,-10 C-54,20 -38,58 0,58 C38,58 54,20 36,-10 C26,-30 22,-56 0,-58Z"
    whole = _round(skin, 96, 38, rng, lightness=24)
    if rng.random() < 0.5:
        return whole
    flesh = f'<g transform="scale(.88)"><path d="{skin}" fill="#d9dd7f"/></g>'
    pit = f'<g transform="translate(0,20) scale(.44)">{_round("M-52,0 a52,52 0 1,0 104,0 a52,52 0 1,0 -104,0Z", 24, 55, rng, lightness=34)}</g>'
    return whole + flesh + pit


def onion(rng: random.Random) -> str:
    """Draw an onion, golden or red."""
    hue = rng.choice([32, 36, 325])
    body = "M0,-64 C-4,-40 -56,-36 -54,8 C-52,40 -20,50 0,50 C20,50 52,40 54,8 C56,-36 4,-40 0,-64Z"
    skin = "".join(
        f'<path d="M0,-58 C{x},-30 {x * 1.4:.0f},20 0,50" stroke="hsl({hue},50%,34%)" stroke-width="1.5" fill="none" opacity=".6"/>'
        for x in (-36, -18, 18, 36)
    )
    return _round(body, hue, 62, rng) + skin


def scene(product: Product, *, width: int, height: int, n_items: int, size: float, seed: int) -> str:
    """Return an SVG picture of a product: items lying on a cloth, further ones higher up and first.

    Args:
        product: What lies there.
        width: In pixels.
        height: In pixels.
        n_items: How many.
        size: Width of one item in pixels.
        seed: The same seed draws the same picture.
    """
    rng = random.Random(f"{product.name} {seed}")  # noqa: S311 - a picture is no secret
    margin = size * 0.5
    spots = sorted(
        (margin * 0.7 + (height - margin * 1.4) * ((i + rng.random()) / n_items), rng.uniform(margin, width - margin))
        for i in range(n_items)
    )
    items = "".join(
        f'<ellipse cx="{x:.0f}" cy="{y + size * 0.4:.0f}" rx="{size * 0.5:.0f}" ry="{size * 0.16:.0f}" fill="#000" opacity=".28"/>'
        f'<g transform="translate({x:.0f},{y:.0f}) rotate({rng.uniform(-28, 28):.0f}) scale({size / 110 * rng.uniform(0.9, 1.1):.3f})">'
        f"{product.draw(rng)}</g>"
        for y, x in spots
    )
    light, dark = product.ground
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<defs><linearGradient id="ground" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="{light}"/>'
        f'<stop offset="1" stop-color="{dark}"/></linearGradient></defs>'
        f'<rect width="{width}" height="{height}" fill="url(#ground)"/>{_cloth(width, height)}{items}</svg>'
    )


def _round(outline: str, hue: float, saturation: float, rng: random.Random, *, lightness: float = 48) -> str:
    """Return a shape that light falls on from the upper left."""
    number = rng.randrange(10**9)
    shades = [(0, lightness + 28, saturation), (0.45, lightness, saturation), (1, lightness * 0.55, saturation * 0.9)]
    stops = "".join(
        f'<stop offset="{at}" stop-color="hsl({hue},{sat:.0f}%,{light:.0f}%)"/>' for at, light, sat in shades
    )
    return (
        f'<defs><radialGradient id="r{number}" cx=".34" cy=".28" r=".8">{stops}</radialGradient></defs>'
        f'<path d="{outline}" fill="url(#r{number})"/><ellipse cx="-20" cy="-18" rx="10" ry="6" fill="#fff" opacity=".45" '
        'transform="rotate(-30 -20 -18)"/>'
    )


def _cloth(width: int, height: int) -> str:
    stripes = "".join(
        f'<rect x="{x}" width="18" height="{height}" fill="#fff" opacity=".10"/>' for x in range(0, width, 60)
    )
    return stripes + "".join(
        f'<rect y="{y}" width="{width}" height="18" fill="#fff" opacity=".10"/>' for y in range(0, height, 60)
    )


PRODUCTS = (
    Product(
        "apples",
        "Apples",
        "2.40 a kilo",
        "From three orchards up the valley, picked this week. Red ones for eating, yellow ones for pie.",
        apple,
        ("#c9a06a", "#7d5a34"),
    ),
    Product(
        "tomatoes",
        "Tomatoes",
        "3.10 a kilo",
        "Ripened on the vine, never cooled. Keep them on the window sill, not in the fridge.",
        tomato,
        ("#e8dcc0", "#b79d6f"),
    ),
    Product(
        "lemons",
        "Lemons",
        "0.45 each",
        "Unwaxed, so the peel is as good as the juice. Heavy ones have the most of it.",
        lemon,
        ("#6fa7b8", "#2f5d73"),
    ),
    Product(
        "pears",
        "Pears",
        "2.90 a kilo",
        "They ripen from the inside: press near the stem. Ready in two days on the counter.",
        pear,
        ("#a88fb0", "#5d4668"),
    ),
    Product(
        "carrots",
        "Carrots",
        "1.60 a bunch",
        "With their green, which makes a fine pesto. Twist it off at home and they keep for two weeks.",
        carrot,
        ("#8a7f70", "#4a4238"),
    ),
    Product(
        "grapes",
        "Grapes",
        "4.20 a kilo",
        "Small, dark and sweet, with a few seeds. Wash them just before you eat them.",
        grapes,
        ("#dfe6cf", "#9aa881"),
    ),
    Product(
        "avocados",
        "Avocados",
        "1.30 each",
        "Say when you want to eat them and we will pick the right ones. Half of today's crate is ready now.",
        avocado,
        ("#e6c8b4", "#a87a63"),
    ),
    Product(
        "onions",
        "Onions",
        "1.20 a kilo",
        "Golden ones for the pan, red ones for the salad. Dry, firm and from last autumn.",
        onion,
        ("#7f9a78", "#41583c"),
    ),
)
"""The shelf, in the order of the pages."""
