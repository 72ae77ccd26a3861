"""Comparisons of heads with simulated predictions, and a parser of report pages."""

import itertools
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np

from classifiers.comparison.config import BenchConfig
from classifiers.comparison.report.page import write_page
from classifiers.comparison.results.base_records import BenchEntry, Estimate
from classifiers.comparison.results.bench_results import PlaneSummary, Provenance, SceneSummary, StoreSummary
from classifiers.comparison.results.comparison import BenchImages, ClusterPanel, Comparison
from classifiers.comparison.results.differences import EntryChange, EntryPair
from classifiers.comparison.results.plane_scores import EntryWeights, PlaneScore, PlaneWeight, SweepResult
from classifiers.comparison.results.scores import (
    CurvePoint,
    DistanceScore,
    EntryDistances,
    PixelScore,
    RunResult,
    SplitSummary,
)
from classifiers.comparison.results.summary import ScoreIntervals, split_gaps, summarise
from classifiers.metrics import score_predictions
from hsifeat.scenes.colours import default_colours


def entry(store, features, head):
    return BenchEntry(store=store, inputs=features, head=head)


ENTRIES = [
    entry("", "spectra", "svm"),
    entry("scene-rgb", "spectra+planes", "film"),
    entry("scene-rgb", "planes", "mlp"),
]
SPLITS = ["random:0.1", "blocks:12+4:0.1"]
VOID = {"meta", "link", "img", "br", "input", "wbr"}


@cache
def _scores(truth, predicted, *dtypes):
    """Score predictions, and cache the scores, because tests build the same runs many times."""
    return score_predictions(*(np.frombuffer(*pair) for pair in zip((truth, predicted), dtypes, strict=True)))


def scored_run(who, split, seed, truth, predicted, **facts):
    """Return the `RunResult` for the true and predicted classes of the test pixels."""
    scores = _scores(truth.tobytes(), predicted.tobytes(), truth.dtype, predicted.dtype)
    defaults = {"train_pixels": 1, "left_out": (), "fit_seconds": 0.1, "predict_seconds": 0.1}
    return RunResult(
        entry=who,
        split=split,
        seed=seed,
        test_pixels=len(truth),
        scores=scores.overall,
        class_scores=scores.by_class,
        pixels=scores.pixels,
        confusion=tuple(map(tuple, scores.confusion.tolist())),
        confusion_classes=scores.confusion_classes,
        **{**defaults, **facts},
    )


def with_runs(comparison, runs, intervals=None, gap_intervals=None):
    """Return a copy of a comparison with other runs, and with a summary and gaps computed from these runs."""
    summary = summarise(runs, intervals or {})
    gaps = split_gaps(summary, gap_intervals or {})
    return comparison.model_copy(update={"runs": tuple(runs), "summary": summary, "gaps": gaps})


