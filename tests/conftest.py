"""What every test may rely on: programs of .tools/bin are on PATH, whoever starts pytest."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# ONNX Runtime, where a test itself loads it, calls nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

os.environ["PATH"] = os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ.get("PATH", "")])
