"""Compare the accuracy of inputs, heads and smoothing rules with few labels, on several real scenes.

``.venv/bin/python benchmarks/worth.py`` extracts a `context` store of each scene, fits every entry under every regime for ten
draws, and writes ``benchmarks/results/worth.json``. An entry is a head with inputs and options; a regime is a split.
``--planes natural32`` scores entries with planes of this network, on the scenes in `CHOICE_SCENES`. Finished fits are kept in
the result file and are not repeated, so an interrupted study continues. ``code`` in the result file has a digest of the code
of the head, the reduction and the smoothing of each entry, and of its planes. Fits of other code are repeated. With ``--recheck``, only the first
`RECHECKED` draws of an entry are repeated, and its other draws are kept if these draws have the same accuracies as before.

The entry `DEFAULT` has the defaults of ``hsifeat fit``. Its accuracy for the first draw of each regime must agree with
`hsifeat.fit_model`. Fits use the labels of training pixels only. A sample of all pixels without labels is used for the
reduction of columns. ``defaults_from_other_scenes`` in the result file lists, for each scene, the entry that is best on
average over the other scenes, and the accuracy of this entry on the scene.

``--confirm`` instead scores the default with `hsifeat.fit_model` on draws that were not used to choose the default
(`CONFIRMATION_SEEDS`).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from code_digest import head_digest
from scipy.ndimage import maximum_filter
from scoring import RESULTS, ROOT, about_run
from study_scenes import SCENES
from worth_summary import cross_choice, summarise

import hsifeat
from classifiers import PixelTable
from classifiers.block_prediction import probability_blocks
from classifiers.evaluate import Evaluator
from classifiers.input_sets import InputSet, layout_options
from classifiers.smoothing import NO_SMOOTHING, SceneGuide, parse_smoothing, smooth_blocks
from classifiers.splits import parse_split
from hsifeat import Features
from hsifeat.features.scene_set import SceneSet
from hsifeat.features.stack import open_stack

RESULT = RESULTS / "worth.json"
STORES = ROOT / "build" / "worth"
DRAWS, RECHECKED = 10, 2
CONFIRMATION_SEEDS = range(40, 60)
FEW_LABELS = ("per-class:5", "per-class:20")
REGIMES = {
    "indian-pines": (*FEW_LABELS, "far:12+16:0.1"),
    "indian-pines-official": ("official",),
    "houston": (*FEW_LABELS, "far:12+9:0.3"),
    "pavia-reduced": FEW_LABELS,
    "landsat": (*FEW_LABELS, "far:12+9:0.3"),
}
# Classes with fewer labelled pixels are left out of the regime.
MIN_CLASS_PIXELS = {("pavia-reduced", "per-class:20"): 30}
# Defaults are chosen on these scenes and regimes, among entries without planes.
CHOICE_SCENES, CHOICE_REGIMES = ("indian-pines", "houston", "pavia-reduced"), FEW_LABELS

Draws = dict[str, float]  # overall accuracies in percent, by the seed of the draw


@dataclass(frozen=True)
class Entry:
    """A head with its inputs and options.

    Attributes
    ----------
    head, inputs, reduction, smooth
        See `hsifeat.fit_model`.
    params : dict
        Parameters of the head.
    regimes : tuple of str
        Regimes under which the entry is scored; empty for all.
    scenes : tuple of str
        Scenes on which the entry is scored; empty for all.
    """

    head: str
    inputs: str
    params: dict[str, Any] = field(default_factory=dict)
    reduction: str = "scene"
    smooth: str = NO_SMOOTHING
    regimes: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the entry in the result file."""
        params = ",".join(f"{name}={value}" for name, value in sorted(self.params.items()))
        options = [params, f"reduction={self.reduction}", f"smooth={self.smooth}"]
        return " ".join([self.head, self.inputs, *filter(None, options)])

    @property
    def fit(self) -> tuple[Any, ...]:
        """Settings that a fit depends on. Entries that differ only in the smoothing share their fits."""
        return self.head, self.inputs, tuple(sorted(self.params.items())), self.reduction

    @property
    def is_smoothed(self) -> bool:
        """Whether the class probabilities are smoothed."""
        return self.smooth != NO_SMOOTHING

    def code(self, features: Features) -> str:
        """Return a digest of the code of the head, the reduction and the smoothing, and of the stored planes of the inputs."""
        digest = head_digest(self.head, *(["classifiers.smoothing"] if self.is_smoothed else []))
        inputs = InputSet.parse(self.inputs)
        kinds = [context for context, used in ((True, inputs.uses_context), (False, inputs.uses_planes)) if used]
        planes = [plane for context in kinds for plane in features.select(context=context)]
        return f"{digest}-{features.fingerprint(planes)[:8]}" if planes else digest

    def counts(self, scene: str, regime: str) -> bool:
        """Return whether the entry is scored on a scene under a regime."""
        return (not self.scenes or scene in self.scenes) and (not self.regimes or regime in self.regimes)


