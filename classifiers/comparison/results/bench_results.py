"""Data model of ``results.json``: the results of a benchmark, with its scene, stores and provenance.

The fields of the data model, including nested records, define the JSON schema, the columns of ``results.csv``, the
summary over seeds and the tables of the report.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from classifiers.comparison.config import BenchConfig
from classifiers.comparison.results.base_records import Record
from classifiers.comparison.results.differences import ContrastTest, EntryChange, EntryPair, MissingContrast, SplitGap
from classifiers.comparison.results.plane_scores import EntryWeights, SweepResult
from classifiers.comparison.results.scores import CurvePoint, EntryDistances, EntrySummary, RunResult, SplitSummary

SCHEMA_VERSION: Literal[1] = 1


class SceneSummary(Record):
    """Scene and label map of a benchmark."""

    name: str
    rows: int = Field(
        description="number of rows; of several scenes, the sum of their rows, whereas flat indices of pixels also count the 1,024 empty rows between two scenes"
    )
    cols: int = Field(description="number of columns; of several scenes, those of the widest")
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
        """Size of all planes before compression, in bytes."""
        return sum(plane.size_bytes for plane in self.planes)


class Provenance(Record):
    """Command, options, versions and machine of a benchmark."""

    command: str = ""
    config: BenchConfig | None = None
    head_parameters: dict[str, dict[str, Any]] = Field(
        {}, description="parameters of each head, except its seed and layout"
    )
    created: str = Field("", description="time of creation, UTC in ISO 8601")
    versions: dict[str, str] = Field({}, description="versions of Python and of the packages")
    machine: dict[str, str | int | None] = Field({}, description="operating system, processor and number of cores")


class BenchResults(Record):
    """Results of a benchmark, as in ``results.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    scene: SceneSummary = Field(description="the scene, or the joint grid of several scenes")
    scenes: tuple[SceneSummary, ...] = Field((), description="each of several scenes; empty for a single scene")
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
    seal: str = Field(
        "", description="sha256 of the other fields, to detect a damaged file; remove it if you edit the file"
    )
