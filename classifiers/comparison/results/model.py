"""What a comparison found: its runs, which entries differ, and what else a report shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.run import Entry, Gap, Intervals, RunResult, Summary, gap_splits, summarise

if TYPE_CHECKING:
    import pandas as pd

    from hsifeat.scenes.georeference import Georeference


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
    test : {"bootstrap", "paired", "Welch", ""}
        The bootstrap over seeds and fields; where it can't be done a t-test over seeds alone, paired where both
        comparisons have the same draws, else Welch's; none where there are fewer than two seeds.
    seeds : int
        How many seeds the test is over: pairs, or those of the comparison that has fewer.
    p, p_holm : float or None
        Two-sided p-value, and corrected for all entries and splits but those whose runs are the very same.
    verdict : str
        A plain sentence.
    low, high : float or None
        95 % interval of `after` less `before`, by the bootstrap.
    store_before : str
        Name of the entry's store in the older comparison, where it was another.
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
    low: float | None = None
    high: float | None = None
    store_before: str = ""


@dataclass(frozen=True)
class Curve:
    """A point of a learning curve: an entry trained on at most `per_class` training pixels of each class of a split.

    Attributes
    ----------
    entry, split : Entry, str
        What was trained, under which split.
    per_class : int
        The most pixels of a class; one that has fewer gave all that it has.
    oa : (mean, sd)
        Over seeds.
    seeds : int
        How many.
    train_pixels : float or None
        The pixels of all classes that this came to, mean over seeds; None where the report is too old to say.
    """

    entry: Entry
    split: str
    per_class: int
    oa: tuple[float, float]
    seeds: int
    train_pixels: float | None = None


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
        What the forwards at its timestep took, which give all its layers; None where the store does not say. In
        `Sweep.chosen`, 0 where a plane before it is of the same timestep.
    gain : (mean, sd) or None
        By how much that OA is more than that of spectra alone; in `Sweep.chosen`, from the second on, than that of the
        planes chosen before it. Over seeds, each of which has both. None where the head can't take spectra alone.
    """

    t: int
    layer: str
    oa: tuple[float, float]
    bytes: int = 0
    seconds: float | None = None
    gain: tuple[float, float] | None = None


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
    baseline : (mean, sd) or None
        OA of the head on spectra alone under the same draws; None where it can't take them alone.
    """

    head: str
    split: str
    alone: list[PlaneScore]
    chosen: list[PlaneScore]
    choices: list[list[str]] = field(default_factory=list)
    seeds: int = 1
    store: str = ""
    baseline: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """A picture of a plane: its cells in clusters of k-means, `(rows, cols)` at the plane's own resolution, 0 = nothing there."""

    t: int
    layer: str
    classes: NDArray[np.uint8]


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
        ``command``, ``arguments`` (dict, see `classifiers.comparison.config`), ``created``, ``versions`` (dict),
        ``machine`` (dict).
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
    intervals : dict of (Entry, str) to Intervals
        Those of an entry under a split, where any can be given.
    gap_intervals : dict of Entry to (low, high)
        95 % interval of the gap between the first random and the first disjoint split, where one can be given.
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
    intervals: dict[tuple[Entry, str], Intervals] = field(default_factory=dict)
    gap_intervals: dict[Entry, tuple[float, float]] = field(default_factory=dict)
    georeference: Georeference | None = None
    changes: list[Change] = field(default_factory=list)

    @cached_property
    def summary(self) -> list[Summary]:
        """Mean, standard deviation and intervals over seeds, entry by entry and split by split."""
        return summarise(self.results, self.intervals)

    @property
    def gaps(self) -> list[Gap]:
        """How much higher OA is on the first random split than on the first disjoint one, for each entry run on both."""
        splits = gap_splits(dict.fromkeys(cell.split for cell in self.summary))
        if splits is None:
            return []
        there, apart = ({cell.entry: cell.oa[0] for cell in self.summary if cell.split == split} for split in splits)
        return [
            Gap(entry, *splits, oa - apart[entry], self.gap_intervals.get(entry))
            for entry, oa in there.items()
            if entry in apart
        ]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a run, as in ``results.csv``."""
        from classifiers.comparison.results.results_io import to_frame

        return to_frame(self)

    def _repr_html_(self) -> str:
        """Show the summary in a notebook."""
        from classifiers.comparison.report.summary_tables import to_html

        return to_html(self)
