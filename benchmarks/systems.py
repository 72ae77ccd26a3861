"""Score the systems of the literature on Indian Pines, in sizes for two CPU cores, with their untrained twins and a classical rival.

``.venv/bin/python benchmarks/systems.py`` trains the networks, and extracts their planes and those of their untrained
twins. It fits each head on each draw of two splits, and writes overall accuracies to ``benchmarks/results/systems.json``.
The split ``per-class:20`` tests how well scattered labels fill in the scene. The split ``blocks:12+4:0.1`` tests how well
labels carry over to ground more than 4 px away from the labels. All scores are without smoothing. Finished models, stores
and scores are kept, so an interrupted run continues.

``--only NAME`` scores one system, and ``--draws N`` sets the number of draws. Networks are trained as in
``docs/user/systems.md`` for two CPU cores, but for 120 or 200 steps. At most `TEST_PIXELS` test pixels of each draw are
scored.

Differences from the twin, from the rival and from ``lda`` on spectra are paired by draw. Their 95 % intervals (Student's t)
reflect the draw of training pixels, but not the choice of the scene or the initial weights of a network.

The published weights of GeoDiffNet, GeoDiffNet-F and Diffusion Hyperfeatures are not in this package. Their heads are scored
on planes of `natural32` instead.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scoring import RESULTS, ROOT, PrintingListener, about_run, mean_sd
from study_columns import gain

import hsifeat
from classifiers import PixelTable, make_head
from classifiers.heads.group_reducer import ReducingHead
from classifiers.input_sets import InputSet, layout_options
from classifiers.splits import parse_split

RESULT = RESULTS / "systems.json"
SCENE = "indian-pines"
SPLITS = ("per-class:20", "blocks:12+4:0.1")
UNTRAINED = "untrained twin"
RIVAL, SPECTRA = "rival", "spectra"
# Largest number of test pixels of a draw. Transformers predict some hundred pixels a second.
TEST_PIXELS = 2000


@dataclass(frozen=True)
class System:
    """A head, its inputs, and the network whose planes it learns from.

    `pretrain` has options of `hsifeat.pretrain`; None for a network that this script does not train. `extract` has options
    of `hsifeat.extract`; None for spectra alone.
    """

    head: str
    inputs: str
    network: str = ""
    pretrain: dict[str, Any] | None = None
    extract: dict[str, Any] | None = field(default_factory=dict)


_NATURAL = {"preset": "natural32"}
_MTMSD_TRAINING = {"preset": "mtmsd-indian-pines", "size": "small", "components": 8, "steps": 200}
_MTMSD = {"timesteps": (50, 200, 400), "layers": ("output_blocks.1", "output_blocks.3")}
_DIFFCRN = {"timesteps": (50, 200, 400), "layers": ("spatial.1", "spectral.1")}
SYSTEMS = {
    RIVAL: System("lda", "spectra+window+context", "context"),
    SPECTRA: System("lda", "spectra", extract=None),
    "DSTC": System("supertoken", "spectral-patches:9", extract=None),
    "GeoDiffNet": System("mlp", "planes", "natural32", extract=_NATURAL),
    "GeoDiffNet-F": System("film", "spectra+planes", "natural32", extract=_NATURAL),
    "Diffusion Hyperfeatures": System("hyperfeatures", "planes", "natural32", extract=_NATURAL),
    "MTMSD": System("mtmsd", "planes+means", "mtmsd", _MTMSD_TRAINING, _MTMSD),
    "DiffCRN": System(
        "diffcrn", "spectra+planes+patches", "diffcrn", {"network": "diffcrn", "size": "small", "steps": 120}, _DIFFCRN
    ),
    "SpectralDiff": System(
        "spectraldiff",
        "patches:13",
        "spectraldiff",
        {"preset": "spectraldiff-small", "steps": 120},
        {"preset": "spectraldiff-small"},
    ),
    "multi-stage": System(
        "lda",
        "spectra+planes",
        "multistage",
        {"preset": "multistage-small", "steps": 120},
        {"preset": "multistage-small"},
    ),
}


def main() -> None:
    """Parse the command line, and score systems until all draws are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(SYSTEMS), action="append", help="one system; can be repeated")
    parser.add_argument("--draws", type=int, default=5, help="number of draws of each split")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "systems", help="models and stores")
    options = parser.parse_args()
    for name in options.only or SYSTEMS:
        system = SYSTEMS[name]
        twins = {name: False} | ({f"{name}, {UNTRAINED}": True} if system.network not in {"", "context"} else {})
        for entry, untrained in twins.items():
            score(entry, system, options.folder, options.draws, untrained=untrained)


