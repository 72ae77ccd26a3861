"""Records of scores: scores of single runs, averages over seeds, learning curves, and scores by distance."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from classifiers.comparison.results.base_records import BenchEntry, Estimate, JsonOnly, Record
from classifiers.comparison.results.plane_scores import PlaneWeight
from classifiers.metrics import METRICS
from classifiers.scene_scores import SceneScore

_SCORES = ", ".join(f"{metric.key} ({metric.description})" for metric in METRICS)


class RunResult(Record):
    """Result of a run: a head is fitted on the training pixels of a split for one seed, and scored on the test pixels.

    Scores are from 0 to 1, and times are wall-clock seconds.
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
        description="number of test pixels by true class (outer) and predicted class (inner), in the order of `confusion_classes`"
    )
    confusion_classes: Annotated[tuple[int, ...], JsonOnly()] = Field(
        description="classes of the confusion matrix: all classes that occur as true or predicted class of a test pixel"
    )
    key: Annotated[str, JsonOnly()] = Field(
        "", description="key of the run; record/predictions/KEY.npy has the predictions of test pixels"
    )
    draw: Annotated[str, JsonOnly()] = Field(
        "", description="key of the draw; record/draws/DRAW.npz has training pixels, test pixels and true classes"
    )
    distance_scores: dict[str, float] = Field(
        {},
        description="number of test pixels and OA in each range of distances to the nearest training pixel (test_pixels_0-4_px, "
        "oa_0-4_px and so on, in pixels, including the upper end), and on test pixels whose features depend on no training pixel "
        "(test_pixels_leak_free, oa_leak_free); OA is missing if there are no such test pixels",
    )
    mixing: Annotated[tuple[PlaneWeight, ...], JsonOnly()] = Field(
        (), description="learned weights of planes, for heads that mix planes"
    )
    constant: Annotated[str, JsonOnly()] = Field(
        "",
        description="why the head can't be trained: its features are constant on the training pixels; the scores are then those of the "
        "most frequent class of the training pixels; empty if the head is trained",
    )
    smoothed_oa: float | None = Field(
        None, description="OA after smoothing the class probabilities over the scene; null without --smooth"
    )
    scenes: tuple[SceneScore, ...] = Field(
        (),
        description="scores in each scene that has test pixels, in results.csv as test_pixels_in_SCENE, oa_in_SCENE and so on; "
        "empty for a single scene",
    )

    @property
    def oa(self) -> float:
        """Overall accuracy."""
        return self.scores["oa"]

    @property
    def classes(self) -> tuple[int, ...]:
        """Classes that have test pixels, in ascending order."""
        return tuple(self.pixels)


class SceneSummaryScore(Record):
    """Scores of an entry on the test pixels of one scene, averaged over the seeds under which the scene has test pixels."""

    scene: str
    seeds: int = Field(description="number of seeds under which the scene has test pixels")
    test_pixels: float = Field(description="mean over these seeds")
    scores: dict[str, Estimate] = Field(description=f"metrics over these pixels: {_SCORES}")


class EntrySummary(Record):
    """Results of an entry (a head on an input) under one split, averaged over seeds."""

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
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="confusion matrix summed over seeds, true class (outer) by predicted class (inner)"
    )
    confusion_classes: tuple[int, ...] = Field(
        description="classes of the confusion matrix: all classes that occur as true or predicted class under any seed"
    )
    smoothed_oa: Estimate | None = Field(
        None, description="OA after smoothing the class probabilities over the scene; null without --smooth"
    )
    smoothing_gain: Estimate | None = Field(
        None, description="`smoothed_oa` minus OA, paired by seed; null without --smooth"
    )
    scenes: tuple[SceneSummaryScore, ...] = Field(
        (), description="scores in each scene that has test pixels; empty for a single scene"
    )

    @property
    def oa(self) -> Estimate:
        """Overall accuracy."""
        return self.scores["oa"]


class CurvePoint(Record):
    """Point of a learning curve: accuracy of an entry trained on at most `per_class` pixels of each class."""

    entry: BenchEntry
    split: str
    per_class: int = Field(description="maximum number of training pixels of each class")
    oa: Estimate
    seeds: int
    train_pixels: float = Field(description="total number of training pixels of all classes, mean over seeds")
    constant: tuple[int, ...] = Field(
        (),
        description="seeds under which all features are constant on the training pixels; instead of the head, the most frequent "
        "class of these pixels is scored",
    )


class SplitSummary(Record):
    """Leakage of a split, and distances from its test pixels to the nearest training pixels.

    Leakage is the share of test pixels whose features depend on a training pixel. Leakage and median distance are
    averaged over seeds. The minimum distance is the smallest distance over all seeds.
    """

    split: str
    question: str = Field(
        "",
        description="question that the scores answer: fill in (labels scattered over the scene), carry over (areas without "
        "labels); empty for a split by the user's maps",
    )
    leakage: dict[str, float] = Field(
        description="share of test pixels whose features depend on a training pixel, by input and store"
    )
    footprints: dict[str, str] = Field(description="pixels that the features of an input depend on, in words")
    median_px: float | None = Field(
        description="median distance from a test pixel to the nearest training pixel; null if, for any seed, at least half of "
        "the test pixels are in scenes without training pixels"
    )
    min_px: float | None = Field(
        description="minimum distance from a test pixel to the nearest training pixel, over all seeds; null if all test pixels "
        "are in scenes without training pixels"
    )
    pixels_without_distance: float = Field(
        0.0,
        description="number of test pixels in scenes without training pixels, mean over seeds; they have no distance, and are "
        "in no range of distances",
    )
    seeds_without_distance: int = Field(0, description="number of seeds that have such test pixels")
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
    """Overall accuracy of an entry under one split, as a function of the distance to the nearest training pixel."""

    entry: BenchEntry
    split: str
    bins: tuple[DistanceScore, ...] = Field(description="scores in the distance bins of the options")
    curve: tuple[DistanceScore, ...] = Field(
        description="scores in up to 12 ranges of distances with about equally many test pixels each"
    )
    leak_free: PixelScore = Field(
        description="score on the test pixels whose features depend on no training pixel; the pixels depend on the input"
    )
