"""Saved models of all heads in the repository, to test that later versions of hsifeat can open them.

``python -m tests.helpers.frozen_models`` adds models of new heads to ``tests/classifiers/models``. Models that exist are
not changed. When the version of the model format changes, delete the folder first. Each model takes a few kilobytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.heads.base import Head
from classifiers.heads.registry import head_names, make_head
from classifiers.layout import ColumnGroup, Layout
from classifiers.persistence import save_head
from tests.helpers.heads import scores

FOLDER = Path(__file__).parents[1] / "classifiers" / "models"
PREDICTIONS = FOLDER / "predictions.json"
LAYOUT = Layout(
    (
        ColumnGroup("spectra", 0, 4),
        ColumnGroup("plane", 4, 7, t=50, layer="up"),
        ColumnGroup("plane", 7, 10, t=100, layer="up"),
        ColumnGroup("mean", 10, 13, t=50, layer="up", size=3),
        ColumnGroup("mean", 13, 16, t=100, layer="up", size=3),
    )
)
_SMALL: dict[str, Any] = {
    "epochs": 2,
    "hidden": (4,),
    "n_estimators": 3,
    "max_leaf_nodes": 4,
    "num_leaves": 3,
    "bottleneck": 4,
    "channels": 3,
    "components": 3,
    "depth": 1,
    "width": 8,
    "heads": 2,
    "head_width": 4,
    "mlp_width": 4,
    "plane_components": 3,
    "spectral_components": 3,
}


def fit_small(name: str) -> Head:
    """Fit a small head on 30 rows of three classes."""
    rng = np.random.default_rng(0)
    y = np.array(["corn", "oats", "wheat"])[np.arange(30) % 3]
    X = (rng.normal(size=(30, LAYOUT.width)) + (np.arange(30) % 3)[:, None]).astype(np.float32)
    head = make_head(name, LAYOUT)
    return head.set_params(**{key: value for key, value in _SMALL.items() if key in head.get_params()}).fit(X, y)


def write_frozen_models() -> None:
    """Write a model of each head without a model, and the predictions of this model for a few rows."""
    FOLDER.mkdir(exist_ok=True)
    rows = np.random.default_rng(1).normal(1, 1.5, size=(6, LAYOUT.width)).astype(np.float32)
    predictions = json.loads(PREDICTIONS.read_text())["predictions"] if PREDICTIONS.exists() else {}
    for name in head_names():
        if name in predictions:
            continue
        head = fit_small(name)
        save_head(head, FOLDER / name, meta={"split": "random:0.1"})
        predictions[name] = {"labels": head.predict(rows).tolist(), "scores": scores(head, rows).tolist()}
    PREDICTIONS.write_text(json.dumps({"rows": rows.tolist(), "predictions": predictions}, indent=1) + "\n")


if __name__ == "__main__":
    write_frozen_models()
