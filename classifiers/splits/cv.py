"""A scikit-learn splitter that divides the rows of a pixel table, also for nested cross-validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classifiers.splits.split_draw import Split, check_seed
from hsifeat.errors import SplitError
from hsifeat.formatting import format_count, format_value
from hsifeat.scenes import Labels
from hsifeat.types import as_int

_HINT = "pass the pixel of each row: groups=table.pixels, in cross_val_score params={'groups': table.pixels}"


@dataclass(frozen=True, eq=False)
class SplitCV:
    """Cross-validation splitter for the rows of a pixel table, returned by `PixelTable.cv`.

    Draw number k of training and test pixels has the seed ``seed + k``, with k from 0. In nested cross-validation, the
    splitter receives a subset of the table's rows, and divides only the pixels of these rows. The argument `groups` of
    `split` identifies these pixels. Without `groups`, the splitter recognises the rows by their values.

    Attributes
    ----------
    rule : Split
        Split that divides the pixels.
    labels : Labels
        Label map of the scene.
    rows, cols : (n,) intp arrays
        Row and column, in `labels`, of the pixel of each table row.
    X : (n, width) float32 array
        Values of the table.
    n_splits : int
        Number of draws of training and test pixels.
    seed : int
        Seed of the first draw.
    """

    rule: Split
    labels: Labels = field(repr=False)
    rows: NDArray[np.intp] = field(repr=False)
    cols: NDArray[np.intp] = field(repr=False)
    X: NDArray[np.float32] = field(repr=False)
    n_splits: int
    seed: int

    def __post_init__(self) -> None:
        if (as_int(self.n_splits) or 0) < 1:
            raise SplitError(f"a cross-validation needs at least one split; found n_splits={self.n_splits!r:.60}")
        check_seed(self.seed)

    def __deepcopy__(self, memo: dict[int, Any]) -> SplitCV:
        # scikit-learn copies `cv` for every candidate of a search; this object is immutable.
        return self

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of draws.

        Parameters
        ----------
        X, y, groups
            Ignored; scikit-learn passes them.
        """
        return self.n_splits

    def split(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the training rows and the test rows of each of `n_splits` draws, as indices into `X`.

        Parameters
        ----------
        X : (m, width) array, optional
            All or some rows of the table. If the columns were transformed, all rows must be present, in the order of
            the table. [default: the whole table]
        y : (m,) array, optional
            Labels of the rows, of any type. They are used only to check the order of transformed rows. The classes come
            from the label map.
        groups : (m,) integer array, optional
            Flat pixel index of each row, see `PixelTable.pixels`.

        Yields
        ------
        train, test : (k,) intp arrays
            Indices of the training rows and of the test rows, each in ascending order. Their lengths k can differ.

        Raises
        ------
        SplitError
            If a value is masked. If a row is not in the table or equals several rows of the table. If transformed rows are in
            another order than the table. If the split can't divide the pixels.
        """
        table_rows = self._identify_rows(X, y, groups)
        pixels = self.rows[table_rows], self.cols[table_rows]
        classes = np.zeros_like(self.labels.classes)
        classes[pixels] = self.labels.classes[pixels]
        labels = replace(self.labels, classes=classes)
        for k in range(self.n_splits):
            draw = self.rule.draw(labels, self.seed + k)
            yield np.flatnonzero(draw.train[pixels]), np.flatnonzero(draw.test[pixels])

    def _identify_rows(self, X: ArrayLike | None, y: ArrayLike | None, groups: ArrayLike | None) -> NDArray[np.intp]:
        """Return, for each row of `X`, the index of the same row in the table. The result is an (m,) intp array."""
        for name, values in {"X": X, "y": y, "groups": groups}.items():
            if np.ma.is_masked(values):
                raise SplitError(
                    f"{name} has masked values, which would count like all others: leave out these rows in all arrays"
                )
        if groups is not None:
            return self._rows_of_pixels(np.asarray(groups))
        if X is None:
            return np.arange(len(self.rows))
        values = np.asarray(X)
        if values.shape == self.X.shape and np.array_equal(values, self.X, equal_nan=True):
            return np.arange(len(self.rows))
        if values.shape[1:] == self.X.shape[1:]:
            return self._rows_of_values(values, y)
        if len(values) == len(self.rows):
            return self._all_rows(y)
        raise SplitError(
            f"this splitter belongs to a table of {format_count(len(self.rows), 'row')} and {format_count(self.X.shape[1], 'column')}; found "
            f"{' x '.join(map(str, values.shape))} values, whose pixels are unknown: {_HINT}"
        )

    def _all_rows(self, y: ArrayLike | None) -> NDArray[np.intp]:
        """Return the indices of all table rows, in order.

        Raises `SplitError` if the labels `y` are not in the order of the table.
        """
        if y is not None:
            codes = np.unique(np.asarray(y), return_inverse=True)[1]
            own_codes = np.unique(self.labels.classes[self.rows, self.cols], return_inverse=True)[1]
            if len(codes) == len(own_codes):
                pairs = len(np.unique(codes * (own_codes.max(initial=0) + 1) + own_codes))
                if pairs == codes.max(initial=-1) + 1 == own_codes.max(initial=-1) + 1:
                    return np.arange(len(own_codes))
        label_state = "no labels" if y is None else "labels in another order"
        raise SplitError(
            f"{len(self.rows)} rows have other columns than this splitter's table and {label_state}, so their pixels are "
            f"unknown: {_HINT}"
        )

    def _rows_of_pixels(self, pixels: NDArray[Any]) -> NDArray[np.intp]:
        if pixels.ndim != 1 or pixels.dtype.kind not in "iuf":
            raise SplitError(f"groups must be pixels as in table.pixels; found {format_value(pixels)}")
        own = self.rows * self.labels.classes.shape[1] + self.cols
        order = np.argsort(own)
        matches = order[np.searchsorted(own, pixels, sorter=order).clip(max=len(own) - 1)]
        unknown = int(np.count_nonzero(own[matches] != pixels))
        if unknown:
            raise SplitError(f"groups must be pixels as in table.pixels; {unknown} are not in this table")
        return np.asarray(matches, np.intp)

    def _rows_of_values(self, values: NDArray[Any], y: ArrayLike | None) -> NDArray[np.intp]:
        rows_by_digest: dict[bytes, list[int]] = {}
        for row, digest in enumerate(_digests(self.X)):
            rows_by_digest.setdefault(digest, []).append(row)
        matches = [rows_by_digest.get(digest, []) for digest in _digests(np.asarray(values, self.X.dtype))]
        unknown, ambiguous = sum(not rows for rows in matches), sum(len(rows) > 1 for rows in matches)
        if unknown == len(matches) == len(self.rows):  # no row matches: columns are transformed
            return self._all_rows(y)
        if unknown or ambiguous:
            reason = f"are not in this table of {len(self.rows)} rows" if unknown else "equal rows of other pixels"
            raise SplitError(
                f"{unknown or ambiguous} of {len(matches)} rows {reason}, so their pixels are unknown: {_HINT}"
            )
        return np.array([row for (row,) in matches], np.intp)


def _digests(values: NDArray[Any]) -> Iterator[bytes]:
    return (blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in values)
