"""The data model of a benchmark: runs, their summaries and what follows from them, as kept in memory and in ``results.json``.

Every quantity is one field here, with its type and meaning. The JSON file and its schema, the columns of ``results.csv``, the
summary over seeds and the tables of the report are derived from these fields.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from classifiers.comparison.config import BenchConfig
from classifiers.metrics import METRICS, mean_and_sd
from hsifeat.types import PlaneId

SCHEMA_VERSION: Literal[1] = 1

# Level of all confidence intervals; tests reject below 1 - LEVEL.
LEVEL = 0.95


class JsonOnly:
    """Marks fields of a run that ``results.csv`` has no column for."""


class Record(BaseModel):
    """Base of all models: immutable, and strict about unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Record):
    """A quantity averaged over seeds."""

    mean: float
    sd: float = Field(description="sample standard deviation over seeds; 0 for a single seed")
    low: float | None = Field(
        None, description="lower end of the 95 % interval over seeds and regions, where available"
    )
    high: float | None = Field(None, description="upper end of that interval")

    @classmethod
    def from_values(cls, values: Any, interval: tuple[float, float] | None = None) -> Self:
        """Average values, one per seed; `interval` is the bootstrap interval of their mean.

        >>> Estimate.from_values([0.5, 0.7], (0.4, 0.8))
        Estimate(mean=0.6, sd=0.14142135623730948, low=0.4, high=0.8)
        """
        mean, sd = mean_and_sd(values)
        low, high = interval or (None, None)
        return cls(mean=mean, sd=sd, low=low, high=high)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class SceneSummary(Record):
    """The scene and the label map of a benchmark."""

    name: str
    rows: int
    cols: int
    bands: int
    labels: str = Field(description="name of the label map")
    labelled_pixels: int
    licence: str = ""
    citation: str = ""


class PlaneSummary(Record):
    """A plane that heads learned from."""

    t: int
    layer: str
    stride: int
    channels: int
    size_bytes: int = Field(description="before compression")


class StoreSummary(Record):
    """A store that heads learned from, and what it costs."""

    name: str
    key: str
    path: str
    recipe: dict[str, Any]
    planes: tuple[PlaneSummary, ...]
    bytes_on_disk: int | None = Field(
        None, description="size of the whole store; null for a store that can't be listed"
    )
    extraction_seconds: float | None = Field(None, description="null if the store has no timings")
    devices: tuple[str, ...] = Field((), description="devices that computed the planes")

    @property
    def size_bytes(self) -> int:
        """Size of all planes before compression."""
        return sum(plane.size_bytes for plane in self.planes)


class BenchEntry(Record):
    """One line of a benchmark: a head on the features of a store.

    >>> print(BenchEntry(store="ip", features="spectra+planes", head="film"))
    film on spectra+planes of ip
    """

    store: str = Field(description="name of the store; empty for features computed from the spectra alone")
    features: str = Field(description="input sets of the head, as --inputs names them")
    head: str

    @property
    def columns(self) -> str:
        """The features and the store that they come from."""
        return self.features + (f" of {self.store}" if self.store else "")

    def __str__(self) -> str:
        return f"{self.head} on {self.columns}"


class PlaneWeight(Record):
    """The weight that a head learned for a plane."""

    t: int | None
    layer: str
    weight: float


_SCORES = ", ".join(f"{metric.key} ({metric.description})" for metric in METRICS)


