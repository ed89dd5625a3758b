"""What is wrong between an edge and its control process, in words, and told once."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from bodega.errors import BodegaError, ControlRefused


def explain(error: BaseException, url: str) -> tuple[str, str]:
    """Return a word for what kind of thing is wrong, one of few, and what it is for people."""
    match error:
        case ControlRefused(status=401):
            return "refused 401", "it does not know the token of this edge (401); `bodega tokens` makes another one"
        case ControlRefused(status=None):
            return "refused", str(error)
        case ControlRefused():
            return f"refused {error.status}", str(error)
        case BodegaError():
            return type(error).__name__, str(error)
        case socket.gaierror():
            return "name", f"{urlsplit(url).hostname} is no name that is known here ({error.strerror})"
        case ssl.SSLCertVerificationError():
            return "certificate", f"its certificate is not to be trusted: {error.verify_message}"
        case ssl.SSLError():
            return "tls", f"no TLS with what answers there: {error.reason or error}"
        case TimeoutError():
            return "silent", "nothing is heard of it"
        case ConnectionRefusedError():
            return "nobody", "nobody listens there"
        case OSError():
            return "away", error.strerror or str(error)
        case _:
            return "garbage", f"what answers there is no control process ({type(error).__name__}: {error})"[:300]


def is_refusal(error: BaseException) -> bool:
    """Whether asking again soon is of no use: somebody has to do something first."""
    return isinstance(error, ControlRefused) and error.status is not None and error.status in range(400, 500)
