"""Write ``docs/user/results.md``, the page with the results of the study with few labels.

``.venv/bin/python benchmarks/results_page.py`` writes the page from ``benchmarks/results/worth.json``. A test compares the
page with the output of this script.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "worth.json"
PAGE = ROOT / "docs" / "user" / "results.md"
TEMPLATE = Path(__file__).with_name("results_page.md")

SCENES = {"indian-pines": "Indian Pines", "houston": "Houston", "pavia-reduced": "Pavia", "landsat": "Landsat"}
FEW = ("per-class:5", "per-class:20")
CHOICE = [(scene, regime) for regime in FEW for scene in ("indian-pines", "houston", "pavia-reduced")]
BEST = "spectra+window+context"
# Overall accuracies from the papers; the split is the official one of Indian Pines.
PUBLISHED = (("SpectralFormer (Hong et al. 2022)", 81.8), ("FactoFormer (Mohamed et al. 2024)", 91.3))

Rows = dict[tuple[str, str, str], dict[str, Any]]


def page(content: dict[str, Any]) -> str:
    """Return the page for the content of ``worth.json``."""
    rows: Rows = {(row["scene"], row["regime"], row["entry"]): row for row in content["summary"]}
    default = content["default"]
    tables = {
        "default": _default(rows, default),
        "confirmation": _confirmation(content["confirmation_summary"]),
        "inputs": _entries(rows, content, _is_input_entry, [*CHOICE, *(("landsat", regime) for regime in FEW)]),
        "reduction": _entries(rows, content, _is_reduction_entry),
        "heads": _entries(rows, content, lambda one: one["inputs"] in {BEST, "spectra"} and _plain(one)),
        "smoothing": _entries(
            rows,
            content,
            lambda one: (
                one["inputs"] == BEST and one["head"] == "lda" and not one["params"] and one["reduction"] == "scene"
            ),
        ),
        "others": _others(rows, content),
        "published": _published(rows, default),
        "far": _far(rows, content),
        "planes": _entries(rows, content, _is_plane_entry),
        "differences": _differences(content["fits"], _pairs(default), CHOICE),
        "far_differences": _differences(content["fits"], _pairs(default)[:1], _far_columns(rows)),
        "runs": "\n".join(f"    {run['command']}" for run in content["runs"]),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = text.replace(f"@{name}@", table)
    return text


def _plain(entry: dict[str, Any]) -> bool:
    """Return whether an entry has default parameters and reduction, and no smoothing."""
    return not entry["params"] and entry["reduction"] == "scene" and entry["smooth"] == "none"


def _all_bands(entry: dict[str, Any]) -> bool:
    return bool(entry["params"] == {"spectral_components": None})


def _is_input_entry(entry: dict[str, Any]) -> bool:
    """Return whether an entry belongs to the table of inputs."""
    return entry["head"] == "lda" and "planes" not in entry["inputs"] and (_plain(entry) or _all_bands(entry))


def _is_reduction_entry(entry: dict[str, Any]) -> bool:
    """Return whether an entry belongs to the table of reductions."""
    return entry["head"] == "lda" and entry["inputs"] == BEST and entry["smooth"] == "none" and not _all_bands(entry)


def _is_plane_entry(entry: dict[str, Any]) -> bool:
    """Return whether an entry belongs to the table of planes."""
    without = entry["inputs"] in {"spectra+window", BEST} and _plain(entry)
    return entry["head"] == "lda" and ("planes" in entry["inputs"] or without)


def _cell(rows: Rows, scene: str, regime: str, key: str) -> str:
    row = rows.get((scene, regime, key))
    if row is None:
        return "-"
    return f"{row['oa']:.1f}" if row["draws"] == 1 else f"{row['oa']:.1f} ± {row['sd']:.1f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def _name(entry: dict[str, Any]) -> str:
    """Return the head, the inputs and the non-default options of an entry as text."""
    params = entry["params"]
    options = ["all bands"] if params == {"spectral_components": None} else []
    options += [f"{params['context_components']} components"] if "context_components" in params else []
    options += ["`--reduction train`"] if entry["reduction"] == "train" else []
    options += [f"`{entry['smooth']}`"] if entry["smooth"] != "none" else []
    return ", ".join([f"`{entry['head']}` on {entry['inputs']}", *options])


def _entries(rows: Rows, content: dict[str, Any], select: Any, columns: Sequence[tuple[str, str]] = CHOICE) -> str:
    """Return a table with the accuracy of each entry that `select` accepts, in one column per scene and regime."""
    chosen = {one["key"]: one for one in content["entries"] if select(one)}
    lines = [
        [_name(one), *(_cell(rows, scene, regime, key) for scene, regime in columns)]
        for key, one in chosen.items()
        if any((scene, regime, key) in rows for scene, regime in columns)
    ]
    return _table(["entry", *map(_title, columns)], lines)


def _default(rows: Rows, key: str) -> str:
    return _table(
        ["scene", "5 per class", "20 per class"],
        [[name, *(_cell(rows, scene, regime, key) for regime in FEW)] for scene, name in SCENES.items()],
    )


def _others(rows: Rows, content: dict[str, Any]) -> str:
    names = {one["key"]: _name(one) for one in content["entries"]}
    return _table(
        [
            "scene",
            "labels per class",
            "chosen on the other two",
            "OA",
            "best entry of this scene",
            "OA",
            "OA of the default",
        ],
        [
            [
                SCENES[row["scene"]],
                row["regime"].partition(":")[2],
                names[row["entry"]],
                f"{row['oa']:.1f}",
                names[row["best_entry"]],
                f"{row['best_oa']:.1f}",
                _cell(rows, row["scene"], row["regime"], content["default"]),
            ]
            for row in content["defaults_from_other_scenes"]
        ],
    )


def _confirmation(rows: Sequence[dict[str, Any]]) -> str:
    cells = [[_title((row["scene"], row["regime"])), f"{row['oa']:.1f} ± {row['sd']:.1f}"] for row in rows]
    return _table(["scene, labels per class", "OA on fresh draws"], cells)


def _published(rows: Rows, key: str) -> str:
    ours = _cell(rows, "indian-pines-official", "official", key)
    lines = [["hsifeat, default", ours], *([name, f"{oa:.1f}"] for name, oa in PUBLISHED)]
    return _table(["method", "OA on the official split of Indian Pines"], lines)


def _far(rows: Rows, content: dict[str, Any]) -> str:
    columns = _far_columns(rows)
    return _entries(
        rows, content, lambda one: one["head"] == "lda" and not one["params"] and one["reduction"] == "scene", columns
    )


def _far_columns(rows: Rows) -> list[tuple[str, str]]:
    regimes = {(scene, regime) for scene, regime, _ in rows if regime.startswith("far:")}
    return [(scene, regime) for scene in SCENES for name, regime in sorted(regimes) if name == scene]


def _pairs(default: str) -> list[tuple[str, str, str]]:
    """Return for each row of a table of differences: its name, an entry, and the entry that is subtracted."""
    context, window = _lda(BEST), _lda("spectra+window")
    return [
        ("context beside spectra and window means", context, window),
        ("planes of `natural32` beside spectra and window means", _lda("spectra+window+planes"), window),
        ("planes of `natural32` beside spectra, window means and context", _lda(BEST + "+planes"), context),
        ("the default smoothing", default, context),
        ("`film` instead of `lda`", context.replace("lda", "film"), context),
        ("`random-forest` instead of `lda`", context.replace("lda", "random-forest"), context),
    ]


def _lda(inputs: str) -> str:
    return f"lda {inputs} reduction=scene smooth=none"


def _differences(
    fits: dict[str, Any], pairs: Sequence[tuple[str, str, str]], columns: Sequence[tuple[str, str]]
) -> str:
    """Return a table of differences paired by draw, with 95 % intervals of Student's t over the draws."""
    lines = []
    for name, entry, rival in pairs:
        cells = []
        for scene, regime in columns:
            scores = fits[scene][regime]
            gains = np.array([scores[entry][seed] - scores[rival][seed] for seed in scores[rival]])
            half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
            cells.append(f"{gains.mean():+.1f} [{gains.mean() - half:.1f}, {gains.mean() + half:.1f}]")
        lines.append([name, *cells])
    return _table(["gain of", *map(_title, columns)], lines)


def _title(column: tuple[str, str]) -> str:
    """Return the heading of a column, such as ``Pavia, 5``."""
    scene, regime = column
    return f"{SCENES[scene]}, {regime.removeprefix('per-class:') if regime in FEW else f'`{regime}`'}"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")
