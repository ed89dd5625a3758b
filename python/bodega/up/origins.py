"""What the edges stand in front of: a web origin, an S3 server, and for far places a relay before each.

They run on threads of this process, in `bodega._native`; this module says what they are given.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bodega.errors import BodegaError
from bodega.up.places import ONE_WAY_DELAY_MS

if TYPE_CHECKING:
    from bodega._native import DemoOrigin, DemoRelay, DemoS3
    from bodega.up.premises import Premises

ANY_PORT = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class Sent:
    """What the origins have been asked for and have sent.

    Attributes:
        requests: Requests answered.
        bytes_sent: Bytes of bodies.
    """

    requests: int
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class Upstream:
    """The addresses at which one place reaches the origins."""

    site_url: str
    s3_url: str


@dataclass(slots=True)
class Origins:
    """The running origins.

    Attributes:
        premises: What they serve from.
        environment: The keys of the S3 server, as variables for an edge.
    """

    premises: Premises
    environment: dict[str, str]
    _site: DemoOrigin
    _s3: DemoS3
    _relays: list[DemoRelay] = field(default_factory=list)

    @classmethod
    def start(cls, premises: Premises) -> Origins:
        """Start the web origin and the S3 server on free ports.

        Raises:
            BodegaError: If this build has none.
        """
        try:
            from bodega._native import DemoOrigin, DemoS3
        except ImportError as error:
            raise BodegaError(
                "this build of bodega has no demonstration servers", hint="build it with the cargo feature `demo`"
            ) from error
        access_key, secret_key = "corner-store", secrets.token_hex(16)
        site = DemoOrigin(str(premises.site), ANY_PORT)
        s3 = DemoS3(str(premises.buckets), ANY_PORT, access_key, secret_key, [])
        environment = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
        return cls(premises, environment, site, s3)

    @property
    def near(self) -> Upstream:
        """The origins themselves."""
        return Upstream(self._site.url, self._s3.url)

    def far(self) -> Upstream:
        """Start a pair of relays and return their addresses: the origins, from far away."""
        return Upstream(self.far_away(self._site.url), self.far_away(self._s3.url))

    def far_away(self, url: str) -> str:
        """Start a relay before another server, and return its address: that server, from far away."""
        from bodega._native import DemoRelay

        relay = DemoRelay(urlsplit(url).netloc, ONE_WAY_DELAY_MS, ANY_PORT)
        self._relays.append(relay)
        return relay.url

    def set_down(self, down: bool) -> None:
        """Make the web origin break every connection, or answer again."""
        self._site.set_down(down)

    def sent(self) -> Sent:
        """Return what both servers have been asked for and have sent so far."""
        counted = [json.loads(server.stats()) for server in (self._site, self._s3)]
        return Sent(sum(each["requests"] for each in counted), sum(each["bytes_sent"] for each in counted))

    def stop(self) -> None:
        """Stop the relays, then the servers."""
        for relay in self._relays:
            relay.stop()
        self._site.stop()
        self._s3.stop()
