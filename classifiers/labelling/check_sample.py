"""Random pixels that a person labels to check a map, not to train it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.stats.bootstrap import MIN_REGIONS
from classifiers.labelling.map_checks import checked_labels
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.scene_columns import SceneColumns
from classifiers.labelling.score import LabelScore, wilson_interval
from classifiers.metrics import score_predictions
from hsifeat.scenes.scene_checks import check_mask, check_type
from hsifeat.types import check_integers

_DRAWS_AT_ONCE = 4096


def draw_check_places(
    columns: SceneColumns, count: int, *, seed: int = 0, among: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Draw pixels at random, each with the same probability.

    A person names the classes of the pixels, see `record_answer`. Then `score_check` scores the map. To add pixels
    later, draw again with the same seed and a higher count: the result begins with the same pixels.

    Parameters
    ----------
    columns : SceneColumns
        Columns of the scene.
    count : int
        Number of pixels to draw. If fewer pixels are available, all of them are drawn.
    seed : int
        Seed of the draw.
    among : (rows, cols) bool array, optional
        True at the pixels to draw from. [default: all pixels with features]

    Returns
    -------
    (n, 2) intp array
        Row and column of each pixel.

    Raises
    ------
    HsifeatError
        If `count` or `seed` is not a whole number from 0.
    SceneError
        If `columns` has another type. If `among` is not a bool array of the shape of the scene.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> draw_check_places(open_scene_columns(hsifeat.open_features("fields.zarr")), 2).shape
    (2, 2)
    """
    check_type(columns, SceneColumns, "columns must be a SceneColumns, as open_scene_columns returns it")
    check_integers(0, count=count, seed=seed)
    if among is not None:
        check_mask(among, columns.shape, "among")
    pixels = np.flatnonzero(columns.mask if among is None else columns.mask & among)
    drawn = pixels[_draw_distinct(len(pixels), count, seed)]
    return np.stack(np.divmod(drawn, columns.shape[1]), axis=1).astype(np.intp)


def _draw_distinct(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return the first `count` numbers of a random permutation of ``range(total)``.

    Numbers are drawn with replacement, and each is kept once. This costs less than a permutation of all pixels of a scene.
    """
    rng, drawn = np.random.default_rng(seed), np.empty(0, np.int64)
    while len(drawn) < min(count, total):
        drawn = np.concatenate([drawn, rng.integers(total, size=max(_DRAWS_AT_ONCE, len(drawn)))])
        drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return drawn[:count]


def score_check(
    mapper: QuickMapper,
    classes: NDArray[np.integer],
    checks: NDArray[np.integer],
    *,
    check: Callable[[], None] = lambda: None,
) -> LabelScore:
    """Score a map at random pixels that were labelled only to check the map.

    The score is an unbiased estimate of the accuracy of the map (Olofsson et al., Remote Sens. Environ. 2014). Scores from the
    training labels are biased, because people and suggestions choose where to label.

    Parameters
    ----------
    mapper : QuickMapper
        Head, columns and smoothing of the map.
    classes : (rows, cols) integer array
        Training labels of the map; 0 is unlabelled. Labels at pixels that have a label in `checks` are not used.
    checks : (rows, cols) integer array
        Labels of random pixels, see `draw_check_places`; 0 at all other pixels. Classes have the same numbers as in `classes`.
    check : callable
        Function that is called repeatedly during the work. It can raise an exception to stop the work.

    Returns
    -------
    LabelScore
        The score. If `checks` has fewer than ten labels, the score has no accuracy. The interval of the score is the
        Wilson interval, in which each checked pixel counts as one trial.

    Raises
    ------
    HeadError
        If there are too few labels for a map, see `QuickMapper.fit`.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> features = hsifeat.open_features("fields.zarr")
    >>> truth, columns = features.labels().classes, open_scene_columns(features)
    >>> checks = np.zeros_like(truth)
    >>> checks[tuple(draw_check_places(columns, 100).T)] = truth[tuple(draw_check_places(columns, 100).T)]
    >>> labels = np.where(np.random.default_rng(0).random((75, 53)) < 0.02, truth, 0)
    >>> score_check(QuickMapper(columns), labels, checks).interval is not None
    True
    """
    classes, checks = (checked_labels(labels, mapper.columns.shape) for labels in (classes, checks))
    checks = np.where(mapper.columns.mask, checks, 0)
    pixels = np.flatnonzero(checks)
    if len(pixels) < MIN_REGIONS:
        return LabelScore(None, None, None, len(pixels), len(pixels))
    check()
    head = mapper.fit(np.where(checks > 0, 0, classes))
    p = mapper.probabilities(head, mapper.columns.row_of_pixel[pixels], check=check)
    scores = score_predictions(checks.ravel()[pixels], head.classes_[p.argmax(axis=1)])
    return LabelScore(None, scores, wilson_interval(scores.oa, len(pixels)), len(pixels), len(pixels))
