"""Records of planes: the weights that heads learn for planes, and the accuracy of heads on one plane or on selected planes."""

from __future__ import annotations

from pydantic import Field

from classifiers.comparison.results.base_records import BenchEntry, Estimate, Record
from classifiers.reduction import Reduction
from hsifeat.types import PlaneId


class PlaneWeight(Record):
    """Weight that a head learned for a plane."""

    t: int | None
    layer: str
    weight: float


class EntryWeights(Record):
    """Weights that the head of an entry learned for planes.

    The head was fitted with seed 0 under the first disjoint split.
    """

    entry: BenchEntry
    weights: tuple[PlaneWeight, ...]


class PlaneScore(Record):
    """Accuracy of a head on one plane, and the size and extraction time of the plane."""

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
    """Result of a sweep: the accuracy of a head on each single plane of a store, and on the best planes together."""

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
    reduction: Reduction | None = Field(
        None,
        description="pixels to which the head fits its reduction of columns: a sample of all pixels of the scene without their "
        "labels (scene), or the training pixels (train)",
    )
    constant: tuple[str, ...] = Field(
        (),
        description="planes, or spectra, whose values are constant on the training pixels of at least one seed; instead of the "
        "head, the most frequent class of these pixels is scored",
    )
