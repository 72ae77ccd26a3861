"""Choose the defaults of ``hsifeat fit`` on one half of the labelled pixels of each scene, and score them on the other half.

``.venv/bin/python benchmarks/choices.py`` writes ``benchmarks/results/choices.json``. Blocks of `BLOCK_PX` pixels divide the
labelled pixels of each scene into pixels for choosing and pixels kept apart. The division balances the classes and uses no
accuracy.

Candidates are trained and tested on the pixels for choosing alone. In the first round, each option in `VALUES` is varied around the
baseline, one option at a time. A choice has the value of each option with the best mean accuracy over scenes and regimes, and for
the number of spectral components also over the input sets in `COMPONENT_INPUTS`, because a head has one default for all inputs. One
choice uses all scenes in `CHOICE_SCENES`. For each scene, another choice uses the other scenes only.

The second round refines the choice of all scenes, because options interact. It compares all combinations of the values of the
baseline and of the choice, for the options in `JOINT`, and then all smoothing rules with the best combination. The defaults of
``hsifeat fit`` must be those of the refined choice.

Then the baseline, the choices of both rounds and other input sets are tested on the pixels kept apart. Their training pixels are drawn from all
labelled pixels, as by ``hsifeat fit --split per-class:5``. Finished fits are kept in the result file and are not repeated.
"""

from __future__ import annotations

import itertools
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
    FEW_LABELS,
    INPUTS,
    MIN_CLASS_PIXELS,
    probabilities_near,
    smoothed,
    without_small_classes,
)

import hsifeat
from classifiers import PixelTable, make_head
from classifiers.evaluate import Evaluator
from classifiers.input_sets import InputSet, layout_options, suited_input
from classifiers.smoothing import NO_SMOOTHING
from classifiers.splits import SplitDraw, parse_split
from hsifeat.context.layer_names import DEFAULT_LAYERS
from hsifeat.features.scene_set import SceneSet

RESULT, STORES = RESULTS / "choices.json", ROOT / "build" / "choices"
SCENE_NAMES = (*CHOICE_SCENES, "landsat")
BLOCK_PX, DIVISIONS = 12, 2000
SEEDS, JOINT_SEEDS, APART_SEEDS = range(10), range(20), range(100, 110)

