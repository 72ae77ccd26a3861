"""Draws of a benchmark: training and test pixels of a split for one seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from classifiers.comparison.config import RANDOM_SPLIT
from classifiers.defaults import DISJOINT_SPLIT
from classifiers.splits import (
    GRAMMAR,
    LeaveOneSceneOutSplit,
    PerClassSplit,
    Split,
    SplitDraw,
    is_matched,
    limit_training_pixels,
    parse_split,
    reads_files,
)
from hsifeat.errors import SplitError
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Labels

# Training and test pixels, by split (in the grammar of `parse_split`) and seed.
Draws = dict[tuple[str, int], SplitDraw]


def add_counterpart(splits: list[Split], listen: Listener) -> list[Split]:
    """Return `splits` with at least one random split and one disjoint split.

    If the random or the disjoint split is missing, the default split of this kind is added, with a note. User-defined
    splits, which have the kind ``fixed``, are neither random nor disjoint. If all splits are user-defined, nothing is added.

    Raises
    ------
    SplitError
        If `splits` is empty.
    """
    if not splits:
        raise SplitError(f"no split to compare under; allowed: {GRAMMAR}")
    kinds = {split.kind for split in splits} - {"fixed"}
    for text, kind in ((RANDOM_SPLIT, "random"), (DISJOINT_SPLIT, "disjoint")):
        if kinds and kind not in kinds:
            listen(Note(f"{text} is added, so that a random and a disjoint split can be compared"))
            splits = [*splits, parse_split(text)]
    return splits


def reference_split(splits: Sequence[Split]) -> Split:
    """Return the first disjoint split, or the first split if none is disjoint."""
    return next((split for split in splits if split.kind == "disjoint"), splits[0])


def limit_seeds(splits: Sequence[Split], labels: Labels, seeds: int, listen: Listener) -> int:
    """Limit the number of seeds to the number of scenes if a split is ``scenes:leave-one-out``.

    With seed k, ``scenes:leave-one-out`` tests scene k. With more seeds than scenes, some scenes would be tested twice
    and would count twice in the mean.

    Parameters
    ----------
    splits : sequence of Split
        Splits of the benchmark.
    labels : Labels
        Classes of the pixels of all scenes.
    seeds : int
        Number of seeds that the user wants.
    listen : callable
        Callback that receives a note if the number of seeds is reduced.
    """
    count = len(labels.parts)
    if not any(isinstance(split, LeaveOneSceneOutSplit) for split in splits) or not 1 < count < seeds:
        return seeds
    listen(
        Note(f"{count} seeds instead of {seeds}: {LeaveOneSceneOutSplit.text} tests each of the {count} scenes once")
    )
    return count


def draw_all(splits: Sequence[Split], labels: Labels, seeds: int, listen: Listener) -> Draws:
    """Draw training and test pixels of every split for every seed.

    Training sets of splits that train on a fraction of the labels, such as ``random:0.1``, are thinned. For each seed,
    all of them get the size of the smallest one. Each class keeps at least one pixel. Training sets of other splits,
    such as ``per-class:5``, are not thinned and do not affect this size.

    Parameters
    ----------
    splits : sequence of Split
        Splits to draw.
    labels : Labels
        Classes of the pixels.
    seeds : int
        Number of seeds. Draws are made for seeds 0 to ``seeds - 1``.
    listen : callable
        Callback that receives a note if the thinned training sets still differ in size.
    """
    draws: Draws = {}
    for seed in range(seeds):
        full = {split.text: split.draw(labels, seed) for split in splits}
        matched = {text: draw for text, draw in full.items() if is_matched(text)}
        fewest = min((int(draw.train.sum()) for draw in matched.values()), default=0)
        thinned = {text: limit_training_pixels(draw, labels, fewest, seed) for text, draw in matched.items()}
        counts = {text: int(draw.train.sum()) for text, draw in thinned.items()}
        if len(set(counts.values())) > 1:
            numbers = ", ".join(f"{count} under {text}" for text, count in counts.items())
            listen(
                Note(
                    f"seed {seed}: every class keeps a training pixel, so the numbers of training pixels differ: {numbers}"
                )
            )
        draws |= {(text, seed): draw for text, draw in {**full, **thinned}.items()}
    return draws


def fixed_draws(splits: Sequence[Split], labels: Labels) -> list[SplitDraw]:
    """Return the draws of the splits whose texts do not state their pixels: maps or a file of scenes define them, whatever the seed."""
    return [split.draw(labels, 0) for split in splits if split.kind == "fixed" or reads_files(split.text)]


def curve_draws(splits: Sequence[Split], draws: Draws, labels: Labels, limits: Sequence[int]) -> list[Draws]:
    """Return the draws for learning curves, as one dict in the form of `draws` for each curve.

    For each seed, all points of a curve have the same test pixels, and train on subsets of the same training pixels. The
    first curve has the draws of the first disjoint split, or of the first split if none is disjoint. If a split is
    ``per-class:N``, a second curve has draws of ``per-class:M``, where M is the largest number in `limits`.

    Parameters
    ----------
    splits : sequence of Split
        Splits of the benchmark.
    draws : dict of (str, int) to SplitDraw
        Training and test pixels for each split and seed.
    labels : Labels
        Classes of the pixels.
    limits : sequence of int
        Maximum numbers of training pixels per class. If `limits` is empty, the result is empty.
    """
    if not limits:
        return []
    reference = reference_split(splits)
    seeds = {seed for _, seed in draws}
    bases = [{(reference.text, seed): draws[reference.text, seed] for seed in sorted(seeds)}]
    if any(isinstance(split, PerClassSplit) for split in splits):
        largest = PerClassSplit(max(limits))
        bases.append({(largest.text, seed): largest.draw(labels, seed) for seed in sorted(seeds)})
    return bases


def limit_per_class(draw: SplitDraw, labels: Labels, per_class: int, seed: int) -> SplitDraw:
    """Return a draw with at most `per_class` random training pixels of each class.

    The training pixels for a smaller limit are a subset of the training pixels for a larger limit.

    Parameters
    ----------
    draw : SplitDraw
        Training and test pixels.
    labels : Labels
        Classes of the pixels.
    per_class : int
        Maximum number of training pixels of each class.
    seed : int
        Seed of the random choice.
    """
    random = np.random.default_rng([seed, 2])
    train = np.zeros(draw.shape, np.bool_)
    pixels = np.flatnonzero(draw.train)
    classes = labels.classes.flat[pixels]
    for number in np.unique(classes):
        train.flat[random.permutation(pixels[classes == number])[:per_class]] = True
    return draw.with_train(train)
