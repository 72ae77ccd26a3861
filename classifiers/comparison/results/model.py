"""Data model of the results of a benchmark, which are stored in ``results.json``.

The fields of these models define the JSON schema, the columns of ``results.csv``, the summary over seeds and the tables of the
report.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from classifiers.comparison.config import BenchConfig
from classifiers.metrics import METRICS, mean_and_sd
from hsifeat.types import PlaneId

SCHEMA_VERSION: Literal[1] = 1

# Confidence level of all intervals. A test is significant if its p-value is below 1 - LEVEL.
LEVEL = 0.95


class JsonOnly:
    """Marker for the fields that ``results.csv`` omits."""


class Record(BaseModel):
    """Base class of all models. Instances are immutable, and unknown fields raise an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Record):
    """A quantity averaged over seeds."""

    mean: float
    sd: float = Field(description="sample standard deviation over seeds; 0 for a single seed")
    low: float | None = Field(
        None, description="lower end of the 95 % bootstrap interval over seeds and regions, where available"
    )
    high: float | None = Field(None, description="upper end of the 95 % interval")

    @classmethod
    def from_values(cls, values: Any, interval: tuple[float, float] | None = None) -> Self:
        """Compute the mean and standard deviation of values, one per seed.

        `interval` is the bootstrap interval of the mean.

        >>> Estimate.from_values([0.5, 0.7], (0.4, 0.8))
        Estimate(mean=0.6, sd=0.14142135623730948, low=0.4, high=0.8)
        """
        mean, sd = mean_and_sd(values)
        low, high = interval or (None, None)
        return cls(mean=mean, sd=sd, low=low, high=high)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper end of the 95 % interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class SceneSummary(Record):
    """Scene and label map of a benchmark."""

    name: str
    rows: int
    cols: int
    bands: int
    labels: str = Field(description="name of the label map")
    labelled_pixels: int
    licence: str = ""
    citation: str = ""
    pixel_size_m: float | None = Field(
        None,
        description="side of a pixel in metres; null if the georeference does not give it or pixels are not square",
    )


class PlaneSummary(Record):
    """Plane (features of one timestep and layer) that heads learned from."""

    t: int
    layer: str
    stride: int
    channels: int
    size_bytes: int = Field(description="size before compression")


class StoreSummary(Record):
    """Store that heads learned from, with its size and extraction time."""

    name: str
    key: str
    path: str
    recipe: dict[str, Any]
    planes: tuple[PlaneSummary, ...]
    bytes_on_disk: int | None = Field(
        None, description="size of the whole store, including the scene; null for a read-only store"
    )
    extraction_seconds: float | None = Field(
        None, description="extraction time of the planes; null if the store has no timings"
    )
    devices: tuple[str, ...] = Field((), description="devices that computed the planes")

    @property
    def size_bytes(self) -> int:
        """Size of all planes before compression."""
        return sum(plane.size_bytes for plane in self.planes)


class BenchEntry(Record):
    """Entry of a benchmark: a head that learns from an input of a store.

    >>> print(BenchEntry(store="ip", features="spectra+planes", head="film"))
    film on spectra+planes of ip
    """

    store: str = Field(
        description="name of the store; empty for inputs without planes, which do not depend on the store"
    )
    features: str = Field(description="name of the input, as in --inputs")
    head: str

    @property
    def columns(self) -> str:
        """Name of the input and its store, such as ``planes of ip``."""
        return self.features + (f" of {self.store}" if self.store else "")

    def __str__(self) -> str:
        return f"{self.head} on {self.columns}"


class PlaneWeight(Record):
    """Weight that a head learned for a plane."""

    t: int | None
    layer: str
    weight: float


_SCORES = ", ".join(f"{metric.key} ({metric.description})" for metric in METRICS)


