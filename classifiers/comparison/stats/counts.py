"""What entries have right and what they take for what, seed by seed and field by field, and their accuracies redrawn."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.stats.bootstrap import FIELDS_AT_LEAST, RESAMPLES, accuracy, bootstrap, tally

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_RESAMPLES_PER_TEST = 100

E = TypeVar("E", bound=Hashable)


@dataclass(frozen=True)
class Outcomes(Generic[E]):
    """What entries made of the same test pixels, over the C classes and the fields that have any.

    Attributes
    ----------
    entries : list
        Whoever predicted.
    seeds : tuple of int
        Under which seeds.
    right : (entries, seeds, fields) float64 array
        Pixels that an entry has right.
    pixels : (seeds, fields) float64 array
        Test pixels.
    classes : (fields,) integer array
        Class of each field.
    given : list of (seeds * C, fields) sparse arrays
        For each entry, the pixels that are given each class, seed after seed; other classes than the C are not counted.
    truth : (seeds * C, fields) sparse array
        And those that are of it.
    first : (entries, n) bool array
        Which of the test pixels of the first seed an entry has right.
    """

    entries: list[E]
    seeds: tuple[int, ...]
    right: NDArray[np.float64]
    pixels: NDArray[np.float64]
    classes: NDArray[np.integer]
    given: list[csr_array]
    truth: csr_array
    first: NDArray[np.bool_]

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Mean OA of each entry over seeds: (entries,)."""
        means: NDArray[np.float64] = (self.right.sum(axis=2) / self.pixels.sum(axis=1)).mean(axis=1)
        return means

    @property
    def why_not(self) -> str | None:
        """Why no interval can be given, if none can."""
        if len(self.seeds) < 2:
            return "one seed says nothing of the spread over draws: run more seeds"
        if len(self.classes) < FIELDS_AT_LEAST:
            return f"the test pixels lie in {len(self.classes)} fields, and {FIELDS_AT_LEAST} are needed"
        return None


def outcomes(
    entries: list[E],
    draws: Mapping[int, Mapping[str, NDArray[np.integer]]],
    predictions: Iterable[tuple[E, int, NDArray[np.integer]]],
    fields: NDArray[np.int32],
) -> Outcomes[E]:
    """Count what entries have right, and take for what, in each field under each seed.

    Parameters
    ----------
    entries : list
        Whoever predicted.
    draws : dict of int to dict
        For each seed, as `RunStore.read_draw` gives it.
    predictions : iterable of (entry, seed, (n,) integer array)
        For each entry and seed, the predicted class of each test pixel.
    fields : (rows, cols) int32 array
        As `classifiers.comparison.stats.bootstrap.label_fields` gives it.
    """
    from scipy.sparse import coo_array, vstack

    # Only fields with test pixels count.
    tested, codes = np.unique(np.concatenate([fields.flat[d["test"]] for d in draws.values()]), return_inverse=True)
    at = dict(zip(draws, np.split(codes, np.cumsum([len(d["test"]) for d in draws.values()])[:-1]), strict=True))
    classes = np.zeros(len(tested), np.int64)
    for seed, draw in draws.items():
        classes[at[seed]] = draw["truth"]
    numbers = np.unique(classes)

    def by_class(labels: NDArray[np.integer], seed: int) -> csr_array:
        known = np.isin(labels, numbers)
        where = np.searchsorted(numbers, labels[known]), at[seed][known]
        return coo_array((np.ones(len(where[0])), where), (len(numbers), len(tested))).tocsr()

    seeds = tuple(draws)
    right = np.zeros((len(entries), len(seeds), len(tested)))
    first = np.zeros((len(entries), len(at[seeds[0]])), np.bool_)
    given = {}
    for who, seed, predicted in predictions:
        correct = predicted == draws[seed]["truth"]
        entry = entries.index(who)
        right[entry, seeds.index(seed)] = tally(correct, at[seed], len(tested))
        given[who, seed] = by_class(predicted, seed)
        if seed == seeds[0]:
            first[entry] = correct
    return Outcomes(
        entries,
        seeds,
        right,
        pixels=np.stack([tally(np.ones(len(at[seed]), np.bool_), at[seed], len(tested)) for seed in seeds]),
        classes=classes,
        given=[vstack([given[who, seed] for seed in seeds], format="csr") for who in entries],
        truth=vstack([by_class(draws[seed]["truth"], seed) for seed in seeds], format="csr"),
        first=first,
    )


def draw_accuracies(of: Outcomes[E], tests: int) -> NDArray[np.float64]:
    """Draw the accuracies (entries, resamples) by `bootstrap`, often enough for so many tests."""
    score = accuracy(of.right, of.pixels)
    return bootstrap(score, len(of.seeds), [len(of.classes)], resamples=resamples_for(tests))


def resamples_for(tests: int) -> int:
    """Return how many draws p-values need that are corrected for so many tests: with fewer none could be small enough."""
    return max(RESAMPLES, _RESAMPLES_PER_TEST * tests)
