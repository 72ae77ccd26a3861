"""Confidence intervals and tests for classified images, by a bootstrap over seeds and regions.

Errors of neighbouring pixels are correlated: a classifier tends to be right or wrong in a whole field. Therefore, regions are
resampled instead of pixels. A region is a connected area of labelled pixels of one class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.base_records import LEVEL

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Function of n resamples; the parameter `statistic` of `bootstrap` describes it.
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

MIN_REGIONS = 10
RESAMPLES = 20_000
# Maximum number of region counts in memory.
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

    Seeds and regions are drawn with replacement, independently of each other. A resample contains each seed and each
    region a number of times, which may be 0. The weight of a pixel is the product of the number for its seed and the
    number for its region. The variance of the result over the resamples is a conservative estimate: on average, it is
    not smaller than the true variance of the mean statistic.

    Parameters
    ----------
    statistic : callable
        Function of n resamples. Its argument is a (regions, n) float64 array: how often each resample contains each
        region. The function returns the statistic of each seed, a (..., seeds, n) float64 array. If a seed has no pixel
        in the resampled regions, its statistic is NaN. The function is called with chunks of resamples, to limit
        memory.
    seeds : int
        Number of seeds.
    regions : sequence of int
        Number of regions in each set. For example, a set contains the regions of one split. Each set is resampled
        separately. In the argument of `statistic`, the sets follow each other along the first axis.
    resamples : int
        Number of resamples.
    seed : int
        Seed of the random generator. Calls with the same `seed`, `seeds`, `regions` and `resamples` draw the same resamples.

    Returns
    -------
    (..., resamples) float64 array
        Mean over the resampled seeds whose statistic is not NaN. If there is no such seed, the mean is NaN.

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
            region_counts[end - count : end] = _draw_counts(random, count, size)
        seed_counts = _draw_counts(random, seeds, size)
        values = statistic(region_counts)
        weights = seed_counts * np.isfinite(values)
        means.append(_ratio((weights * np.nan_to_num(values)).sum(axis=-2), weights.sum(axis=-2)))
    return np.concatenate(means, axis=-1)


def _draw_counts(random: np.random.Generator, count: int, resamples: int) -> NDArray[np.intp]:
    """Return how often each of `count` units is in each resample, a (count, resamples) array.

    A resample has `count` units. Drawing and counting units is much faster than `numpy.random.Generator.multinomial`.
    """
    drawn = random.integers(count, size=(resamples, count))
    drawn += count * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).T


def accuracy(correct: NDArray[np.floating], pixels: NDArray[np.floating]) -> Statistic:
    """Return the argument `statistic` of `bootstrap`: a function that computes overall accuracies.

    Parameters
    ----------
    correct : (..., seeds, regions) float array
        Number of correct pixels of each region for each seed.
    pixels : (..., seeds, regions) float array
        Number of test pixels of each region for each seed.
    """
    return lambda region_counts: _ratio(correct @ region_counts, pixels @ region_counts)


@dataclass(frozen=True)
class ResampledCounts:
    """Counts of the test pixels of one entry of a comparison in n bootstrap resamples.

    A resample draws regions of the scene with replacement. The formulas in `FORMULAS` compute scores from these counts. C is
    the number of classes.

    Attributes
    ----------
    pixels : (seeds, C, n) float64 array
        Number of test pixels of each class, for each seed and resample.
    assigned : (seeds, C, n) float64 array
        Number of test pixels that are assigned to each class.
    correct : (seeds, C, n) float64 array
        Number of test pixels of each class that are classified correctly.
    total : (seeds, n) float64 array
        Number of test pixels of all classes.
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


# Metrics of `classifiers.metrics.METRICS` that have a bootstrap interval, by key. Each formula returns (seeds, n) float64, and
# NaN where a seed has no pixel in the resampled regions.
FORMULAS: dict[str, Callable[[ResampledCounts], NDArray[np.float64]]] = {
    "oa": _overall_accuracy,
    "aa": _average_accuracy,
    "kappa": _kappa,
}


def agreement(assigned: Sequence[csr_array], truth: csr_array, seeds: int) -> Statistic:
    """Return a statistic for `bootstrap` that computes the metrics of `FORMULAS`.

    The statistic of n resamples is an (entries, metrics, seeds, n) array. The average accuracy (AA) is the mean over
    the classes that occur in the resampled regions. If all resampled pixels are of one class and are classified
    correctly, kappa is 1. Below, C is the number of classes.

    Parameters
    ----------
    assigned : sequence of (seeds * C, regions) sparse arrays
        One array for each entry: the number of test pixels of each region that are assigned to each class. The rows are
        the C classes for the first seed, then the C classes for the second seed, and so on.
    truth : (seeds * C, regions) sparse array
        Number of test pixels of each true class in each region. All pixels of a region are of one class. The rows are
        ordered as in `assigned`.
    seeds : int
        Number of seeds.
    """
    correct = [counts.multiply(truth > 0).tocsr() for counts in assigned]

    def statistic(region_counts: NDArray[np.float64]) -> NDArray[np.float64]:
        def by_class(counts: csr_array) -> NDArray[np.float64]:
            return np.asarray(counts @ region_counts).reshape(seeds, -1, region_counts.shape[1])

        pixels = by_class(truth)
        total, class_count = pixels.sum(axis=1), np.count_nonzero(pixels, axis=1)
        scores = np.empty((len(assigned), len(FORMULAS), *total.shape))
        for entry_scores, assigned_counts, correct_counts in zip(scores, assigned, correct, strict=True):
            counts = ResampledCounts(pixels, by_class(assigned_counts), by_class(correct_counts), total, class_count)
            for metric, formula in enumerate(FORMULAS.values()):
                entry_scores[metric] = formula(counts)
        return scores

    return statistic


def _ratio(part: NDArray[np.floating], total: NDArray[np.number]) -> NDArray[np.float64]:
    """Return ``part / total``, with NaN where `total` is 0.

    `total` is broadcast to the shape of `part`.
    """
    ratio = np.full(part.shape, np.nan)
    np.divide(part, total, out=ratio, where=total > 0)
    return ratio


def interval(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 95 % percentile interval of an (n,) float64 array of resampled values [1]_.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sign_p(differences: NDArray[np.floating]) -> float:
    """Return the two-sided p-value for the hypothesis of no difference.

    `differences` is an (n,) float64 array of resampled differences. The p-value is twice the smaller of two shares: the
    share of differences that are at most 0, and the share of differences that are at least 0. Each share is computed as
    ``(count + 1) / (n + 1)``, so that the p-value is above 0 [1]_.

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2.3.
    """
    finite = differences[np.isfinite(differences)]
    smaller = min(np.count_nonzero(finite <= 0), np.count_nonzero(finite >= 0))
    return float(min(1.0, 2 * (smaller + 1) / (len(finite) + 1)))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's exact test of whether two entries are equally accurate [1]_.

    The test assumes independent pixels. Pixels of an image are correlated, so the p-value is too small. The test makes
    results comparable with publications.

    Parameters
    ----------
    first, second : (n,) bool arrays
        Whether the first entry and the second entry classify each test pixel correctly.

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
    """Correct an (n,) float64 array of p-values for multiple testing by Holm's step-down method [1]_.

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
