"""What changed since an older comparison, entry by entry, and whether it is more than noise."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from classifiers.comparison.results import Change, Comparison
from classifiers.comparison.runs import Entry, RunResult
from classifiers.comparison.statistics import LEVEL, holm
from classifiers.comparison.tables import read_json

_Runs = Mapping[int, RunResult]


def since(comparison: Comparison, older: Path) -> list[Change]:
    """Compare a comparison with the ``results.json`` of an older one.

    Where both have the same draws under the same seeds, the t-test is paired over these seeds; otherwise it is Welch's,
    over the seeds of each. p-values are corrected for the number of entries and splits tested (Holm).

    Raises
    ------
    HsifeatError
        The file is no comparison.
    """
    before = _grouped([RunResult.from_json(row) for row in read_json(older)["results"]])
    after = _grouped(comparison.results)
    changes = [_change(at, before.get(at, {}), after.get(at, {})) for at in {**after, **before}]
    tested = [k for k, change in enumerate(changes) if change.p is not None]
    for k, p in zip(tested, holm(np.array([changes[k].p for k in tested], float)), strict=True):
        changes[k] = _judged(changes[k], float(p))
    return changes


def _grouped(results: Sequence[RunResult]) -> dict[tuple[Entry, str], dict[int, RunResult]]:
    grouped: dict[tuple[Entry, str], dict[int, RunResult]] = {}
    for result in results:
        grouped.setdefault((result.run.entry, result.run.split), {})[result.run.seed] = result
    return grouped


def _change(at: tuple[Entry, str], before: _Runs, after: _Runs) -> Change:
    entry, split = at
    means = [float(np.mean([r.scores.oa for r in runs.values()])) if runs else None for runs in (before, after)]
    change = Change(entry, split, means[0], means[1], "", 0, None, None, "")
    if not before or not after:
        return replace(change, verdict=f"{entry} on {split}: only in the {'newer' if after else 'older'} comparison")
    shared = [seed for seed in after if seed in before and after[seed].draw == before[seed].draw]
    if len(shared) >= 2:
        old, new = ([runs[seed].scores.oa for seed in shared] for runs in (before, after))
        return replace(
            change,
            before=float(np.mean(old)),
            after=float(np.mean(new)),
            test="paired",
            seeds=len(shared),
            p=_paired(old, new),
        )
    old, new = ([r.scores.oa for r in runs.values()] for runs in (before, after))
    if min(len(old), len(new)) < 2:
        return replace(change, verdict=f"{_difference(change)}; one seed can't tell whether that is more than noise")
    return replace(change, test="Welch", seeds=min(len(old), len(new)), p=_welch(old, new))


def _paired(old: Sequence[float], new: Sequence[float]) -> float:
    from scipy.stats import ttest_rel

    if old == new:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Differences that are all alike have no spread: p is 0.
        return float(ttest_rel(new, old).pvalue)


def _welch(old: Sequence[float], new: Sequence[float]) -> float:
    from scipy.stats import ttest_ind

    if len({*old, *new}) == 1:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_ind(new, old, equal_var=False).pvalue)


def _judged(change: Change, p_holm: float) -> Change:
    if change.before == change.after and change.p == 1:
        verdict = f"{change.entry} on {change.split}: the same, OA {100 * (change.after or 0):.1f} %"
    else:
        more = "more than noise" if p_holm < 1 - LEVEL else "can't be told from noise"
        how = f"paired over {change.seeds} seeds" if change.test == "paired" else "Welch: other draws"
        verdict = f"{_difference(change)}: {more} ({how}, Holm-corrected p {p_holm:.2g})"
    return replace(change, p_holm=p_holm, verdict=verdict)


def _difference(change: Change) -> str:
    before, after = 100 * (change.before or 0), 100 * (change.after or 0)
    return f"{change.entry} on {change.split}: OA {before:.1f} to {after:.1f} % ({after - before:+.2f} points)"
