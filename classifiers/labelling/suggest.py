"""Suggestions of superpixels to label next.

A suggested superpixel is uncertain, resembles a large part of the scene, and differs from the labelled superpixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.map_checks import checked_labels
from classifiers.labelling.pixel_order import screen_step
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.segments import Segments
from hsifeat.errors import HeadError
from hsifeat.scenes.scene_checks import check_mask
from hsifeat.types import check_integers

# Maximum number of superpixels in the sample that represents all. Distances between all pairs would not fit in memory.
_MAX_SEGMENTS = 4000
# Highest fraction that is rounded to 0 percent.
_ROUNDED_TO_0 = 0.005
# Uncertainty is computed on a grid of at most this many rows and columns.
_MAP_PX = 512


@dataclass(frozen=True)
class Suggestion:
    """A superpixel to label next.

    Attributes
    ----------
    row, col : int
        Pixel to click: the most typical pixel of the superpixel.
    segment : int
        Number of the superpixel, from 1, as in `Segments.numbers`.
    uncertainty : float
        1 minus the difference between the two highest class probabilities of the superpixel; 1 if `basis` is not ``map``.
    share : float
        Share of the scene's pixels, from 0 to 1. It counts the pixels that are more similar to this superpixel than to any
        labelled superpixel or any superpixel suggested before.
    basis : {"map", "no map", "no pixel"}
        What `uncertainty` is based on. ``map``: class probabilities of the map. ``no map``: there are too few labels for a map.
        ``no pixel``: class probabilities are computed on a coarse grid of a large scene, and the superpixel has no pixel there.
    """

    row: int
    col: int
    segment: int
    uncertainty: float
    share: float
    basis: Literal["map", "no map", "no pixel"] = "map"

    def describe(self) -> str:
        """Return the reason for the suggestion in one sentence.

        >>> Suggestion(3, 4, 1, 0.8, 0.05).describe()
        'The map is unsure here (80 %), and 5 % of the scene is more like this place than like any label.'
        >>> Suggestion(3, 4, 1, 0.002, 0.05).describe()
        'The map is sure here, but 5 % of the scene is more like this place than like any label.'
        >>> Suggestion(3, 4, 1, 1.0, 1.0, "no map").describe()
        'There is no map here yet, and much of the scene is like this place.'
        >>> Suggestion(3, 4, 1, 1.0, 0.05, "no pixel").describe()
        'The map was not checked at this small place, and 5 % of the scene is more like this place than like any label.'
        """
        if self.basis == "no map":
            return "There is no map here yet, and much of the scene is like this place."
        if self.basis == "no pixel":
            state = "The map was not checked at this small place, and"
        elif self.uncertainty <= _ROUNDED_TO_0:
            state = "The map is sure here, but"
        else:
            state = f"The map is unsure here ({100 * self.uncertainty:.0f} %), and"
        share = f"{100 * self.share:.0f}" if self.share > _ROUNDED_TO_0 else "less than 1"
        return f"{state} {share} % of the scene is more like this place than like any label."


class Suggester:
    """Suggests superpixels to label.

    The next suggestion is the superpixel that most reduces ``sum_i n_i * u_i * d_i``. The sum runs over all
    superpixels. Superpixel i has n_i pixels. The map has the uncertainty u_i in this superpixel. The squared distance
    in feature space from superpixel i to the nearest labelled or suggested superpixel is d_i. The best suggestion
    therefore resembles many pixels that are uncertain and unlike the labelled pixels. With ``u_i = 1``, the suggestions
    are the greedy solution of a k-medians problem (Cornuejols, Fisher and Nemhauser, Manage. Sci. 1977).
    ``benchmarks/labelling.py`` compares this criterion with other criteria.

    Parameters
    ----------
    mapper : QuickMapper
        Head, columns and smoothing of the map.
    segments : Segments
        Superpixels of the scene.
    seed : int
        Seed of the random sample that represents all superpixels if there are more than 4,000.

    Raises
    ------
    HeadError
        If the superpixels have another shape than the scene.
    HsifeatError
        If `seed` is not an integer from 0.

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
        if segments.numbers.shape != mapper.columns.shape:
            rows, cols = mapper.columns.shape
            raise HeadError(
                f"the superpixels have the shape {segments.numbers.shape}, but the scene has {rows} x {cols} pixels: open those of the "
                "scene with open_segments(columns)"
            )
        check_integers(0, seed=seed)
        self.mapper, self.segments = mapper, segments
        kept = np.arange(segments.count)
        if segments.count > _MAX_SEGMENTS:
            kept = np.sort(np.random.default_rng(seed).choice(kept, _MAX_SEGMENTS, replace=False))
        self._sample = kept
        self._distances = _squared_distances(segments.places[kept], segments.places[kept])

    def suggest(
        self, classes: NDArray[np.integer], count: int = 5, *, among: NDArray[np.bool_] | None = None
    ) -> list[Suggestion]:
        """Return superpixels to label next, best first.

        Parameters
        ----------
        classes : (rows, cols) integer array
            Class of each pixel; 0 is unlabelled.
        count : int
            Maximum number of suggestions. Superpixels that touch a labelled or already suggested superpixel come last.
        among : (rows, cols) bool array, optional
            True at the pixels that may be suggested. [default: all pixels with features]

        Returns
        -------
        list of Suggestion
            The suggestions. If fewer than `count` superpixels can be suggested, the list is shorter.

        Raises
        ------
        HeadError
            If the shape of `classes` is not the shape of the scene. If a value is masked, or is not a whole number from 0 to
            65535.
        HsifeatError
            If `count` is not an integer from 0.
        SceneError
            If `among` is not a bool array of the shape of the scene.
        """
        from sklearn.metrics import pairwise_distances_argmin_min

        classes = checked_labels(classes, self.mapper.columns.shape)
        mask, places, numbers = self.mapper.columns.mask, self.segments.places, self.segments.numbers
        check_integers(0, count=count)
        if among is not None:
            check_mask(among, mask.shape, "among")
        among = mask if among is None else among & mask
        candidates, distances = self._candidates(among)
        taken = np.unique(numbers[(classes > 0) & mask]) - 1
        uncertainty, sampled = self._map_uncertainty(classes)
        nearest = np.full(self.segments.count, 2 * self._distances.max())
        if len(taken):
            # With many labels, a matrix of all distances would not fit in memory.
            nearest = pairwise_distances_argmin_min(places, places[taken], metric="sqeuclidean")[1]
        allowed = ~np.isin(candidates, taken)
        apart = allowed & ~np.isin(candidates, self._neighbours(taken))
        found: list[Suggestion] = []
        while len(found) < count and allowed.any():
            gains = self.gains(candidates, distances, nearest, uncertainty)
            segment = int(candidates[np.where(apart if apart.any() else allowed, gains, -1.0).argmax()])
            to_segment = _squared_distances(places, places[[segment]])[:, 0]
            share = float(np.average(to_segment < nearest, weights=self.segments.sizes[1:]))
            row, col = self._typical_pixel(segment, among)
            basis: Literal["map", "no map", "no pixel"] = (
                "no map" if sampled is None else "map" if sampled[segment] else "no pixel"
            )
            found.append(Suggestion(row, col, segment + 1, float(uncertainty[segment]), share, basis))
            nearest = np.minimum(nearest, to_segment)
            allowed &= candidates != segment
            apart &= allowed & ~np.isin(candidates, self._neighbours(np.array([segment])))
        return found

    def gains(
        self,
        candidates: NDArray[np.integer],  # noqa: ARG002 - for subclasses
        distances: NDArray[np.float32],
        nearest: NDArray[np.floating],
        uncertainty: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the gain of each candidate. Candidates are superpixels that may be suggested.

        Parameters
        ----------
        candidates : (m,) integer array
            Indices of superpixels, from 0.
        distances : (n, m) float32 array
            Squared distance of each superpixel in the random sample to each candidate. If the scene has at most 4,000
            superpixels, the sample contains all of them.
        nearest : (superpixels,) float array
            Squared distance of each superpixel to the nearest labelled or suggested superpixel.
        uncertainty : (superpixels,) float64 array
            Uncertainty of each superpixel, from 0 to 1; see `Suggestion`.

        Returns
        -------
        (m,) float64 array
            Gain of each candidate, at least 0: the decrease of the sum that `Suggester` describes. The candidate with
            the highest gain is suggested.
        """
        weights = (self.segments.sizes[1:] * uncertainty)[self._sample].astype(np.float32)
        gained = np.maximum(nearest[self._sample, None].astype(np.float32) - distances, 0)
        return np.asarray(weights @ gained, np.float64)

    def _candidates(self, among: NDArray[np.bool_]) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
        """Return the candidates, (m,) int, and their squared distances to the sample of superpixels, (n, m) float32.

        Candidates are the superpixels with a pixel in `among`, or a random sample of these superpixels.
        """
        candidates = np.unique(self.segments.numbers[among]) - 1
        if len(candidates) == self.segments.count:
            return self._sample, self._distances
        if len(candidates) > _MAX_SEGMENTS:
            candidates = np.random.default_rng(0).choice(candidates, _MAX_SEGMENTS, replace=False)
        places = self.segments.places
        return candidates, _squared_distances(places[self._sample], places[candidates])

    def uncertainty(self, classes: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the uncertainty of each superpixel, from 0 to 1, as a (superpixels,) float64 array; see `Suggestion`.

        All values are 1 while there are too few labels for a map.
        """
        return self._map_uncertainty(checked_labels(classes, self.mapper.columns.shape))[0]

    def _map_uncertainty(self, classes: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        """Return the uncertainty of each superpixel, and whether class probabilities were computed in the superpixel.

        The first result is a (superpixels,) float64 array, and the second is a (superpixels,) bool array; None without a map.
        """
        try:
            head = self.mapper.fit(classes)
        except HeadError:
            return np.ones(self.segments.count), None
        step = screen_step(self.mapper.columns.shape, _MAP_PX)
        p = self.mapper.scene_probabilities(head, step)
        numbers = self.segments.numbers[::step, ::step].ravel()
        pixels = np.bincount(numbers, minlength=self.segments.count + 1)[1:]
        sums = np.stack([np.bincount(numbers, values.ravel(), self.segments.count + 1)[1:] for values in p])
        ranked = np.sort(sums / np.maximum(pixels, 1), axis=0)
        # A superpixel without a pixel on the coarse grid gets the uncertainty 1.
        return np.asarray(1 - (ranked[-1] - ranked[-2]), np.float64), pixels > 0

    def _neighbours(self, segments: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the indices of the superpixels that touch one of `segments`. Members of `segments` may be among them."""
        edges = self.segments.edges - 1
        touching = np.isin(edges, segments).any(axis=1)
        return np.unique(edges[touching])

    def _typical_pixel(self, segment: int, among: NDArray[np.bool_]) -> tuple[int, int]:
        """Return the position of the pixel of a superpixel whose features are nearest to the mean of the superpixel."""
        columns = self.mapper.columns
        pixels = np.flatnonzero((self.segments.numbers == segment + 1) & among & columns.mask)
        values = columns.values[columns.row_of_pixel[pixels]]
        best = pixels[((values - values.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        row, col = divmod(int(best), columns.shape[1])
        return row, col


def _squared_distances(places: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared distances between `places` (n, k) and `others` (m, k), (n, m) float32."""
    squares = (places**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * places @ others.T
    return np.asarray(np.maximum(squares, 0), np.float32)
