"""A split bound to the rows of a table, as scikit-learn's ``cv`` wants it, also for the part of a table inside another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classifiers.splits.split_draw import Split
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels

_HINT = "give each row's pixel as well: groups=table.pixels, in cross_val_score params={'groups': table.pixels}"


@dataclass(frozen=True, eq=False)
class SplitCV:
    """A split bound to the rows of a table; draw k has the seed ``seed + k``.

    Nested in another cross-validation it is handed some of the table's rows. It then finds their pixels, and divides
    only those: by `groups` where they are given, and otherwise by their values.

    Attributes
    ----------
    rule : Split
        How pixels are divided.
    labels : Labels
        Classes of the scene.
    rows, cols : (n,) integer arrays
        Where the pixel of each row of the table lies.
    X : (n, width) array
        The table's columns.
    n_splits : int
        How many draws.
    seed : int
        Seed of the first.
    """

    rule: Split
    labels: Labels = field(repr=False)
    rows: NDArray[np.intp] = field(repr=False)
    cols: NDArray[np.intp] = field(repr=False)
    X: NDArray[np.float32] = field(repr=False)
    n_splits: int
    seed: int

    def __post_init__(self) -> None:
        if self.n_splits < 1:
            raise SplitError(f"a cross-validation takes at least one split; found {self.n_splits}")

    def __deepcopy__(self, memo: dict[int, Any]) -> SplitCV:
        # scikit-learn copies a `cv` with every candidate of a search; nothing here ever changes.
        return self

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of draws."""
        return self.n_splits

    def split(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield training and test rows of each draw, as indices into `X`.

        Parameters
        ----------
        X : (m, width) array, optional
            The table's columns, or some rows of them; the whole table by default. Other columns (scaled, some of them)
            are those of the whole table, in its order.
        y : (m,) array, optional
            By it other columns are found to be in the table's order: labels of any kind, that tell the same classes apart.
            Pixels are divided by the label map.
        groups : (m,) integer array, optional
            Pixel of each row, as `PixelTable.pixels` numbers them.

        Raises
        ------
        SplitError
            Rows that the table does not have, or that can't be told apart by their values, other columns in another order
            than the table's, or a split that can't be drawn from the pixels at hand.
        """
        here = self._find(X, y, groups)
        at = self.rows[here], self.cols[here]
        mine = np.zeros_like(self.labels.classes)
        mine[at] = self.labels.classes[at]
        labels = replace(self.labels, classes=mine)
        for k in range(self.n_splits):
            drawn = self.rule.draw(labels, self.seed + k)
            yield np.flatnonzero(drawn.train[at]), np.flatnonzero(drawn.test[at])

    def _find(self, X: ArrayLike | None, y: ArrayLike | None, groups: ArrayLike | None) -> NDArray[np.intp]:
        """Return which row of the table each row of `X` is."""
        if groups is not None:
            return self._find_pixels(np.asarray(groups))
        if X is None:
            return np.arange(len(self.rows))
        values = np.asarray(X)
        if values.shape == self.X.shape and np.array_equal(values, self.X, equal_nan=True):
            return np.arange(len(self.rows))
        if values.shape[1:] == self.X.shape[1:]:
            return self._find_values(values, y)
        if len(values) == len(self.rows):
            return self._in_order(y)
        raise SplitError(
            f"this splitter belongs to a table of {len(self.rows)} rows and {self.X.shape[1]} columns; found "
            f"{' x '.join(map(str, values.shape))} values, of which the pixels are not known: {_HINT}"
        )

    def _in_order(self, y: ArrayLike | None) -> NDArray[np.intp]:
        """Take other columns for those of the whole table in its order, if their labels are in its order."""
        if y is not None:
            theirs = np.unique(np.asarray(y), return_inverse=True)[1]
            mine = np.unique(self.labels.classes[self.rows, self.cols], return_inverse=True)[1]
            if len(theirs) == len(mine):
                pairs = len(np.unique(theirs * (mine.max(initial=0) + 1) + mine))
                if pairs == theirs.max(initial=-1) + 1 == mine.max(initial=-1) + 1:
                    return np.arange(len(mine))
        what = "no labels" if y is None else "labels in another order"
        raise SplitError(
            f"{len(self.rows)} rows of other columns than this splitter's table come with {what}, so their pixels are not "
            f"known: {_HINT}"
        )

    def _find_pixels(self, pixels: NDArray[Any]) -> NDArray[np.intp]:
        mine = self.rows * self.labels.classes.shape[1] + self.cols
        order = np.argsort(mine)
        found = order[np.searchsorted(mine, pixels, sorter=order).clip(max=len(mine) - 1)]
        unknown = int(np.count_nonzero(mine[found] != pixels))
        if unknown:
            raise SplitError(f"groups are pixels as table.pixels numbers them; {unknown} are not of this table")
        return np.asarray(found, np.intp)

    def _find_values(self, values: NDArray[Any], y: ArrayLike | None) -> NDArray[np.intp]:
        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(_digests(self.X)):
            places.setdefault(key, []).append(place)
        found = [places.get(key, []) for key in _digests(np.asarray(values, self.X.dtype))]
        unknown, alike = sum(not f for f in found), sum(len(f) > 1 for f in found)
        if unknown == len(found) == len(self.rows):  # None of its own: scaled or projected.
            return self._in_order(y)
        if unknown or alike:
            what = f"are not of this table of {len(self.rows)} rows" if unknown else "equal others at other pixels"
            raise SplitError(f"{unknown or alike} of {len(found)} rows {what}, so their pixels are not known: {_HINT}")
        return np.array([place for (place,) in found], np.intp)


def _digests(values: NDArray[Any]) -> Iterator[bytes]:
    return (blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in values)
