"""Draws of training pixels for `natural32.py`, and the accuracy of discriminant analysis by distance to the training pixels."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

BLOCKS = "blocks:12+0:0.1"
REGIMES = ("per-class:5", "per-class:20", BLOCKS)
BINS_PX = {"0-4": (0, 4), "4-9": (4, 9), "9-16": (9, 16), "over 9": (9, np.inf), "over 16": (16, np.inf)}
FAR = f"{BLOCKS}, over 16 px"
MIN_BIN_PIXELS, MAX_BLOCK_DRAWS = 20, 120


class StudyDraws:
    """Draws of training pixels for each regime.

    `draws` is the number of draws. Blocks are drawn until each distance bin has `MIN_BIN_PIXELS` test pixels in this number
    of draws, but at most `MAX_BLOCK_DRAWS` times.
    """

    def __init__(self, labels: Any, draws: int, first_seed: int = 0) -> None:
        from classifiers.splits import parse_split

        # A class with fewer than four pixels can't be in both parts of a split.
        small = [number for number, pixels in labels.counts.items() if pixels < 4]
        self.truth = np.where(np.isin(labels.classes, small), 0, labels.classes)
        seeds = range(first_seed, first_seed + draws)
        self.draws = {regime: [parse_split(regime).draw(labels, seed) for seed in seeds] for regime in REGIMES[:-1]}
        self.draws[BLOCKS], self.bins = [], []
        for seed in count(first_seed):
            self._draw_blocks(labels, seed)
            full = min(sum(masks[text].sum() >= MIN_BIN_PIXELS for masks in self.bins) for text in BINS_PX)
            if full >= draws or len(self.bins) == MAX_BLOCK_DRAWS:
                break

    @property
    def counts(self) -> dict[str, int]:
        """Number of draws of each regime."""
        return {regime: len(draws) for regime, draws in self.draws.items()}

    def _draw_blocks(self, labels: Any, seed: int) -> None:
        from classifiers.splits import parse_split, training_distances

        draw = parse_split(BLOCKS).draw(labels, seed)
        distances = training_distances(draw)[self.truth[draw.test] > 0]
        self.draws[BLOCKS].append(draw)
        self.bins.append({text: (distances > low) & (distances <= high) for text, (low, high) in BINS_PX.items()})

    def score(self, columns: NDArray[np.float32]) -> dict[str, list[float | None]]:
        """Return the accuracy of each draw by regime, and for blocks also by distance bin.

        `columns` is a (rows, cols, d) array. The accuracy in a bin is None if fewer than `MIN_BIN_PIXELS` test pixels are
        in the bin.
        """
        scores: dict[str, list[float | None]] = {}
        for regime, draws in self.draws.items():
            for number, draw in enumerate(draws):
                train, test = draw.train & (self.truth > 0), draw.test & (self.truth > 0)
                head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
                # The checks take a third of the time of these small fits.
                with config_context(assume_finite=True, skip_parameter_validation=True):
                    head.fit(columns[train], self.truth[train])
                    correct = head.predict(columns[test]) == self.truth[test]
                scores.setdefault(regime, []).append(round(float(correct.mean()), 5))
                if regime == BLOCKS:
                    for text, inside in self.bins[number].items():
                        # A mean over fewer pixels is too uncertain.
                        value = round(float(correct[inside].mean()), 5) if inside.sum() >= MIN_BIN_PIXELS else None
                        scores.setdefault(f"{regime}, {text} px", []).append(value)
        return scores
