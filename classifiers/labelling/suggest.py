"""Suggestions of places to label next: uncertain, frequent, unlike what is labelled, and apart from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.pixel_order import screen_step
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.segments import Segments
from hsifeat.errors import HeadError

# Distances between all pairs of superpixels would not fit in memory on large scenes, so a sample stands for the others.
_MAX_SEGMENTS = 4000
_AXES = 100
# Uncertainty is computed on a grid of at most this many rows and columns.
_MAP_PX = 512


@dataclass(frozen=True)
class Suggestion:
    """A place to label.

    Attributes
    ----------
    row, col : int
        Pixel to click: the most typical one of its superpixel.
    segment : int
        Number of the superpixel.
    uncertainty : float
        From 0 for a certain map to 1, where the two most probable classes are equally probable.
    share : float
        Share of the scene's pixels that are more like this place than like any labelled or earlier suggested place.
    """

    row: int
    col: int
    segment: int
    uncertainty: float
    share: float

    def describe(self) -> str:
        """Return the reason for the suggestion in one sentence.

        >>> Suggestion(3, 4, 1, 0.8, 0.05).describe()
        'The map is unsure here (80 %), and 5 % of the scene is more like this place than like any label.'
        """
        return (
            f"The map is unsure here ({100 * self.uncertainty:.0f} %), and {100 * self.share:.0f} % of the scene is more like this place "
            "than like any label."
        )


class Suggester:
    """Suggests superpixels to label.

    The next place is the one that most reduces ``sum_i n_i * u_i * d_i``. Here i runs over superpixels, n_i is the number of
    pixels, u_i the uncertainty of the map, and d_i the squared distance in reduced columns to the nearest superpixel that is
    labelled or suggested. A place therefore comes first if the map is uncertain on much ground that is like it and unlike the
    labels. With ``u_i = 1`` this is the greedy solution of a k-medians problem (Cornuejols, Fisher and Nemhauser, Manage. Sci.
    1977, section 4). ``benchmarks/labelling.py`` compares it with other criteria.

    Parameters
    ----------
    mapper : QuickMapper
        Head and columns.
    segments : Segments
        Superpixels of the scene.
    seed : int
        Seed of the sample of superpixels, if there are more than 4,000.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> from classifiers.labelling.segments import open_segments
    >>> features = hsifeat.open_features("fields.zarr")
    >>> columns = open_scene_columns(features)
    >>> suggester = Suggester(QuickMapper(columns), open_segments(columns))
    >>> len(suggester.suggest(np.zeros((75, 53), np.uint16), 3))
    3
    """

    def __init__(self, mapper: QuickMapper, segments: Segments, seed: int = 0) -> None:
        self.mapper, self.segments = mapper, segments
        number = segments.numbers.ravel()[mapper.columns.pixels]
        self._order = np.argsort(number, kind="stable")
        self._starts = np.searchsorted(number[self._order], np.arange(1, segments.count + 2))
        means = self._segment_means(mapper.columns.values)
        kept = np.arange(segments.count)
        if segments.count > _MAX_SEGMENTS:
            kept = np.sort(np.random.default_rng(seed).choice(kept, _MAX_SEGMENTS, replace=False))
        self._sample, self._weights = kept, segments.sizes[1:].astype(np.float64)
        # Distances along the first axes are those of all columns, but for noise.
        centred = means - np.average(means, axis=0, weights=self._weights)
        axes = np.linalg.eigh(centred.T @ (centred * self._weights[:, None]))[1][:, ::-1][:, :_AXES]
        self._places = (centred @ axes).astype(np.float32)
        self._distances = _squared_distances(self._places[kept], self._places[kept])

    def suggest(
        self, classes: NDArray[np.integer], count: int = 5, *, among: NDArray[np.bool_] | None = None
    ) -> list[Suggestion]:
        """Return places to label next, the best first.

        Parameters
        ----------
        classes : (rows, cols) integer array
            Class of each pixel; 0 is unlabelled.
        count : int
            Largest number of suggestions. No two of them touch each other, and none touches a labelled superpixel, unless
            no other superpixel is left.
        among : (rows, cols) bool array, optional
            Pixels that may be suggested. [default: all pixels with features]

        Returns
        -------
        list of Suggestion
            Fewer than `count` if every superpixel has a label.
        """
        among = self.mapper.columns.mask if among is None else among
        allowed = np.isin(self._sample, self.segments.numbers[among & self.mapper.columns.mask] - 1)
        taken = np.unique(self.segments.numbers[(classes > 0) & self.mapper.columns.mask]) - 1
        uncertainty = self.uncertainty(classes)[self._sample]
        nearest = np.full(len(self._sample), 2 * self._distances.max())
        if len(taken):
            nearest = _squared_distances(self._places[self._sample], self._places[taken]).min(axis=1)
        allowed &= ~np.isin(self._sample, taken)
        apart = allowed & ~np.isin(self._sample, self._neighbours(taken))
        found: list[Suggestion] = []
        while len(found) < count and allowed.any():
            gains = self.gains(nearest, uncertainty)
            best = int(np.where(apart if apart.any() else allowed, gains, -1.0).argmax())
            closer = self._distances[best] < nearest
            share = float(self._weights[self._sample][closer].sum() / self._weights[self._sample].sum())
            segment = int(self._sample[best])
            row, col = self._typical_pixel(segment, among)
            found.append(Suggestion(row, col, segment + 1, float(uncertainty[best]), share))
            nearest = np.minimum(nearest, self._distances[best])
            allowed[best] = False
            apart &= allowed & ~np.isin(self._sample, self._neighbours(np.array([segment])))
        return found

    def gains(self, nearest: NDArray[np.floating], uncertainty: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how useful a label of each superpixel of the sample would be.

        Parameters
        ----------
        nearest : (n,) float array
            Squared distance of each superpixel to the nearest one that is labelled or suggested.
        uncertainty : (n,) float64 array
            Uncertainty of each superpixel.

        Returns
        -------
        (n,) float64 array
            Non-negative numbers.
        """
        weights = (self._weights[self._sample] * uncertainty).astype(np.float32)
        return np.asarray(np.maximum(nearest - self._distances, 0) @ weights, np.float64)

    def uncertainty(self, classes: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the uncertainty of each superpixel, (count,) float64 from 0 to 1; see `Suggestion`.

        It is 1 everywhere as long as there are too few labels for a map.
        """
        try:
            head = self.mapper.fit(classes)
        except HeadError:
            return np.ones(self.segments.count)
        shape = self.mapper.columns.shape
        step = screen_step(shape, _MAP_PX)
        p = self.mapper.scene_probabilities(head, step)
        numbers = self.segments.numbers[::step, ::step].ravel()
        pixels = np.bincount(numbers, minlength=self.segments.count + 1)[1:]
        sums = np.stack([np.bincount(numbers, values.ravel(), self.segments.count + 1)[1:] for values in p])
        ranked = np.sort(sums / np.maximum(pixels, 1), axis=0)
        # A superpixel that the coarse grid misses is as uncertain as can be.
        return np.asarray(1 - (ranked[-1] - ranked[-2]), np.float64)

    def _neighbours(self, segments: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the indices of superpixels that touch one of some superpixels."""
        edges = self.segments.edges - 1
        touching = np.isin(edges, segments).any(axis=1)
        return np.unique(edges[touching])

    def _segment_means(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean columns of each superpixel, (count, k) float64, a thousand superpixels at a time."""
        means = np.empty((self.segments.count, values.shape[1]))
        for first in range(0, self.segments.count, 1000):
            starts = self._starts[first : first + 1001]
            part = values[self._order[starts[0] : starts[-1]]].astype(np.float64)
            sums = np.add.reduceat(part, starts[:-1] - starts[0], axis=0)
            means[first : first + 1000] = sums / np.diff(starts)[:, None]
        return means

    def _typical_pixel(self, segment: int, among: NDArray[np.bool_]) -> tuple[int, int]:
        """Return row and column of the pixel of a superpixel that is most like its mean."""
        columns = self.mapper.columns
        rows = self._order[self._starts[segment] : self._starts[segment + 1]]
        rows = rows[among.ravel()[columns.pixels[rows]]]
        values = columns.values[rows]
        row, col = divmod(
            int(columns.pixels[rows[((values - values.mean(axis=0)) ** 2).sum(axis=1).argmin()]]), columns.shape[1]
        )
        return row, col


def _squared_distances(places: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared distances between places (n, k) and others (m, k) as (n, m) float32."""
    squares = (places**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * places @ others.T
    return np.asarray(np.maximum(squares, 0), np.float32)
