"""What a comparison found: one result a run, their means over seeds, which entries differ, and what else a report shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.metrics import Scores

if TYPE_CHECKING:
    import pandas as pd

    from hsifeat.scenes.georeference import Georeference


@dataclass(frozen=True, order=True)
class Entry:
    """One line of the table: which store, which of its features, which head.

    Attributes
    ----------
    store : str
        Name of the store; empty for features that come from the spectra alone.
    features : str
        ``spectra``, ``spectra+window`` (5x5 means), ``planes`` or ``spectra+planes``.
    head : str
        Name of the head.
    """

    store: str
    features: str
    head: str

    @property
    def columns(self) -> str:
        """What the head is given: features, and the store that they come from."""
        return self.features + (f" of {self.store}" if self.store else "")

    def __str__(self) -> str:
        return f"{self.head} on {self.columns}"


@dataclass(frozen=True, order=True)
class Run:
    """One fit: an entry under one draw of one split."""

    entry: Entry
    split: str
    seed: int


@dataclass(frozen=True)
class RunResult:
    """What one fit gave. Seconds are wall time on this machine.

    Attributes
    ----------
    left_out : tuple of int
        Classes with labelled pixels that are not scored: the split can't have them on both sides.
    key, draw : str
        Under which `classifiers.comparison.record.Record` has its predictions, and the pixels of its draw.
    mixing : tuple of dict
        What a head that mixes planes learned: ``t``, ``layer`` and ``weight`` of each.
    """

    run: Run
    scores: Scores
    train_pixels: int
    test_pixels: int
    left_out: tuple[int, ...]
    fit_seconds: float
    predict_seconds: float
    key: str = ""
    draw: str = ""
    mixing: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {
            **asdict(self.run.entry),
            "split": self.run.split,
            "seed": self.run.seed,
            "train_pixels": self.train_pixels,
            "test_pixels": self.test_pixels,
            "left_out": list(self.left_out),
            "oa": self.scores.oa,
            "aa": self.scores.aa,
            "kappa": self.scores.kappa,
            "classes": list(self.scores.classes),
            "recall": list(self.scores.recall),
            "f1": list(self.scores.f1),
            "pixels": list(self.scores.pixels),
            "confusion": self.scores.confusion.tolist(),
            "fit_seconds": self.fit_seconds,
            "predict_seconds": self.predict_seconds,
            "key": self.key,
            "draw": self.draw,
            "mixing": list(self.mixing),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> RunResult:
        """Read what `to_json` wrote."""
        return cls(
            run=Run(Entry(row["store"], row["features"], row["head"]), row["split"], row["seed"]),
            scores=Scores(
                oa=row["oa"],
                aa=row["aa"],
                kappa=row["kappa"],
                classes=tuple(row["classes"]),
                recall=tuple(row["recall"]),
                confusion=np.asarray(row["confusion"], dtype=np.int64),
                f1=tuple(row.get("f1", ())),
                pixels=tuple(row.get("pixels", ())),
            ),
            train_pixels=row["train_pixels"],
            test_pixels=row["test_pixels"],
            left_out=tuple(row["left_out"]),
            fit_seconds=row["fit_seconds"],
            predict_seconds=row["predict_seconds"],
            key=row.get("key", ""),
            draw=row.get("draw", ""),
            mixing=tuple(row.get("mixing", ())),
        )


@dataclass(frozen=True)
class Summary:
    """An entry under one split, over its seeds: mean and sample standard deviation (0 for a single seed).

    Attributes
    ----------
    f1 : dict of int to (mean, sd)
        F1 of each class.
    test_counts : dict of int to float
        Test pixels of each class, mean over the seeds that have any.
    class_seeds : dict of int to int
        Under how many seeds each class has test pixels; its means are over these.
    interval : (low, high) or None
        95 % interval of OA over seeds and fields; None for a single seed, or fewer than 10 fields.
    recall_intervals : dict of int to (low, high)
        95 % interval of the recall of each class that lies in at least 10 fields.
    """

    entry: Entry
    split: str
    seeds: int
    train_pixels: float
    test_pixels: float
    left_out: tuple[int, ...]
    oa: tuple[float, float]
    aa: tuple[float, float]
    kappa: tuple[float, float]
    recall: dict[int, tuple[float, float]]
    fit_seconds: float
    predict_seconds: float
    confusion: NDArray[np.int64]
    classes: tuple[int, ...]
    f1: dict[int, tuple[float, float]] = field(default_factory=dict)
    test_counts: dict[int, float] = field(default_factory=dict)
    class_seeds: dict[int, int] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    recall_intervals: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """Two entries under one split, compared on the same test pixels and seeds.

    Attributes
    ----------
    split : str
        In the grammar.
    first, second : Entry
        What is compared.
    difference : float
        OA of the first less that of the second, mean over seeds.
    low, high : float or None
        95 % interval of the difference over seeds and fields; None where none can be given.
    p, p_holm : float or None
        Two-sided p-value of no difference by the same bootstrap, and corrected for all pairs of the split (Holm).
    mcnemar_p, mcnemar_p_holm : float or None
        Of McNemar's exact test on the test pixels of seed 0, which takes pixels for independent.
    verdict : str
        A plain sentence.
    """

    split: str
    first: Entry
    second: Entry
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    mcnemar_p: float | None
    mcnemar_p_holm: float | None
    verdict: str


@dataclass(frozen=True)
class Change:
    """What became of an entry under a split since an older comparison.

    Attributes
    ----------
    entry, split : Entry, str
        What is compared.
    before, after : float or None
        Mean OA over the seeds that are tested, else over all; None where only one of the comparisons has it.
    test : {"paired", "Welch", ""}
        The t-test: paired over the seeds with the same draws in both comparisons, else Welch's; none where there are
        fewer than two seeds.
    seeds : int
        How many seeds the test is over: pairs, or those of the comparison that has fewer.
    p, p_holm : float or None
        Two-sided p-value, and corrected for all entries.
    verdict : str
        A plain sentence.
    """

    entry: Entry
    split: str
    before: float | None
    after: float | None
    test: str
    seeds: int
    p: float | None
    p_holm: float | None
    verdict: str


@dataclass(frozen=True)
class Curve:
    """A point of a learning curve: an entry trained on at most `per_class` training pixels of each class of a split."""

    entry: Entry
    split: str
    per_class: int
    oa: tuple[float, float]
    seeds: int


@dataclass(frozen=True)
class PlaneScore:
    """A plane, its OA on test pixels (mean and standard deviation over seeds), and what it costs.

    Attributes
    ----------
    t, layer : int, str
        The plane.
    oa : (mean, sd)
        Of the plane alone; in `Sweep.chosen`, of this plane and all chosen before it.
    bytes : int
        Size of the plane before compression.
    seconds : float or None
        What its extraction took, where the store says it.
    """

    t: int
    layer: str
    oa: tuple[float, float]
    bytes: int
    seconds: float | None = None


@dataclass(frozen=True)
class Sweep:
    """Every plane of a store on its own, and the best few together, by one head under one split.

    Attributes
    ----------
    head, split : str
        What was fitted, under which split.
    alone : list of PlaneScore
        Each plane on its own.
    chosen : list of PlaneScore
        Planes in the order in which greedy forward selection within the training pixels of seed 0 took them. The OA of
        place i is over seeds, each of which chose its first i planes by its own training pixels.
    choices : list of list of str
        What each seed chose, as ``t50/up_blocks.2``.
    seeds : int
        How many.
    store : str
        Name of the store.
    """

    head: str
    split: str
    alone: list[PlaneScore]
    chosen: list[PlaneScore]
    choices: list[list[str]] = field(default_factory=list)
    seeds: int = 1
    store: str = ""


@dataclass(frozen=True)
class Panel:
    """A picture of a plane: its cells in clusters of k-means, `(rows, cols)` at the plane's own resolution, 0 = nothing there."""

    t: int
    layer: str
    classes: NDArray[np.uint8]