class RunResult(Record):
    """Result of a run: a head is fitted on the training pixels of a split for one seed, and scored on the test pixels.

    Scores are fractions of 1, and times are wall-clock seconds.
    """

    entry: BenchEntry
    split: str
    seed: int = Field(description="seed of the split and of the head")
    train_pixels: int
    test_pixels: int
    left_out: tuple[int, ...] = Field(
        description="classes that can't have both training and test pixels under the split; they are not scored"
    )
    scores: dict[str, float] = Field(description=f"metrics over all test pixels: {_SCORES}")
    fit_seconds: float
    predict_seconds: float = Field(description="time of prediction of all test pixels")
    class_scores: dict[str, dict[int, float]] = Field(description="recall and f1 of each class that has test pixels")
    pixels: dict[int, int] = Field(
        description="number of test pixels of each class that has any; other classes are not scored"
    )
    confusion: Annotated[tuple[tuple[int, ...], ...], JsonOnly()] = Field(
        description="number of test pixels by true class (outer) and predicted class (inner), in the order of `pixels`"
    )
    key: Annotated[str, JsonOnly()] = Field(
        "", description="key of the run; record/predictions/KEY.npy has the predictions of test pixels"
    )
    draw: Annotated[str, JsonOnly()] = Field(
        "", description="key of the draw; record/draws/DRAW.npz has training pixels, test pixels and true classes"
    )
    distance_scores: dict[str, float] = Field(
        {},
        description="number of test pixels and OA by distance to the nearest training pixel in pixels (test_pixels_0-4_px, "
        "oa_0-4_px and so on, each bin with its upper end), and on test pixels whose features depend on no training pixel "
        "(test_pixels_leak_free, oa_leak_free); without test pixels, there is no OA",
    )
    mixing: Annotated[tuple[PlaneWeight, ...], JsonOnly()] = Field(
        (), description="learned weights of planes, for heads that mix planes"
    )
    smoothed_oa: float | None = Field(
        None, description="OA after smoothing the class probabilities over the scene; null without --smooth"
    )

    @property
    def oa(self) -> float:
        """Overall accuracy."""
        return self.scores["oa"]

    @property
    def classes(self) -> tuple[int, ...]:
        """Classes that have test pixels, in ascending order."""
        return tuple(self.pixels)


class EntrySummary(Record):
    """Results of an entry under one split, averaged over seeds."""

    entry: BenchEntry
    split: str
    seeds: int
    train_pixels: float = Field(description="mean over seeds")
    test_pixels: float = Field(description="mean over seeds")
    left_out: dict[int, int] = Field(description="number of seeds under which each class is left out of the averages")
    class_counts: tuple[int, ...] = Field(
        description="distinct numbers of scored classes among the seeds, in ascending order"
    )
    scores: dict[str, Estimate] = Field(description=f"metrics over all test pixels: {_SCORES}")
    fit_seconds: float = Field(description="median over seeds")
    predict_seconds: float = Field(description="median over seeds")
    class_scores: dict[str, dict[int, Estimate]] = Field(
        description="recall and f1 of each class; recall has intervals for classes with at least 10 regions"
    )
    pixels: dict[int, float] = Field(
        description="number of test pixels of each class, mean over the seeds with test pixels of the class"
    )
    class_seeds: dict[int, int] = Field(description="number of seeds under which each class has test pixels")
    classes: tuple[int, ...] = Field(description="classes of the confusion matrix")
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="confusion matrix summed over seeds, true class (outer) by predicted class (inner)"
    )
    smoothed_oa: Estimate | None = Field(
        None, description="OA after smoothing the class probabilities over the scene; null without --smooth"
    )
    smoothing_gain: Estimate | None = Field(
        None, description="`smoothed_oa` minus OA, paired by seed; null without --smooth"
    )

    @property
    def oa(self) -> Estimate:
        """Overall accuracy."""
        return self.scores["oa"]


class SplitGap(Record):
    """Difference in overall accuracy (OA) of an entry between a random and a spatially disjoint split."""

    entry: BenchEntry
    random: str = Field(description="the first random split")
    disjoint: str = Field(description="the first spatially disjoint split")
    difference: float = Field(description="mean OA under `random` minus mean OA under `disjoint`")
    low: float | None = Field(
        None,
        description="lower end of the 95 % interval of the difference; seeds are resampled jointly, regions per split",
    )
    high: float | None = Field(None, description="upper end of the 95 % interval")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper end of the 95 % interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class SplitSummary(Record):
    """Distances between training and test pixels of a split, and leakage of features, averaged over seeds."""

    split: str
    question: str = Field(
        "",
        description="question that the scores answer: fill in (labels scattered over the scene), carry over (ground without "
        "labels), or empty if the user's maps decide",
    )
    leakage: dict[str, float] = Field(
        description="share of test pixels whose features depend on a training pixel, by input and store"
    )
    footprints: dict[str, str] = Field(description="pixels that the features of an input depend on, in words")
    median_px: float = Field(description="median distance from a test pixel to the nearest training pixel")
    min_px: float = Field(
        description="minimum distance from a test pixel to the nearest training pixel, over all seeds"
    )
    notes: tuple[str, ...] = Field((), description="remarks on the draw of seed 0")


class PixelScore(Record):
    """Overall accuracy (OA) of an entry on a group of test pixels.

    The accuracy is averaged over the seeds that have pixels in the group.
    """

    test_pixels: float = Field(description="number of these test pixels, mean over all seeds")
    seeds: int = Field(description="number of seeds that have such test pixels")
    oa: Estimate | None = Field(None, description="OA on these pixels; null if no seed has such pixels")
    gain: Estimate | None = Field(
        None,
        description="OA minus OA of the same head on spectra alone, on the same pixels; null for spectra themselves, or if "
        "the head was not run on them",
    )


