"""Options that the study `choices.py` compares, and their names in its result file."""

from __future__ import annotations

import itertools
from typing import Any

from worth import INPUTS

from classifiers import make_head
from classifiers.smoothing import NO_SMOOTHING

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
Options = dict[str, Any]
PLAIN = BASELINE | {"smooth": NO_SMOOTHING}


def changed(option: str, value: Any) -> list[Options]:
    """Return the sets of options by which a value of an option is judged."""
    if option == "spectral_components":
        return [PLAIN | {option: value, "inputs": inputs} for inputs in COMPONENT_INPUTS]
    return [PLAIN | {option: value}]


def other_inputs(options: Options) -> list[Options]:
    """Return a set of options with each other input set: without smoothing, and with context also with smoothing."""
    return [
        options | {"inputs": inputs, "smooth": rule}
        for inputs in VALUES["inputs"]
        if inputs != options["inputs"]
        for rule in (NO_SMOOTHING, options["smooth"])
        if rule == NO_SMOOTHING or "context" in inputs
    ]


def combinations(choice: Options) -> list[Options]:
    """Return all combinations of the values of the baseline and of a choice for the options in `JOINT`.

    Other options have the values of the choice.
    """
    values = [dict.fromkeys((BASELINE[option], choice[option])) for option in JOINT]
    return [choice | dict(zip(JOINT, combination, strict=True)) for combination in itertools.product(*values)]


def plain_key(options: Options) -> str:
    """Return the name in the result file of options without smoothing."""
    found = [f"{name}={value}" for name, value in options.items() if name != "smooth" and value != BASELINE[name]]
    return "; ".join(found) or f"smooth={NO_SMOOTHING}"


def key(options: Options) -> str:
    """Return the options that differ from the baseline as text."""
    return "; ".join(f"{name}={value}" for name, value in options.items() if value != BASELINE[name]) or "baseline"


def context_layers(options: Options) -> list[str]:
    """Return the names of the context layers of a set of options."""
    names = [f"mean-{side}" for side in options["means"].split()]
    names += [f"deviation-{side}" for side in options["deviations"].split()]
    return names + [
        PROFILES[kind].format(side) for kind in options["profiles"].split() for side in options["profile_sizes"].split()
    ]


def head_params(options: Options) -> Options:
    """Return the parameters of the head among the options that the head has.

    Only the default head has the baseline's values of these parameters. Other heads keep their own defaults.
    """
    known = make_head(options["head"]).get_params()
    kept = options["head"] == BASELINE["head"]
    return {name: options[name] for name in PARAMS if name in known and (kept or options[name] != BASELINE[name])}
