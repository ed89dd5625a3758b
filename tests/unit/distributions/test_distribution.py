from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bodega.distributions import Behavior, Distribution, Hsts
from bodega.errors import ConfigInvalid

SITE = Behavior(origin="https://www.example.com")


@pytest.mark.parametrize(
    ("hsts", "expected"),
    [
        (None, None),
        ("1y", Hsts("1y")),
        (0, Hsts(0)),
        (timedelta(hours=1), Hsts(timedelta(hours=1))),
        (Hsts("2y", include_subdomains=True, preload=True), Hsts("2y", include_subdomains=True, preload=True)),
    ],
)
def test_a_duration_stands_for_the_long_form(hsts: Any, expected: Hsts | None) -> None:
    assert Distribution("shop", behaviors=[SITE], hsts=hsts).written_hsts() == expected


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ({"viewer_protocol": "redirect-to-http"}, "viewer_protocol", 'did you mean "redirect-to-https"?'),
        ({"viewer_protocol": "TLS"}, "viewer_protocol", 'write one of "allow-all", "redirect-to-https", "https-only"'),
        ({"hsts": "1 year"}, "hsts", "is not a duration"),
        ({"hsts": 3600}, "hsts", "has no unit"),
        ({"hsts": "11y"}, "hsts", "longer than 10 years"),
    ],
)
def test_what_is_wrong_about_https_is_said_with_what_is_right(written: Any, path: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Distribution("shop", behaviors=[SITE], **written)
    assert caught.value.path == (path,)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"max_age": "364d", "include_subdomains": True, "preload": True}, "max_age"),
        ({"max_age": "1y", "preload": True}, "preload"),
        ({"max_age": "1y", "preload": "yes"}, "preload"),
        ({"max_age": "1y", "include_subdomains": 1}, "include_subdomains"),
        ({"max_age": "soon"}, "max_age"),
    ],
)
def test_browsers_preload_whole_domains_for_a_year(written: Any, path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Hsts(**written)
    assert caught.value.path == (path,)
