"""The program of a worker: ``python -m bodega.serving.worker onnx|runner EDGE``.

The edge starts it; nobody else does. Standard input is the socket to it, standard output the memory that is shared with
it, and standard error its log. An ONNX model needs next to nothing of Python, so next to nothing is imported for it: a
model is tried in a worker whenever a new file is loaded.
"""

from __future__ import annotations

import sys

from bodega._native import die_with_parent, serve_onnx


def main() -> None:
    """Run a model until the edge lets go of it."""
    if len(sys.argv) != 3 or sys.argv[1] not in ("onnx", "runner"):
        raise SystemExit("workers of models are started by an edge")
    die_with_parent(int(sys.argv[2]))
    if sys.argv[1] == "onnx":
        serve_onnx()
    else:
        from bodega.serving.hosting import serve_runner

        serve_runner()


if __name__ == "__main__":
    main()
