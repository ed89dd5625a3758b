from __future__ import annotations

from bodega.config import parse_config
from bodega.distributions import S3
from bodega.up.declaration import declaration


def test_the_declaration_can_be_read() -> None:
    text = declaration(title="Tokyo", site_url="http://127.0.0.1:9000", s3_url="http://127.0.0.1:9001")
    declarations = parse_config(text).declarations
    images = declarations.origins["images"]
    assert isinstance(images, S3)
    assert (images.bucket, images.endpoint) == ("images", "http://127.0.0.1:9001")
    (store,) = declarations.distributions
    origins = [(behavior.origin, behavior.policy) for behavior in store.behaviors]
    assert origins == [
        ("images", "immutable"),
        ("models", "immutable"),
        ("site", "none"),
        (None, "web"),
        ("site", "web"),
    ]
