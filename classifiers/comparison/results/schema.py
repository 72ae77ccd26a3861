"""The schema of ``results.json``, version 2: what it holds, checked when it is read. `docs/results.schema.json` is made of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2

MeanSd = tuple[float, float]
LowHigh = tuple[float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SceneFacts(_Strict):
    """The scene and the label map."""

    name: str
    rows: int
    cols: int
    bands: int
    labels: str
    licence: str = ""
    citation: str = ""


class PlaneFacts(_Strict):
    """A plane that heads learned from."""

    t: int
    layer: str
    stride: int
    channels: int
    size_bytes: int = Field(description="before compression")


class StoreFacts(_Strict):
    """A store that was compared."""

    name: str
    key: str
    path: str
    recipe: dict[str, Any]
    planes: list[PlaneFacts]


class EntryFacts(_Strict):
    """A line of the comparison."""

    store: str = Field(description="name of the store; empty for features that come from the spectra alone")
    features: str = Field(description="what the head is given, as --inputs names it")
    head: str


class MixingWeight(_Strict):
    """The weight that a head learned for a plane."""

    t: int | None
    layer: str
    weight: float


class RunFacts(EntryFacts):
    """One fit, under one draw of a split. Accuracies are fractions of 1."""

    split: str
    seed: int = Field(description="of the draw and of the head")
    train_pixels: int
    test_pixels: int
    left_out: list[int] = Field(description="classes with labelled pixels that the split can't have on both sides")
    oa: float = Field(description="overall accuracy")
    aa: float = Field(description="mean recall over `classes`")
    kappa: float = Field(description="Cohen's kappa")
    classes: list[int] = Field(description="the classes with test pixels: no other is in any average")
    recall: list[float] = Field(description="of each of `classes`")
    f1: list[float] = Field(description="of each of `classes`")
    pixels: list[int] = Field(description="test pixels of each of `classes`")
    confusion: list[list[int]] = Field(
        description="test pixels by true (outer) and predicted (inner) class of `classes`"
    )
    fit_seconds: float
    predict_seconds: float
    key: str = Field(description="its predictions of the test pixels lie in record/predictions/KEY.npy")
    draw: str = Field(description="its train and test pixels and their truth lie in record/draws/DRAW.npz")
    mixing: list[MixingWeight]


class SummaryFacts(EntryFacts):
    """An entry under one split, over its seeds; accuracies are mean and sample standard deviation."""

    split: str
    seeds: int
    train_pixels: float
    test_pixels: float
    left_out: dict[int, int] | list[int] = Field(
        description="under how many seeds a class is left out; a list, as older files have, does not tell"
    )
    oa: MeanSd
    aa: MeanSd
    kappa: MeanSd
    recall: dict[int, MeanSd]
    f1: dict[int, MeanSd]
    test_counts: dict[int, float] = Field(description="test pixels of each class, mean over the seeds that have any")
    class_seeds: dict[int, int] = Field(description="under how many seeds each class has test pixels")
    class_counts: list[int] = Field([], description="over how many classes aa is, every number that occurs")
    interval: LowHigh | None = Field(description="95 % interval of oa over seeds and fields")
    aa_interval: LowHigh | None = Field(None, description="and of aa")
    kappa_interval: LowHigh | None = Field(None, description="and of kappa")
    recall_intervals: dict[int, LowHigh] = Field(description="and of recall, for classes in at least 10 fields")
    fit_seconds: float = Field(description="median")
    predict_seconds: float = Field(description="median")
    confusion: list[list[int]] = Field(description="sum over seeds")
    classes: list[int]


class GapFacts(_Strict):
    """How much higher the OA of an entry is where test pixels lie among the training pixels."""

    entry: EntryFacts
    random: str = Field(description="the first random split")
    disjoint: str = Field(description="the first disjoint split")
    difference: float = Field(description="mean oa under `random` less that under `disjoint`")
    interval: LowHigh | None = Field(
        description="its 95 % interval: seeds drawn in pairs, fields of each split on their own"
    )


class SplitFacts(_Strict):
    """How a split was drawn, and what it leaks; means over seeds."""

    split: str
    seen: dict[str, float] = Field(
        description="share of test pixels whose context holds a training pixel, by what heads are given"
    )
    context: dict[str, str] = Field(description="that context in words")
    median_px: float = Field(description="distance from a test pixel to the nearest training pixel, median")
    least_px: float
    notes: list[str]


class PairFacts(_Strict):
    """Two entries under one split."""

    split: str
    first: EntryFacts
    second: EntryFacts
    difference: float = Field(description="oa of the first less that of the second, mean over seeds")
    low: float | None = Field(description="ends of its 95 % interval by a bootstrap over seeds and fields")
    high: float | None
    p: float | None = Field(description="two-sided, by the same bootstrap")
    p_holm: float | None = Field(description="corrected for all pairs of the split")
    mcnemar_p: float | None = Field(description="exact, on the test pixels of seed 0")
    mcnemar_p_holm: float | None
    verdict: str


class CurvePoint(_Strict):
    """An entry trained on at most so many pixels of each class."""

    entry: EntryFacts
    split: str
    per_class: int = Field(description="a class with fewer training pixels gave all that it has")
    oa: MeanSd
    seeds: int
    train_pixels: float | None = Field(None, description="of all classes, mean over seeds")


class PlaneScoreFacts(_Strict):
    """A plane of a sweep."""

    t: int
    layer: str
    oa: MeanSd = Field(description="alone; of `chosen`, of this plane with all before it")
    bytes: int
    seconds: float | None = Field(
        description="of the forwards at its timestep, which give all its layers; of `chosen`, 0 where a plane before it "
        "has that timestep"
    )
    gain: MeanSd | None = Field(
        None,
        description="oa less that of spectra alone; of `chosen`, from the second on, less that of the planes before it",
    )


class SweepFacts(_Strict):
    """Every plane on its own, and the best few together."""

    head: str
    split: str
    alone: list[PlaneScoreFacts]
    chosen: list[PlaneScoreFacts]
    choices: list[list[str]]
    seeds: int
    store: str
    baseline: MeanSd | None = Field(None, description="oa of the head on spectra alone, where it can take them")


class ChangeFacts(_Strict):
    """What became of an entry since an older comparison."""

    entry: EntryFacts
    split: str
    before: float | None
    after: float | None
    test: Literal["bootstrap", "paired", "Welch", ""] = Field(
        description="over seeds and fields by a bootstrap; else a t-test over seeds alone, paired or Welch's"
    )
    seeds: int
    p: float | None
    p_holm: float | None = Field(description="corrected for all entries and splits whose runs are not the very same")
    verdict: str
    low: float | None = Field(None, description="ends of the 95 % interval of after less before, by the bootstrap")
    high: float | None = None
    store_before: str = Field("", description="name of the entry's store in the older comparison, where it was another")


class Mixed(_Strict):
    """What an entry learned of each plane, of seed 0 under the disjoint split."""

    entry: EntryFacts
    weights: list[MixingWeight]


class StoreCosts(_Strict):
    """What a store costs."""

    name: str
    bytes: int = Field(description="planes before compression")
    bytes_on_disk: int | None = Field(None, description="all that the store holds")
    seconds: float | None = Field(description="of extraction, where the store says it")
    devices: list[str] = Field([], description="where planes were extracted")


class Costs(_Strict):
    """What the stores cost; fitting and predicting are with the runs."""

    stores: list[StoreCosts] = []


class StorePlace(_Strict):
    """A store that was given."""

    path: str
    key: str


class Arguments(_Strict):
    """What was asked for, settled."""

    stores: list[StorePlace]
    heads: dict[str, dict[str, Any]] = Field(description="all parameters of each, besides its seed")
    inputs: list[str]
    splits: list[str]
    seeds: int = Field(description="0 to one less")
    labels: str | None = Field(description="name of the label map; null is the first")
    planes: list[str] | None = Field(description="names, where * stands for anything; null is all")
    curve: list[int]
    sweep: str | None = Field(description="the head; null is no sweep")


class Provenance(_Strict):
    """What is needed to run it again."""

    command: str = ""
    arguments: Arguments | None = None
    created: str = ""
    versions: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}


class Results(_Strict):
    """A comparison, but for its pictures."""

    schema_version: Literal[2]
    scene: SceneFacts
    class_names: dict[int, str]
    class_colours: dict[int, str]
    stores: list[StoreFacts]
    results: list[RunFacts] = Field(description="all runs, sorted by entry, split and seed")
    summary: list[SummaryFacts]
    splits: list[SplitFacts]
    pairs: list[PairFacts]
    verdicts: dict[str, str] = Field(description="a sentence a split")
    gaps: list[GapFacts] = []
    curves: list[CurvePoint]
    mixing: list[Mixed]
    sweep: SweepFacts | None
    changes: list[ChangeFacts]
    costs: Costs
    provenance: Provenance
