"""Accuracies of options on the two halves of the labelled pixels of a scene, for the study `choices.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from choice_options import BASELINE, VALUES, Options, context_layers, head_params, key
from numpy.typing import NDArray
from scoring import ROOT
from study_scenes import SCENES
from worth import FEW_LABELS, MIN_CLASS_PIXELS, probabilities_near, smoothed, without_small_classes

import hsifeat
from classifiers import PixelTable
from classifiers.evaluate import Evaluator
from classifiers.input_sets import InputSet, layout_options
from classifiers.smoothing import NO_SMOOTHING
from classifiers.splits import SplitDraw, parse_split
from hsifeat.features.scene_set import SceneSet

STORES = ROOT / "build" / "choices"
BLOCK_PX, DIVISIONS = 12, 2000
SEEDS, APART_SEEDS = range(10), range(100, 110)
# Names in the result file of the smoothing rules, the options of the fit, and the smoothing rules.
Candidate = tuple[list[str], Options, list[str]]


class SceneStudy:
    """Accuracies on the two halves of the labelled pixels of a scene.

    Parameters
    ----------
    name : str
        Name of the scene in `SCENES`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        layers = {layer for option in ("means", "deviations", "profiles", "profile_sizes") for layer in _layers(option)}
        path = STORES / f"{name}.zarr"
        hsifeat.extract(SCENES[name](), backbone="context", layers=sorted(layers), out=path)
        self.features = hsifeat.open_features(path)
        inputs = [InputSet.parse(one) for one in VALUES["inputs"]]
        self.table = PixelTable.from_store(self.features, sample=True, **layout_options(inputs, self.features))
        self.apart = divide(self.table.labels.classes)

    def division(self) -> dict[str, dict[str, int]]:
        """Return the numbers of pixels for choosing and of pixels kept apart, by class."""
        halves = {"choosing": ~self.apart, "apart": self.apart}
        names = self.table.labels.class_names
        return {
            half: {names[c]: int((mask & (self.table.labels.classes == c)).sum()) for c in self.table.labels.counts}
            for half, mask in halves.items()
        }

    def score_choosing(
        self, scores: dict[str, Any], candidates: list[Candidate], seeds: Iterable[int] = SEEDS
    ) -> Iterator[None]:
        """Score candidates on the pixels for choosing, and yield after each fit of all draws."""
        for regime in FEW_LABELS:
            table = without_small_classes(self.table, MIN_CLASS_PIXELS.get((self.name, regime), 0))
            classes = np.where(self.apart, 0, table.labels.classes)
            table = replace(table[~self.apart[table.rows, table.cols]], labels=replace(table.labels, classes=classes))
            split = parse_split(regime)
            draws = {seed: split.draw(table.labels, seed) for seed in seeds}
            for candidate in candidates:
                yield from self._score(scores.setdefault(regime, {}), *candidate, table, draws)

    def score_apart(self, scores: dict[str, Any], entries: list[Options]) -> Iterator[None]:
        """Score entries on the pixels kept apart, and yield after each entry."""
        for regime in FEW_LABELS:
            table = without_small_classes(self.table, MIN_CLASS_PIXELS.get((self.name, regime), 0))
            split, draws = parse_split(regime), {}
            for seed in APART_SEEDS:
                draw = split.draw(table.labels, seed)
                draws[seed] = SplitDraw.from_masks(draw.train, draw.test & self.apart)
            for options in entries:
                yield from self._score(
                    scores.setdefault(regime, {}), [key(options)], options, [options["smooth"]], table, draws
                )

    def _score(
        self,
        scores: dict[str, dict[str, float]],
        keys: list[str],
        options: Options,
        rules: list[str],
        table: PixelTable,
        draws: dict[int, SplitDraw],
    ) -> Iterator[None]:
        """Fit one set of options for each draw without scores, and score it with each smoothing rule."""
        found = [scores.setdefault(one, {}) for one in keys]
        missing = [seed for seed in draws if any(str(seed) not in one for one in found)]
        if not missing:
            return
        part = select_columns(table, options)
        for seed in missing:
            for one, oa in zip(found, self._accuracies(part, options, rules, draws[seed], seed), strict=True):
                one[str(seed)] = round(100 * oa, 3)
        means = (f"{name} {np.mean(list(one.values())):.1f}" for name, one in zip(keys, found, strict=True))
        print(self.name, *means, flush=True)
        yield

    def _accuracies(
        self, table: PixelTable, options: Options, rules: list[str], draw: SplitDraw, seed: int
    ) -> list[float]:
        train, test = (table[side[table.coordinates]] for side in (draw.train, draw.test))
        head, _ = Evaluator(SceneSet([self.features]), table, options["head"], seed, head_params(options)).fit(train)
        blocks = probabilities_near(test, self.features, head, [rule for rule in rules if rule != NO_SMOOTHING])
        accuracies = []
        for rule in rules:
            if rule == NO_SMOOTHING:
                classes = head.predict(test.X)
            else:
                classes = smoothed(self.features, blocks, rule, head.classes_)[test.rows, test.cols]
            accuracies.append(float(np.mean(classes == test.y)))
        return accuracies


def divide(classes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the mask of the pixels kept apart: half of the blocks of a scene.

    Of `DIVISIONS` random divisions into blocks, the one is taken that divides the classes most evenly. An even division has the
    smallest sum of squares of the classes' shares from one half.
    """
    rows, cols = np.indices(classes.shape)
    counts = np.bincount(classes.ravel())
    best, least = np.zeros(classes.shape, bool), np.inf
    for seed in range(DIVISIONS):
        rng = np.random.default_rng(seed)
        first = rng.integers(BLOCK_PX, size=2)
        halves = rng.integers(2, size=[side // BLOCK_PX + 2 for side in classes.shape]).astype(bool)
        apart = halves[(rows + first[0]) // BLOCK_PX, (cols + first[1]) // BLOCK_PX]
        shares = np.bincount(classes[apart], minlength=len(counts))[counts > 0] / counts[counts > 0]
        uneven = float(((shares[1:] - 0.5) ** 2).sum())
        if uneven < least:
            best, least = apart, uneven
    return best


def _layers(option: str) -> set[str]:
    """Return the context layers of all values of an option."""
    return {name for value in VALUES[option] for name in context_layers(BASELINE | {option: value})}


def select_columns(table: PixelTable, options: Options) -> PixelTable:
    """Return the table with the columns of a set of options, and with the sample of the scene if the reduction uses it."""
    inputs, layers = InputSet.parse(options["inputs"]), set(context_layers(options))
    part = table.select_groups(lambda group: inputs.includes(group) and (group.layer is None or group.layer in layers))
    return part if options["reduction"] == "scene" else replace(part, sample=None)
