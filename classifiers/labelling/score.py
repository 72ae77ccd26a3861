"""Cross-validated accuracy of a map, from the labels that exist so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.base_records import LEVEL
from classifiers.comparison.stats.bootstrap import MIN_REGIONS
from classifiers.defaults import DEFAULT_FOLDS
from classifiers.labelling.label_folds import LabelFolds, parse_folds
from classifiers.labelling.map_checks import checked_labels
from classifiers.labelling.quick_map import QuickMapper
from classifiers.metrics import Scores, score_predictions
from classifiers.splits import FILL_IN
from hsifeat.errors import HeadError
from hsifeat.scenes.labels.regions import label_regions
from hsifeat.types import check_integers


@dataclass(frozen=True, eq=False)
class LabelScore:
    """Accuracy on labels that were not used for training.

    Attributes
    ----------
    folds : LabelFolds or None
        Rule by which labels were held out. None if the held-out pixels are check places (random pixels), see `check_sample`.
    scores : Scores or None
        Accuracy over all held-out pixels and per class; None if there are too few labels.
    interval : tuple of float or None
        Bounds of the 95 % interval of the overall accuracy; None if there are too few labels.
    pixels, regions : int
        Number of held-out pixels, and number of connected regions of one class that these pixels form.
    left_out : tuple of int
        Numbers of the classes that were never held out. Usually, all labels of such a class are in one region, or in one
        block of `folds`.
    """

    folds: LabelFolds | None
    scores: Scores | None
    interval: tuple[float, float] | None
    pixels: int
    regions: int
    left_out: tuple[int, ...] = ()

    def describe(self, class_names: Mapping[int, str]) -> str:
        """Return sentences that state the accuracy, what it measures, and the classes without a score."""
        if self.scores is None or self.interval is None:
            return self._missing_text() + self._omitted_text(class_names)
        low, high = self.interval
        interval = f"({LEVEL:.0%} interval {low:.0%} to {high:.0%})"
        if self.folds is None:
            return (
                f"{self.scores.oa:.0%} of {self.pixels} check places are mapped to their class {interval}. It answers how much of the whole map "
                "is right, because the places are random and took no part in training."
            )
        measured = f"{self.scores.oa:.0%} of {self.pixels} held-out pixels in {self.regions} places are mapped to their class {interval}"
        if self.folds.question == FILL_IN:
            meaning = "how well the map fills in the ground between labels, at places like the labelled ones"
        else:
            meaning = (
                f"how well the map carries over to ground at least {self.folds.buffer_px} pixels away from all labels"
            )
        return (
            f"{measured}. It answers {meaning}. It is not the accuracy of the map: labels at easy places make it too high, suggested "
            f"ones far too low. Random places tell, see “Check the map”.{self._omitted_text(class_names)}"
        )

    def _missing_text(self) -> str:
        if self.folds is None:
            return (
                f"Too few checks for a score: {self.pixels} random places are labelled, and {MIN_REGIONS} are needed."
            )
        return (
            f"Too few labels for a score: {self.regions} labelled places can be held out, and {MIN_REGIONS} are needed. Label each "
            "class in two places at least, far apart."
        )

    def _omitted_text(self, class_names: Mapping[int, str]) -> str:
        names = ", ".join(class_names.get(number, f"class {number}") for number in self.left_out)
        return f" Not scored, because all their labels are in one place: {names}." if names else ""


def score_labels(
    mapper: QuickMapper,
    classes: NDArray[np.integer],
    folds: str = DEFAULT_FOLDS,
    *,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> LabelScore:
    """Score a map by cross-validation: fit the head without the labels of a fold, and score the map at these labels.

    Each fold uses the head, the columns and the smoothing of `mapper`. Smoothing does not use labels.

    Parameters
    ----------
    mapper : QuickMapper
        Head, columns and smoothing of the map.
    classes : (rows, cols) integer array
        Class of each pixel; 0 is unlabelled.
    folds : str
        Rule for cross-validation folds, see `parse_folds`. ``regions`` measures the accuracy at pixels that lie
        among labelled pixels, and ``blocks:PX+BUFFER:Kfold`` the accuracy in areas without labels.
    seed : int
        Seed of the random order of regions or blocks.
    check : callable
        Function that is called repeatedly during the work. It can raise an exception to stop the work.

    Returns
    -------
    LabelScore
        The score. If fewer than ten regions or fewer than two classes can be held out, the score has no accuracy.

    Raises
    ------
    SplitError
        If the rule `folds` is unknown.

    Notes
    -----
    The interval is the Wilson interval (J. Am. Stat. Assoc. 1927), which needs a number of independent trials. The
    labelled pixels of one connected region are usually right or wrong together. The number of trials is therefore the
    effective number of regions (Kish, Survey Sampling, 1965). With n_i labelled pixels in region i, this number is
    ``(sum n_i)**2 / sum n_i**2``.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> features = hsifeat.open_features("fields.zarr")
    >>> mapper = QuickMapper(open_scene_columns(features))
    >>> labels = np.where(np.random.default_rng(0).random((75, 53)) < 0.02, features.labels().classes, 0)
    >>> score = score_labels(mapper, labels)
    >>> score.interval[0] < score.scores.oa < score.interval[1]
    True
    """
    check_integers(0, seed=seed)
    rule = parse_folds(folds)
    known = np.where(mapper.columns.mask, checked_labels(classes, mapper.columns.shape), 0)
    at_rows, at_cols = np.nonzero(known)
    labels, regions = known[at_rows, at_cols], label_regions(known)[at_rows, at_cols]
    held_out = np.zeros(len(labels), np.bool_)
    predicted = np.zeros(len(labels), np.int64)
    draws = list(rule.draw(labels, at_rows, at_cols, seed)) if len(labels) else []
    for _, test in draws:
        held_out[test] = True
    left_out = tuple(int(number) for number in np.setdiff1d(labels, labels[held_out]))
    sizes = np.unique(regions[held_out], return_counts=True)[1]
    if len(sizes) < MIN_REGIONS or len(np.unique(labels[held_out])) < 2:
        return LabelScore(rule, None, None, int(held_out.sum()), len(sizes), left_out)
    rows = mapper.columns.row_of_pixel[at_rows * known.shape[1] + at_cols]
    for train, test in draws:
        check()
        try:
            head = mapper.fit_rows(rows[train], labels[train])
        except HeadError:  # too few labels remain for this head
            held_out[test] = False
            continue
        check()
        predicted[test] = head.classes_[mapper.probabilities(head, rows[test], check=check).argmax(axis=1)]
    sizes = np.unique(regions[held_out], return_counts=True)[1]
    if len(sizes) < MIN_REGIONS:
        return LabelScore(rule, None, None, int(held_out.sum()), len(sizes), left_out)
    scores = score_predictions(labels[held_out], predicted[held_out])
    trials = float(sizes.sum() ** 2 / (sizes**2).sum())
    return LabelScore(rule, scores, wilson_interval(scores.oa, trials), int(held_out.sum()), len(sizes), left_out)


def wilson_interval(share: float, trials: float) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a proportion. `share` was observed in `trials` independent trials.

    >>> [round(bound, 3) for bound in wilson_interval(0.8, 20)]
    [0.584, 0.919]
    """
    from scipy.stats import norm

    z = float(norm.ppf((1 + LEVEL) / 2))
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)