BEST = "spectra+window+context"
INPUTS = ("spectra", "window", "context", "spectra+window", "spectra+context", BEST)
_OPTIONS = {name: option.default for name, option in signature(hsifeat.fit_model).parameters.items()}
DEFAULT = Entry(_OPTIONS["head"], BEST, {}, _OPTIONS["reduction"], _OPTIONS["smooth"])
RULES = ("gaussian:1", "gaussian:2", "guided:4,0.001", "superpixel:20", "mrf:1")
COMPONENTS = ("spectral_components", "context_components")
ENTRIES = (
    DEFAULT,
    *(Entry("lda", inputs) for inputs in INPUTS),
    *(Entry("lda", inputs, {"spectral_components": None}) for inputs in ("spectra", "spectra+window", BEST)),
    *(Entry("lda", BEST, dict.fromkeys(COMPONENTS, n)) for n in (20, 40)),
    Entry("lda", BEST, {}, "train"),
    *(Entry("lda", BEST, smooth=rule, regimes=FEW_LABELS, scenes=CHOICE_SCENES) for rule in RULES),
    *(Entry(head, "spectra", regimes=FEW_LABELS, scenes=CHOICE_SCENES) for head in ("svm", "logistic")),
    *(
        Entry(head, BEST, regimes=FEW_LABELS, scenes=CHOICE_SCENES)
        for head in ("svm", "logistic", "random-forest", "lightgbm", "mlp", "film")
    ),
)
PLANE_ENTRIES = tuple(
    Entry("lda", inputs, regimes=FEW_LABELS, scenes=CHOICE_SCENES)
    for inputs in ("spectra+window", BEST, "spectra+window+planes", BEST + "+planes")
)


