"""Statistics that hold for images: intervals and tests over seeds and fields, not over pixels, which are not independent.

A field is a label-connected region: pixels of one class that touch, also by a corner. What is right in one pixel of a
field tends to be right in the next, so fields are resampled, whole, and seeds with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Takes how often each field was drawn, (fields, n), and returns what is scored under each seed, (..., seeds, n).
Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]

FIELDS_AT_LEAST = 10
LEVEL = 0.95
RESAMPLES = 20_000
# Counts of fields that are drawn at a time, for as many resamples as that makes.
_COUNTS = 2**24


def label_fields(classes: NDArray[np.integer]) -> NDArray[np.int32]:
    """Give each field of a label map a number.

    Parameters
    ----------
    classes : (rows, cols) integer array
        Class of each pixel, 0 = unlabelled.

    Returns
    -------
    (rows, cols) int32 array
        Number of the field of each pixel, from 1; 0 = unlabelled.
    """
    from scipy import ndimage

    fields = np.zeros(classes.shape, np.int32)
    count = 0
    for number, box in enumerate(ndimage.find_objects(classes), 1):
        if box is None:
            continue
        found, found_count = ndimage.label(classes[box] == number, structure=np.ones((3, 3)))
        part = fields[box]
        part[found > 0] = found[found > 0] + count
        count += found_count
    return fields


def tally(right: NDArray[np.bool_], fields: NDArray[np.integer], field_count: int) -> NDArray[np.float64]:
    """Count the right pixels of each field: (n,) bool and (n,) from 0, to (fields,) float64."""
    return np.bincount(fields, weights=right, minlength=field_count).astype(np.float64)


def bootstrap(
    score: Score, seeds: int, fields: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Draw scores by a bootstrap over seeds and fields.

    Seeds and fields are crossed, so each is drawn with replacement on its own, and a pixel counts as often as its seed
    and its field were drawn: the pigeonhole bootstrap (Owen, The Annals of Applied Statistics 1, 2007), which never
    takes the spread for smaller than it is.

    Parameters
    ----------
    score : callable
        Gets how often each field was drawn, (fields, n) float64 for n resamples, and returns what is scored under each
        seed, (..., seeds, n): nan where a seed has no pixel in the drawn fields. It is called for a part of the resamples at
        a time, so that memory stays bounded.
    seeds : int
        Number of seeds.
    fields : sequence of int
        Number of fields; of several sets, which follow each other along the axis of fields, each is drawn on its own.
    resamples : int
        How many draws.
    seed : int
        Of the draws: the same numbers of seeds and fields get the same draws by it.

    Returns
    -------
    (..., resamples) float64 array
        Mean of the score over the drawn seeds that have one; nan where none has.
    """
    random = np.random.default_rng(seed)
    ends = np.cumsum(fields)
    step = max(1, min(1000, _COUNTS // int(ends[-1])))
    found = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        of_fields = np.empty((ends[-1], size))
        for count, end in zip(fields, ends, strict=True):
            of_fields[end - count : end] = random.multinomial(count, np.full(count, 1 / count), size).T
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size).T
        scores = score(of_fields)
        weights = of_seeds * np.isfinite(scores)
        found.append(_ratio((weights * np.nan_to_num(scores)).sum(axis=-2), weights.sum(axis=-2)))
    return np.concatenate(found, axis=-1)


def accuracy(right: NDArray[np.floating], pixels: NDArray[np.floating]) -> Score:
    """Score entries by their accuracy, for `bootstrap`: (..., seeds, n).

    Parameters
    ----------
    right : (..., seeds, fields) array
        Pixels that an entry has right in a field under a seed.
    pixels : (seeds, fields) array
        Pixels of each field under each seed.
    """
    return lambda drawn: _ratio(right @ drawn, pixels @ drawn)


def agreement(given: Sequence[csr_array], truth: csr_array, seeds: int) -> Score:
    """Score entries by OA, AA and kappa, for `bootstrap`: (entries, 3, seeds, n).

    AA is over the classes of the drawn fields. Kappa is 1 where all drawn pixels are of one class and given that one.

    Parameters
    ----------
    given : sequence of (seeds * C, fields) sparse arrays
        For each entry the pixels of a field that are given each of the C true classes, seed after seed.
    truth : (seeds * C, fields) sparse array
        And those that are of the class.
    seeds : int
        How many.
    """
    right = [one.multiply(truth > 0).tocsr() for one in given]

    def score(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        def by_class(counts: csr_array) -> NDArray[np.float64]:
            return np.asarray(counts @ drawn).reshape(seeds, -1, drawn.shape[1])

        pixels = by_class(truth)
        total, classes = pixels.sum(axis=1), np.count_nonzero(pixels, axis=1)
        scores = np.empty((len(given), 3, *total.shape))
        for found, taken, hit in zip(scores, given, right, strict=True):
            hits = by_class(hit)
            chance = (pixels * by_class(taken)).sum(axis=1)
            found[0] = _ratio(hits.sum(axis=1), total)
            found[1] = _ratio(np.nan_to_num(_ratio(hits, pixels)).sum(axis=1), classes)
            found[2] = _ratio(total * hits.sum(axis=1) - chance, total**2 - chance)
            found[2][(total > 0) & (total**2 == chance)] = 1
        return scores

    return score


def _ratio(part: NDArray[np.floating], whole: NDArray[np.number]) -> NDArray[np.float64]:
    """Divide, nan where there is nothing to divide by; `whole` broadcasts to the shape of `part`."""
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def interval(drawn: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap draws (n,)."""
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sign_p(drawn: NDArray[np.floating]) -> float:
    """Return the two-sided p-value of no difference, from bootstrap draws (n,) of a difference.

    Twice the share of draws on the lesser side of 0, with one draw added (Davison and Hinkley 1997, section 4.2.3), so
    that it is never 0.
    """
    known = drawn[np.isfinite(drawn)]
    lesser = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (lesser + 1) / (len(known) + 1)))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's exact test on which pixels (n,) two entries have right.

    Of the pixels that only one has right, each should have about half (McNemar, Psychometrika 12, 1947). It takes pixels
    for independent, which those of an image are not: the p-value is too small, and stands here because papers give it.
    """
    from scipy.stats import binomtest

    one, other = np.count_nonzero(first & ~second), np.count_nonzero(second & ~first)
    return 1.0 if one + other == 0 else float(binomtest(one, one + other).pvalue)


def holm(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """Correct p-values (n,) for their number (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected
