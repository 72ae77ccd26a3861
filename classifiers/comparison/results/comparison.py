"""Results and images of a finished benchmark, as returned by `compare`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, InstanceOf

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.results_io import to_frame
from classifiers.comparison.results.summary_frame import to_html
from hsifeat.scenes.georeference import Georeference
from hsifeat.types import Window

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ClusterPanel:
    """K-means clusters of a plane (features of one timestep and layer).

    Attributes
    ----------
    t : int
        Timestep of the plane.
    layer : str
        Layer of the plane.
    clusters : (rows, cols) uint8 array
        Cluster of each cell of the plane, from 1; 0 = no data.
    """

    t: int
    layer: str
    clusters: NDArray[np.uint8]


@dataclass(frozen=True)
class SceneImage:
    """Place of a scene in the images of a benchmark.

    Attributes
    ----------
    name : str
        Name of the scene.
    place : Window
        Window of the images that shows the scene.
    georeference : Georeference or None
        Coordinate reference system and transform of the scene, or None if unknown.
    """

    name: str
    place: Window
    georeference: Georeference | None


@dataclass(frozen=True)
class BenchImages:
    """Images of a benchmark.

    The arrays are on the grid of the scene or, for several scenes, on a grid that contains all of them. Arrays in
    `panels` are on the grids of their planes.

    Attributes
    ----------
    truth : (rows, cols) integer array
        Class of each labelled pixel; 0 = unlabelled.
    false_colour : (rows, cols, 3) uint8 array
        The scene in false colour.
    splits : dict of str to (rows, cols) uint8 array
        For each split, the role of each pixel in the draw of seed 0: 0 = unlabelled, 1 = train, 2 = test,
        3 = labelled but unused.
    maps : dict of (BenchEntry, str) to (rows, cols) integer array
        For each entry and split, the class that the run of seed 0 predicts for each pixel. The array may be memory-mapped.
    confidence : dict of (BenchEntry, str) to (rows, cols) uint8 array
        For each entry and split, the largest class probability of each pixel in the run of seed 0, scaled to 0..255. The
        array may be memory-mapped. Entries whose heads have no probabilities are missing.
    panels : tuple of ClusterPanel
        K-means clusters of planes of the first scene.
    scenes : tuple of SceneImage
        Place of each scene in the images. For a single scene, the tuple may be empty.
    """

    truth: NDArray[np.integer]
    false_colour: NDArray[np.uint8]
    splits: dict[str, NDArray[np.uint8]]
    maps: dict[tuple[BenchEntry, str], NDArray[np.integer]]
    confidence: dict[tuple[BenchEntry, str], NDArray[np.uint8]] = field(default_factory=dict)
    panels: tuple[ClusterPanel, ...] = ()
    scenes: tuple[SceneImage, ...] = ()


class Comparison(BenchResults):
    """Results of a finished benchmark, with images and georeference.

    Attributes
    ----------
    draw_images : callable
        Function that draws the images. It is called when `images` is accessed for the first time.
    inputs : str
        Digest of the inputs of the benchmark, see `classifiers.comparison.report.report_record.digest_inputs`; empty if
        unknown.
    georeference : Georeference or None
        Coordinate reference system and transform of the scene. None if they are unknown or there are several scenes.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    draw_images: Callable[[], BenchImages] = Field(exclude=True, repr=False)
    inputs: str = Field("", exclude=True, repr=False)
    georeference: InstanceOf[Georeference] | None = Field(None, exclude=True, repr=False)

    @cached_property
    def images(self) -> BenchImages:
        """Maps and other images, which ``results.json`` does not contain."""
        return self.draw_images()

    @property
    def frame(self) -> pd.DataFrame:
        """Data frame with one row per run, as in ``results.csv``. Each access makes a new one."""
        return to_frame(self)

    def _repr_html_(self) -> str:
        return to_html(self)
