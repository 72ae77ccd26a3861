"""Table rows and sentences about a sweep of planes (one timestep and layer each).

The rows have the accuracy, the gain over spectra alone, the size and the extraction time of each plane.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any

from classifiers.comparison.results.base_records import Estimate
from classifiers.comparison.results.plane_scores import PlaneScore, SweepResult

# Smaller differences of OA between two timesteps do not count for the shape of a curve.
_TOLERANCE = 0.01
_MIN_TIMESTEPS = 4


def sweep_rows(sweep: SweepResult) -> list[dict[str, Any]]:
    """Return one dict per plane and one dict for spectra alone, sorted by descending accuracy.

    Accuracies are from 0 to 1, and gains from -1 to 1. The following keys describe the selection of planes. They are None for
    spectra alone, and for planes that were not selected.

    - ``rank``: position of the plane in the selection;
    - ``oa_together``: accuracy on the plane together with all planes that were selected before it;
    - ``step_gain``: accuracy that the plane adds to the planes before it, or, for the first plane, to spectra alone;
    - ``step_seconds``: extraction time that the plane adds to the planes before it.
    """
    ranks = {score.plane: rank for rank, score in enumerate(sweep.selection, 1)}
    rows = []
    for score in sweep.planes:
        rank = ranks.get(score.plane)
        step = None if rank is None else sweep.selection[rank - 1]
        rows.append(
            {
                "t": score.t,
                "layer": score.layer,
                **_mean_sd("oa", "sd", score.oa),
                **_mean_sd("gain", "gain_sd", score.gain),
                "size_bytes": score.size_bytes,
                "seconds": score.seconds,
                "rank": rank,
                **_mean_sd("oa_together", "sd_together", step.oa if step else None),
                **_mean_sd("step_gain", "step_gain_sd", step.gain if step else None),
                "step_seconds": step.seconds if step else None,
            }
        )
    if sweep.baseline is not None:
        rows.append({**dict.fromkeys(rows[0]), "layer": "spectra", **_mean_sd("oa", "sd", sweep.baseline)})
    return sorted(rows, key=lambda row: -row["oa"])


def sweep_remarks(sweep: SweepResult) -> list[str]:
    """Return sentences about a sweep.

    They are the results of `constant_remarks`, `selection_remarks`, `weak_gain_remarks`, `noise_level_remarks` and
    `reduction_remarks`, in this order.
    """
    return [
        *constant_remarks(sweep),
        *selection_remarks(sweep),
        *weak_gain_remarks(sweep),
        *noise_level_remarks(sweep),
        *reduction_remarks(sweep),
    ]


def constant_remarks(sweep: SweepResult) -> list[str]:
    """Return a list with one sentence that names the planes, or spectra, that were constant on training pixels; empty if there are none."""
    if not sweep.constant:
        return []
    planes = f"Constant on the training pixels of at least one seed: {', '.join(sweep.constant)}"
    return [f"{planes}. There, the most frequent class of the training pixels is scored instead of the head"]


def reduction_remarks(sweep: SweepResult) -> list[str]:
    """Return a list with one sentence: to which pixels principal components are fitted.

    If these pixels are unknown, the list is empty.
    """
    if sweep.reduction is None:
        return []
    pixels = "a sample of all pixels, test pixels included, without their labels"
    return [f"Principal components are fitted to {pixels if sweep.reduction == 'scene' else 'training pixels'}"]


def selection_remarks(sweep: SweepResult) -> list[str]:
    """Return a list with one sentence if the selected planes differ between seeds; otherwise an empty list."""
    counts = [
        sum(names[index : index + 1] == (score.plane,) for names in sweep.selections)
        for index, score in enumerate(sweep.selection)
    ]
    total = len(sweep.selections)
    if min(counts, default=total) == total:
        return []
    named = ", ".join(
        f"{score.plane} by {count} of {total} seeds" for score, count in zip(sweep.selection, counts, strict=True)
    )
    selected = f"The selection shows the planes that seed 0 selected, each at its place ({named})"
    return [f"{selected}. Accuracies and gains are means over the planes that each seed selected"]


def weak_gain_remarks(sweep: SweepResult) -> list[str]:
    """Return a sentence about each plane for which the mean ``step_gain`` is not above its standard deviation over seeds.

    See `sweep_rows`.
    """
    remarks = []
    for index, score in enumerate(sweep.selection):
        if score.gain is None or score.gain.mean > score.gain.sd:
            continue
        differs = any(names[index : index + 1] != (score.plane,) for names in sweep.selections)
        subject = f"selected plane {index + 1} ({score.plane} with seed 0)" if differs else score.plane
        predicate = "add to the planes before it" if index else "gain over spectra alone"
        spread = " more than the standard deviation over seeds" if sweep.seeds > 1 else ""
        remarks.append(f"{subject} does not {predicate}{spread}: {gain_text(score.gain, sweep.seeds)} points")
    return remarks


def noise_level_remarks(sweep: SweepResult) -> list[str]:
    """Return a sentence for each layer on how the overall accuracy (OA) depends on the noise level.

    Layers with fewer than four timesteps are left out. A single maximum at an intermediate noise level is a sign that the
    diffusion model generalises. A steady fall of OA with the noise level is a sign that the diffusion model memorises its
    training data (Li et al. 2025, arXiv:2502.05743).
    """
    remarks = []
    scores = sorted(sweep.planes, key=lambda score: (score.layer, score.t))
    for layer, group in groupby(scores, key=lambda score: score.layer):
        curve = [(score.t, score.oa.mean) for score in group]
        if len(curve) >= _MIN_TIMESTEPS:
            values = ", ".join(f"{100 * oa:.1f} at t = {t}" for t, oa in curve)
            remarks.append(f"{layer}, OA in % by noise level: {values}; {_curve_shape([oa for _, oa in curve])}")
    return remarks


def _curve_shape(values: list[float]) -> str:
    """Describe the shape of a curve: overall accuracies by ascending noise level.

    >>> _curve_shape([0.5, 0.6, 0.4, 0.3]), _curve_shape([0.6, 0.5, 0.4, 0.3])
    ('one maximum, as of a model that generalises', 'falling with the noise, as of a model that memorises')
    """
    top, first, last = max(values), values[0], values[-1]
    peak = values.index(top)
    rises = all(b > a - _TOLERANCE for a, b in pairwise(values[: peak + 1]))
    falls = all(b < a + _TOLERANCE for a, b in pairwise(values[peak:]))
    if top - min(values) <= _TOLERANCE:
        return "the noise level makes no difference"
    if not (rises and falls):
        return "several maxima, which say nothing about the model"
    if top - last <= _TOLERANCE:
        return "rising with the noise: more noise may be better still"
    if top - first <= _TOLERANCE:
        return "falling with the noise, as of a model that memorises"
    return "one maximum, as of a model that generalises"


def gain_text(gain: Estimate, seeds: int) -> str:
    """Format a gain in percentage points, with its standard deviation if there are several seeds.

    >>> gain_text(Estimate(mean=0.0213, sd=0.004), 5), gain_text(Estimate(mean=-0.011, sd=0.0), 1)
    ('+2.1 ± 0.4', '-1.1')
    """
    return f"{100 * gain.mean:+.1f}" + (f" ± {100 * gain.sd:.1f}" if seeds > 1 else "")


def plane_values(scores: tuple[PlaneScore, ...]) -> dict[tuple[int | None, str], float]:
    """Map the timestep and layer of each plane to its overall accuracy (OA) in percent."""
    return {(score.t, score.layer): 100 * score.oa.mean for score in scores}


def _mean_sd(mean: str, sd: str, estimate: Estimate | None) -> dict[str, float | None]:
    return {mean: estimate.mean if estimate else None, sd: estimate.sd if estimate else None}
