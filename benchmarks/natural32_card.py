"""Write the model card of `natural32`, with the figures of the study.

``.venv/bin/python benchmarks/natural32_card.py`` writes ``hsifeat/backbones/natural32/README.md`` from
``natural32_card.md`` and ``benchmarks/results/natural32.json``. The template ``natural32_card.md`` contains placeholders:

- ``@scene; test; A - B@``, such as ``@indian-pines; far; natural32 - window@``: the gain of a set of columns A over a set
  B;
- ``@range; 5,20; A - B@``: the smallest and largest mean gain over all scenes;
- ``@table@``, ``@candidates@`` and ``@layers@``: tables;
- ``@draws@``: numbers of draws.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from study_columns import gain

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "natural32.json"
CARD = ROOT / "hsifeat" / "backbones" / "natural32" / "README.md"
TEMPLATE = Path(__file__).with_name("natural32_card.md")

SCENES = {
    "indian-pines": "Indian Pines",
    "houston": "Houston 2018 subset",
    "houston-companion": "the same, planes of the 0.25 m image",
    "pavia-reduced": "reduced Pavia University",
}
TESTS = {
    "5": ("5 per class", "per-class:5"),
    "20": ("20 per class", "per-class:20"),
    "blocks": ("blocks, 10 %", "blocks:12+0:0.1"),
    "far": ("blocks, far", "blocks:12+0:0.1, over 16 px"),
}
WINDOW = "spectra+window"
# Titles and contents of the columns of the table: a set of columns, or a difference of two.
COLUMNS = {
    "window": "window",
    "+ planes": "natural32",
    "planes - twin": "natural32 - natural32 untrained",
    "planes - window": "natural32 - window",
    "+ FFDNet": "ffdnet",
    "+ mtmsd": "mtmsd",
    "context": "context",
    "context + planes": "context+natural32",
    "planes added to context": "context+natural32 - context",
    "context + twin": "context+natural32 untrained",
}
CANDIDATES = {
    "overhead": "overhead images instead of CIFAR-10",
    "both": "both kinds of images",
    "uniform": "uniform noise levels",
    "rms": "per-pixel norm",
}


def card(content: dict[str, Any]) -> str:
    """Return the model card for the content of ``natural32.json``."""
    tokens = {
        "table": _accuracies(content),
        "candidates": _candidates(content),
        "layers": _layers(content),
        "draws": _draws(content),
    }

    def fill(match: re.Match[str]) -> str:
        text = match[1]
        if text in tokens:
            return tokens[text]
        return (_range if text.startswith("range; ") else _value)(content, *text.split("; "))

    return re.sub(r"@([^@\n]+)@", fill, TEMPLATE.read_text(encoding="utf-8"))


def _value(content: dict[str, Any], scene: str, test: str, what: str) -> str:
    """Return a mean accuracy, or a gain with its interval, as text. Return a dash if the study lacks the value for this scene."""
    scores, regime = content["scores"][scene], TESTS[test][1]
    sets = [_columns_name(label) for label in what.split(" - ")]
    if any(name not in scores for name in sets):
        return "-"
    values = [scores[name][regime] for name in sets]
    if len(values) == 1:
        return f"{100 * np.mean([v for v in values[0] if v is not None]):.1f}"
    return _gain(gain(*values))


def _range(content: dict[str, Any], _: str, tests: str, what: str) -> str:
    """Return the smallest and the largest mean gain over the scenes in some tests."""
    first, second = (_columns_name(label) for label in what.split(" - "))
    regimes = [TESTS[test][1] for test in tests.split(",")]
    gains = [
        gain(scores[first][name], scores[second][name]) for scores in content["scores"].values() for name in regimes
    ]
    means = [found["mean"] for found in gains if found]
    return f"{min(means):.1f} to {max(means):.1f}"


def _gain(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return "-"
    low, high = difference["interval"]
    return f"{difference['mean']:+.1f} [{low:.1f}, {high:.1f}]"


def _columns_name(label: str) -> str:
    """Return the name in the study of a set of columns: ``window``, ``context``, planes, or ``context+`` planes."""
    if label == "window":
        return WINDOW
    return f"{WINDOW}+{label}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def _accuracies(content: dict[str, Any]) -> str:
    rows = [
        [title, TESTS[test][0], *(_value(content, scene, test, what) for what in COLUMNS.values())]
        for scene, title in SCENES.items()
        for test in TESTS
    ]
    return _table(["scene", "test", *COLUMNS], rows)


def _candidates(content: dict[str, Any]) -> str:
    cells = [(scene, test) for scene in SCENES for test in ("5", "far")]
    rows = [
        [
            title,
            _gain(content["candidates"]["gains"].get(name)),
            *(_value(content, scene, test, f"{name} - natural32") for scene, test in cells),
        ]
        for name, title in CANDIDATES.items()
    ]
    return _table(["candidate", "mean of all", *(f"{SCENES[scene]}, {TESTS[test][0]}" for scene, test in cells)], rows)


def _layers(content: dict[str, Any]) -> str:
    """Return a table with the accuracies of all tests in one cell for each scene."""
    scenes = content["layers"]
    rows = []
    for layers in next(iter(scenes.values())):
        names = ", ".join(f"`{layer}`" for layer in layers.split(","))
        cells = [
            " / ".join(f"{by_layers[layers][regime]:.1f}" for _, regime in TESTS.values())
            for by_layers in scenes.values()
        ]
        rows.append([names, *cells])
    return _table(["layers", *(SCENES[scene] for scene in scenes)], rows)


def _draws(content: dict[str, Any]) -> str:
    """Return a phrase that names the scenes with more than 30 draws of blocks, and their numbers of draws."""
    blocks = {SCENES[scene]: draws[TESTS["blocks"][1]] for scene, draws in content["draws"].items()}
    return " and ".join(f"{count} on {title}" for title, count in blocks.items() if count > 30)


if __name__ == "__main__":
    CARD.write_text(card(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")
