"""The compiled configuration: what the data plane executes, in one document.

`compile_snapshot` turns nouns into the document with every default filled in; `validate` asks the native core whether
it would take it. The form of the document is described in ``docs/concepts/first-light.md``, and decided by the types of
the crate `bodega-snapshot`.
"""

from __future__ import annotations

from bodega.snapshot.compile import Snapshot, compile_snapshot
from bodega.snapshot.key import Key, KeyReport, Sent, explain_key
from bodega.snapshot.model_checks import check_models
from bodega.snapshot.validate import validate, wrong_token_files

__all__ = [
    "Key",
    "KeyReport",
    "Sent",
    "Snapshot",
    "check_models",
    "compile_snapshot",
    "explain_key",
    "validate",
    "wrong_token_files",
]
