"""What an edge said against a prediction, as an error."""

from __future__ import annotations

import json

from bodega.errors import PredictionRefused


def prediction_refused(status: int, content: bytes) -> PredictionRefused:
    """Return the error that an answer other than 200 tells of, with what was expected and what came.

    Args:
        status: That of the answer.
        content: Its body.
    """
    try:
        told = json.loads(content)
        what, (field, expected, given) = str(told["error"]), (told.get(name) for name in ("field", "expected", "given"))
    except (ValueError, KeyError, TypeError, AttributeError):
        first = content.decode("utf-8", "replace").splitlines() or [""]
        return PredictionRefused(f"{status}: {first[0]}", status=status)
    return PredictionRefused(
        what, status=status, field=str(field or ""), expected=str(expected or ""), given=str(given or "")
    )
