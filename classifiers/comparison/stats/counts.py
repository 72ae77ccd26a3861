"""Counts of correct and confused test pixels per seed and region, from recorded predictions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.stats.bootstrap import MIN_REGIONS, RESAMPLES, accuracy, bootstrap, tally
from hsifeat.formatting import format_count

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_RESAMPLES_PER_TEST = 100

E = TypeVar("E", bound=Hashable)


@dataclass(frozen=True)
class PixelCounts(Generic[E]):
    """Pixel counts of several entries for each region and class. All entries have the same test pixels.

    A region or class is included if it has test pixels for at least one seed. C is the number of these classes.

    Attributes
    ----------
    entries : list
        Entries of the benchmark, or other hashable names of classifiers.
    seeds : tuple of int
        Seeds that were run.
    correct : (entries, seeds, regions) float64 array
        Number of correctly classified test pixels of each region.
    pixels : (seeds, regions) float64 array
        Number of test pixels of each region.
    classes : (regions,) integer array
        Class of each region.
    assigned : list of (seeds * C, regions) sparse arrays
        One array for each entry: the number of test pixels of each region that are assigned to each class. The rows are
        the C classes for the first seed, then the C classes for the second seed, and so on. Pixels that are assigned to
        none of the C classes are not counted.
    truth : (seeds * C, regions) sparse array
        Number of test pixels of each true class in each region. The rows are ordered as in `assigned`.
    first_seed_correct : (entries, n) bool array
        Whether an entry classifies a test pixel correctly, for the n test pixels of the first seed.
    """

    entries: list[E]
    seeds: tuple[int, ...]
    correct: NDArray[np.float64]
    pixels: NDArray[np.float64]
    classes: NDArray[np.integer]
    assigned: list[csr_array]
    truth: csr_array
    first_seed_correct: NDArray[np.bool_]

    @property
    def mean_accuracy(self) -> NDArray[np.float64]:
        """Overall accuracy of each entry, averaged over seeds: (entries,) float64."""
        means: NDArray[np.float64] = (self.correct.sum(axis=2) / self.pixels.sum(axis=1)).mean(axis=1)
        return means

    @property
    def obstacle(self) -> str | None:
        """Reason why intervals can't be computed; None if they can be computed."""
        if len(self.seeds) < 2:
            return "with one seed, the variation over draws is unknown: run more seeds"
        if len(self.classes) < MIN_REGIONS:
            return (
                f"the test pixels lie in {format_count(len(self.classes), 'region')}; at least {MIN_REGIONS} are needed"
            )
        return None


def count_pixels(
    entries: list[E],
    draws: Mapping[int, Mapping[str, NDArray[np.integer]]],
    predictions: Iterable[tuple[E, int, NDArray[np.integer]]],
    regions: NDArray[np.int32],
) -> PixelCounts[E]:
    """Count test pixels by entry, seed, predicted class and region.

    Parameters
    ----------
    entries : list
        Entries of the benchmark, or other hashable names of classifiers.
    draws : dict of int to dict
        Maps each seed to the arrays from `RunRecords.read_draw`.
    predictions : iterable of (entry, int, (n,) integer array)
        For each entry and seed, the predicted class of each test pixel.
    regions : (rows, cols) int32 array
        Region number of each pixel, from 1; 0 = unlabelled.

    Returns
    -------
    PixelCounts
        Counts of the entries in the regions that have test pixels.
    """
    from scipy.sparse import coo_array, vstack

    test_regions = np.concatenate([regions.flat[draw["test"]] for draw in draws.values()])
    tested, codes = np.unique(test_regions, return_inverse=True)
    ends = np.cumsum([len(draw["test"]) for draw in draws.values()])[:-1]
    region_of = dict(zip(draws, np.split(codes, ends), strict=True))
    classes = np.zeros(len(tested), np.int64)
    for seed, draw in draws.items():
        classes[region_of[seed]] = draw["truth"]
    numbers = np.unique(classes)

    def by_class(labels: NDArray[np.integer], seed: int) -> csr_array:
        known = np.isin(labels, numbers)
        where = np.searchsorted(numbers, labels[known]), region_of[seed][known]
        return coo_array((np.ones(len(where[0])), where), (len(numbers), len(tested))).tocsr()

    seeds = tuple(draws)
    correct_counts = np.zeros((len(entries), len(seeds), len(tested)))
    first_seed_correct = np.zeros((len(entries), len(region_of[seeds[0]])), np.bool_)
    assigned = {}
    for predictor, seed, predicted in predictions:
        correct = predicted == draws[seed]["truth"]
        index = entries.index(predictor)
        correct_counts[index, seeds.index(seed)] = tally(correct, region_of[seed], len(tested))
        assigned[predictor, seed] = by_class(predicted, seed)
        if seed == seeds[0]:
            first_seed_correct[index] = correct
    all_pixels = {seed: np.ones(len(region_of[seed]), np.bool_) for seed in seeds}
    return PixelCounts(
        entries,
        seeds,
        correct_counts,
        pixels=np.stack([tally(all_pixels[seed], region_of[seed], len(tested)) for seed in seeds]),
        classes=classes,
        assigned=[vstack([assigned[entry, seed] for seed in seeds], format="csr") for entry in entries],
        truth=vstack([by_class(draws[seed]["truth"], seed) for seed in seeds], format="csr"),
        first_seed_correct=first_seed_correct,
    )


def resample_accuracies(counts: PixelCounts[E], tests: int) -> NDArray[np.float64]:
    """Resample the overall accuracies of entries by a bootstrap over seeds and regions.

    Parameters
    ----------
    counts : PixelCounts
        Pixel counts of the entries.
    tests : int
        Number of tests. The p-values will be corrected for this number, so that more tests need more resamples.

    Returns
    -------
    (entries, resamples) float64 array
        Overall accuracies.
    """
    statistic = accuracy(counts.correct, counts.pixels)
    return bootstrap(statistic, len(counts.seeds), [len(counts.classes)], resamples=resample_count(tests))


def resample_count(tests: int) -> int:
    """Return the number of resamples with which a bootstrap can find each of `tests` differences significant.

    The smallest possible p-value depends on the number of resamples. With fewer resamples, this p-value would exceed
    the significance level after the correction for `tests` tests.
    """
    return max(RESAMPLES, _RESAMPLES_PER_TEST * tests)
