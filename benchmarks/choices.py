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

Then the baseline, the choices of both rounds and other input sets are tested on the pixels kept apart. Their training pixels
are drawn from all labelled pixels, as by ``hsifeat fit --split per-class:5``. Finished fits are kept in the result file and are
not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from inspect import signature
from typing import Any

import numpy as np
from choice_options import (
    BASELINE,
    PARAMS,
    PLAIN,
    VALUES,
    Options,
    changed,
    combinations,
    context_layers,
    key,
    other_inputs,
    plain_key,
)
from choice_scene import Candidate, SceneStudy
from numpy.typing import NDArray
from scipy import stats
from scoring import RESULTS, about_run
from worth import CHOICE_SCENES, FEW_LABELS
from worth_summary import summarise

import hsifeat
from classifiers import make_head
from classifiers.input_sets import suited_input
from classifiers.smoothing import NO_SMOOTHING
from hsifeat.context.layer_names import DEFAULT_LAYERS

RESULT = RESULTS / "choices.json"
JOINT_SEEDS = range(20)
SCENE_NAMES = (*CHOICE_SCENES, "landsat")
# Heads for which the gain of the chosen smoothing is measured, besides the chosen head.
SMOOTHED_HEADS = ("svm", "logistic")
Scores = dict[str, dict[str, dict[str, dict[str, float]]]]
# Candidates of all options but the smoothing are not smoothed.
CANDIDATES: list[Candidate] = [
    ([plain_key(options)], options, [NO_SMOOTHING])
    for option, values in VALUES.items()
    if option != "smooth"
    for value in values[1:]
    for options in changed(option, value)
]
CANDIDATES.append(([f"smooth={rule}" for rule in VALUES["smooth"]], PLAIN, list(VALUES["smooth"])))


def main() -> None:
    """Run the study and write its result."""
    content = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    content |= about_run(("scikit-learn", "scikit-image")) | {"baseline": BASELINE}
    studies = {name: SceneStudy(name) for name in SCENE_NAMES}
    choices = content["choices"] = choose_first(content, studies)
    choices["all scenes"] = refine(content, studies, choices["first round"])
    check_defaults(choices["all scenes"], studies[CHOICE_SCENES[0]].features)
    for name, study in studies.items():
        score_apart(content, study, name)
    content["smoothing_gains"] = measure_smoothing(content, studies, choices["all scenes"])
    save(content)


def choose_first(content: dict[str, Any], studies: dict[str, SceneStudy]) -> dict[str, Options]:
    """Score the candidates of the first round. Return its choice of all scenes, and for each scene the choice of the others."""
    candidates = content.setdefault("candidates", {})
    for name in CHOICE_SCENES:
        for _ in studies[name].score_choosing(candidates.setdefault(name, {}), CANDIDATES):
            save(content)
    content["gains"] = {option: pooled_gains(candidates, option) for option in VALUES}
    others = {name: [one for one in CHOICE_SCENES if one != name] for name in CHOICE_SCENES}
    scenes = {"first round": CHOICE_SCENES, **others}
    return {name: choose(candidates, names) for name, names in scenes.items()}


def refine(content: dict[str, Any], studies: dict[str, SceneStudy], first: Options) -> Options:
    """Score the candidates of the second round, and return its choice."""
    joint = content.setdefault("joint", {})
    combined = combinations(first)
    for combination in combined:
        score_everywhere(content, studies, combination, [NO_SMOOTHING])
    best = max(combined, key=lambda options: mean_accuracy(joint, options | {"smooth": NO_SMOOTHING}))
    score_everywhere(content, studies, best, list(VALUES["smooth"]))
    rules = [best | {"smooth": rule} for rule in VALUES["smooth"]]
    choice = max(rules, key=lambda options: mean_accuracy(joint, options))
    content["joint_gains"] = joint_gains(joint, choice, combined)
    return choice


def score_apart(content: dict[str, Any], study: SceneStudy, name: str) -> None:
    """Score the baseline, the choices and other inputs on the pixels kept apart of a scene."""
    choices = content["choices"]
    entries = {
        "baseline": BASELINE,
        "choice of all scenes": choices["all scenes"],
        "choice of other scenes": choices.get(name, choices["first round"]),
        "first round": choices["first round"],
    }
    others = [*other_inputs(BASELINE), *other_inputs(choices["all scenes"])]
    content.setdefault("division", {})[name] = study.division()
    content.setdefault("entries", {})[name] = {title: key(options) for title, options in entries.items()}
    content["entries"][name]["other input sets"] = [key(options) for options in others]
    scores = content.setdefault("apart", {}).setdefault(name, {})
    for _ in study.score_apart(scores, [*entries.values(), *others]):
        save(content)


def measure_smoothing(content: dict[str, Any], studies: dict[str, SceneStudy], choice: Options) -> dict[str, Any]:
    """Return the gain of the chosen smoothing for each head, by scene and regime."""
    gains = {}
    for head in (choice["head"], *SMOOTHED_HEADS):
        options = choice | {"head": head}
        score_everywhere(content, studies, options, [NO_SMOOTHING, choice["smooth"]])
        gains[head] = smoothing_gains(content["joint"], options)
    return gains


def score_everywhere(
    content: dict[str, Any], studies: dict[str, SceneStudy], options: Options, rules: list[str]
) -> None:
    """Score options with smoothing rules in the second round, on the pixels for choosing of all scenes, and save the result."""
    candidate = ([key(options | {"smooth": rule}) for rule in rules], options, rules)
    for name in CHOICE_SCENES:
        scores = content["joint"].setdefault(name, {})
        for _ in studies[name].score_choosing(scores, [candidate], JOINT_SEEDS):
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
    content["summary"] = summarise(content.get("apart", {}))
    part = RESULT.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(RESULT)


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


if __name__ == "__main__":
    main()
