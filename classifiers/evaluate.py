"""Fit and score one head under one split and seed, with optional parameter tuning and a measure of leakage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.block_prediction import smoothed_classes
from classifiers.defaults import DISJOINT_SPLIT
from classifiers.distance_bins import BinAccuracy, bin_accuracies, distance_bins
from classifiers.heads.base import Head
from classifiers.heads.registry import make_head
from classifiers.heads.torch.training import training_listener
from classifiers.metrics import Scores, score_predictions
from classifiers.scene_scores import SceneScore, describe_scenes, score_scenes
from classifiers.smoothing import SmoothingRule
from classifiers.splits import (
    Leakage,
    Split,
    SplitDraw,
    SplitKind,
    describe_footprints,
    leaking_pixels,
    limit_training_pixels,
    parse_split,
    parse_split_question,
    scene_footprints,
    training_distances,
)
from classifiers.splits.overlap import overlap_notes
from classifiers.table import PixelTable
from classifiers.tune import Tuning, tune_head
from hsifeat.errors import SplitError
from hsifeat.features.scene_set import SceneSet
from hsifeat.objects_with_arrays import EqualByValue
from hsifeat.runtime.events import Listener, silent


@dataclass(frozen=True, eq=False)
class Evaluation(EqualByValue):
    """Scores of a head on the test pixels of a split for one seed.

    Attributes
    ----------
    split : str
        The split, in the grammar of `parse_split`.
    kind : {"random", "disjoint", "fixed"}
        How test pixels are separated from training pixels: at random, spatially, or by given maps (``fixed``).
    train_pixels : int
        Number of pixels that the head was trained on.
    scores : Scores
        Accuracy on the test pixels, after smoothing if `smoothing` is not None.
    leakage : Leakage
        Share of test pixels whose features depend on training pixels.
    footprint : str
        Description in words of the pixels that a feature depends on.
    left_out : tuple of int
        Classes that can't have both training and test pixels. They have no test pixels and are not scored.
    notes : tuple of str
        Remarks on the choice of training and test pixels.
    tuning : Tuning or None
        Result of the parameter search on the training pixels; None without tuning.
    distances : tuple of BinAccuracy
        Accuracy without smoothing in each bin of the distance from a test pixel to the nearest training pixel. Bins
        without test pixels are missing. Test pixels in scenes without training pixels are in no bin.
    leak_free_pixels : int
        Number of test pixels whose features depend on no training pixel.
    leak_free_oa : float or None
        Overall accuracy on the test pixels that `leak_free_pixels` counts, without smoothing. None if this number is 0.
    smoothing : SmoothingRule or None
        Rule that smooths the class probabilities; None for no smoothing.
    unsmoothed : Scores or None
        Accuracy of the head on the test pixels, without smoothing. None if `smoothing` is None.
    scenes : tuple of SceneScore
        Accuracy in each scene that has test pixels, after smoothing if `smoothing` is not None. If all stores
        are of one scene, the tuple is empty.
    validation : Scores or None
        Accuracy on the validation scenes, without smoothing; None if the split has no validation scenes.
    """

    split: str
    kind: SplitKind
    train_pixels: int
    scores: Scores
    leakage: Leakage
    footprint: str
    left_out: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    tuning: Tuning | None = None
    distances: tuple[BinAccuracy, ...] = ()
    leak_free_pixels: int = 0
    leak_free_oa: float | None = None
    smoothing: SmoothingRule | None = None
    unsmoothed: Scores | None = None
    scenes: tuple[SceneScore, ...] = ()
    validation: Scores | None = None

    def describe(self, class_names: Mapping[int, str]) -> list[str]:
        """Return the scores, the leakage, the omitted classes, the tuning and the notes as lines of text."""
        oa, aa, kappa = self.scores.oa, self.scores.aa, self.scores.kappa
        question = parse_split_question(self.split)
        asked = f"{self.split}, {question}" if question else self.split
        lines = [f"{asked}: OA {oa:.1%}, AA {aa:.1%}, kappa {kappa:.3f} after {self.train_pixels} training pixels"]
        plain = ""
        if self.smoothing is not None and self.unsmoothed is not None:
            lines.append(f"  {_describe_smoothing(self.smoothing, self.scores, self.unsmoothed)}")
            plain = "without smoothing, "
        if self.scenes:
            lines.append(f"  OA by test scene: {describe_scenes([score.overall for score in self.scenes])}")
        if self.validation is not None:
            pixels = sum(self.validation.pixels.values())
            lines.append(f"  {plain}OA on the validation scenes: {self.validation.oa:.1%} of {pixels}")
        lines.append(f"  leakage: {self.leakage} (features depend on: {self.footprint})")
        if self.distances:
            without = sum(self.scores.pixels.values()) - sum(one.pixels for one in self.distances)
            others = f"; not in these ranges: {without} in scenes without training pixels" if without else ""
            lines.append(
                f"  {plain}OA by distance to the nearest training pixel: {', '.join(map(str, self.distances))}{others}"
            )
        lines.append(f"  {plain}OA without leakage: {self._leak_free_text()}")
        if self.left_out:
            lines.append("  left out: " + ", ".join(class_names[c] for c in self.left_out))
        if self.tuning is not None:
            lines += [f"  {line}" for line in self.tuning.describe()]
        return [*lines, *(f"  {note}" for note in self.notes)]

    def _leak_free_text(self) -> str:
        if self.leak_free_oa is None:
            reason = "none, because the features of all test pixels depend on a training pixel"
            farthest = self.distances[-1] if self.distances else None
            if farthest is None or farthest.bin.high_px is not None:
                return reason
            # Wide windows and filters by reconstruction leave no other score that is nearly free of leakage.
            return (
                f"{reason}; instead, {farthest.oa:.1%} of {farthest.pixels} test pixels {farthest.bin} away from every "
                "training pixel"
            )
        return (
            f"{self.leak_free_oa:.1%} of {self.leak_free_pixels} test pixels whose features depend on no training pixel"
        )


def _describe_smoothing(rule: SmoothingRule, scores: Scores, plain: Scores) -> str:
    """Describe in one line how a smoothing rule changes the scores from `plain` to `scores`."""
    reach = "the whole scene" if rule.reach_px is None else f"pixels up to {rule.reach_px} px away"
    return (
        f"smoothed by {rule.text} ({100 * (scores.oa - plain.oa):+.1f} points): without smoothing OA {plain.oa:.1%}, "
        f"AA {plain.aa:.1%}, kappa {plain.kappa:.3f}; a smoothed pixel depends on {reach}"
    )


@dataclass(frozen=True)
class Evaluator:
    """Fits and scores one head on the labelled pixels of one or several scenes, under any split.

    Attributes
    ----------
    scenes : SceneSet
        Cached features of the scenes.
    table : PixelTable
        Labelled pixels of the scenes, with the input columns of the head.
    head : str
        Name of the head.
    seed : int
        Seed of the head, of the tuning folds, and of the split in `evaluate_disjoint`. If `params` contains
        `random_state`, its value is the seed of the head instead.
    params : dict
        Maps names of the head's parameters to their values.
    tune : bool
        Whether parameters are tuned before each fit. Parameters in `params` are not tuned.
    listen : callable
        Callback for the events of tuning and training.
    rule : SmoothingRule or None
        Rule that smooths the class probabilities of each scene before its test pixels are scored.
    """

    scenes: SceneSet
    table: PixelTable
    head: str
    seed: int
    params: dict[str, Any]
    tune: bool = False
    listen: Listener = silent
    rule: SmoothingRule | None = None

    def fit(self, train: PixelTable, validation: PixelTable | None = None) -> tuple[Head, Tuning | None]:
        """Fit a new head on all rows of a table.

        Parameters
        ----------
        train : PixelTable
            Training pixels.
        validation : PixelTable, optional
            Pixels on which tuning scores the parameters. [default: folds of the training pixels]

        Returns
        -------
        head : Head
            The fitted head.
        tuning : Tuning or None
            Result of the parameter search; None without tuning.
        """
        head = make_head(self.head, layout=train.layout, **self.params)
        if "random_state" in head.get_params() and "random_state" not in self.params:
            head.set_params(random_state=self.seed)
        tuning = None
        if self.tune:
            tuning = tune_head(head, train, self.params, validation=validation, seed=self.seed, listen=self.listen)
        if tuning is not None and tuning.choice is not None:
            head.set_params(**tuning.choice.params)
        with training_listener(self.listen):
            return head.fit(train.X, train.y, unlabelled=train.unlabelled, positions=train.positions), tuning

    def evaluate(self, split: Split, draw: SplitDraw) -> tuple[Head, Evaluation]:
        """Fit a new head on the training pixels of `draw`, and score the head on the test pixels."""
        coordinates, scenes = self.table.coordinates, self.table.labels.windows
        train, test = self.table[draw.train[coordinates]], self.table[draw.test[coordinates]]
        validation = None if draw.validate is None else self.table[draw.validate[coordinates]]
        head, tuning = self.fit(train, validation)
        footprints = scene_footprints(self.scenes.scenes, self.table.layout)
        predicted = head.predict(test.X)
        correct = predicted == test.y
        scores, unsmoothed = score_predictions(test.y, predicted), None
        if self.rule is not None:
            predicted = self._smoothed_classes(head, self.rule, test)
            scores, unsmoothed = score_predictions(test.y, predicted), scores
        leaking, distances = leaking_pixels(draw, footprints, scenes), training_distances(draw, scenes)
        leakage = Leakage.from_pixels(leaking, distances)
        # Distances and leakage are in row-major order of the test pixels.
        order = np.searchsorted(np.flatnonzero(draw.test), test.pixels)
        leak_free, distances = ~leaking[order], distances[order]
        near = np.isfinite(distances)  # in scenes with training pixels
        return head, Evaluation(
            split=split.text,
            kind=split.kind,
            train_pixels=len(train),
            scores=scores,
            leakage=leakage,
            footprint=describe_footprints(frozenset().union(*footprints)),
            left_out=draw.left_out,
            notes=(*draw.notes, *overlap_notes(self.table.labels, draw)),
            tuning=tuning,
            distances=bin_accuracies(correct[near], distances[near], distance_bins()),
            leak_free_pixels=int(np.count_nonzero(leak_free)),
            leak_free_oa=float(correct[leak_free].mean()) if leak_free.any() else None,
            smoothing=self.rule,
            unsmoothed=unsmoothed,
            scenes=score_scenes(self.table.labels, test.coordinates[0], test.y, predicted),
            validation=None if validation is None else score_predictions(validation.y, head.predict(validation.X)),
        )

    def _smoothed_classes(self, head: Head, rule: SmoothingRule, test: PixelTable) -> NDArray[np.integer]:
        """Return the classes of test pixels, (n,), after smoothing of the class probabilities of a fitted head.

        The smoothing uses no labels. Each scene is smoothed separately.
        """
        smoothed = np.empty_like(test.y)
        for scene in np.unique(test.scene):
            features, inside = self.scenes.scenes[scene], test.scene == scene
            pixels = test.rows[inside], test.cols[inside]
            smoothed[inside] = smoothed_classes(features, head, rule, pixels, listen=self.listen)
        return smoothed

    def evaluate_disjoint(self, train_pixels: int) -> Evaluation | None:
        """Fit and score a new head under `DISJOINT_SPLIT`, with at most `train_pixels` training pixels.

        Returns
        -------
        Evaluation or None
            Scores of the head. None if `DISJOINT_SPLIT` can't divide the labels.
        """
        split = parse_split(DISJOINT_SPLIT)
        try:
            draw = split.draw(self.table.labels, self.seed)
        except SplitError:
            return None
        return self.evaluate(split, limit_training_pixels(draw, self.table.labels, train_pixels, self.seed))[1]
