"""A sweep in rows and sentences: what each plane gains over spectra alone, and what that costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from classifiers.comparison.results.model import PlaneScore, Sweep
from hsifeat.types import PlaneId


def to_rows(found: Sweep) -> list[dict[str, Any]]:
    """Return a row a plane, best first, and one for spectra alone: what it gains, what it costs, its place among the chosen.

    Accuracies are fractions of 1. ``step`` columns say what a chosen plane adds to those chosen before it.
    """
    places = {name(step): place for place, step in enumerate(found.chosen, 1)}
    rows = []
    for score in found.alone:
        place = places.get(name(score))
        step = None if place is None else found.chosen[place - 1]
        rows.append(
            {
                "t": score.t,
                "layer": score.layer,
                **_pair("oa", "sd", score.oa),
                **_pair("gain", "gain_sd", score.gain),
                "bytes": score.bytes,
                "seconds": score.seconds,
                "chosen": place,
                **_pair("oa_together", "sd_together", None if step is None else step.oa),
                **_pair("step_gain", "step_gain_sd", None if step is None else step.gain),
                "step_seconds": None if step is None else step.seconds,
            }
        )
    if found.baseline is not None:
        rows.append({**dict.fromkeys(rows[0]), "layer": "spectra", **_pair("oa", "sd", found.baseline)})
    return sorted(rows, key=lambda row: -row["oa"])


def to_document(found: Sweep) -> dict[str, Any]:
    """Return all of a sweep as plain JSON values, as ``sweep`` stands in results.json."""
    return asdict(found)


def remarks(found: Sweep) -> list[str]:
    """Say which of the chosen planes gain no more than the spread of that gain over seeds, a sentence each."""
    said = []
    for place, step in enumerate(found.chosen):
        if step.gain is None or step.gain[0] > step.gain[1]:
            continue
        what = "add to the planes before it" if place else "gain over spectra alone"
        spread = " more than its spread over seeds" if found.seeds > 1 else ""
        said.append(f"{name(step)} does not {what}{spread}: {points(step.gain, found.seeds)} points")
    return said


def name(score: PlaneScore) -> str:
    """Return the name of a plane."""
    return str(PlaneId(score.t, score.layer))


def points(gain: tuple[float, float], seeds: int) -> str:
    """Return a gain in points, with its standard deviation over several seeds.

    >>> points((0.0213, 0.004), 5), points((-0.011, 0.0), 1)
    ('+2.1 ± 0.4', '-1.1')
    """
    return f"{100 * gain[0]:+.1f}" + (f" ± {100 * gain[1]:.1f}" if seeds > 1 else "")


def _pair(mean: str, sd: str, values: tuple[float, float] | None) -> dict[str, float | None]:
    return dict(zip((mean, sd), values or (None, None), strict=True))