class DistanceScore(PixelScore):
    """Overall accuracy (OA) on the test pixels in a range of distances to the nearest training pixel."""

    low_px: float = Field(description="lower end of the range in pixels, exclusive")
    high_px: float | None = Field(description="upper end of the range in pixels, inclusive; null if unbounded")
    mean_px: float | None = Field(description="mean distance of the test pixels of all seeds; null without test pixels")


class EntryDistances(Record):
    """Overall accuracy of an entry under one split, against the distance to the nearest training pixel."""

    entry: BenchEntry
    split: str
    bins: tuple[DistanceScore, ...] = Field(description="scores in the distance bins of the options")
    curve: tuple[DistanceScore, ...] = Field(
        description="scores in up to 12 ranges of distances with about equally many test pixels each"
    )
    leak_free: PixelScore = Field(
        description="score on the test pixels whose features depend on no training pixel; the pixels depend on the input"
    )


class EntryPair(Record):
    """Test of the difference in overall accuracy between two entries under one split."""

    split: str
    first: BenchEntry
    second: BenchEntry
    difference: float = Field(description="OA of `first` minus OA of `second`, mean over seeds")
    low: float | None = Field(
        description="lower end of the 95 % interval of the difference, by a bootstrap over seeds and regions"
    )
    high: float | None = Field(description="upper end of the 95 % interval")
    p: float | None = Field(description="two-sided p-value of no difference, by the same bootstrap")
    p_holm: float | None = Field(description="p after a Holm correction for all pairs of the split")
    mcnemar_p: float | None = Field(description="p-value of McNemar's exact test on the test pixels of seed 0")
    mcnemar_p_holm: float | None = Field(description="mcnemar_p after a Holm correction for all pairs of the split")
    verdict: str = Field(description="the result as a sentence")

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the 5 % level, after a correction for all pairs of the split."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL


class Contrast(Record):
    """Planned contrast: a comparison of two inputs that is declared before the first run.

    It has one pair of entries for each head that learns from both inputs.

    >>> trained, twin = (BenchEntry(store=store, features="planes", head="lda") for store in ("ip", "ip-untrained"))
    >>> print(Contrast(question="training", pairs=((trained, twin),)))
    planes of ip against planes of ip-untrained, lda
    """

    question: Literal["training", "planes", "added"] = Field(
        description="training: planes of a trained network against those of its untrained twin; planes: planes of a trained "
        "network against context features; added: planes beside context features against context features alone"
    )
    pairs: tuple[tuple[BenchEntry, BenchEntry], ...] = Field(description="both entries of each head")

    def __str__(self) -> str:
        (first, second), heads = self.pairs[0], [pair[0].head for pair in self.pairs]
        mean = f"mean of {len(heads)} heads" if len(heads) > 1 else heads[0]
        return f"{first.columns} against {second.columns}, {mean}"


class ContrastTest(Record):
    """Test of a planned contrast under one split."""

    contrast: Contrast
    split: str
    difference: float = Field(
        description="OA of the first entry of a pair minus OA of the second, mean over seeds and pairs"
    )
    low: float | None = Field(
        description="lower end of the 95 % interval of the difference, by a bootstrap over seeds and regions"
    )
    high: float | None = Field(description="upper end of the 95 % interval")
    p: float | None = Field(description="two-sided p-value of no difference, by the same bootstrap")
    p_holm: float | None = Field(description="p after a Holm correction for the planned contrasts of the split only")
    verdict: str = Field(description="the result as a sentence")

    @property
    def significant(self) -> bool:
        """Whether the difference is significant at the 5 % level, after a correction for the planned contrasts."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL


class MissingContrast(Record):
    """Planned contrast that a benchmark can't make, because a store is missing."""

    question: Literal["training", "planes"] = Field(description="as in `Contrast`")
    store: str = Field(description="store of the trained network")
    command: str = Field(description="command that makes the missing store")

    def __str__(self) -> str:
        lacking = (
            f"the untrained twin of {self.store} is missing, so the report can't tell what training adds"
            if self.question == "training"
            else f"context features are missing, so the report can't tell what the planes of {self.store} add to them"
        )
        return f"{lacking}; add the store that this command makes: `{self.command}`"


class CurvePoint(Record):
    """Point of a learning curve: accuracy of an entry trained on at most `per_class` pixels of each class."""

    entry: BenchEntry
    split: str
    per_class: int = Field(description="maximum number of training pixels of each class")
    oa: Estimate
    seeds: int
    train_pixels: float = Field(description="total number of training pixels of all classes, mean over seeds")


class EntryWeights(Record):
    """Weights that the head of an entry learned for planes, with seed 0 under the first disjoint split."""

    entry: BenchEntry
    weights: tuple[PlaneWeight, ...]