def summarise(results: Iterable[RunResult]) -> list[Summary]:
    """Average the results over seeds, in the order in which entries and splits first occur.

    Seconds are medians; the confusion matrix is the sum over seeds; a class left out under any seed is named.
    """
    grouped: dict[tuple[Entry, str], list[RunResult]] = {}
    for result in results:
        grouped.setdefault((result.run.entry, result.run.split), []).append(result)
    return [_summary(entry, split, group) for (entry, split), group in grouped.items()]


def _summary(entry: Entry, split: str, group: list[RunResult]) -> Summary:
    classes = tuple(sorted({c for r in group for c in r.scores.classes}))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for r in group:
        at = np.searchsorted(classes, r.scores.classes)
        confusion[np.ix_(at, at)] += r.scores.confusion
    having = {c: [(r.scores, r.scores.classes.index(c)) for r in group if c in r.scores.classes] for c in classes}
    return Summary(
        entry=entry,
        split=split,
        seeds=len(group),
        train_pixels=float(np.mean([r.train_pixels for r in group])),
        test_pixels=float(np.mean([r.test_pixels for r in group])),
        left_out=tuple(sorted({c for r in group for c in r.left_out})),
        oa=_mean_sd([r.scores.oa for r in group]),
        aa=_mean_sd([r.scores.aa for r in group]),
        kappa=_mean_sd([r.scores.kappa for r in group]),
        recall={c: _mean_sd([scores.recall[at] for scores, at in found]) for c, found in having.items()},
        fit_seconds=float(np.median([r.fit_seconds for r in group])),
        predict_seconds=float(np.median([r.predict_seconds for r in group])),
        confusion=confusion,
        classes=classes,
        f1={c: _mean_sd([scores.f1[at] for scores, at in found]) for c, found in having.items()},
        test_counts={c: float(np.mean([scores.pixels[at] for scores, at in found])) for c, found in having.items()},
        class_seeds={c: len(found) for c, found in having.items()},
    )