class RunResult(Record):
    """One run: a head fitted on the training pixels of one draw of a split, and scored on its test pixels.

    Scores are fractions of 1, times are wall-clock seconds.
    """

    entry: BenchEntry
    split: str
    seed: int = Field(description="of the draw and of the head")
    train_pixels: int
    test_pixels: int
    left_out: tuple[int, ...] = Field(
        description="classes that have labelled pixels but can't be on both sides of the split; they are not scored"
    )
    scores: dict[str, float] = Field(description=f"metrics over all test pixels: {_SCORES}")
    fit_seconds: float
    predict_seconds: float = Field(description="for all test pixels")
    class_scores: dict[str, dict[int, float]] = Field(description="recall and f1 of each class that has test pixels")
    pixels: dict[int, int] = Field(description="test pixels of each class that has some; only these classes are scored")
    confusion: Annotated[tuple[tuple[int, ...], ...], JsonOnly()] = Field(
        description="test pixels by true class (outer) and predicted class (inner), in the order of `pixels`"
    )
    key: Annotated[str, JsonOnly()] = Field(
        "", description="predictions on test pixels are in record/predictions/KEY.npy"
    )
    draw: Annotated[str, JsonOnly()] = Field(
        "", description="training and test pixels and their true classes are in record/draws/DRAW.npz"
    )
    mixing: Annotated[tuple[PlaneWeight, ...], JsonOnly()] = Field(
        (), description="weights of planes, for heads that learn a mixture of them"
    )

    @property
    def oa(self) -> float:
        """Overall accuracy."""
        return self.scores["oa"]

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that have test pixels, ascending."""
        return tuple(self.pixels)


class EntrySummary(Record):
    """An entry under one split, over its seeds."""

    entry: BenchEntry
    split: str
    seeds: int
    train_pixels: float = Field(description="mean over seeds")
    test_pixels: float = Field(description="mean over seeds")
    left_out: dict[int, int] = Field(description="number of seeds for which a class is left out of the averages")
    class_counts: tuple[int, ...] = Field(description="the numbers of classes that were scored, over seeds, ascending")
    scores: dict[str, Estimate] = Field(description=f"metrics over all test pixels: {_SCORES}")
    fit_seconds: float = Field(description="median over seeds")
    predict_seconds: float = Field(description="median over seeds")
    class_scores: dict[str, dict[int, Estimate]] = Field(
        description="recall and f1 of each class; intervals of recall for classes with at least 10 regions"
    )
    pixels: dict[int, float] = Field(description="test pixels of each class, mean over the seeds that have any")
    class_seeds: dict[int, int] = Field(description="number of seeds for which a class has test pixels")
    classes: tuple[int, ...] = Field(description="classes of the confusion matrix")
    confusion: tuple[tuple[int, ...], ...] = Field(description="sum over seeds, true class (outer) by predicted class")

    @property
    def oa(self) -> Estimate:
        """Overall accuracy."""
        return self.scores["oa"]


class SplitGap(Record):
    """How much higher the OA of an entry is under a random split than under a spatially disjoint one."""

    entry: BenchEntry
    random: str = Field(description="the first random split")
    disjoint: str = Field(description="the first spatially disjoint split")
    difference: float = Field(description="mean OA under `random` minus mean OA under `disjoint`")
    low: float | None = Field(
        None, description="lower end of its 95 % interval: seeds resampled in pairs, regions per split"
    )
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


class SplitSummary(Record):
    """How training and test pixels of a split lie, and how far features see across; means over seeds."""

    split: str
    leakage: dict[str, float] = Field(
        description="share of test pixels whose features depend on a training pixel, by features and store"
    )
    footprints: dict[str, str] = Field(description="which pixels those features depend on, in words")
    median_px: float = Field(description="median distance from a test pixel to the nearest training pixel")
    min_px: float = Field(description="least distance from a test pixel to the nearest training pixel")
    notes: tuple[str, ...] = Field((), description="remarks on the draw of seed 0")


class EntryPair(Record):
    """Two entries under one split, compared on the same seeds and test pixels."""

    split: str
    first: BenchEntry
    second: BenchEntry
    difference: float = Field(description="OA of the first minus OA of the second, mean over seeds")
    low: float | None = Field(description="lower end of its 95 % interval, by a bootstrap over seeds and regions")
    high: float | None
    p: float | None = Field(description="two-sided p-value of no difference, by the same bootstrap")
    p_holm: float | None = Field(description="p, corrected for all pairs of the split by Holm's method")
    mcnemar_p: float | None = Field(description="McNemar's exact test on the test pixels of seed 0")
    mcnemar_p_holm: float | None = Field(description="mcnemar_p, corrected for all pairs of the split by Holm's method")
    verdict: str = Field(description="the result as a sentence")

    @property
    def significant(self) -> bool:
        """Whether the entries differ at the 5 % level, corrected for all pairs of the split."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL


class CurvePoint(Record):
    """One point of a learning curve: an entry trained on at most `per_class` training pixels of each class of a split."""

    entry: BenchEntry
    split: str
    per_class: int = Field(description="a class with fewer training pixels contributes all of them")
    oa: Estimate
    seeds: int
    train_pixels: float = Field(description="training pixels of all classes together, mean over seeds")


