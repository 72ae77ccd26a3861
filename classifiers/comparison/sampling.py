"""The draws of a benchmark: every split for every seed with equally many training pixels, and what each split leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from classifiers.comparison.config import SPLITS
from classifiers.comparison.results.model import SplitSummary
from classifiers.splits import GRAMMAR, Footprint, Split, SplitDraw, limit_training_pixels, measure_leakage, parse_split
from hsifeat.errors import SplitError
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Labels

# By split (in the grammar) and seed.
Draws = dict[tuple[str, int], SplitDraw]


def add_counterpart(splits: list[Split], listen: Listener) -> list[Split]:
    """Add a disjoint split if there are only random ones, and vice versa; user-defined splits need no counterpart.

    Raises
    ------
    SplitError
        `splits` is empty.
    """
    if not splits:
        raise SplitError(f"no split to compare under; allowed: {GRAMMAR}")
    kinds = {split.kind for split in splits} - {"fixed"}
    for text, kind in zip(SPLITS, ("random", "disjoint"), strict=True):
        if kinds and kind not in kinds:
            listen(Note(f"{text} is added, so that a random and a disjoint split can be compared"))
            splits = [*splits, parse_split(text)]
    return splits


def reference_split(splits: Sequence[Split]) -> Split:
    """Return the split that says most about unseen ground: the first disjoint one, or else the first."""
    return next((split for split in splits if split.kind == "disjoint"), splits[0])


def draw_all(splits: Sequence[Split], labels: Labels, seeds: int, listen: Listener) -> Draws:
    """Draw every split for every seed, and thin the draws of a seed to the smallest number of training pixels among them.

    Parameters
    ----------
    splits : sequence of Split
        What to draw.
    labels : Labels
        Classes of the pixels.
    seeds : int
        Draws are made for seeds 0 to ``seeds - 1``.
    listen : callable
        Receives a note where the numbers still differ, since each class keeps a training pixel.
    """
    draws: Draws = {}
    for seed in range(seeds):
        full = {split.text: split.draw(labels, seed) for split in splits}
        fewest = min(int(draw.train.sum()) for draw in full.values())
        thinned = {text: limit_training_pixels(draw, labels, fewest, seed) for text, draw in full.items()}
        counts = {text: int(draw.train.sum()) for text, draw in thinned.items()}
        if len(set(counts.values())) > 1:
            numbers = ", ".join(f"{count} under {text}" for text, count in counts.items())
            listen(Note(f"seed {seed}: every class keeps a training pixel, so their numbers differ: {numbers}"))
        draws |= {(text, seed): draw for text, draw in thinned.items()}
    return draws


def limit_per_class(draw: SplitDraw, labels: Labels, per_class: int, seed: int) -> SplitDraw:
    """Keep at most `per_class` random training pixels of each class; those of a smaller limit are among those of a larger.

    Parameters
    ----------
    draw : SplitDraw
        Training and test pixels.
    labels : Labels
        Classes of the pixels.
    per_class : int
        Limit for each class.
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


def summarise_splits(draws: Draws, footprints: Mapping[str, frozenset[Footprint]]) -> tuple[SplitSummary, ...]:
    """Measure distances and leakage of every split, averaged over seeds.

    Parameters
    ----------
    draws : dict of (str, int) to SplitDraw
        By split and seed.
    footprints : mapping of str to frozenset of Footprint
        Which pixels features depend on, by `BenchEntry.columns`.
    """
    summaries = []
    for text in dict.fromkeys(text for text, _ in draws):
        of_split = [draw for (split, _), draw in draws.items() if split == text]
        # Several features have the same footprint.
        measured = {
            footprint: [measure_leakage(draw, footprint) for draw in of_split] for footprint in set(footprints.values())
        }
        distances = next(iter(measured.values()))
        shares = {footprint: float(np.mean([each.share for each in leaks])) for footprint, leaks in measured.items()}
        summaries.append(
            SplitSummary(
                split=text,
                leakage={columns: shares[footprint] for columns, footprint in footprints.items()},
                footprints={
                    columns: " and ".join(sorted(set(map(str, footprint)))) for columns, footprint in footprints.items()
                },
                median_px=float(np.mean([each.median_px for each in distances])),
                min_px=min(each.min_px for each in distances),
                notes=tuple(draws[text, 0].notes),
            )
        )
    return tuple(summaries)
