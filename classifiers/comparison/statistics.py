"""Statistics that hold for images: intervals and tests over seeds and fields, not over pixels, which are not independent.

A field is a label-connected region: pixels of one class that touch, also by a corner. What is right in one pixel of a
field tends to be right in the next, so fields are resampled, whole, and seeds with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def resample(
    right: NDArray[np.floating], pixels: NDArray[np.floating], *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Draw the accuracies of entries by a bootstrap over seeds and fields, the same draws for all entries.

    Seeds and fields are crossed, so each is drawn with replacement on its own, and a pixel counts as often as its seed
    and its field were drawn: the pigeonhole bootstrap (Owen, The Annals of Applied Statistics 1, 2007), which never
    takes the spread for smaller than it is.

    Parameters
    ----------
    right : (entries, seeds, fields) array
        Pixels that an entry has right in a field under a seed.
    pixels : (seeds, fields) array
        Pixels of each field under each seed.
    resamples : int
        How many draws.
    seed : int
        Of the draws.

    Returns
    -------
    (entries, resamples) float64 array
        Mean over seeds of the accuracy.
    """
    _, seeds, fields = right.shape
    random = np.random.default_rng(seed)
    found = np.empty((len(right), resamples))
    step = max(1, min(1000, _COUNTS // fields))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        of_fields = random.multinomial(fields, np.full(fields, 1 / fields), size).astype(np.float64)
        of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size).astype(np.float64)
        drawn = of_fields @ pixels.T
        of_seeds *= drawn > 0  # A seed none of whose fields was drawn has no accuracy.
        total = of_seeds.sum(axis=1)
        share = np.divide(of_seeds, drawn * total[:, None], out=np.zeros_like(drawn), where=of_seeds > 0)
        for entry, counts in enumerate(right):
            found[entry, start : start + size] = ((of_fields @ counts.T) * share).sum(axis=1)
            found[entry, start : start + size][total == 0] = np.nan
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
