"""Helpers of `natural32.py`: reduction of column groups without labels, paired differences, and a table of means."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def reduce_group(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Standardise channels, and reduce them to `count` principal components.

    `values` is a (rows, cols, d) array. The result is a (rows, cols, count) float32 array whose first component has unit
    variance.
    """
    columns = values.reshape(-1, values.shape[2])
    return reduce_columns(((columns - columns.mean(0)) / (columns.std(0) + 1e-9)).reshape(values.shape), count)


def reduce_columns(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the first `count` principal components of channels, divided by the standard deviation of the first component.

    `values` is a (rows, cols, d) array, and the result is a (rows, cols, count) float32 array.
    """
    columns = values.reshape(-1, values.shape[2])
    centred = columns.astype(np.float64) - columns.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    components = centred @ axes[:, ::-1][:, :count] / np.sqrt(max(variances[-1], 1e-12))
    return components.astype(np.float32).reshape(*values.shape[:2], -1)


def gain(values: list[float | None], others: list[float | None]) -> dict[str, Any] | None:
    """Return the mean of paired differences in percentage points, its 95 % interval, and the number of draws with a gain."""
    points = _differences(values, others)
    return _summary(points, 0.95) if len(points) >= 3 else None


def pooled_gain(pairs: list[tuple[list[float | None], list[float | None]]], draws: int, level: float) -> dict[str, Any]:
    """Return the gain averaged over several tests, with an interval over the draws.

    The first `draws` differences of each test are averaged draw by draw. The interval therefore takes into account that
    tests share their draws.
    """
    return _summary(np.mean([_differences(*pair)[:draws] for pair in pairs], axis=0), level)


def _differences(values: list[float | None], others: list[float | None]) -> NDArray[np.float64]:
    """Return the differences in points over the draws for which both lists have a value."""
    return np.array([100 * (a - b) for a, b in zip(values, others, strict=True) if a is not None and b is not None])


def _summary(points: NDArray[np.float64], level: float) -> dict[str, Any]:
    # With more decimals than documents show, rounding twice changes no figure.
    margin = float(stats.t.ppf((1 + level) / 2, len(points) - 1) * stats.sem(points))
    mean = float(points.mean())
    return {
        "mean": round(mean, 5),
        "interval": [round(mean - margin, 5), round(mean + margin, 5)],
        "better": f"{int((points > 0).sum())} of {len(points)}",
    }


def table(content: dict[str, Any]) -> str:
    """Return, as text, the mean accuracy of every set of columns on every scene."""
    lines = []
    for scene, scores in content.get("scores", {}).items():
        for name, by_regime in scores.items():
            means = [
                f"{regime.replace('blocks:12+0:0.1', 'blocks')} "
                f"{100 * np.mean([v for v in values if v is not None]):.1f}"
                for regime, values in by_regime.items()
                if any(v is not None for v in values)
            ]
            lines.append(f"{scene:18} {name:45} " + "  ".join(means))
    return "\n".join(lines)