def score(entry: str, system: System, folder: Path, draws: int, *, untrained: bool) -> None:
    """Score an entry on the draws that the result file lacks, and add the scores to the file."""
    wanted = [(split, seed) for split in SPLITS for seed in range(draws)]
    known = read_result()["scores"].get(entry, {})
    missing = [(split, seed) for split, seed in wanted if str(seed) not in known.get(split, {})]
    if not missing:
        return
    table, facts = make_table(system, folder, untrained=untrained)
    update(lambda result: result["systems"].setdefault(entry, {}).update(facts))
    for split, seed in missing:
        draw = parse_split(split).draw(table.labels, seed)
        train, test = (table[side[table.rows, table.cols]] for side in (draw.train, draw.test))
        test = test[np.random.default_rng(seed).permutation(len(test))[:TEST_PIXELS]]
        head = make_head(system.head, layout=table.layout)
        if "random_state" in head.get_params():
            head.set_params(random_state=seed)
        start = time.process_time()
        head.fit(train.X, train.y, unlabelled=table.unlabelled, positions=train.positions)
        fitted = time.process_time()
        oa = float(np.mean(head.predict(test.X) == test.y))
        record = {
            "oa": round(oa, 4),
            "commit": about_run(())["commit"],
            "train_pixels": len(train),
            "test_pixels": len(test),
            "fit_cpu_seconds": round(fitted - start, 1),
            "predict_cpu_seconds": round(time.process_time() - fitted, 1),
        }
        print(entry, split, seed, record, flush=True)
        update(lambda result, split=split, seed=seed, record=record: _add(result, entry, split, seed, record))


def make_table(system: System, folder: Path, *, untrained: bool) -> tuple[PixelTable, dict[str, Any]]:
    """Train the network and extract its planes, unless they exist. Return the table of labelled pixels, and facts about its source."""
    facts: dict[str, Any] = {"head": system.head, "inputs": system.inputs, "network": system.network}
    backbone = system.network or "context"
    if system.pretrain is not None:
        model = hsifeat.pretrain(SCENE, out=folder / system.network, listen=PrintingListener(), **system.pretrain)
        record = json.loads((model / "training.json").read_text())
        facts["parameters"] = record["parameters"]
        if not untrained:
            facts |= {"steps": record["steps"], "training_seconds": round(record["seconds"])}
        backbone = str(model)
    if untrained:
        backbone = f"untrained:{backbone}"
    store = folder / f"{system.network or 'context'}{'-untrained' if untrained else ''}.zarr"
    extract = {"backbone": backbone} | (system.extract or {})
    start = time.process_time()
    hsifeat.extract(SCENE, out=store, listen=PrintingListener(), **extract)
    features = hsifeat.open_features(store)
    facts["extract_cpu_seconds"] = round(time.process_time() - start, 1)
    facts["planes"] = [str(plane.id) for plane in features.planes] if system.extract is not None else []
    inputs = InputSet.parse(system.inputs)
    table = PixelTable.from_store(
        features,
        planes=None if inputs.uses_planes else [],
        sample=isinstance(make_head(system.head), ReducingHead),
        **layout_options([inputs], features),
    ).select_groups(inputs.includes)
    return table, facts


def read_result() -> dict[str, Any]:
    """Return the content of the result file, or an empty result."""
    return json.loads(RESULT.read_text()) if RESULT.exists() else {"scores": {}, "systems": {}}


def update(change: Any) -> None:
    """Apply `change` to the content of the result file, and write the file with new metadata, mean scores and paired differences."""
    result = read_result()
    change(result)
    scores = {entry: result["scores"][entry] for entry in _entries() if entry in result["scores"]}
    result["oa"] = {
        entry: {split: mean_sd(_values(runs)) | {"draws": len(runs)} for split, runs in splits.items() if len(runs) > 1}
        for entry, splits in scores.items()
    }
    result["differences"] = {
        f"{entry} - {other}": {
            split: _gain(scores[entry][split], scores[other].get(split, {})) for split in scores[entry]
        }
        for entry in scores
        for other in (f"{entry}, {UNTRAINED}", RIVAL, SPECTRA)
        if other in scores and entry not in {other, RIVAL}
    }
    about = about_run(("torch", "diffusers", "scikit-learn"))
    about["command"] = ".venv/bin/python benchmarks/systems.py"
    parts = {k: result[k] for k in ("systems", "oa", "differences", "scores")}
    RESULT.write_text(json.dumps({**about, "scene": SCENE, **parts}, indent=1) + "\n")


def _entries() -> list[str]:
    return [entry for name in SYSTEMS for entry in (name, f"{name}, {UNTRAINED}")]


def _values(runs: dict[str, Any]) -> list[float]:
    return [run["oa"] for run in runs.values()]


def _gain(runs: dict[str, Any], others: dict[str, Any]) -> dict[str, Any] | None:
    """Return the paired difference on the draws that both entries have."""
    seeds = [seed for seed in runs if seed in others]
    return gain([runs[seed]["oa"] for seed in seeds], [others[seed]["oa"] for seed in seeds])


def _add(result: dict[str, Any], entry: str, split: str, seed: int, record: dict[str, Any]) -> None:
    result["scores"].setdefault(entry, {}).setdefault(split, {})[str(seed)] = record


if __name__ == "__main__":
    main()
