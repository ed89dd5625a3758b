"""Makes the models that `bodega up` serves: `python make_predictors.py FOLDER`.

Run by an interpreter that has scikit-learn, skl2onnx, onnxruntime and magika: that of the extra ``demo``, or an
environment that is used for this alone (`tools.setup`). It imports nothing of bodega.

FOLDER/breast-cancer.onnx       gradient boosting, trained here on 398 of the 569 cases of scikit-learn's data set
FOLDER/breast-cancer.json       names of its 30 features; cases that it was not trained on, and what it says to them
FOLDER/case.json                one of those cases, as `bodega predict - < case.json` takes it
FOLDER/magika.onnx              the model of magika: which kind of file some bytes are
FOLDER/magika.json              its 214 labels
FOLDER/magika-LICENSE.txt       whose it is, and under which licence
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

_N_CASES = 24


def main() -> None:
    """Make them; the folder appears complete or not at all."""
    folder = Path(sys.argv[1])
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        _breast_cancer(unfinished)
        _magika(unfinished)
        unfinished.chmod(0o755)
        # Two that start at once make two, and the later one finds the place taken.
        if not folder.exists():
            os.replace(unfinished, folder)  # noqa: PTH105 - only this one replaces a folder
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _breast_cancer(folder: Path) -> None:
    import numpy as np
    from skl2onnx import to_onnx  # type: ignore[import-not-found, unused-ignore]
    from sklearn.datasets import load_breast_cancer  # type: ignore[import-not-found, unused-ignore]
    from sklearn.ensemble import GradientBoostingClassifier  # type: ignore[import-not-found, unused-ignore]
    from sklearn.model_selection import train_test_split  # type: ignore[import-not-found, unused-ignore]

    data = load_breast_cancer()
    # As the model takes them: what is trained on is what it is asked.
    features = data.data.astype(np.float32)
    known, held_out, is_benign, truth = train_test_split(
        features, data.target, test_size=0.3, random_state=1, stratify=data.target
    )
    model = GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=1).fit(known, is_benign)
    file = folder / "breast-cancer.onnx"
    # Without the map that classifiers end with by default: a label, and the probability of each class.
    converted = to_onnx(model, known[:1], options={"zipmap": False})
    converted.graph.name = "breast-cancer"
    file.write_bytes(converted.SerializeToString())
    labels, probabilities = _run(file, held_out)
    right = float((labels == truth).mean())
    if right < 0.9:
        raise RuntimeError(f"the model is right about {right:.0%} of what it was not trained on")
    cases = [
        {
            "features": [float(value) for value in held_out[at]],
            "prediction": {
                "label": int(labels[at]),
                "probabilities": [float(value) for value in probabilities[at]],
            },
        }
        for at in range(_N_CASES)
    ]
    about = {
        "features": [str(name) for name in data.feature_names],
        "labels": [str(name) for name in data.target_names],
        "right_share": right,
        "cases": cases,
    }
    (folder / "breast-cancer.json").write_text(json.dumps(about, indent=1))
    (folder / "case.json").write_text(f"{json.dumps(cases[0]['features'])}\n")


def _run(file: Path, rows: Any) -> Any:
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]

    session = onnxruntime.InferenceSession(str(file))
    return session.run(["label", "probabilities"], {session.get_inputs()[0].name: rows})


def _magika(folder: Path) -> None:
    distribution = metadata.distribution("magika")
    found = [each for each in distribution.files or () if each.name == "model.onnx"]
    if len(found) != 1:
        raise RuntimeError(f"magika {distribution.version} has {len(found)} models")
    model = Path(str(distribution.locate_file(found[0])))
    shutil.copyfile(model, folder / "magika.onnx")
    told = json.loads((model.parent / "config.min.json").read_text())
    # What `bodega.up.predictors.beginning_and_end` reads of a file is what this version of the model was made for.
    expected = {"beg_size": 1024, "mid_size": 0, "end_size": 1024, "padding_token": 256, "block_size": 4096}
    if {name: told[name] for name in expected} != expected:
        raise RuntimeError(f"magika {distribution.version} looks at other bytes of a file")
    (folder / "magika.json").write_text(json.dumps({"labels": told["target_labels_space"]}))
    said = distribution.metadata.json
    version = f"{said['name']} {said['version']} ({model.parent.name})"
    lines = [
        f"magika.onnx is the model of {version}, from its package on PyPI.",
        f"Author: {said['author_email']}",
        f"Home page: {said['home_page']}",
        f"License: {said['license']} (https://www.apache.org/licenses/LICENSE-2.0)",
    ]
    # The package's own words, where it has some.
    texts = [distribution.locate_file(each) for each in distribution.files or () if "LICENSE" in each.name.upper()]
    lines += [Path(str(text)).read_text() for text in texts]
    (folder / "magika-LICENSE.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
