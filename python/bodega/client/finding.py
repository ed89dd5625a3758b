"""Which control process is meant, and with which token.

What is named comes first, then what the environment names, then what runs on this machine for this user. The token of
what runs here is sent nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bodega.config import control_token, control_url, is_seen_on_the_way
from bodega.errors import ConfigInvalid, ControlNotFound
from bodega.runtime import ControlRecord, control_records


@dataclass(frozen=True, slots=True)
class ControlAddress:
    """A control process and what to say there.

    Attributes:
        url: Where it is.
        token: What is sent.
        how: How it was found, for people.
    """

    url: str
    token: str | None = field(repr=False)
    how: str


def find_control(
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    token: str | None = None,
    token_file: str | Path | None = None,
    insecure: bool = False,
) -> ControlAddress | None:
    """Find a control process; None if nothing names one, and none of this user runs here.

    Args:
        environment: Where ``BODEGA_CONTROL``, ``BODEGA_TOKEN`` and ``BODEGA_CONTROL_TOKEN_FILE`` are looked for.
        url: Its address, if it is known.
        token: The token itself.
        token_file: A file that holds it.
        insecure: Whether a token may go to another machine by plain HTTP.

    Raises:
        ConfigInvalid: If the address or the token cannot be used.
        ControlNotFound: If several run here, so that one has to be named.
    """
    records = control_records(environment)
    named = url or environment.get("BODEGA_CONTROL") or None
    if named is None:
        urls = sorted({each.url for each in records})
        if len(urls) > 1:
            raise ControlNotFound(
                f"{len(urls)} control processes of yours run here: {', '.join(urls)}",
                hint="name one: `--control URL`, BODEGA_CONTROL, or connect(url)",
            )
        if not urls:
            return None
        address, how = urls[0], "it runs here"
    else:
        address, how = control_url(named, "--control"), "it was named" if url else "BODEGA_CONTROL names it"
    record = next((each for each in records if each.url == address), None)
    found = _token(environment, token, token_file, record)
    if found is not None and not insecure and is_seen_on_the_way(address):
        raise ConfigInvalid(
            f"plain HTTP to {urlsplit(address).hostname} would show the token to whoever is on the way",
            hint="use https://, or say `--control-insecure` (in Python: insecure=True)",
            path=("--control",),
        )
    return ControlAddress(address, found, how)


def _token(
    environment: Mapping[str, str], token: str | None, file: str | Path | None, record: ControlRecord | None
) -> str | None:
    if token is None and file is None:
        if environment.get("BODEGA_TOKEN"):
            return control_token(environment["BODEGA_TOKEN"], "BODEGA_TOKEN", "--token-file")
        file = environment.get("BODEGA_CONTROL_TOKEN_FILE") or None
    if token is not None:
        return control_token(token, "--token", "--token")
    if file is None and record is not None:
        file = record.token_file
    if file is None:
        return None
    try:
        return control_token(Path(file).read_text(), str(file), "--token-file")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{file}: {error}", path=("--token-file",)) from None
