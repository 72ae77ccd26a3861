"""Helpers for tests of heads: a layout with all kinds of columns, separable rows, and fast parameters for each head."""

from __future__ import annotations

from typing import Any

import numpy as np

from classifiers.heads.base import Head
from classifiers.heads.registry import head_class, head_names, make_head
from classifiers.heads.torch.head import TorchHead
from classifiers.layout import ColumnGroup, Layout

_GROUPS: tuple[dict[str, Any], ...] = (
    {"kind": "spectra", "width": 8},
    {"kind": "mean", "width": 8, "size": 3},
    {"kind": "patch", "width": 72, "size": 3},
    *({"kind": "plane", "width": 6, "t": t, "layer": "up"} for t in (50, 100)),
    *({"kind": "mean", "width": 6, "t": t, "layer": "up", "size": 3} for t in (50, 100)),
    *({"kind": "patch", "width": 54, "t": t, "layer": "up", "size": 3} for t in (50, 100)),
    {"kind": "position", "width": 2},
)
NAMES = head_names()
NETWORKS = [name for name in NAMES if issubclass(head_class(name), TorchHead)]


def _layout() -> Layout:
    groups, start = [], 0
    for facts in _GROUPS:
        rest = {key: value for key, value in facts.items() if key != "width"}
        groups.append(ColumnGroup(start=start, stop=start + facts["width"], **rest))
        start += facts["width"]
    return Layout(tuple(groups))


LAYOUT = _layout()
SMALL_TRANSFORMERS = {
    "spectraldiff": {"depth": 1, "width": 16, "heads": 2, "head_width": 8, "learning_rate": 1e-2},
    "supertoken": {"depth": 1, "width": 32, "heads": 2, "head_width": 8, "mlp_width": 32, "dropout": 0.0},
}


def quick_params(name: str) -> dict[str, Any]:
    """Return parameters with which a head trains fast and still learns separable classes."""
    cheap = {"epochs": 12, "learning_rate": 1e-2} if name in NETWORKS else {"n_estimators": 20}
    cheap |= {"hyperfeatures": {"channels": 16}, "film": {"members": 2}, **SMALL_TRANSFORMERS}.get(name, {})
    return {key: value for key, value in cheap.items() if key in head_class(name)().get_params()}


def quick(name: str, layout: Layout | None = LAYOUT, **params: Any) -> Head:
    """Return a head with parameters for fast training."""
    return make_head(name, layout, **quick_params(name) | params)


def toy(
    rows: int = 160, classes: int = 4, seed: int = 0, *, apart: float = 1.0, layout: Layout = LAYOUT
) -> tuple[np.ndarray, np.ndarray]:
    """Return random rows of several classes and their class codes; `seed` does not affect the class means."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    means = np.random.default_rng(99).normal(size=(classes, layout.width))
    return (apart * means[y] + rng.normal(size=(rows, layout.width))).astype(np.float32), y


def scores(head: Any, X: np.ndarray) -> np.ndarray:
    """Return the class probabilities of a fitted head, or the class scores if the head has no probabilities."""
    return np.asarray(head.predict_proba(X) if hasattr(head, "predict_proba") else head.decision_function(X))
