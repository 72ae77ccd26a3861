"""Table rows and sentences about a sweep: the accuracy, gain and cost of each plane (one timestep and layer)."""

from __future__ import annotations

from typing import Any

from classifiers.comparison.results.base_records import Estimate
from classifiers.comparison.results.plane_scores import PlaneScore, SweepResult


def sweep_rows(sweep: SweepResult) -> list[dict[str, Any]]:
    """Return one row per plane and one row for spectra alone, sorted by descending accuracy.

    Accuracies and gains are fractions of 1. Three columns describe the selection of planes, and are None for planes
    that were not selected. ``rank`` is the position of the plane in the selection. ``oa_together`` is the accuracy of
    all selected planes up to this one. ``step_gain`` is the gain from adding this plane to the planes selected before.
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


def weak_gain_remarks(sweep: SweepResult) -> list[str]:
    """Return a sentence about each selected plane whose mean gain is at most the standard deviation of the gain."""
    remarks = []
    for index, score in enumerate(sweep.selection):
        if score.gain is None or score.gain.mean > score.gain.sd:
            continue
        predicate = "add to the planes before it" if index else "gain over spectra alone"
        spread = " more than the standard deviation over seeds" if sweep.seeds > 1 else ""
        remarks.append(f"{score.plane} does not {predicate}{spread}: {gain_text(score.gain, sweep.seeds)} points")
    return remarks


def gain_text(gain: Estimate, seeds: int) -> str:
    """Format a gain in percentage points, with its standard deviation if there are several seeds.

    >>> gain_text(Estimate(mean=0.0213, sd=0.004), 5), gain_text(Estimate(mean=-0.011, sd=0.0), 1)
    ('+2.1 ± 0.4', '-1.1')
    """
    return f"{100 * gain.mean:+.1f}" + (f" ± {100 * gain.sd:.1f}" if seeds > 1 else "")


def plane_values(scores: tuple[PlaneScore, ...]) -> dict[tuple[int | None, str], float]:
    """Return the overall accuracy (OA) of planes in percent, by timestep and layer."""
    return {(score.t, score.layer): 100 * score.oa.mean for score in scores}


def _mean_sd(mean: str, sd: str, estimate: Estimate | None) -> dict[str, float | None]:
    return {mean: estimate.mean if estimate else None, sd: estimate.sd if estimate else None}
