"""A finished benchmark with its images, as `compare` returns it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, InstanceOf

from classifiers.comparison.results.model import BenchEntry, BenchResults
from classifiers.comparison.results.results_io import to_frame
from classifiers.comparison.results.summary_frame import to_html
from hsifeat.scenes.georeference import Georeference

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ClusterPanel:
    """A plane drawn by k-means.

    Attributes
    ----------
    t, layer : int, str
        The plane.
    clusters : (rows, cols) uint8 array
        Cluster of each cell, from 1, at the plane's own resolution; 0 = no data.
    """

    t: int
    layer: str
    clusters: NDArray[np.uint8]


@dataclass(frozen=True)
class BenchImages:
    """The images of a benchmark, all but the panels on the scene's grid of rows x cols.

    Attributes
    ----------
    truth : (rows, cols) integer array
        Labels, 0 = unlabelled.
    false_colour : (rows, cols, 3) uint8 array
        The scene in false colour.
    splits : dict of str to (rows, cols) uint8 array
        For each split, the pixels of seed 0: 0 = unlabelled, 1 = train, 2 = test, 3 = labelled but unused.
    maps : dict of (BenchEntry, str) to (rows, cols) integer array
        Predicted class of every pixel with seed 0, by entry and split; may be memory-mapped.
    confidence : dict of (BenchEntry, str) to (rows, cols) uint8 array
        Largest class probability of every pixel, scaled to 0..255, for heads that predict probabilities; may be
        memory-mapped.
    panels : tuple of ClusterPanel
        Planes clustered by k-means.
    """

    truth: NDArray[np.integer]
    false_colour: NDArray[np.uint8]
    splits: dict[str, NDArray[np.uint8]]
    maps: dict[tuple[BenchEntry, str], NDArray[np.integer]]
    confidence: dict[tuple[BenchEntry, str], NDArray[np.uint8]] = field(default_factory=dict)
    panels: tuple[ClusterPanel, ...] = ()


class Comparison(BenchResults):
    """A finished benchmark: its results, its images and where the scene lies.

    Attributes
    ----------
    images : BenchImages
        Maps and other images; not part of ``results.json``.
    georeference : Georeference or None
        Coordinate reference system and transform of the scene, if known.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    images: InstanceOf[BenchImages] = Field(exclude=True, repr=False)
    georeference: InstanceOf[Georeference] | None = Field(None, exclude=True, repr=False)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per run, as in ``results.csv``."""
        return to_frame(self)

    def _repr_html_(self) -> str:
        """Show the summary in a notebook."""
        return to_html(self)
