"""Choose default options on one half of the labelled pixels of each scene, and score them on the other half.

``.venv/bin/python benchmarks/choices.py`` writes ``benchmarks/results/choices.json``. Blocks of `BLOCK_PX` pixels divide the
labelled pixels of each scene into pixels for choosing and pixels kept apart. The division balances the classes and uses no
accuracy.

First, each option in `VALUES` is varied around the default, one option at a time. Candidates are trained and tested on the
pixels for choosing alone. A choice has the value of each option with the best mean accuracy over scenes and regimes. One choice
uses all scenes in `CHOICE_SCENES`. For each scene, another choice uses the other scenes only.

Then the default, the choices and smaller input sets are tested on the pixels kept apart. Their training pixels are drawn from all
labelled pixels, as by ``hsifeat fit --split per-class:5``. Finished fits are kept in the result file and are not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scoring import RESULTS, ROOT, about_run
from study_scenes import SCENES
from worth import (
    CHOICE_SCENES,
    DEFAULT,
    FEW_LABELS,
    INPUTS,
    MIN_CLASS_PIXELS,
    probabilities_near,
    smoothed,
    without_small_classes,
)

import hsifeat
from classifiers import LDAClassifier, PixelTable, make_head
from classifiers.evaluate import Evaluator
from classifiers.input_sets import InputSet, layout_options
from classifiers.smoothing import NO_SMOOTHING
from classifiers.splits import SplitDraw, parse_split
from hsifeat.features.scene_set import SceneSet

RESULT, STORES = RESULTS / "choices.json", ROOT / "build" / "choices"
SCENE_NAMES = (*CHOICE_SCENES, "landsat")
BLOCK_PX, DIVISIONS = 12, 2000
SEEDS, APART_SEEDS = range(10), range(100, 110)

_LDA = {name: option.default for name, option in signature(LDAClassifier).parameters.items()}
PARAMS = ("spectral_components", "context_components", "shrinkage")
PROFILES = {"plain": "profile-{}", "rebuilt": "reconstruction-{}", "averaged": "reconstruction-{}-mean-9"}
# Candidates of each option, the default first. Sizes of windows and profiles are sides in pixels.
VALUES: dict[str, tuple[Any, ...]] = {
    "inputs": (DEFAULT.inputs, *(one for one in INPUTS if one != DEFAULT.inputs), "window+context"),
    "means": ("5 25 45", "", "25", "5 25", "25 45", "5 11 25", "5 15 25 35 45", "5 25 45 65"),
    "deviations": ("", "5", "25", "5 25"),
    "profiles": (
        "plain rebuilt averaged",
        "",
        "plain",
        "rebuilt",
        "averaged",
        "plain averaged",
        "rebuilt averaged",
        "plain rebuilt",
    ),
    "profile_sizes": ("3 5 7 9 13 17", "3 7 13", "5 9 17", "3 5 7 9 13 17 25 33"),
    "spectral_components": (_LDA["spectral_components"], 10, 20, 40, None),
    "context_components": (_LDA["context_components"], 20, 40, None),
    "shrinkage": (_LDA["shrinkage"], 0.02, 0.1, 0.3),
    "reduction": (DEFAULT.reduction, "train"),
    "head": (DEFAULT.head, "random-forest", "svm", "logistic"),
    "smooth": (
        DEFAULT.smooth,
        NO_SMOOTHING,
        "gaussian:1",
        "gaussian:2",
        "gaussian:3",
        "guided:2,0.001",
        "guided:3,0.001",
        "guided:6,0.001",
        "guided:4,0.0001",
        "guided:4,0.01",
        "superpixel:20",
        "mrf:1",
    ),
}
DEFAULTS = {option: values[0] for option, values in VALUES.items()}
# Heads for which the gain of the default smoothing is measured.
SMOOTHED_HEADS = ("svm", "logistic")
# Smaller input sets, and those with context also with the default smoothing.
INPUT_SETS = [
    DEFAULTS | {"inputs": inputs, "smooth": rule}
    for inputs in VALUES["inputs"][1:]
    for rule in (NO_SMOOTHING, DEFAULT.smooth)
    if rule == NO_SMOOTHING or "context" in inputs
]

Options = dict[str, Any]
# Names in the result file of the smoothing rules, the options of the fit, and the smoothing rules.
Candidate = tuple[list[str], Options, list[str]]
Scores = dict[str, dict[str, dict[str, dict[str, float]]]]

_PLAIN = DEFAULTS | {"smooth": NO_SMOOTHING}
# Candidates of all options but the smoothing are not smoothed.
CANDIDATES: list[Candidate] = [
    ([f"{option}={value}"], _PLAIN | {option: value}, [NO_SMOOTHING])
    for option, values in VALUES.items()
    for value in values[1:]
    if option != "smooth"
]
CANDIDATES.append(([f"smooth={rule}" for rule in VALUES["smooth"]], _PLAIN, list(VALUES["smooth"])))
SMOOTHED: list[Candidate] = [
    (
        [f"head={head}; smooth={rule}" for rule in (NO_SMOOTHING, DEFAULT.smooth)],
        _PLAIN | {"head": head},
        [NO_SMOOTHING, DEFAULT.smooth],
    )
    for head in SMOOTHED_HEADS
]


def main() -> None:
    """Run the study and write its result."""
    content = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    content |= about_run(("scikit-learn", "scikit-image"))
    candidates, apart = content.setdefault("candidates", {}), content.setdefault("apart", {})
    studies = {name: SceneStudy(name) for name in CHOICE_SCENES}
    for name in CHOICE_SCENES:
        for _ in studies[name].score_choosing(candidates.setdefault(name, {}), CANDIDATES):
            save(content)
    content["gains"] = {option: pooled_gains(candidates, option) for option in VALUES}
    choices = {"all scenes": choose(candidates, CHOICE_SCENES)}
    for name in CHOICE_SCENES:
        choices[name] = choose(candidates, [one for one in CHOICE_SCENES if one != name])
    content |= {"default": DEFAULTS, "choices": choices, "entries": {}, "division": {}}
    for name in SCENE_NAMES:
        study = studies.get(name) or SceneStudy(name)
        content["division"][name] = study.division()
        entries = {
            "default": DEFAULTS,
            "choice of all scenes": choices["all scenes"],
            "choice of other scenes": choices.get(name, choices["all scenes"]),
        }
        content["entries"][name] = {title: key(options) for title, options in entries.items()}
        content["entries"][name]["smaller input sets"] = [key(options) for options in INPUT_SETS]
        for _ in study.score_apart(apart.setdefault(name, {}), [*entries.values(), *INPUT_SETS]):
            save(content)
    for name in CHOICE_SCENES:
        for _ in studies[name].score_choosing(candidates[name], SMOOTHED):
            save(content)
    content["smoothing_gains"] = {head: smoothing_gains(candidates, head) for head in (DEFAULT.head, *SMOOTHED_HEADS)}
    save(content)


def save(content: dict[str, Any]) -> None:
    """Write the result file, with the summary of all finished fits."""
    content["summary"] = summarise(content["apart"])
    part = RESULT.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(RESULT)


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

    def score_choosing(self, scores: dict[str, Any], candidates: list[Candidate]) -> Iterator[None]:
        """Score candidates on the pixels for choosing, and yield after each fit of all draws."""
        for regime in FEW_LABELS:
            table = without_small_classes(self.table, MIN_CLASS_PIXELS.get((self.name, regime), 0))
            classes = np.where(self.apart, 0, table.labels.classes)
            table = replace(table[~self.apart[table.rows, table.cols]], labels=replace(table.labels, classes=classes))
            split = parse_split(regime)
            draws = {seed: split.draw(table.labels, seed) for seed in SEEDS}
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
    return {name for value in VALUES[option] for name in context_layers(DEFAULTS | {option: value})}


def context_layers(options: Options) -> list[str]:
    """Return the names of the context layers of a set of options."""
    names = [f"mean-{side}" for side in options["means"].split()]
    names += [f"deviation-{side}" for side in options["deviations"].split()]
    return names + [
        PROFILES[kind].format(side) for kind in options["profiles"].split() for side in options["profile_sizes"].split()
    ]


def select_columns(table: PixelTable, options: Options) -> PixelTable:
    """Return the table with the columns of a set of options, and with the sample of the scene if the reduction uses it."""
    inputs, layers = InputSet.parse(options["inputs"]), set(context_layers(options))
    part = table.select_groups(lambda group: inputs.includes(group) and (group.layer is None or group.layer in layers))
    return part if options["reduction"] == "scene" else replace(part, sample=None)


def head_params(options: Options) -> Options:
    """Return the parameters of the head that differ from the defaults and that the head has."""
    known = make_head(options["head"]).get_params()
    return {name: options[name] for name in PARAMS if name in known and options[name] != DEFAULTS[name]}


def key(options: Options) -> str:
    """Return the options that differ from the defaults as text."""
    changed = [f"{name}={value}" for name, value in options.items() if value != DEFAULTS[name]]
    return "; ".join(changed) or "default"


def choose(candidates: Scores, scenes: Iterable[str]) -> Options:
    """Return the value of each option with the best mean accuracy over scenes and regimes, on the pixels for choosing."""
    scenes = list(scenes)

    def mean(option: str, value: Any) -> float:
        return float(
            np.mean([_draws(candidates[scene][regime], option, value) for scene in scenes for regime in FEW_LABELS])
        )

    return {option: max(values, key=lambda value: mean(option, value)) for option, values in VALUES.items()}


def _draws(scores: dict[str, dict[str, float]], option: str, value: Any) -> NDArray[np.float64]:
    """Return the accuracy of a candidate by draw. Candidates of all options but the smoothing are not smoothed."""
    is_default = option != "smooth" and value == DEFAULTS[option]
    return np.array(list(scores[f"smooth={NO_SMOOTHING}" if is_default else f"{option}={value}"].values()))


def pooled_gains(candidates: Scores, option: str) -> dict[str, dict[str, float]]:
    """Return the gain of each value of an option over the default, averaged over scenes and regimes, with its 95 % interval."""
    gains = {}
    for value in VALUES[option][1:]:
        points = np.mean(
            [
                _draws(candidates[scene][regime], option, value)
                - _draws(candidates[scene][regime], option, DEFAULTS[option])
                for scene in CHOICE_SCENES
                for regime in FEW_LABELS
            ],
            axis=0,
        )
        gains[str(value)] = estimate(points)
    return gains


def smoothing_gains(candidates: Scores, head: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return the gain of the default smoothing for a head, by scene and regime."""
    gains: dict[str, dict[str, dict[str, float]]] = {}
    for scene in CHOICE_SCENES:
        for regime in FEW_LABELS:
            scores = candidates[scene][regime]
            prefix = "" if head == DEFAULT.head else f"head={head}; "
            smooth, plain = (f"{prefix}smooth={rule}" for rule in (DEFAULT.smooth, NO_SMOOTHING))
            points = np.subtract(*(list(scores[name].values()) for name in (smooth, plain)))
            gains.setdefault(scene, {})[regime] = estimate(points)
    return gains


def estimate(points: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean of differences and its 95 % interval of Student's t."""
    margin = float(stats.t.ppf(0.975, len(points) - 1) * stats.sem(points))
    mean = float(points.mean())
    return {"mean": round(mean, 2), "low": round(mean - margin, 2), "high": round(mean + margin, 2)}


def summarise(apart: Scores) -> list[dict[str, Any]]:
    """Return mean and standard error over draws of the accuracy of each entry on the pixels kept apart, in percent."""
    return [
        {
            "scene": scene,
            "regime": regime,
            "entry": entry,
            "oa": round(float(np.mean(list(draws.values()))), 2),
            "se": round(float(stats.sem(list(draws.values()))), 2),
        }
        for scene, regimes in apart.items()
        for regime, entries in regimes.items()
        for entry, draws in entries.items()
    ]


if __name__ == "__main__":
    main()
