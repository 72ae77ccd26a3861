"""What the entries of a split have right and what they take for what, field by field, from recorded predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.record import Record
from classifiers.comparison.runs import Entry, RunResult
from classifiers.comparison.statistics import FIELDS_AT_LEAST, tally

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Outcomes:
    """The outcomes of a split, over the C classes and the fields that have test pixels.

    Attributes
    ----------
    entries : list of Entry
        Whose they are.
    seeds : tuple of int
        Under which seeds, ascending.
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

    entries: list[Entry]
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


def read_outcomes(results: Sequence[RunResult], record: Record, fields: NDArray[np.int32]) -> Outcomes:
    """Read the outcomes of the runs of a split.

    Parameters
    ----------
    results : sequence of RunResult
        Every entry under the same seeds, and under a seed the same draw.
    record : Record
        Where predictions and draws lie.
    fields : (rows, cols) int32 array
        As `classifiers.comparison.statistics.label_fields` numbers them.
    """
    from scipy.sparse import coo_array

    draws = {seed: record.read_draw(draw) for seed, draw in {r.run.seed: r.draw for r in results}.items()}
    seeds = tuple(sorted(draws))
    truth = np.concatenate([draws[seed]["truth"] for seed in seeds])
    of_seed = np.repeat(np.arange(len(seeds)), [len(draws[seed]["truth"]) for seed in seeds])
    # Only fields with test pixels count.
    tested, at = np.unique(np.concatenate([fields.flat[draws[seed]["test"]] for seed in seeds]), return_inverse=True)
    numbers, codes = np.unique(truth, return_inverse=True)
    classes = np.zeros(len(tested), np.int64)
    classes[at] = truth
    shape = len(seeds), len(tested)
    cells = np.ravel_multi_index((of_seed, at), shape)

    def by_class(which: NDArray[np.bool_], codes: NDArray[np.integer]) -> csr_array:
        rows = of_seed[which] * len(numbers) + codes
        counts = coo_array((np.ones(len(rows)), (rows, at[which])), (len(seeds) * len(numbers), len(tested)))
        return counts.tocsr()

    entries = list(dict.fromkeys(r.run.entry for r in results))
    keys = {(r.run.entry, r.run.seed): r.key for r in results}
    right, given, first = np.zeros((len(entries), *shape)), [], []
    for counts, entry in zip(right, entries, strict=True):
        predicted = np.concatenate([record.read_predictions(keys[entry, seed]) for seed in seeds])
        correct, known = predicted == truth, np.isin(predicted, numbers)
        counts[:] = tally(correct, cells, counts.size).reshape(shape)
        given.append(by_class(known, np.searchsorted(numbers, predicted[known])))
        first.append(correct[of_seed == 0])
    everywhere = np.ones(len(truth), np.bool_)
    pixels = tally(everywhere, cells, len(seeds) * len(tested)).reshape(shape)
    return Outcomes(entries, seeds, right, pixels, classes, given, by_class(everywhere, codes), np.stack(first))