PARAMS = ("spectral_components", "context_components", "shrinkage")
PROFILES = {"plain": "profile-{}", "rebuilt": "reconstruction-{}", "averaged": "reconstruction-{}-mean-9"}
_FULL = "spectra+window+context"
# Candidates of each option, the baseline first. Sizes of windows and profiles are sides in pixels.
VALUES: dict[str, tuple[Any, ...]] = {
    "inputs": (_FULL, *(one for one in INPUTS if one != _FULL), "window+context"),
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
    "spectral_components": (60, 10, 20, 40, 100, None),
    "context_components": (60, 20, 40, None),
    "shrinkage": ("auto", 0.02, 0.1, 0.3),
    "reduction": ("scene", "train"),
    "head": ("lda", "random-forest", "svm", "logistic"),
    "smooth": (
        "guided:4,0.001",
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
BASELINE = {option: values[0] for option, values in VALUES.items()}
COMPONENT_INPUTS = ("spectra", "window", "spectra+window", _FULL)
# Options whose values are combined in the second round.
JOINT = ("inputs", "means", "deviations", "profiles", "profile_sizes", "context_components")
# Heads for which the gain of the chosen smoothing is measured, besides the chosen head.
SMOOTHED_HEADS = ("svm", "logistic")
Options = dict[str, Any]
# Names in the result file of the smoothing rules, the options of the fit, and the smoothing rules.
Candidate = tuple[list[str], Options, list[str]]
Scores = dict[str, dict[str, dict[str, dict[str, float]]]]

_PLAIN = BASELINE | {"smooth": NO_SMOOTHING}


def changed(option: str, value: Any) -> list[Options]:
    """Return the sets of options by which a value of an option is judged."""
    if option == "spectral_components":
        return [_PLAIN | {option: value, "inputs": inputs} for inputs in COMPONENT_INPUTS]
    return [_PLAIN | {option: value}]


def other_inputs(options: Options) -> list[Options]:
    """Return a set of options with each other input set: without smoothing, and with context also with smoothing."""
    return [
        options | {"inputs": inputs, "smooth": rule}
        for inputs in VALUES["inputs"]
        if inputs != options["inputs"]
        for rule in (NO_SMOOTHING, options["smooth"])
        if rule == NO_SMOOTHING or "context" in inputs
    ]


def plain_key(options: Options) -> str:
    """Return the name in the result file of options without smoothing."""
    found = [f"{name}={value}" for name, value in options.items() if name != "smooth" and value != BASELINE[name]]
    return "; ".join(found) or f"smooth={NO_SMOOTHING}"


# Candidates of all options but the smoothing are not smoothed.
CANDIDATES: list[Candidate] = [
    ([plain_key(options)], options, [NO_SMOOTHING])
    for option, values in VALUES.items()
    if option != "smooth"
    for value in values[1:]
    for options in changed(option, value)
]
CANDIDATES.append(([f"smooth={rule}" for rule in VALUES["smooth"]], _PLAIN, list(VALUES["smooth"])))


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
    choices = {"first round": choose(candidates, CHOICE_SCENES)}
    for name in CHOICE_SCENES:
        choices[name] = choose(candidates, [one for one in CHOICE_SCENES if one != name])
    joint = content.setdefault("joint", {})
    combined = combinations(choices["first round"])
    for combination in combined:
        score_everywhere(content, joint, studies, combination, [NO_SMOOTHING])
    best = max(combined, key=lambda options: mean_accuracy(joint, options | {"smooth": NO_SMOOTHING}))
    score_everywhere(content, joint, studies, best, list(VALUES["smooth"]))
    rules = [best | {"smooth": rule} for rule in VALUES["smooth"]]
    choices["all scenes"] = max(rules, key=lambda options: mean_accuracy(joint, options))
    content["joint_gains"] = joint_gains(joint, choices["all scenes"], combined)
    check_defaults(choices["all scenes"], studies[CHOICE_SCENES[0]].features)
    content |= {"baseline": BASELINE, "choices": choices, "entries": {}, "division": {}}
    for name in SCENE_NAMES:
        study = studies.get(name) or SceneStudy(name)
        content["division"][name] = study.division()
        entries = {
            "baseline": BASELINE,
            "choice of all scenes": choices["all scenes"],
            "choice of other scenes": choices.get(name, choices["first round"]),
            "first round": choices["first round"],
        }
        others = [*other_inputs(BASELINE), *other_inputs(choices["all scenes"])]
        content["entries"][name] = {title: key(options) for title, options in entries.items()}
        content["entries"][name]["other input sets"] = [key(options) for options in others]
        for _ in study.score_apart(apart.setdefault(name, {}), [*entries.values(), *others]):
            save(content)
    chosen, gains = choices["all scenes"], {}
    for head in (chosen["head"], *SMOOTHED_HEADS):
        options = chosen | {"head": head}
        score_everywhere(content, joint, studies, options, [NO_SMOOTHING, chosen["smooth"]])
        gains[head] = smoothing_gains(joint, options)
    content["smoothing_gains"] = gains
    save(content)


def combinations(choice: Options) -> list[Options]:
    """Return all combinations of the values of the baseline and of a choice for the options in `JOINT`.

    Other options have the values of the choice.
    """
    values = [dict.fromkeys((BASELINE[option], choice[option])) for option in JOINT]
    return [choice | dict(zip(JOINT, combination, strict=True)) for combination in itertools.product(*values)]


def score_everywhere(
    content: dict[str, Any], scores: Scores, studies: dict[str, SceneStudy], options: Options, rules: list[str]
) -> None:
    """Score options with smoothing rules on the pixels for choosing of all scenes, and save the result."""
    candidate = ([key(options | {"smooth": rule}) for rule in rules], options, rules)
    for name, study in studies.items():
        for _ in study.score_choosing(scores.setdefault(name, {}), [candidate], JOINT_SEEDS):
            save(content)


def mean_accuracy(scores: Scores, options: Options) -> float:
    """Return the mean accuracy of options over scenes and regimes in the second round."""
    return float(np.mean(joint_draws(scores, options)))


def joint_draws(scores: Scores, options: Options) -> NDArray[np.float64]:
    """Return the accuracy of options by draw, averaged over scenes and regimes, in the second round."""
    found = [list(scores[scene][regime][key(options)].values()) for scene in CHOICE_SCENES for regime in FEW_LABELS]
    return np.mean(found, axis=0)


def joint_gains(scores: Scores, choice: Options, combined: list[Options]) -> dict[str, dict[str, float]]:
    """Return the gain of the refined choice over each other combination, and over its other smoothing rules, with its interval."""
    plain = choice | {"smooth": NO_SMOOTHING}
    pairs = [(plain, options | {"smooth": NO_SMOOTHING}) for options in combined]
    pairs += [(choice, choice | {"smooth": rule}) for rule in VALUES["smooth"]]
    return {
        key(other): estimate(joint_draws(scores, one) - joint_draws(scores, other))
        for one, other in pairs
        if one != other
    }


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


def context_layers(options: Options) -> list[str]:
    """Return the names of the context layers of a set of options."""
    names = [f"mean-{side}" for side in options["means"].split()]
    names += [f"deviation-{side}" for side in options["deviations"].split()]
    return names + [
        PROFILES[kind].format(side) for kind in options["profiles"].split() for side in options["profile_sizes"].split()
    ]


def check_defaults(choice: Options, features: hsifeat.Features) -> None:
    """Exit with an error if the defaults of the package are not those of a choice."""
    fit = {name: option.default for name, option in signature(hsifeat.fit_model).parameters.items()}
    defaults = {
        "layers": [layer.name for layer in DEFAULT_LAYERS],
        "inputs": str(suited_input(fit["head"], features)),
        **{name: make_head(fit["head"]).get_params()[name] for name in PARAMS},
        **{name: fit[name] for name in ("reduction", "head", "smooth")},
    }
    chosen = {"layers": context_layers(choice), **{name: choice[name] for name in defaults if name != "layers"}}
    if chosen != defaults:
        raise SystemExit(f"the defaults are {defaults}, but the choice of all scenes is {chosen}: change the defaults")


def select_columns(table: PixelTable, options: Options) -> PixelTable:
    """Return the table with the columns of a set of options, and with the sample of the scene if the reduction uses it."""
    inputs, layers = InputSet.parse(options["inputs"]), set(context_layers(options))
    part = table.select_groups(lambda group: inputs.includes(group) and (group.layer is None or group.layer in layers))
    return part if options["reduction"] == "scene" else replace(part, sample=None)


def head_params(options: Options) -> Options:
    """Return the parameters of the head among the options that the head has.

    Only the default head has the baseline's values of these parameters. Other heads keep their own defaults.
    """
    known = make_head(options["head"]).get_params()
    kept = options["head"] == BASELINE["head"]
    return {name: options[name] for name in PARAMS if name in known and (kept or options[name] != BASELINE[name])}


def key(options: Options) -> str:
    """Return the options that differ from the baseline as text."""
    return "; ".join(f"{name}={value}" for name, value in options.items() if value != BASELINE[name]) or "baseline"


def choose(candidates: Scores, scenes: Iterable[str]) -> Options:
    """Return the value of each option with the best mean accuracy over scenes and regimes, on the pixels for choosing."""
    scenes = list(scenes)

    def mean(option: str, value: Any) -> float:
        return float(
            np.mean([_draws(candidates[scene][regime], option, value) for scene in scenes for regime in FEW_LABELS])
        )

    return {option: max(values, key=lambda value: mean(option, value)) for option, values in VALUES.items()}


def _draws(scores: dict[str, dict[str, float]], option: str, value: Any) -> NDArray[np.float64]:
    """Return the accuracy of a value of an option by draw."""
    keys = [f"smooth={value}"] if option == "smooth" else map(plain_key, changed(option, value))
    return np.mean([list(scores[one].values()) for one in keys], axis=0)


def pooled_gains(candidates: Scores, option: str) -> dict[str, dict[str, float]]:
    """Return the gain of each value of an option over the baseline, averaged over scenes and regimes, with its 95 % interval."""
    gains = {}
    for value in VALUES[option][1:]:
        points = np.mean(
            [
                _draws(candidates[scene][regime], option, value)
                - _draws(candidates[scene][regime], option, BASELINE[option])
                for scene in CHOICE_SCENES
                for regime in FEW_LABELS
            ],
            axis=0,
        )
        gains[str(value)] = estimate(points)
    return gains


def smoothing_gains(scores: Scores, options: Options) -> dict[str, dict[str, dict[str, float]]]:
    """Return the gain of the smoothing of a set of options in the second round, by scene and regime."""
    gains: dict[str, dict[str, dict[str, float]]] = {}
    for scene in CHOICE_SCENES:
        for regime in FEW_LABELS:
            pair = (scores[scene][regime][key(one)] for one in (options, options | {"smooth": NO_SMOOTHING}))
            gains.setdefault(scene, {})[regime] = estimate(np.subtract(*(list(draws.values()) for draws in pair)))
    return gains


def estimate(points: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean of differences and its 95 % interval of Student's t."""
    margin = float(stats.t.ppf(0.975, len(points) - 1) * stats.sem(points))
    mean = float(points.mean())
    # With more decimals than documents show, rounding twice changes no figure.
    return {"mean": round(mean, 5), "low": round(mean - margin, 5), "high": round(mean + margin, 5)}


def summarise(apart: Scores) -> list[dict[str, Any]]:
    """Return mean and standard error over draws of the accuracy of each entry on the pixels kept apart, in percent."""
    return [
        {
            "scene": scene,
            "regime": regime,
            "entry": entry,
            "oa": round(float(np.mean(list(draws.values()))), 5),
            "se": round(float(stats.sem(list(draws.values()))), 5),
        }
        for scene, regimes in apart.items()
        for regime, entries in regimes.items()
        for entry, draws in entries.items()
    ]


if __name__ == "__main__":
    main()
