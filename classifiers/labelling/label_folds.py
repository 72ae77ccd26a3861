"""Rules that assign the labels of one scene to cross-validation folds: ``regions`` and ``blocks:PX+BUFFER:Kfold``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.splits import CARRY_OVER, FILL_IN, SplitQuestion
from classifiers.splits.region_folds import fold_regions
from hsifeat.errors import SplitError

_REGION_FOLDS = 5
_FORM = r"blocks:([1-9]\d{0,3})\+(\d{1,3}):([2-9]|[1-4]\d)fold"


@dataclass(frozen=True)
class LabelFolds:
    """A rule that assigns labels to cross-validation folds.

    Attributes
    ----------
    text : str
        The rule as text, ``regions`` or ``blocks:PX+BUFFER:Kfold``.
    question : {"fill in", "carry over"}
        What a score with these folds measures. ``fill in`` is the accuracy at pixels that lie among labelled
        pixels, and ``carry over`` is the accuracy in areas without labels.
    folds : int
        Number of folds.
    block_px : int
        Side of a block in pixels; 0 for ``regions``.
    buffer_px : int
        Training pixels within this distance of a held-out pixel are dropped.
    """

    text: str
    question: SplitQuestion
    folds: int
    block_px: int = 0
    buffer_px: int = 0

    def draw(
        self, labels: NDArray[np.integer], rows: NDArray[np.intp], cols: NDArray[np.intp], seed: int = 0
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the training pixels and the held-out pixels of each fold.

        If a class has no training pixels in a fold, the fold holds out no pixels of the class.

        Parameters
        ----------
        labels : (n,) integer array
            Class of each labelled pixel.
        rows, cols : (n,) intp arrays
            Position of each labelled pixel.
        seed : int
            Seed of the random order of regions or blocks.

        Yields
        ------
        train, test : (k,) intp arrays
            Indices into `labels`. Folds without held-out pixels, or with fewer than two training classes, are left out.
        """
        fold = self._assign(labels, rows, cols, seed)
        for number in range(self.folds):
            test = fold == number
            train = ~test
            if self.buffer_px and test.any():
                train &= _distances(rows, cols, test) > self.buffer_px
            test &= np.isin(labels, labels[train])
            if test.any() and len(np.unique(labels[train])) > 1:
                yield np.flatnonzero(train), np.flatnonzero(test)

    def _assign(
        self, labels: NDArray[np.integer], rows: NDArray[np.intp], cols: NDArray[np.intp], seed: int
    ) -> NDArray[np.intp]:
        """Return the number of the fold that holds out each pixel, (n,) intp; -1 if no fold does."""
        if not self.block_px:
            return fold_regions(labels, rows, cols, self.folds, seed=seed)
        blocks = np.stack([rows // self.block_px, cols // self.block_px], axis=1)
        number = np.unique(blocks, axis=0, return_inverse=True)[1].ravel()
        order = np.random.default_rng(seed).permutation(number.max() + 1)
        return np.asarray(order[number] % self.folds, np.intp)


def parse_folds(text: str) -> LabelFolds:
    """Parse a rule that assigns labels to cross-validation folds.

    Parameters
    ----------
    text : str
        One of:

        - ``regions``: five folds. Connected pixels of one class, such as a drawn field, are in the same fold.
        - ``blocks:PX+BUFFER:Kfold``: K folds, where K is from 2 to 49. The scene is cut into square blocks with a side of PX
          pixels. Pixels of one block are in the same fold. Training pixels within BUFFER pixels of a held-out pixel are
          dropped.

    Raises
    ------
    SplitError
        If `text` has another form.

    Examples
    --------
    >>> parse_folds("blocks:12+4:5fold").question
    'carry over'
    """
    if isinstance(text, str) and text == "regions":
        return LabelFolds(text, FILL_IN, _REGION_FOLDS)
    if isinstance(text, str) and (match := re.fullmatch(_FORM, text)):
        return LabelFolds(text, CARRY_OVER, int(match[3]), int(match[1]), int(match[2]))
    raise SplitError(
        f"labels are held out by regions or blocks:PX+BUFFER:Kfold, such as blocks:12+4:5fold; found {text!r}"
    )


def _distances(rows: NDArray[np.intp], cols: NDArray[np.intp], test: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the distance of each pixel to the nearest held-out pixel, (n,) float64."""
    from scipy.spatial import cKDTree

    at = np.stack([rows, cols], axis=1)
    return np.asarray(cKDTree(at[test]).query(at)[0], np.float64)
