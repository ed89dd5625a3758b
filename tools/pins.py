"""Choose versions for what requirements/*.in names, and write them with their hashes to requirements/*.txt."""

from __future__ import annotations

import sys

from tools.setup import python
from tools.setup.progress import ROOT, TOOLS, SetupFailed, run, step

FILES = {
    "development": ["pyproject.toml", "--extra", "control", "--extra", "models"],
    "rust": [],
    "go": [],
    "hit-ratio-judge": [],
    "plots": [],
    "demo": [],
    "tritonclient": [],
    **{f"inference-{peer}": [] for peer in ("fastapi", "mosec", "litserve", "bentoml", "mlserver")},
}


def main() -> int:
    """Write all pins anew.

    Returns:
        0, or 1 after saying what went wrong.
    """
    try:
        python.prepare()
        with step("uv, which chooses versions"):
            environment = TOOLS / "pins"
            run([sys.executable, "-m", "venv", environment], log="pins")
            run([environment / "bin" / "pip", "install", "--quiet", "uv"], log="pins")
        for name, more in FILES.items():
            with step(f"requirements/{name}.txt"):
                run(
                    [
                        environment / "bin" / "uv",
                        *(
                            "pip",
                            "compile",
                            "--universal",
                            "--python-version",
                            "3.11",
                            "--generate-hashes",
                            "--upgrade",
                        ),
                        # Where packages come from is a matter of the machine, not of the project.
                        *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
                        *("--output-file", f"requirements/{name}.txt", f"requirements/{name}.in", *more),
                    ],
                    log="pins",
                )
    except SetupFailed as failure:
        print(f"\nstopped: {failure}", file=sys.stderr)
        return 1
    print(f"look at: git -C {ROOT} diff requirements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
