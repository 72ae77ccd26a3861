"""The draws of a comparison: every split for every seed, with as many training pixels, and what each leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from classifiers.comparison.results.model import DrawnSplit
from classifiers.splits import GRAMMAR, Footprint, Split, SplitDraw, limit_training_pixels, measure_leakage, parse_split
from hsifeat.errors import SplitError
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Labels

SPLITS = ("random:0.1", "blocks:12+4:0.1")

Draws = dict[tuple[str, int], SplitDraw]


def side_by_side(rules: list[Split], listen: Listener) -> list[Split]:
    """Add a disjoint split where only random ones are asked for, and the other way round; given ones stand alone.

    Raises
    ------
    SplitError
        There is no rule.
    """
    if not rules:
        raise SplitError(f"no split to compare under; allowed: {GRAMMAR}")
    kinds = {rule.kind for rule in rules} - {"fixed"}
    for text, kind in zip(SPLITS, ("random", "disjoint"), strict=True):
        if kinds and kind not in kinds:
            listen(Note(f"{text} is added: a random and a disjoint split are shown side by side"))
            rules = [*rules, parse_split(text)]
    return rules


def telling(rules: Sequence[Split]) -> Split:
    """Return the split that tells most of ground not seen: the first disjoint one, else the first."""
    return next((rule for rule in rules if rule.kind == "disjoint"), rules[0])


def draw_all(rules: Sequence[Split], labels: Labels, seeds: int, listen: Listener) -> Draws:
    """Draw every split for every seed, thinned to the smallest number of training pixels of that seed."""
    draws: Draws = {}
    for seed in range(seeds):
        drawn = {rule.text: rule.draw(labels, seed) for rule in rules}
        fewest = min(int(draw.train.sum()) for draw in drawn.values())
        thinned = {text: limit_training_pixels(draw, labels, fewest, seed) for text, draw in drawn.items()}
        counts = {text: int(draw.train.sum()) for text, draw in thinned.items()}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{count} under {text}" for text, count in counts.items())
            listen(Note(f"seed {seed}: every class keeps a training pixel, so their numbers differ: {said}"))
        draws |= {(text, seed): draw for text, draw in thinned.items()}
    return draws


def few(draw: SplitDraw, labels: Labels, per_class: int, seed: int) -> SplitDraw:
    """Keep at most so many training pixels of each class, drawn at random: with fewer, some of those of more."""
    random = np.random.default_rng([seed, 2])
    train = np.zeros(draw.shape, np.bool_)
    flat = np.flatnonzero(draw.train)
    classes = labels.classes.flat[flat]
    for number in np.unique(classes):
        train.flat[random.permutation(flat[classes == number])[:per_class]] = True
    return draw.with_train(train)


def measure(draws: Draws, contexts: Mapping[str, frozenset[Footprint]]) -> list[DrawnSplit]:
    """Measure what every split leaks to features with contexts, by what heads are given."""
    measured = []
    for text in dict.fromkeys(text for text, _ in draws):
        mine = [draw for (split, _), draw in draws.items() if split == text]
        # Several inputs see the same pixels.
        found = {seen: [measure_leakage(draw, seen) for draw in mine] for seen in set(contexts.values())}
        distances = next(iter(found.values()))
        measured.append(
            DrawnSplit(
                split=text,
                seen={of: float(np.mean([one.share for one in found[seen]])) for of, seen in contexts.items()},
                context={of: " and ".join(sorted({str(one) for one in seen})) for of, seen in contexts.items()},
                median_px=float(np.mean([one.median_px for one in distances])),
                least_px=min(one.min_px for one in distances),
                notes=draws[text, 0].notes,
            )
        )
    return measured