class PlaneScore(Record):
    """Accuracy and cost of one plane in a sweep."""

    t: int
    layer: str
    oa: Estimate = Field(
        description="OA of this plane alone; in a selection, OA of this plane together with all planes selected before"
    )
    size_bytes: int = Field(0, description="size before compression")
    seconds: float | None = Field(
        None,
        description="extraction time of all layers of the timestep; in a selection, 0 if a plane selected before has the same "
        "timestep; null if the store has no timings",
    )
    gain: Estimate | None = Field(
        None,
        description="OA minus OA of spectra alone, paired by seed; in a selection, from the second plane on, OA minus OA of the "
        "planes selected before; null if the head can't learn from spectra alone",
    )

    @property
    def plane(self) -> str:
        """Name of the plane, e.g. ``t50/up_blocks.2``."""
        return str(PlaneId(self.t, self.layer))


class SweepResult(Record):
    """Result of a sweep: accuracy of each plane of a store, and of the best planes together."""

    head: str
    split: str
    planes: tuple[PlaneScore, ...] = Field(description="score of each plane alone")
    selection: tuple[PlaneScore, ...] = Field(
        description="planes selected with seed 0, in order; score i averages over seeds the OA of the first i planes that each "
        "seed selected"
    )
    selections: tuple[tuple[str, ...], ...] = Field((), description="planes selected with each seed, in order")
    seeds: int = 1
    store: str = Field("", description="name of the store")
    baseline: Estimate | None = Field(
        None, description="OA of the head on spectra alone; null if the head needs planes"
    )


class EntryChange(Record):
    """Change of the overall accuracy (OA) of an entry under a split, from the baseline report to the new report."""

    entry: BenchEntry
    split: str
    before: float | None = Field(description="mean OA in the baseline; null if the baseline lacks the entry")
    after: float | None = Field(description="mean OA in the new report; null if the new report lacks the entry")
    test: Literal["bootstrap", "paired", "Welch", ""] = Field(
        description="bootstrap over seeds and regions, paired t-test over seeds, or Welch's t-test over seeds; empty if untested"
    )
    seeds: int = Field(description="number of compared seeds")
    p: float | None = Field(description="two-sided p-value of no change")
    p_holm: float | None = Field(
        description="p after a Holm correction for all tests; identical runs do not count as tests"
    )
    verdict: str = Field(description="the result as a sentence")
    low: float | None = Field(None, description="lower end of the 95 % bootstrap interval of after - before")
    high: float | None = Field(None, description="upper end of the 95 % interval")
    store_before: str = Field("", description="name of the entry's store in the baseline, if it differs")

    @property
    def significant(self) -> bool:
        """Whether the change is significant at the 5 % level, after a correction for all tests."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL

    @property
    def unchanged(self) -> bool:
        """Whether the OA of every seed and region is unchanged."""
        equal = self.p == 1 and self.before == self.after
        return equal and self.test != "Welch" and not self.low and not self.high


class Provenance(Record):
    """Command, options, versions and machine of a benchmark."""

    command: str = ""
    config: BenchConfig | None = None
    head_parameters: dict[str, dict[str, Any]] = Field(
        {}, description="parameters of each head, except its seed and layout"
    )
    created: str = Field("", description="time of creation, UTC in ISO 8601")
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}


class BenchResults(Record):
    """Results of a benchmark, as in ``results.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    scene: SceneSummary
    class_names: dict[int, str]
    class_colours: dict[int, str] = Field(description="colour of each class as #rrggbb")
    stores: tuple[StoreSummary, ...]
    runs: tuple[RunResult, ...]
    summary: tuple[EntrySummary, ...] = Field(description="results of each entry under each split, averaged over seeds")
    splits: tuple[SplitSummary, ...] = ()
    distances: tuple[EntryDistances, ...] = Field(
        (), description="OA against the distance to the nearest training pixel, for each entry and split"
    )
    pairs: tuple[EntryPair, ...] = Field((), description="exploratory pairwise tests of all entries under each split")
    contrasts: tuple[ContrastTest, ...] = Field(
        (), description="tests of the planned contrasts under each split, corrected among themselves"
    )
    missing_contrasts: tuple[MissingContrast, ...] = Field(
        (), description="planned contrasts that need a further store, with the command that makes it"
    )
    verdicts: dict[str, str] = Field(
        {}, description="for each split, a sentence that states which entries differ significantly"
    )
    gaps: tuple[SplitGap, ...] = Field(
        (), description="gap between random and disjoint split, for entries that have both"
    )
    curves: tuple[CurvePoint, ...] = ()
    mixing: tuple[EntryWeights, ...] = ()
    sweep: SweepResult | None = None
    changes: tuple[EntryChange, ...] = Field((), description="differences from a baseline report")
    provenance: Provenance = Provenance()