def with_images(comparison, **images):
    return comparison.model_copy(update={"images": replace(comparison.images, **images)})


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
    """Return a simulated comparison, and a dict of the true and predicted classes of each run.

    The keys of the dict are (entry, split, seed). Runs with the seeds `left_out_under` leave out the classes `left_out`. If
    `left_out_under` is None, all runs leave them out.
    """
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, classes + 1, (-(-shape[0] // 5), -(-shape[1] // 5)))
    truth = np.kron(blocks, np.ones((5, 5), dtype=int))[: shape[0], : shape[1]]
    truth.flat[: classes * 8] = np.tile(np.arange(1, classes + 1), 8)  # every class has pixels
    runs, maps, drawn, pairs = [], {}, {}, {}
    for split, seed in itertools.product(splits, range(seeds)):
        sides = np.where(truth > 0, rng.integers(1, 3, shape), 0).astype(np.uint8)
        sides.flat[: classes * 8] = 2
        out = left_out if left_out_under is None or seed in left_out_under else ()
        sides[np.isin(truth, out)] = 0
        sides[np.isin(truth, untested)] = 1
        drawn.setdefault(split, sides)
        for index, who in enumerate(entries):
            wrong = rng.random(shape) < 0.1 + 0.1 * index + 0.2 * split.startswith("blocks")
            predicted = np.where(wrong, rng.integers(1, classes + 1, shape), truth)
            test = sides == 2
            pairs[who, split, seed] = truth[test], predicted[test]
            facts = {"train_pixels": int((sides == 1).sum()), "left_out": tuple(out)}
            facts |= {"fit_seconds": 0.5 + index + seed, "predict_seconds": 0.01}
            runs.append(scored_run(who, split, seed, *pairs[who, split, seed], **facts))
            maps.setdefault((who, split), predicted)
    numbers = range(1, classes + 1)
    plane = PlaneSummary(t=50, layer="up_blocks.2", stride=4, channels=64, size_bytes=123_000)
    heads = tuple(who.head for who in entries)
    images = BenchImages(truth, rng.integers(0, 256, (*shape, 3), dtype=np.uint8), drawn, maps)
    comparison = Comparison(
        scene=SceneSummary(
            name=scene,
            rows=shape[0],
            cols=shape[1],
            bands=9,
            labels="ground-truth",
            labelled_pixels=int((truth > 0).sum()),
        ),
        class_names=dict(zip(numbers, names or [f"Class {c}" for c in numbers], strict=True)),
        class_colours=default_colours(numbers),
        stores=[
            StoreSummary(
                name="scene-rgb", key="ab" * 32, path="scene-rgb.zarr", recipe={"noise": {"seed": 0}}, planes=[plane]
            )
        ],
        runs=runs,
        summary=(),
        draw_images=lambda: images,
        provenance=Provenance(
            command="hsifeat bench scene-rgb",
            config=BenchConfig(
                heads=heads,
                inputs=("spectra", "planes"),
                splits=tuple(splits),
                seeds=seeds,
                planes=("t50/*",),
                curve=(5, 10),
            ),
            head_parameters={head: {"C": 1.0} for head in heads},
            created="2025-01-01",
            versions={"hsifeat": "0"},
        ),
    )
    return with_runs(comparison, runs), pairs


def add_all(comparison):
    """Add all optional parts to a comparison: intervals, pairs, curves, a sweep, weights, panels, confidence, costs."""
    rng = np.random.default_rng(3)
    entries = list(dict.fromkeys(cell.entry for cell in comparison.summary))
    splits = list(dict.fromkeys(cell.split for cell in comparison.summary))
    widths = {"oa": (0.03, 0.02), "aa": (0.05, 0.04), "kappa": (0.07, 0.06)}
    intervals = {
        (cell.entry, cell.split): ScoreIntervals(
            {key: (cell.scores[key].mean - low, cell.scores[key].mean + high) for key, (low, high) in widths.items()},
            {"recall": dict.fromkeys(list(cell.pixels)[:2], (0.25, 0.75))},
        )
        for cell in comparison.summary
    }
    comparison = with_runs(comparison, comparison.runs, intervals, dict.fromkeys(entries, (-0.01, 0.42)))
    pairs, curves, geometry = [], [], []
    known = {"difference": 0.01, "low": -0.005, "high": 0.025, "p": 0.04, "p_holm": 0.12}
    known |= {"mcnemar_p": 0.0001, "mcnemar_p_holm": 0.0002}
    for split in splits:
        for first, second in itertools.combinations(entries, 2):
            verdict = f"{first} and {second} do not differ significantly"
            pairs.append(EntryPair(split=split, first=first, second=second, **known, verdict=verdict))
        for index, who in enumerate(entries):
            for n in (5, 10, 20, 50):
                oa = Estimate(mean=0.3 + 0.12 * np.log10(n) - 0.02 * index, sd=0.02)
                curves.append(CurvePoint(entry=who, split=split, per_class=n, oa=oa, seeds=2, train_pixels=4.5 * n))
        leakage, footprints = ({who.columns: value for who in entries} for value in (0.5, "all"))
        geometry.append(SplitSummary(split=split, leakage=leakage, footprints=footprints, median_px=3.2, min_px=1.0))
    confidence = {
        key: rng.integers(0, 256, predicted.shape, dtype=np.uint8)
        for key, predicted in list(comparison.images.maps.items())[:-1]
    }
    planes = list(itertools.product((0, 50, 100), ("mid_block", "up_blocks.1", "up_blocks.2")))

    def plane_score(t, layer, oa, oa_sd, size_bytes, seconds, gain, gain_sd):
        oa, gain = Estimate(mean=oa, sd=oa_sd), Estimate(mean=gain, sd=gain_sd)
        return PlaneScore(t=t, layer=layer, oa=oa, size_bytes=size_bytes, seconds=seconds, gain=gain)

    sweep = SweepResult(
        head="lda",
        split=splits[-1],
        planes=[
            plane_score(t, layer, 0.4 + 0.03 * i, 0.01, 12_000 * (i + 1), None if i else 3.5, 0.03 * i - 0.1, 0.02)
            for i, (t, layer) in enumerate(planes)
        ],
        selection=[
            plane_score(50, "up_blocks.2", 0.7, 0.01, 12_000, 6.0, 0.2, 0.02),
            plane_score(50, "mid_block", 0.68, 0.02, 6_000, 0.0, -0.02, 0.03),
        ],
        seeds=2,
        store="scene-rgb",
        baseline=Estimate(mean=0.5, sd=0.01),
    )
    weights = tuple(PlaneWeight(t=t, layer=layer, weight=1 / len(planes)) for t, layer in planes)
    panels = tuple(ClusterPanel(t, layer, rng.integers(0, 6, (10, 13), dtype=np.uint8)) for t, layer in planes[:-1])
    costs = {"bytes_on_disk": 98_000, "extraction_seconds": 34.0, "devices": ("cpu (threads: 2)",)}
    return with_images(comparison, confidence=confidence, panels=panels).model_copy(
        update={
            "stores": tuple(store.model_copy(update=costs) for store in comparison.stores),
            "splits": tuple(geometry),
            "distances": tuple(
                entry_distances(who, split, index) for split in splits for index, who in enumerate(entries)
            ),
            "pairs": tuple(pairs),
            "verdicts": {split: f"No two entries differ significantly under {split}" for split in splits},
            "curves": tuple(curves),
            "mixing": (EntryWeights(entry=entries[-1], weights=weights),),
            "sweep": sweep,
        }
    )


def entry_distances(who, split, index):
    """Return simulated scores by distance. The accuracy falls with the distance. Entries other than the first have gains over spectra."""

    def facts(at, pixels):
        oa = Estimate(mean=0.8 - 0.02 * at - 0.01 * index, sd=0.02, low=0.75 - 0.02 * at, high=0.82 - 0.02 * at)
        gain = Estimate(mean=0.05 - 0.01 * at, sd=0.01, low=-0.02, high=0.11) if index else None
        return {"test_pixels": pixels, "seeds": 2, "oa": oa, "gain": gain}

    ends = (0, 4, 9, 16, None)
    bins = [
        DistanceScore(low_px=low, high_px=high, mean_px=low + 2, **facts(at, 100.0 * at + 100))
        for at, (low, high) in enumerate(itertools.pairwise(ends))
    ]
    curve = [DistanceScore(low_px=x, high_px=x + 2, mean_px=x + 1, **facts(x / 3, 80.0)) for x in range(0, 24, 2)]
    none = {"test_pixels": 0.0, "seeds": 0}
    bins[-1:] = [bins[-1]] if index else [DistanceScore(low_px=16, high_px=None, mean_px=None, **none)]
    leak_free = PixelScore(**none) if index == 1 else PixelScore(**facts(5, 700.0))
    return EntryDistances(entry=who, split=split, bins=bins, curve=curve, leak_free=leak_free)


def add_changes(comparison):
    """Add changes of all kinds to a comparison: a renamed store, each kind of test, and unchanged, new and missing scores."""
    first, split = comparison.summary[0].entry, comparison.summary[0].split
    last = comparison.summary[-1].entry

    def change(who, split, before, after, test, p, p_holm, low=None, high=None, store_before=""):
        facts = {
            "p": p,
            "p_holm": p_holm,
            "low": low,
            "high": high,
            "store_before": store_before,
            "verdict": "a verdict",
        }
        seeds = 2 if test else 0
        return EntryChange(entry=who, split=split, before=before, after=after, test=test, seeds=seeds, **facts)

    changes = (
        change(first, split, 0.7, 0.74, "bootstrap", 0.001, 0.002, 0.03, 0.05),
        change(last, split, 0.7, 0.69, "bootstrap", 0.4, 0.8, -0.02, 0.01, "old-rgb"),
        change(entry("", "spectra", "lda"), split, 0.7, 0.7, "bootstrap", 1.0, 1.0, 0.0, 0.0),
        change(entry("", "spectra", "knn"), split, 0.7, 0.6, "paired", 0.01, 0.03),
        change(entry("", "spectra", "mlp"), split, 0.7, 0.71, "", None, None),
        change(entry("", "spectra", "new"), split, None, 0.7, "", None, None),
        *(change(entry("<b>", "planes", "gone"), text, 0.7, None, "", None, None) for text in SPLITS),
    )
    return comparison.model_copy(update={"changes": changes})


def page(comparison, folder):
    """Write the report page of a comparison to a folder, and return the HTML."""
    write_page(comparison, folder / "report.html")
    return (folder / "report.html").read_text()


def draw_counts(random, count, resamples):
    """Draw `count` of `count` units with replacement, for each resample.

    Return the number of times that each unit is drawn, as a (resamples, count) array.
    """
    return np.array([np.bincount(units, minlength=count) for units in random.integers(count, size=(resamples, count))])


class Page(HTMLParser):
    """Parser that checks that tags are balanced. It collects the tags, the words, and the tables as rows of (text, value of ``data-v``)."""

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
