"""A comparison of simulated predictions, with the truth and prediction behind each of its runs; a parser of its page."""

import itertools
from html.parser import HTMLParser

import numpy as np

from classifiers.comparison.report.page import write_report
from classifiers.comparison.results.model import (
    Change,
    Comparison,
    Curve,
    DrawnSplit,
    Pair,
    Panel,
    Pictures,
    PlaneScore,
    Sweep,
)
from classifiers.comparison.results.run import Entry, Run, RunResult
from classifiers.metrics import score_predictions
from hsifeat.scenes.colours import default_colours

ENTRIES = [
    Entry("", "spectra", "svm"),
    Entry("scene-rgb", "spectra+planes", "film"),
    Entry("scene-rgb", "planes", "mlp"),
]
SPLITS = ["random:0.1", "blocks:12+4:0.1"]
VOID = {"meta", "link", "img", "br", "input", "wbr"}


def build(
    entries=ENTRIES,
    splits=SPLITS,
    seeds=2,
    classes=5,
    left_out=(),
    left_out_under=None,
    untested=(),
    names=None,
    scene="A scene",
    shape=(40, 50),
):
    """Return a comparison, and (truth, predicted) of the test pixels of each run.

    `left_out` are classes that are left out under the seeds `left_out_under`, or under all.
    """
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, classes + 1, (-(-shape[0] // 5), -(-shape[1] // 5)))
    truth = np.kron(blocks, np.ones((5, 5), dtype=int))[: shape[0], : shape[1]]
    truth.flat[: classes * 8] = np.tile(np.arange(1, classes + 1), 8)  # every class has pixels
    results, maps, drawn, pairs = [], {}, {}, {}
    for split, seed in itertools.product(splits, range(seeds)):
        sides = np.where(truth > 0, rng.integers(1, 3, shape), 0).astype(np.uint8)
        sides.flat[: classes * 8] = 2
        out = left_out if left_out_under is None or seed in left_out_under else ()
        sides[np.isin(truth, out)] = 0
        sides[np.isin(truth, untested)] = 1
        drawn.setdefault(split, sides)
        for at, entry in enumerate(entries):
            wrong = rng.random(shape) < 0.1 + 0.1 * at + 0.2 * split.startswith("blocks")
            predicted = np.where(wrong, rng.integers(1, classes + 1, shape), truth)
            test = sides == 2
            run = Run(entry, split, seed)
            pairs[run] = truth[test], predicted[test]
            counts = int((sides == 1).sum()), int(test.sum())
            results.append(RunResult(run, score_predictions(*pairs[run]), *counts, tuple(out), 0.5 + at + seed, 0.01))
            maps.setdefault((entry, split), predicted)
    numbers = range(1, classes + 1)
    store = {"name": "scene-rgb", "key": "ab" * 32, "path": "scene-rgb.zarr", "recipe": {"noise": {"seed": 0}}}
    planes = [{"t": 50, "layer": "up_blocks.2", "stride": 4, "channels": 64, "size_bytes": 123_000}]
    comparison = Comparison(
        scene={"name": scene, "rows": shape[0], "cols": shape[1], "bands": 9, "labels": "ground-truth"},
        class_names=dict(zip(numbers, names or [f"Class {c}" for c in numbers], strict=True)),
        class_colours=default_colours(numbers),
        stores=[{**store, "planes": planes}],
        results=results,
        pictures=Pictures(truth, rng.integers(0, 256, (*shape, 3), dtype=np.uint8), drawn, maps),
        provenance={
            "command": "hsifeat bench scene-rgb",
            "arguments": {
                "stores": [{key: store[key] for key in ("path", "key")}],
                "heads": {entry.head: {"C": 1.0} for entry in entries},
                "inputs": ["spectra", "planes"],
                "splits": list(splits),
                "seeds": seeds,
                "labels": None,
                "planes": ["t50/*"],
                "curve": [5, 10],
                "sweep": "lda",
            },
            "created": "2025-01-01",
            "versions": {"hsifeat": "0"},
            "machine": {},
        },
    )
    return comparison, pairs


def add_all(comparison):
    """Add every part that a comparison may have: intervals, pairs, curves, a sweep, weights, panels, confidence, costs."""
    rng = np.random.default_rng(3)
    entries = list(dict.fromkeys(s.entry for s in comparison.summary))
    splits = list(dict.fromkeys(s.split for s in comparison.summary))
    for at, s in enumerate(comparison.summary):
        intervals = dict.fromkeys(list(s.recall)[:2], (0.25, 0.75))
        comparison.summary[at] = type(s)(
            **{
                **vars(s),
                "interval": (s.oa[0] - 0.03, s.oa[0] + 0.02),
                "aa_interval": (s.aa[0] - 0.05, s.aa[0] + 0.04),
                "kappa_interval": (s.kappa[0] - 0.07, s.kappa[0] + 0.06),
                "recall_intervals": intervals,
            }
        )
    comparison.gap_intervals.update(dict.fromkeys(entries, (-0.01, 0.42)))
    for split in splits:
        comparison.verdicts[split] = f"No two entries can be told apart on {split}."
        for first, second in itertools.combinations(entries, 2):
            known = (0.01, -0.005, 0.025, 0.04, 0.12, 0.0001, 0.0002)
            comparison.pairs.append(Pair(split, first, second, *known, f"{first} and {second} can't be told apart"))
        for at, entry in enumerate(entries):
            for n in (5, 10, 20, 50):
                oa = 0.3 + 0.12 * np.log10(n) - 0.02 * at
                comparison.curves.append(Curve(entry, split, n, (float(oa), 0.02), 2, 4.5 * n))
        comparison.drawn.append(
            DrawnSplit(split, {entry.columns: 0.5 for entry in entries}, {e.columns: "all" for e in entries}, 3.2, 1.0)
        )
    for which, predicted in list(comparison.pictures.maps.items())[:-1]:
        comparison.pictures.confidence[which] = rng.integers(0, 256, predicted.shape, dtype=np.uint8)
    at = list(itertools.product((0, 50, 100), ("mid_block", "up_blocks.1", "up_blocks.2")))
    alone = [
        PlaneScore(t, layer, (0.4 + 0.03 * i, 0.01), 12_000 * (i + 1), None if i else 3.5, (0.03 * i - 0.1, 0.02))
        for i, (t, layer) in enumerate(at)
    ]
    chosen = [
        PlaneScore(50, "up_blocks.2", (0.7, 0.01), 12_000, 6.0, (0.2, 0.02)),
        PlaneScore(50, "mid_block", (0.68, 0.02), 6_000, 0.0, (-0.02, 0.03)),
    ]
    weights = {entries[-1]: [{"t": t, "layer": layer, "weight": 1 / len(at)} for t, layer in at]}
    panels = [Panel(t, layer, rng.integers(0, 6, (10, 13), dtype=np.uint8)) for t, layer in at[:-1]]
    comparison.mixing.update(weights)
    comparison.panels.extend(panels)
    comparison.costs["stores"] = [
        {
            "name": "scene-rgb",
            "bytes": 123_000,
            "bytes_on_disk": 98_000,
            "seconds": 34.0,
            "devices": ["cpu (threads: 2)"],
        }
    ]
    object.__setattr__(
        comparison, "sweep", Sweep("lda", splits[-1], alone, chosen, seeds=2, store="scene-rgb", baseline=(0.5, 0.01))
    )
    return comparison


def add_changes(comparison):
    """Add a change of every kind: of another store, by each test, the same, new and gone."""
    entries = list(dict.fromkeys(s.entry for s in comparison.summary))
    first, split = entries[0], comparison.summary[0].split
    kinds = [
        Change(first, split, 0.7, 0.74, "bootstrap", 2, 0.001, 0.002, "more", 0.03, 0.05),
        Change(entries[-1], split, 0.7, 0.69, "bootstrap", 2, 0.4, 0.8, "noise", -0.02, 0.01, "old-rgb"),
        Change(Entry("", "spectra", "lda"), split, 0.7, 0.7, "bootstrap", 2, 1.0, 1.0, "the same", 0.0, 0.0),
        Change(Entry("", "spectra", "knn"), split, 0.7, 0.6, "paired", 2, 0.01, 0.03, "seeds only"),
        Change(Entry("", "spectra", "mlp"), split, 0.7, 0.71, "", 0, None, None, "one seed"),
        Change(Entry("", "spectra", "new"), split, None, 0.7, "", 0, None, None, "new"),
        *(Change(Entry("<b>", "planes", "gone"), text, 0.7, None, "", 0, None, None, "gone") for text in SPLITS),
    ]
    comparison.changes.extend(kinds)
    return comparison


def page(comparison, folder):
    """Write the page of a comparison to a folder and return its text."""
    write_report(comparison, folder / "report.html")
    return (folder / "report.html").read_text()


class Page(HTMLParser):
    """Checks that tags are balanced, and keeps tags with attributes, ids, and tables as rows of (text, data-v)."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.cell, self.words = [], [], [], None, []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""
            self.tables[-1][-1].append([None, dict(attrs).get("data-v")])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing"
        if tag in ("td", "th"):
            self.tables[-1][-1][-1][0] = self.cell.strip()
            self.cell = None

    def handle_data(self, data):
        self.words.append(data)
        if self.cell is not None:
            self.cell += data

    def named(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]
