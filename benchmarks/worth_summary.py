"""Means over draws, and defaults chosen on other scenes, for the result file of `worth.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np


def summarise(fits: dict[str, Any]) -> list[dict[str, Any]]:
    """Return mean, standard deviation and standard error of each entry, in points of overall accuracy."""
    rows = []
    for scene, regimes in fits.items():
        for regime, entries in regimes.items():
            for key, draws in entries.items():
                values = np.array(list(draws.values()))
                sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                rows.append(
                    {
                        "scene": scene,
                        "regime": regime,
                        "entry": key,
                        "draws": len(values),
                        # With more decimals than documents show, rounding twice changes no figure.
                        "oa": round(float(values.mean()), 5),
                        "sd": round(sd, 5),
                        "se": round(sd / len(values) ** 0.5, 5),
                    }
                )
    return rows


def cross_choice(fits: dict[str, Any], scenes: Sequence[str], regimes: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each scene the best entry on average over the other scenes and the best entry of the scene, with accuracies."""
    means: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in summarise(fits):
        if row["scene"] in scenes and row["regime"] in regimes and "planes" not in row["entry"]:
            means[row["scene"], row["regime"]][row["entry"]] = row["oa"]
    choices = []
    for scene in scenes:
        others = [values for (other, _), values in means.items() if other != scene]
        own = [values for (other, _), values in means.items() if other == scene]
        shared = set.intersection(*(set(values) for values in others + own)) if others and own else set()
        if not shared:
            continue
        chosen = max(sorted(shared), key=lambda key: sum(values[key] for values in others))
        for (other, regime), values in means.items():
            if other == scene:
                best = max(sorted(values), key=lambda key, values=values: values[key])
                choices.append(
                    {
                        "scene": scene,
                        "regime": regime,
                        "entry": chosen,
                        "oa": values[chosen],
                        "best_entry": best,
                        "best_oa": values[best],
                    }
                )
    return choices
