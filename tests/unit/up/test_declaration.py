from __future__ import annotations

import pytest

from bodega.config import parse_config
from bodega.distributions import S3, HttpOrigin, meant_for
from bodega.up.declaration import declaration
from bodega.up.origins import Upstream
from bodega.up.places import PLACES, Place

NEAR = Upstream("http://127.0.0.1:9000", "http://127.0.0.1:9001")
FAR = Upstream("http://127.0.0.1:9002", "http://127.0.0.1:9003")


@pytest.mark.parametrize("place", PLACES)
def test_each_place_has_its_way_to_the_origins(place: Place) -> None:
    upstream = FAR if place.is_far else NEAR
    own = meant_for(parse_config(declaration(NEAR, FAR)).declarations, place.name, place.region)
    images = own.origins["images"]
    assert isinstance(images, S3)
    assert (images.bucket, images.endpoint) == ("images", upstream.s3_url)
    assert own.origins["site"] == HttpOrigin(upstream.site_url)
    (store,) = own.distributions
    origins = [(behavior.origin, behavior.policy) for behavior in store.behaviors]
    assert origins == [
        ("images", "immutable"),
        ("models", "immutable"),
        ("site", "none"),
        (None, "web"),
        ("site", "web"),
    ]
