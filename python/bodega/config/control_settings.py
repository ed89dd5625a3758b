"""What an edge's settings say of the control process that it follows: whether that can be, and whether it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bodega.config.control_address import control_url, is_seen_on_the_way
from bodega.distributions import checks
from bodega.distributions.shapes import ChoiceShape, DurationShape, FlagShape, ListShape, NumberShape, TextShape, about
from bodega.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from bodega.units import Duration

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)
"""What a control process takes as the name of an edge."""
_MAX_POLL_SECONDS = 3600.0
_MAX_CATCH_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """What is set of the control process that an edge follows.

    Attributes:
        control: The control process that is followed; None: there is none.
        control_token_file: The token for it.
        control_insecure: Let the token go over plain HTTP to another machine.
        follow: Whether the journal is streamed, or asked for now and then.
        poll_every: How often it is asked for then.
        catch_up_wait: How long it waits for what it missed before it serves.
        kind: What kind of edge it is in the fleet.
        place: Latitude and longitude in degrees; empty: unknown.
        capacity: How much it can do, relative to other edges.
    """

    control: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("https://control.example.com",)),
            "The control process to follow: it says what is served, and purges. What the file declares is served only "
            "until then. The guide is `docs/guides/control.md`.",
            default="none",
        ),
    )
    control_token_file: str | None = field(
        default=None,
        metadata=about(
            TextShape(examples=("/etc/bodega/edge.token",)),
            "A file with a token for it, of the scope `edges`.",
            default="the variable `BODEGA_TOKEN`",
        ),
    )
    control_insecure: bool = field(
        default=False,
        metadata=about(
            FlagShape(),
            "Send the token over plain HTTP to another machine, where whoever is on the way can read it: for networks "
            "that encrypt by themselves.",
        ),
    )
    follow: str = field(
        default="stream",
        metadata=about(
            ChoiceShape(("stream", "poll")),
            "Whether changes come at once by a stream, or are asked for every `poll_every`.",
        ),
    )
    poll_every: Duration = field(
        default="10s", metadata=about(DurationShape(), 'How often, with follow = "poll". 1 s to 1 h.')
    )
    catch_up_wait: Duration = field(
        default="5s",
        metadata=about(
            DurationShape(),
            "How long it waits, when it starts, for what it missed, before it serves without. At most 1 min.",
        ),
    )
    kind: str = field(
        default="regional",
        metadata=about(ChoiceShape(("regional", "shield", "embedded")), "What kind of edge it is in the fleet."),
    )
    place: Sequence[float] = field(
        default=(),
        metadata=about(
            ListShape(NumberShape(-180, 180)),
            "Where it is: latitude and longitude in degrees, `[35.7, 139.7]`.",
            default="unknown",
        ),
    )
    capacity: float = field(
        default=1.0, metadata=about(NumberShape(0.001, 1_000_000), "How much it can do, relative to other edges.")
    )

    def check_control(self) -> None:
        """Check what takes more than the shape of a field, and bring them into one form.

        Raises:
            ConfigInvalid: If one cannot be used.
        """
        if self.control is not None:
            object.__setattr__(self, "control", control_url(self.control, "control"))
        if self.control_token_file is not None and not checks.text(self.control_token_file, "control_token_file"):
            raise ConfigInvalid("an empty path names no file", path=("control_token_file",))
        if not 1 <= checks.duration(self.poll_every, "poll_every") <= _MAX_POLL_SECONDS:
            raise ConfigInvalid(f"{self.poll_every} is out of range", hint='write "1s" to "1h"', path=("poll_every",))
        if not 0 <= checks.duration(self.catch_up_wait, "catch_up_wait") <= _MAX_CATCH_UP_SECONDS:
            raise ConfigInvalid(
                f"{self.catch_up_wait} is out of range", hint='write "0s" to "1m"', path=("catch_up_wait",)
            )
        object.__setattr__(self, "place", _place(self.place))
        if not _is_within(self.capacity, 0.001, 1_000_000):
            raise ConfigInvalid(
                f"{self.capacity} is no capacity", hint="write 0.001 to 1000000; 1 is usual", path=("capacity",)
            )

    def control_contradiction(self, name: str) -> Problem | None:
        """Say what cannot be together, if anything; `name` is the edge's."""
        if self.control is None:
            return None
        if not _NAME.fullmatch(name):
            return Problem(
                f'"{name}" is no name of an edge in a fleet',
                "write up to 63 lower-case letters, digits, `-` and `.`",
                ("name",),
            )
        if not self.control_insecure and is_seen_on_the_way(self.control):
            return Problem(
                f"plain HTTP to {urlsplit(self.control).hostname} would show the token to whoever is on the way",
                'use "https://", or say control_insecure = true (`--control-insecure true`)',
                ("control",),
            )
        return None


def advise_control(settings: ControlSettings) -> Iterator[Problem]:
    """Point out what is probably not meant."""
    if settings.control is None:
        for name, usual in (("control_token_file", None), ("control_insecure", False), ("follow", "stream")):
            if getattr(settings, name) != usual:
                yield Problem("no control process is followed", "name it in `control`, or leave this out", (name,))
        return
    if settings.control_insecure and not is_seen_on_the_way(settings.control):
        yield Problem("nothing needs this: the token is not seen on the way", "leave it out", ("control_insecure",))
    if settings.control_token_file is not None and not Path(settings.control_token_file).expanduser().is_file():
        yield Problem(f"there is no file {settings.control_token_file}", "", ("control_token_file",))
    if settings.follow == "stream" and settings.poll_every != "10s":
        yield Problem("changes come by a stream, nothing is polled", 'write follow = "poll"', ("poll_every",))


def _place(written: object) -> tuple[float, ...]:
    hint = "write latitude and longitude in degrees: [35.7, 139.7]"
    if not isinstance(written, list | tuple):
        raise ConfigInvalid(f"a {type(written).__name__} is no place", hint=hint, path=("place",))
    if not written:
        return ()
    if len(written) != len(("latitude", "longitude")):
        raise ConfigInvalid(f"a place has two numbers, and here are {len(written)}", hint=hint, path=("place",))
    for number, most in zip(written, (90, 180), strict=True):
        if not _is_within(number, -most, most):
            raise ConfigInvalid(f"{number} is out of range", hint=hint, path=("place",))
    return tuple(float(number) for number in written)


def _is_within(number: object, least: float, most: float) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and least <= number <= most
