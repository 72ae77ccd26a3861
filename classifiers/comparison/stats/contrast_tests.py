"""Tests of planned contrasts, and sentences about their results.

P-values are corrected for the number of planned contrasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.differences import Contrast, ContrastTest
from classifiers.comparison.results.summary_text import interval_text, p_value
from classifiers.comparison.stats.bootstrap import holm, interval, sign_p
from classifiers.comparison.stats.counts import PixelCounts
from classifiers.splits import parse_split_question

# Results of a contrast by its question: the first input is better, worse, or not significantly different.
_RESULTS = {
    "training": (
        "training the network helps",
        "the trained network is worse than its untrained twin",
        "no significant effect of training the network",
    ),
    "planes": (
        "planes are better than context features",
        "planes are worse than context features",
        "no significant difference between planes and context features",
    ),
    "added": (
        "planes add to context features",
        "planes beside context features are worse than context features alone",
        "no significant effect of adding planes to context features",
    ),
}


def assess_contrasts(
    split: str, counts: PixelCounts[BenchEntry], contrasts: Sequence[Contrast], drawn: NDArray[np.float64] | None
) -> list[ContrastTest]:
    """Test the planned contrasts under one split.

    The difference of a contrast is the difference in overall accuracy between the two inputs, averaged over heads.
    P-values are corrected by Holm's method for these contrasts only.

    Parameters
    ----------
    split : str
        Split in the grammar of `parse_split`.
    counts : PixelCounts
        Pixel counts of the entries.
    contrasts : sequence of Contrast
        Contrasts that were declared before the runs.
    drawn : (entries, resamples) float64 array or None
        Overall accuracies from `resample_accuracies`. None if `PixelCounts.obstacle` gives a reason why a bootstrap is
        not possible.
    """
    rows = [
        [[counts.entries.index(pair[side]) for pair in contrast.pairs] for side in (0, 1)] for contrast in contrasts
    ]
    means = counts.mean_accuracy
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * len(rows)
    p: list[float | None] = [None] * len(rows)
    p_holm = p
    if drawn is not None:
        resampled = [(drawn[first] - drawn[second]).mean(axis=0) for first, second in rows]
        bounds, p = [interval(values) for values in resampled], [sign_p(values) for values in resampled]
        p_holm = holm(np.array(p, np.float64)).tolist()
    tests = []
    for index, (contrast, (first, second)) in enumerate(zip(contrasts, rows, strict=True)):
        test = ContrastTest(
            contrast=contrast,
            split=split,
            difference=float((means[first] - means[second]).mean()),
            low=bounds[index][0],
            high=bounds[index][1],
            p=p[index],
            p_holm=p_holm[index],
            verdict="",
        )
        tests.append(test.model_copy(update={"verdict": _verdict(test, counts.obstacle)}))
    return tests


def _verdict(test: ContrastTest, obstacle: str | None) -> str:
    """Return a sentence with the result of a contrast, or with the `obstacle` to its test."""
    question = parse_split_question(test.split)
    place = f"{question} ({test.split})" if question else test.split
    better, worse, unclear = _RESULTS[test.contrast.question]
    if obstacle is not None or test.low is None or test.high is None:
        return f"{place}: can't tell whether {better}, because {obstacle} ({test.contrast})"
    result = unclear if not test.significant else better if test.difference > 0 else worse
    p = p_value(test.p_holm)
    return (
        f"{place}: {result}, {100 * test.difference:+.1f} points of OA ({interval_text(test.low, test.high)}, "
        f"p {p if p.startswith('<') else f'= {p}'}; {test.contrast})"
    )
