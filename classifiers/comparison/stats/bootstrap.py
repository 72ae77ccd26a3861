"""Confidence intervals and tests for classified images, by resampling seeds and labelled regions instead of pixels.

Neighbouring pixels are not independent: a classifier tends to be right or wrong in a whole field at once. So the unit of
resampling is a region, a connected area of pixels of one class, and seeds are resampled with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.model import LEVEL

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Takes how often each region was drawn, (regions, n), and returns the statistic for each seed, (..., seeds, n).
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

MIN_REGIONS = 10
RESAMPLES = 20_000
# Size of the array of drawn regions that is held at a time.
_CHUNK_COUNTS = 2**24


def tally(correct: NDArray[np.bool_], regions: NDArray[np.integer], region_count: int) -> NDArray[np.float64]:
    """Count the correct pixels of each region.

    Parameters
    ----------
    correct : (n,) bool array
        Whether each pixel is classified correctly.
    regions : (n,) integer array
        Region of each pixel, from 0.
    region_count : int
        Number of regions.

    Returns
    -------
    (region_count,) float64 array
        Number of correct pixels of each region.
    """
    return np.bincount(regions, weights=correct, minlength=region_count).astype(np.float64)


def bootstrap(
    statistic: Statistic, seeds: int, regions: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Resample a statistic over seeds and regions by the pigeonhole bootstrap [1]_.

    Seeds and regions are crossed factors, so each is drawn with replacement on its own, and a pixel counts as often as its
    seed was drawn times as often as its region was. The variance estimate is conservative: at least as large as the true one.

    Parameters
    ----------
    statistic : callable
        Takes how often each region was drawn, (regions, n) float64 for n resamples, and returns the statistic for each seed,
        (..., seeds, n); NaN where a seed has no pixel in the drawn regions. It is called with a part of the resamples at a
        time, so that memory stays bounded.
    seeds : int
        Number of seeds.
    regions : sequence of int
        Number of regions of each set; the sets follow each other along the axis of regions and are drawn separately.
    resamples : int
        Number of resamples.
    seed : int
        Seed of the random numbers: with the same numbers of seeds and regions, the same ones are drawn.

    Returns
    -------
    (..., resamples) float64 array
        Mean of the statistic over the drawn seeds that have one; NaN if none has.

    References
    ----------
    .. [1] A. B. Owen, "The pigeonhole bootstrap", The Annals of Applied Statistics 1(2), 2007.
    """
    random = np.random.default_rng(seed)
    ends = np.cumsum(regions)
    step = max(1, min(1000, _CHUNK_COUNTS // int(ends[-1])))
    means = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        region_counts = np.empty((ends[-1], size))
        for count, end in zip(regions, ends, strict=True):
            region_counts[end - count : end] = random.multinomial(count, np.full(count, 1 / count), size).T
        seed_counts = random.multinomial(seeds, np.full(seeds, 1 / seeds), size).T
        values = statistic(region_counts)
        weights = seed_counts * np.isfinite(values)
        means.append(_ratio((weights * np.nan_to_num(values)).sum(axis=-2), weights.sum(axis=-2)))
    return np.concatenate(means, axis=-1)


def accuracy(correct: NDArray[np.floating], pixels: NDArray[np.floating]) -> Statistic:
    """Return the accuracy of entries as a statistic for `bootstrap`, (..., seeds, n).

    Parameters
    ----------
    correct : (..., seeds, regions) float array
        Correct pixels of each region for each seed.
    pixels : (seeds, regions) float array
        Test pixels of each region for each seed.
    """
    return lambda drawn: _ratio(correct @ drawn, pixels @ drawn)


@dataclass(frozen=True)
class ResampledCounts:
    """Pixel counts of an entry in resampled regions, from which the formulas of `FORMULAS` compute metrics.

    Attributes
    ----------
    pixels : (seeds, C, n) float64 array
        Test pixels of each class, for each seed and resample.
    assigned : (seeds, C, n) float64 array
        Pixels that are assigned to each class.
    correct : (seeds, C, n) float64 array
        Pixels of each class that are assigned to it.
    total : (seeds, n) float64 array
        Test pixels of all classes.
    class_count : (seeds, n) int64 array
        Number of classes that have test pixels.
    """

    pixels: NDArray[np.float64]
    assigned: NDArray[np.float64]
    correct: NDArray[np.float64]
    total: NDArray[np.float64]
    class_count: NDArray[np.int64]


def _overall_accuracy(counts: ResampledCounts) -> NDArray[np.float64]:
    return _ratio(counts.correct.sum(axis=1), counts.total)


def _average_accuracy(counts: ResampledCounts) -> NDArray[np.float64]:
    return _ratio(np.nan_to_num(_ratio(counts.correct, counts.pixels)).sum(axis=1), counts.class_count)


def _kappa(counts: ResampledCounts) -> NDArray[np.float64]:
    total, chance = counts.total, (counts.pixels * counts.assigned).sum(axis=1)
    kappa = _ratio(total * counts.correct.sum(axis=1) - chance, total**2 - chance)
    kappa[(total > 0) & (total**2 == chance)] = 1
    return kappa


# The metrics of `classifiers.metrics.METRICS` that have a bootstrap interval, by key: each formula returns (seeds, n) float64, NaN
# where a seed has no pixel in the drawn regions.
FORMULAS: dict[str, Callable[[ResampledCounts], NDArray[np.float64]]] = {
    "oa": _overall_accuracy,
    "aa": _average_accuracy,
    "kappa": _kappa,
}


def agreement(assigned: Sequence[csr_array], truth: csr_array, seeds: int) -> Statistic:
    """Return the metrics of `FORMULAS` as a statistic for `bootstrap`, (entries, metrics, seeds, n) in their order.

    AA averages over the classes of the drawn regions. Kappa is 1 if all drawn pixels are of one class and assigned to it.

    Parameters
    ----------
    assigned : sequence of (seeds * C, regions) sparse arrays
        For each entry, the pixels of a region that are assigned to each of the C true classes, seed after seed.
    truth : (seeds * C, regions) sparse array
        The pixels that are of each class.
    seeds : int
        Number of seeds.
    """
    correct = [counts.multiply(truth > 0).tocsr() for counts in assigned]

    def statistic(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        def by_class(counts: csr_array) -> NDArray[np.float64]:
            return np.asarray(counts @ drawn).reshape(seeds, -1, drawn.shape[1])

        pixels = by_class(truth)
        total, class_count = pixels.sum(axis=1), np.count_nonzero(pixels, axis=1)
        scores = np.empty((len(assigned), len(FORMULAS), *total.shape))
        for of_entry, assigned_counts, correct_counts in zip(scores, assigned, correct, strict=True):
            counts = ResampledCounts(pixels, by_class(assigned_counts), by_class(correct_counts), total, class_count)
            for metric, formula in enumerate(FORMULAS.values()):
                of_entry[metric] = formula(counts)
        return scores

    return statistic


def _ratio(part: NDArray[np.floating], total: NDArray[np.number]) -> NDArray[np.float64]:
    """Divide; NaN where the divisor is 0. `total` broadcasts to the shape of `part`."""
    ratio = np.full(part.shape, np.nan)
    np.divide(part, total, out=ratio, where=total > 0)
    return ratio


def interval(drawn: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 95 % percentile interval of resampled values (n,) float64 [1]_.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sign_p(drawn: NDArray[np.floating]) -> float:
    """Return the two-sided p-value of no difference, from resampled differences (n,) float64.

    Twice the share of values on the lesser side of 0, with one value added so that it is never 0 [1]_.

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2.3.
    """
    finite = drawn[np.isfinite(drawn)]
    lesser = min(np.count_nonzero(finite <= 0), np.count_nonzero(finite >= 0))
    return float(min(1.0, 2 * (lesser + 1) / (len(finite) + 1)))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's exact test on which pixels two entries classify correctly, (n,) bool each [1]_.

    Of the pixels that only one entry has right, each entry should have about half. The test assumes independent pixels; those
    of an image are not, so the p-value is too small. It is reported because publications give it.

    References
    ----------
    .. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
       Psychometrika 12(2), 1947.
    """
    from scipy.stats import binomtest

    only_first, only_second = np.count_nonzero(first & ~second), np.count_nonzero(second & ~first)
    discordant = only_first + only_second
    return 1.0 if discordant == 0 else float(binomtest(only_first, discordant).pvalue)


def holm(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """Correct p-values (n,) float64 for multiple testing by Holm's step-down method [1]_.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2), 1979.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected
