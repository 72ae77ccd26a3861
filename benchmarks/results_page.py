"""Write ``docs/user/results.md``, the page with the results of the study with few labels.

``.venv/bin/python benchmarks/results_page.py`` writes the page from the files in `FILES`. A test compares the page with the output of
this script.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results_choices import apart_sentence, apart_table, choices_table, second_round_sentence, smoothing_table
from results_tables import CHOICE, FEW, SCENES, gain_text, table, title
from scipy import stats

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FILES = [RESULTS / f"{name}.json" for name in ("worth", "transfer", "distance_curve", "natural32", "choices")]
PAGE = ROOT / "docs" / "user" / "results.md"
TEMPLATE = Path(__file__).with_name("results_page.md")
BEST = "spectra+window+context"
# Overall accuracies from the papers; the split is the official one of Indian Pines.
PUBLISHED = (("SpectralFormer (Hong et al. 2022)", 81.8), ("FactoFormer (Mohamed et al. 2024)", 91.3))
# The trial before this study, on the same split with 30 draws: OA by distance, in the order of the bins.
TRIAL = {
    "spectra": (42.4, 62.5, 46.7, 37.5, 34.7),
    "spectra + 5 px means": (50.4, 79.2, 58.0, 44.3, 38.1),
    "spectra + 5 px means + 25 px means": (56.4, 87.9, 67.7, 52.6, 38.3),
    "spectra + 5 px means + profiles": (55.3, 86.9, 65.1, 50.4, 38.7),
}
Rows = dict[tuple[str, str, str], dict[str, Any]]


def page(
    content: dict[str, Any],
    transfer: dict[str, Any],
    distance: dict[str, Any],
    planes: dict[str, Any],
    choices: dict[str, Any],
) -> str:
    """Return the page for the contents of `FILES`."""
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
        "choices": choices_table(choices),
        "choices_apart": apart_table(choices),
        "choices_joint_sentence": second_round_sentence(choices),
        "choices_sentence": apart_sentence(choices),
        "spectral_components": str(choices["choices"]["all scenes"]["spectral_components"]),
        "choices_smoothing": smoothing_table(choices),
        "choices_run": f"    {choices['command']}",
        "published": _published(rows, default),
        "far": _far(rows, content),
        "planes": _entries(rows, content, _is_plane_entry),
        "differences": _differences(content["fits"], _pairs(default), CHOICE),
        "far_differences": _differences(content["fits"], _pairs(default)[:1], _far_columns(rows)),
        "transfer": _transfer(transfer),
        "transfer_differences": _transfer_differences(transfer),
        "transfer_sentence": _transfer_sentence(transfer),
        "transfer_run": f"    {transfer['command']}",
        "distance": _distance({name: heads["lda"] for name, heads in distance["columns"].items()}, "`lda` on"),
        "distance_components": _distance(
            {
                f"{count} components": row
                for count, row in sorted(
                    {**distance["spectra_by_components"], "40": distance["columns"]["spectra"]["pipeline"]}.items()
                )
            },
            "spectra,",
        ),
        "distance_bench": _distance_bench(distance["bench"]["columns"]),
        "distance_bench_sentence": _distance_bench_sentence(distance["bench"]["columns"]),
        "distance_bench_runs": "\n".join(f"    {command}" for command in distance["bench"]["bench_commands"]),
        "distance_run": f"    {distance['command']}\n    {distance['bench']['command']}",
        "far_planes": _far_planes(planes),
        "runs": "\n".join(f"    {run['command']}" for run in content["runs"]),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, part in sorted(tables.items(), key=lambda item: -len(item[0])):
        text = text.replace(f"@{name}@", part)
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
    return table(["entry", *map(title, columns)], lines)


def _default(rows: Rows, key: str) -> str:
    return table(
        ["scene", "5 per class", "20 per class"],
        [[name, *(_cell(rows, scene, regime, key) for regime in FEW)] for scene, name in SCENES.items()],
    )


def _far_planes(content: dict[str, Any]) -> str:
    """Return a table with gains of planes of natural32 far from the training pixels."""
    window, context = "spectra+window", BEST
    test = "blocks:12+0:0.1, over 16 px"
    names = {
        f"{window}+natural32 - {window}": "planes beside spectra and window means",
        f"{context}+natural32 - {context}": "planes beside spectra, window means and context",
        f"{window}+natural32 - {window}+natural32 untrained": "planes over those of the untrained network",
    }
    lines = []
    for key, name in names.items():
        found = [content["differences"][scene][key][test] for scene, _ in CHOICE[:3]]
        lines.append(
            [name, *(f"{one['mean']:+.1f} [{one['interval'][0]:.1f}, {one['interval'][1]:.1f}]" for one in found)]
        )
    return table(["gain of", *(SCENES[scene] for scene, _ in CHOICE[:3])], lines)


def _distance_bench(rows: dict[str, dict[str, Any]]) -> str:
    """Return a table of accuracies of ``hsifeat bench`` by distance, with 95 % intervals, and those of the trial."""
    bins = list(next(iter(rows.values()))["oa"])
    lines = []
    for name, row in rows.items():
        cells = []
        for key, trial in zip(bins, TRIAL[name], strict=True):
            low, high = row["interval"][key]
            cells.append(f"{row['oa'][key]:.1f} [{low:.0f}, {high:.0f}]; {trial}")
        lines.append([name, *cells])
    return table(["columns", *map(_bin_title, bins)], lines)


def _distance_bench_sentence(rows: dict[str, dict[str, Any]]) -> str:
    """State how many figures of the trial lie in the intervals, and how far those over all test pixels are from it."""
    inside = [
        low <= trial <= high
        for name, row in rows.items()
        for (low, high), trial in zip(row["interval"].values(), TRIAL[name], strict=True)
    ]
    errors = [row["se"]["all"] for row in rows.values()]
    differences = ", ".join(f"{row['oa']['all'] - TRIAL[name][0]:+.1f}" for name, row in rows.items())
    return (
        f"Of the {len(inside)} figures of the trial, {sum(inside)} lie within the intervals, which are wide because few blocks train. Over all test pixels, the rows "
        f"differ from the trial by {differences} points, at a standard error over draws of {min(errors):.1f} to {max(errors):.1f}."
    )


def _bin_title(key: str) -> str:
    return key.replace("_", " ").replace("-", " to ")


def _confirmation(rows: Sequence[dict[str, Any]]) -> str:
    cells = [[title((row["scene"], row["regime"])), f"{row['oa']:.1f} ± {row['sd']:.1f}"] for row in rows]
    return table(["scene, labels per class", "OA on fresh draws"], cells)


def _published(rows: Rows, key: str) -> str:
    ours = _cell(rows, "indian-pines-official", "official", key)
    lines = [["hsifeat, default", ours], *([name, f"{oa:.1f}"] for name, oa in PUBLISHED)]
    return table(["method", "OA on the official split of Indian Pines"], lines)


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
    return table(["gain of", *map(title, columns)], lines)


def _distance(rows: dict[str, dict[str, dict[str, float]]], prefix: str) -> str:
    """Return a table of accuracies by distance to the nearest training pixel, mean ± standard error over draws."""
    bins = next(iter(rows.values()))["oa"]
    lines = [
        [f"{prefix} {name}", *(f"{row['oa'][key]:.1f} ± {row['se'][key]:.1f}" for key in bins)]
        for name, row in rows.items()
    ]
    return table(["columns", *map(_bin_title, bins)], lines)


def _transfer(content: dict[str, Any]) -> str:
    """Return a table of accuracies on the half of a scene that has no labels in training."""
    scenes = content["scenes"]
    lines = []
    for entry in next(iter(scenes.values()))["summary"]:
        cells = [f"{one['summary'][entry]['mean']:.1f} ± {one['summary'][entry]['sd']:.1f}" for one in scenes.values()]
        lines.append([f"`lda` on {entry}", *cells])
    heads = [f"{SCENES[name]}, {one['common_classes']} classes" for name, one in scenes.items()]
    return table(["entry", *heads], lines)


def _transfer_differences(content: dict[str, Any]) -> str:
    """Return a table of differences between entries on the other half of a scene, with their intervals."""
    scenes = content["scenes"]
    lines = []
    for index, one in enumerate(next(iter(scenes.values()))["differences"]):
        cells = [gain_text(scene["differences"][index]) for scene in scenes.values()]
        lines.append([f"{one['entry']} over {one['rival']}", *cells])
    return table(["gain of", *(SCENES[name] for name in scenes)], lines)


def _transfer_sentence(content: dict[str, Any]) -> str:
    """State what context, and planes of natural32, change against spectra and window means, which are the rival, on each scene."""
    context, planes, twins = [], [], []
    for name, scene in content["scenes"].items():
        found = {(one["entry"], one["rival"]): gain_text(one) for one in scene["differences"]}
        context.append(f"{found[BEST, 'spectra+window']} points on {SCENES[name]}")
        planes.append(f"{found['spectra+window+natural32', 'spectra+window']} on {SCENES[name]}")
        twins.append(found["spectra+window+natural32", "spectra+window+untrained"])
    return (
        f"From {content['per_class']} labels per class in one half, context changes the accuracy in the other half against spectra and window means by "
        f"{' and '.join(context)}, and planes of natural32 by {' and '.join(planes)}; against the same network untrained, they gain {' and '.join(twins)}."
    )


if __name__ == "__main__":
    contents = (json.loads(file.read_text(encoding="utf-8")) for file in FILES)
    PAGE.write_text(page(*contents), encoding="utf-8")