class EntryWeights(Record):
    """The weights of planes that the head of an entry learned with seed 0, under the first disjoint split."""

    entry: BenchEntry
    weights: tuple[PlaneWeight, ...]


class PlaneScore(Record):
    """The accuracy and the cost of one plane in a sweep."""

    t: int
    layer: str
    oa: Estimate = Field(description="of this plane alone; in a selection, of this plane and all planes before it")
    size_bytes: int = Field(0, description="before compression")
    seconds: float | None = Field(
        None,
        description="extraction time of the timestep, which yields all its layers; in a selection, 0 if an earlier plane "
        "has the same timestep; null if the store has no timings",
    )
    gain: Estimate | None = Field(
        None,
        description="OA minus that of spectra alone, seed by seed; in a selection, from the second plane on, minus that of "
        "the planes before it; null if the head can't learn from spectra alone",
    )

    @property
    def plane(self) -> str:
        """Name of the plane, e.g. ``t50/up_blocks.2``."""
        return str(PlaneId(self.t, self.layer))


class SweepResult(Record):
    """Accuracy of every plane of a store on its own, and of the best few planes together."""

    head: str
    split: str
    planes: tuple[PlaneScore, ...] = Field(description="each plane on its own")
    selection: tuple[PlaneScore, ...] = Field(
        description="the planes that seed 0 selected, in order; scores at place i are over seeds, each with its own first i planes"
    )
    selections: tuple[tuple[str, ...], ...] = Field((), description="the planes that each seed selected, in order")
    seeds: int = 1
    store: str = Field("", description="name of the store")
    baseline: Estimate | None = Field(
        None, description="OA of the head on spectra alone, if it can learn from them alone"
    )


class EntryChange(Record):
    """How the OA of an entry under a split changed from a baseline report."""

    entry: BenchEntry
    split: str
    before: float | None = Field(description="mean OA in the baseline; null for an entry that it lacks")
    after: float | None = Field(description="mean OA now; null for an entry that only the baseline has")
    test: Literal["bootstrap", "paired", "Welch", ""] = Field(
        description="bootstrap over seeds and regions; or a t-test over seeds alone, paired or Welch's; empty if untested"
    )
    seeds: int = Field(description="number of seeds that are compared")
    p: float | None = Field(description="two-sided p-value of no change")
    p_holm: float | None = Field(description="p, corrected by Holm's method for all tests but those of identical runs")
    verdict: str = Field(description="the result as a sentence")
    low: float | None = Field(None, description="lower end of the 95 % interval of after - before, by the bootstrap")
    high: float | None = None
    store_before: str = Field("", description="name of the entry's store in the baseline, if it differs")

    @property
    def significant(self) -> bool:
        """Whether the change is significant at the 5 % level, corrected for all tests."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL

    @property
    def unchanged(self) -> bool:
        """Whether the OA is the same for every seed and in every region."""
        equal = self.p == 1 and self.before == self.after
        return equal and self.test != "Welch" and not self.low and not self.high


class Provenance(Record):
    """What is needed to repeat the benchmark."""

    command: str = ""
    config: BenchConfig | None = None
    head_parameters: dict[str, dict[str, Any]] = Field({}, description="all parameters of each head, except its seed")
    created: str = Field("", description="UTC, ISO 8601")
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}


class BenchResults(Record):
    """All results of a benchmark, as in ``results.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    scene: SceneSummary
    class_names: dict[int, str]
    class_colours: dict[int, str] = Field(description="as #rrggbb")
    stores: tuple[StoreSummary, ...]
    runs: tuple[RunResult, ...]
    summary: tuple[EntrySummary, ...] = Field(description="runs averaged over seeds")
    splits: tuple[SplitSummary, ...] = ()
    pairs: tuple[EntryPair, ...] = Field((), description="every two entries under every split")
    verdicts: dict[str, str] = Field({}, description="for each split, which entries differ, as a sentence")
    gaps: tuple[SplitGap, ...] = Field((), description="for each entry that has both a random and a disjoint split")
    curves: tuple[CurvePoint, ...] = ()
    mixing: tuple[EntryWeights, ...] = ()
    sweep: SweepResult | None = None
    changes: tuple[EntryChange, ...] = Field((), description="differences from a baseline report")
    provenance: Provenance = Provenance()