def main() -> None:
    """Run the study and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", default=",".join(REGIMES))
    parser.add_argument("--entries", default="", metavar="TEXT", help="Text in the names of entries. [default: all]")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument(
        "--planes",
        default="",
        metavar="BACKBONE",
        help="Backbone of the entries with planes. [default: no such entries]",
    )
    parser.add_argument("--confirm", action="store_true", help="score the default on fresh draws")
    parser.add_argument("--recheck", action="store_true", help="keep draws of other code if the first draws agree")
    options = parser.parse_args()
    study = Study(options.draws, options.planes, recheck=options.recheck)
    if options.confirm:
        for _ in study.confirm([name for name in options.scenes.split(",") if name in CHOICE_SCENES]):
            study.write()
        return
    entries = tuple(one for one in (PLANE_ENTRIES if options.planes else ENTRIES) if options.entries in one.key)
    for scene in options.scenes.split(","):
        if not any(one.counts(scene, regime) for one in entries for regime in REGIMES[scene]):
            continue
        for _ in study.run_scene(scene, entries):
            study.write()
    study.write()


class Study:
    """Accuracies of all entries, in percent, by scene, regime, entry and draw.

    Parameters
    ----------
    draws : int
        Number of draws.
    backbone : str
        Backbone of the planes; empty for none.
    recheck : bool
        Keep the accuracies of other code if those of the first draws are the same.
    """

    def __init__(self, draws: int, backbone: str = "", *, recheck: bool = False) -> None:
        self.draws, self.backbone, self.recheck = draws, backbone, recheck
        stored = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        self.fits: dict[str, Any] = stored.get("fits", {})
        self.code: dict[str, Any] = stored.get("code", {})
        self.confirmation: dict[str, dict[str, Draws]] = stored.get("confirmation", {})
        self.confirmation_code: dict[str, dict[str, str]] = stored.get("confirmation_code", {})
        self.runs: list[dict[str, Any]] = [
            run for run in stored.get("runs", []) if run["command"] != about_run(())["command"]
        ]

    def write(self) -> None:
        """Write the fits and their summaries to the result file."""
        keys = {one.key for one in ENTRIES}
        known = [*ENTRIES, *(one for one in PLANE_ENTRIES if one.key not in keys)]
        about = about_run(("scikit-learn", "scikit-image", "torch"))
        del about["commit"]  # the digests of the code say more
        content = {
            "runs": [*self.runs, about],
            "default": DEFAULT.key,
            "entries": [asdict(one) | {"key": one.key} for one in known],
            "summary": summarise(self.fits),
            "defaults_from_other_scenes": cross_choice(self.fits, CHOICE_SCENES, CHOICE_REGIMES),
            "confirmation_summary": summarise(
                {
                    name: {regime: {DEFAULT.key: draws} for regime, draws in found.items()}
                    for name, found in self.confirmation.items()
                }
            ),
            "confirmation": self.confirmation,
            "confirmation_code": self.confirmation_code,
            "fits": self.fits,
            "code": self.code,
        }
        part = RESULT.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1) + "\n")
        part.replace(RESULT)

    def run_scene(self, name: str, entries: tuple[Entry, ...]) -> Iterator[None]:
        """Fit and score all entries without scores, and yield after each group of entries that share their fits."""
        features = self.open_stores(name)
        sets = [InputSet.parse(one.inputs) for one in entries]
        table = PixelTable.from_store(features, sample=True, **layout_options(sets, features))
        for regime in REGIMES[name]:
            pixels = without_small_classes(table, MIN_CLASS_PIXELS.get((name, regime), 0))
            groups: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
            for entry in entries:
                if entry.counts(name, regime):
                    groups[entry.fit].append(entry)
            for group in groups.values():
                part = pixels.select_groups(InputSet.parse(group[0].inputs).includes)
                if group[0].reduction == "train":
                    part = replace(part, sample=None)
                self.score_group(name, regime, group, features, part)
                yield

    def confirm(self, scenes: list[str]) -> Iterator[None]:
        """Score `hsifeat.fit_model` with its defaults on fresh draws, and yield after each fit."""
        for name in scenes:
            features = self.open_stores(name)
            for regime in FEW_LABELS:
                if (name, regime) in MIN_CLASS_PIXELS:
                    continue
                records, codes = (one.setdefault(name, {}) for one in (self.confirmation, self.confirmation_code))
                scores, others = draws_of_code(records, codes, regime, DEFAULT.code(features))
                for seed in CONFIRMATION_SEEDS:
                    if str(seed) not in scores:
                        evaluation = hsifeat.fit_model(features, split=regime, seed=seed).evaluation
                        scores[str(seed)] = round(100 * evaluation.scores.oa, 3)
                        if self.recheck:
                            keep_rechecked(scores, others)
                        yield
                print(f"{name} {regime}, fresh draws: {np.mean(list(scores.values())):.1f} %", flush=True)

    def score_group(self, name: str, regime: str, group: list[Entry], features: Features, table: PixelTable) -> None:
        """Score entries that share their fits, for all draws without scores."""
        split = parse_split(regime, table.label_maps)
        records, codes = (one.setdefault(name, {}).setdefault(regime, {}) for one in (self.fits, self.code))
        done, others = zip(*(draws_of_code(records, codes, one.key, one.code(features)) for one in group), strict=True)
        for seed in range(1 if regime == "official" else self.draws):
            if all(str(seed) in scores for scores in done):
                continue
            draw = split.draw(table.labels, seed)
            evaluator = Evaluator(SceneSet([features]), table, group[0].head, seed, dict(group[0].params))
            head, evaluation = evaluator.evaluate(split, draw)
            test = table[draw.test[table.coordinates]]
            blocks = probabilities_near(test, features, head, [one.smooth for one in group if one.is_smoothed])
            for entry, scores in zip(group, done, strict=True):
                oa = evaluation.scores.oa
                if entry.is_smoothed:
                    classes = smoothed(features, blocks, entry.smooth, head.classes_)
                    oa = float(np.mean(classes[test.rows, test.cols] == test.y))
                scores[str(seed)] = round(100 * oa, 3)
                if entry == DEFAULT and seed == 0 and (name, regime) not in MIN_CLASS_PIXELS:
                    check_default(features, regime, oa)
            if self.recheck:
                for scores, old in zip(done, others, strict=True):
                    keep_rechecked(scores, old)
        for entry, scores in zip(group, done, strict=True):
            print(f"{name} {regime} {entry.key}: {np.mean(list(scores.values())):.1f} %", flush=True)

    def open_stores(self, name: str) -> Features:
        """Extract the context store of a scene and, if a backbone is named, its store. Return the features of all stores."""
        scene, stores = SCENES[name](), []
        for source in filter(None, ("context", self.backbone)):
            path = STORES / f"{name}-{Path(source).name}.zarr"
            hsifeat.extract(scene, backbone=source, out=path)
            stores.append(hsifeat.open_features(path))
        return open_stack(stores)


def draws_of_code(records: dict[str, Draws], codes: dict[str, str], key: str, code: str) -> tuple[Draws, Draws]:
    """Return the accuracies of `key` that `code` gave, to which new ones can be added, and those that other code gave."""
    if codes.get(key) == code:
        return records.setdefault(key, {}), {}
    others = records.get(key, {})
    codes[key], records[key] = code, {}
    return records[key], others


def keep_rechecked(scores: Draws, others: Draws) -> None:
    """Add the accuracies of other code to `scores` if it has those of the first draws, and all are the same."""
    if len(scores) == min(RECHECKED, len(others)) and scores.items() <= others.items():
        scores.update(others)


def probabilities_near(test: PixelTable, features: Any, head: Any, rules: list[str]) -> list[Any]:
    """Return the class probabilities of the pixels on which smoothed values of test pixels depend, in blocks."""
    if not rules:
        return []
    reaches = [parse_smoothing(text).reach_px for text in rules]
    near = np.zeros(features.shape[:2], bool)
    near[test.rows, test.cols] = True
    near = None if None in reaches else maximum_filter(near, 2 * max(reaches) + 1, mode="constant")
    return list(probability_blocks(features, head, within=near))


def smoothed(features: Any, blocks: Any, text: str, classes: Any) -> Any:
    """Return the classes of a scene after smoothing the probabilities in its blocks by a rule."""
    rule, shape = parse_smoothing(text), features.shape[:2]
    guide = SceneGuide.from_features(features) if rule.guided else None
    found = np.zeros(shape, int)
    for window, values in smooth_blocks(iter(blocks), rule, shape, guide):
        found[window.slices] = classes[np.nan_to_num(values).argmax(axis=2)]
    return found


def check_default(features: Any, regime: str, oa: float) -> None:
    """Exit with an error if the accuracy of `hsifeat.fit_model` with its defaults differs from `oa`."""
    evaluation = hsifeat.fit_model(features, split=regime).evaluation
    found = evaluation.scores.oa
    if abs(found - oa) > 1e-12:
        raise SystemExit(f"fit_model gives {found:.4%} under {regime}, the entry {DEFAULT.key} {oa:.4%}")


def without_small_classes(table: PixelTable, least: int) -> PixelTable:
    """Return the rows of classes with at least `least` labelled pixels."""
    small = [c for c, count in table.labels.counts.items() if count < least]
    if not small:
        return table
    print("left out:", ", ".join(f"{table.labels.class_names[c]} ({table.labels.counts[c]} px)" for c in small))
    classes = np.where(np.isin(table.labels.classes, small), 0, table.labels.classes)
    return replace(table[~np.isin(table.y, small)], labels=replace(table.labels, classes=classes))


if __name__ == "__main__":
    main()
