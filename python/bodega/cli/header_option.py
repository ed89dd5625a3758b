"""`--header 'NAME: VALUE'`: a field of a request, as it is typed."""

from __future__ import annotations

import re

from bodega.errors import ConfigInvalid


def header_field(written: str) -> tuple[str, str]:
    """Take name and value apart.

    Raises:
        ConfigInvalid: If it is no field.
    """
    name, colon, value = written.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
        raise ConfigInvalid(f'"{written}" is not a header', hint='write it as "Name: value"', path=("--header",))
    return name, value


# A token: RFC 9110 section 5.6.2.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
