"""How `bodega predict` asks: with which fields and whose certificates, and what is wrong where nobody answers."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.cli.header_option import header_field
from bodega.config import control_token
from bodega.edge.prediction_refusals import prediction_refused
from bodega.errors import ConfigInvalid, EdgeNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIMEOUT_SECONDS = 60
_TLS_ELSEWHERE = "WRONG_VERSION_NUMBER"
_OTHER_HOST = (62, 64)


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request to a model at a URL.

    Attributes:
        url: The URL.
        fields: What is sent beside the body.
        trusted: Whose certificates are believed.
    """

    url: str
    fields: Mapping[str, str]
    trusted: ssl.SSLContext

    def send(self, body: bytes) -> bytes:
        """Ask, and return what is answered.

        Raises:
            PredictionRefused: If it is refused.
            EdgeNotFound: If nobody answers who can be believed.
        """
        request = urllib.request.Request(self.url, body, dict(self.fields))  # noqa: S310 - The scheme was checked.
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=self.trusted))
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                content: bytes = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise prediction_refused(error.code, error.read()) from None
        except OSError as error:
            raise _unreachable(self.url, getattr(error, "reason", error)) from None
        return content


def request_to(url: str, token_file: Path | None, headers: Sequence[str], authorities: Path | None) -> PredictRequest:
    """Put together what the options say.

    Raises:
        ConfigInvalid: If one cannot be used.
    """
    fields = {"Content-Type": "application/json", **dict(map(header_field, headers))}
    if token_file is not None:
        try:
            token = control_token(token_file.read_text(), str(token_file), "--token-file")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigInvalid(f"{token_file}: {error}", path=("--token-file",)) from None
        fields["Authorization"] = f"Bearer {token}"
    try:
        trusted = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        # That of a file without a certificate in PEM is one, too.
        raise ConfigInvalid(f"{authorities} holds no certificates: {error}", path=("--cacert",)) from None
    return PredictRequest(url, fields, trusted)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves redirects alone: the token is for one host, and the body for one URL."""

    def redirect_request(self, *_args: object, **_values: object) -> None:
        """Go nowhere."""


def _unreachable(url: str, why: object) -> EdgeNotFound:
    if isinstance(why, ssl.SSLCertVerificationError):
        if why.verify_code in _OTHER_HOST:
            return EdgeNotFound(f"the certificate at {url} is for others: {why.verify_message}", hint=_NAME_IT)
        return EdgeNotFound(f"the certificate at {url} is not believed: {why.verify_message}", hint=_TRUST_IT)
    if isinstance(why, ssl.SSLError) and why.reason == _TLS_ELSEWHERE:
        return EdgeNotFound(f"what answers at {url} speaks no TLS", hint="write http://")
    return EdgeNotFound(f"nobody answers at {url}: {why}", hint="name the edge by --url")


_NAME_IT = "name a host in --url that it is for"
_TRUST_IT = "if it is yours, name the certificate of the authority that signed it: --cacert FILE"
