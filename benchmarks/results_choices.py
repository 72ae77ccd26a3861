"""Tables and sentences on the choice of defaults, from the result file of `choices.py`, for `results_page.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from results_tables import CHOICE, FEW, SCENES, gain_text, table, title


def choices_table(content: dict[str, Any]) -> str:
    """Return a table of the options that were varied: baseline, best other value and its gain, choices of both rounds."""
    lines = []
    for option, gains in content["gains"].items():
        best = max(gains, key=lambda value: gains[value]["mean"])
        cells = [content["baseline"][option], best, gain_text(gains[best])]
        cells += [content["choices"][name][option] for name in ("first round", "all scenes")]
        lines.append([option.replace("_", " "), str(len(gains) + 1), *(_value(cell) for cell in cells)])
    head = ["option", "values", "baseline", "best other value", "its gain over the baseline", "first round", "default"]
    return table(head, lines)


def _value(value: Any) -> str:
    return {"": "none", "None": "all", None: "all"}.get(value, str(value))


def second_round_sentence(content: dict[str, Any]) -> str:
    """State what the second round compares, and what its choice gains over the baseline and the choice of the first round."""
    gains, draws = content["joint_gains"], len(next(iter(content["joint"]["houston"]["per-class:5"].values())))
    first = content["choices"]["first round"]
    layers = ("inputs", "means", "deviations", "profiles", "profile_sizes", "context_components")
    kept = {name: content["baseline"][name] for name in layers}
    over = {
        name: gain_text(gains[_choice_key(content, first | values)]) for name, values in (("first", {}), ("kept", kept))
    }
    return (
        f"Options interact, so a second round compares all combinations of the values of the baseline and of the first round, with {draws} draws, and then the smoothing "
        f"rules with the best combination. That combination and rule are the defaults. Without smoothing, the combination gains {over['first']} points over the values of the first "
        f"round together, and {over['kept']} over the baseline's inputs, layers and components of context."
    )


def _choice_key(content: dict[str, Any], options: dict[str, Any]) -> str:
    """Return the name of options without smoothing in the second round."""
    options = options | {"smooth": "none"}
    return "; ".join(f"{name}={value}" for name, value in options.items() if value != content["baseline"][name])


def apart_table(content: dict[str, Any]) -> str:
    """Return a table with the accuracies on the pixels kept apart of the default, of the other choices and of the best other inputs."""
    lines = []
    for scene, regime, rows, other in _apart(content):
        named = [content["entries"][scene][name] for name in _APART]
        cells = [f"{rows[entry]['oa']:.1f} ± {rows[entry]['se']:.1f}" for entry in (*named, other)]
        inputs = dict(part.split("=", 1) for part in other.split("; ")).get("inputs", content["baseline"]["inputs"])
        lines.append([title((scene, regime)), *cells[:-1], f"{cells[-1]} ({inputs})"])
    return table(
        [
            "scene, labels per class",
            "default",
            "first round",
            "choice of the other scenes",
            "baseline",
            "best of the other inputs",
        ],
        lines,
    )


_APART = ("choice of all scenes", "first round", "choice of other scenes", "baseline")


def _apart(content: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, Any], str]]:
    """Return scene, regime, accuracies on the pixels kept apart by entry, and the best entry with other inputs."""
    for regime in FEW:
        for scene in SCENES:
            rows = {one["entry"]: one for one in content["summary"] if (one["scene"], one["regime"]) == (scene, regime)}
            yield (
                scene,
                regime,
                rows,
                max(content["entries"][scene]["other input sets"], key=lambda entry: rows[entry]["oa"]),
            )


def smoothing_table(content: dict[str, Any]) -> str:
    """Return a table with the gain of the default smoothing by head."""
    gains = content["smoothing_gains"]
    return table(
        ["gain of the default smoothing", *map(title, CHOICE)],
        [
            [f"`{head}`", *(gain_text(by_scene[scene][regime]) for scene, regime in CHOICE)]
            for head, by_scene in gains.items()
        ],
    )


def apart_sentence(content: dict[str, Any]) -> str:
    """Compare the default with the best other inputs on the pixels kept apart, and state its accuracy on Indian Pines."""
    pairs = {
        (scene, regime): (rows[content["entries"][scene][_APART[0]]], rows[other])
        for scene, regime, rows, other in _apart(content)
    }
    near = sum(default["oa"] >= other["oa"] - other["se"] for default, other in pairs.values())
    found = [
        rows[content["entries"][scene][name]]["oa"]
        for name in _APART[:2]
        for scene, _, rows, _ in _apart(content)
        if scene == "indian-pines"
    ]
    return (
        f"The default is at most one standard error below the best of the other inputs in {near} of {len(pairs)} rows. On Indian Pines, it has {found[0]:.1f} % from 5 and "
        f"{found[1]:.1f} % from 20 labels per class. The choice of the first round has {found[2]:.1f} % and {found[3]:.1f} %."
    )