def _mean_sd(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class DrawnSplit:
    """How a split was drawn, and what it leaks to each kind of features; means over seeds.

    Attributes
    ----------
    split : str
        In the grammar.
    seen : dict of str to float
        For each of `Entry.columns`, the share of test pixels whose context holds a training pixel; see
        `classifiers.splits.leakage`.
    context : dict of str to str
        For each of `Entry.columns`, which pixels its features see, in words.
    median_px, least_px : float
        Distance from a test pixel to the nearest training pixel: mean of the medians, and least of all.
    notes : tuple of str
        What a user should know of it, of seed 0.
    """

    split: str
    seen: dict[str, float]
    context: dict[str, str]
    median_px: float
    least_px: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pictures:
    """The images of a report, all on the scene's grid of rows x cols.

    Attributes
    ----------
    truth : (rows, cols) integer array
        Labels, 0 = unlabelled.
    false_colour : (rows, cols, 3) uint8 array
        The scene as a person sees it.
    splits : dict
        For each split the pixels of seed 0: (rows, cols) uint8, 0 = unlabelled, 1 = train, 2 = test,
        3 = labelled but dropped.
    maps : dict
        For each (entry, split) that was mapped, the predicted class of every pixel: (rows, cols) integer array, which may
        lie on disk.
    confidence : dict
        For those of a head that knows probabilities, the largest one of every pixel, 0 to 255: (rows, cols) uint8 array,
        which may lie on disk.
    """

    truth: NDArray[np.integer]
    false_colour: NDArray[np.uint8]
    splits: dict[str, NDArray[np.uint8]]
    maps: dict[tuple[Entry, str], NDArray[np.integer]]
    confidence: dict[tuple[Entry, str], NDArray[np.uint8]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """A finished comparison, with all that is needed to read it and to run it again.

    Attributes
    ----------
    scene : dict
        ``name``, ``rows``, ``cols``, ``bands``, ``labels`` (name of the label map).
    class_names : dict
        Name of each class by its number.
    class_colours : dict
        Colour of each class by its number, as ``#rrggbb``.
    stores : list of dict
        ``name``, ``key``, ``path``, ``recipe`` (dict), ``planes`` (list of dicts: t, layer, stride, channels, size_bytes).
    results : list of RunResult
        All runs.
    pictures : Pictures
        Maps and images.
    provenance : dict
        ``command``, ``created``, ``versions`` (dict), ``machine`` (dict).
    drawn : list of DrawnSplit
        How each split was drawn, and what it leaks.
    pairs : list of Pair
        Every two entries under every split.
    verdicts : dict of str to str
        For each split a plain sentence on which entries can be told apart.
    curves : list of Curve
        Learning curves over the number of training pixels of each class.
    mixing : dict of Entry to list of dict
        Weights that a head learned for each plane: t, layer, weight. Of seed 0 under the disjoint split.
    sweep : Sweep or None
        Every plane on its own.
    intervals : dict of (Entry, str) to (low, high)
        For an entry under a split, the 95 % interval of its OA over seeds and fields, where one can be given.
    recall_intervals : dict of (Entry, str) to dict of int to (low, high)
        And of the recall of classes.
    georeference : Georeference or None
        Where the scene lies.
    changes : list of Change
        What differs from an older comparison, where one was given.
    costs : dict
        ``stores``: for each its name, bytes and seconds of extraction (None where the store does not say).
    panels : list of Panel
        Pictures of planes.
    """

    scene: dict[str, Any]
    class_names: dict[int, str]
    class_colours: dict[int, str]
    stores: list[dict[str, Any]]
    results: list[RunResult]
    pictures: Pictures
    provenance: dict[str, Any] = field(default_factory=dict)
    drawn: list[DrawnSplit] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)
    mixing: dict[Entry, list[dict[str, Any]]] = field(default_factory=dict)
    sweep: Sweep | None = None
    costs: dict[str, Any] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)
    intervals: dict[tuple[Entry, str], tuple[float, float]] = field(default_factory=dict)
    recall_intervals: dict[tuple[Entry, str], dict[int, tuple[float, float]]] = field(default_factory=dict)
    georeference: Georeference | None = None
    changes: list[Change] = field(default_factory=list)

    @cached_property
    def summary(self) -> list[Summary]:
        """Mean and standard deviation over seeds, entry by entry and split by split."""
        return [
            replace(
                cell,
                interval=self.intervals.get((cell.entry, cell.split)),
                recall_intervals=self.recall_intervals.get((cell.entry, cell.split), {}),
            )
            for cell in summarise(self.results)
        ]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a run, as in ``results.csv``."""
        from classifiers.comparison.tables import to_frame

        return to_frame(self)

    def _repr_html_(self) -> str:
        """Show the summary in a notebook."""
        from classifiers.comparison.texts import to_html

        return to_html(self)
