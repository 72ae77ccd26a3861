"""Random pixels of scenes, whether labelled or not. The reduction of column groups can be fitted on these pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import read_columns
from classifiers.layout import Layout
from classifiers.reduction import SAMPLE_PIXELS
from hsifeat.features.features import Features


@dataclass(frozen=True, eq=False)
class SceneSample:
    """Random pixels of one or several scenes, whether labelled or not. Labels are not kept.

    Attributes
    ----------
    X : (m, width) float32 array
        Values of the pixels in the columns of a table.
    scene : (m,) intp array
        Index of the scene of each pixel.
    """

    X: NDArray[np.float32]
    scene: NDArray[np.intp]

    @classmethod
    def draw(cls, features: Features, layout: Layout, *, limit: int = SAMPLE_PIXELS, seed: int = 0) -> SceneSample:
        """Draw random pixels of a scene. Only pixels with a value in every column of `layout` are drawn.

        Parameters
        ----------
        features : Features
            Store or stores of the scene.
        layout : Layout
            Columns to read.
        limit : int
            Maximum number of pixels. If fewer pixels can be drawn, all of them are drawn.
        seed : int
            Seed of the draw.
        """
        rows, cols = np.nonzero(readable_pixels(features, layout))
        if len(rows) > limit:
            drawn = np.sort(np.random.default_rng([seed, 5]).choice(len(rows), limit, replace=False))
            rows, cols = rows[drawn], cols[drawn]
        return cls(read_columns(features, layout, rows, cols, keep=True), np.zeros(len(rows), np.intp))

    @classmethod
    def concatenate(cls, samples: list[SceneSample]) -> SceneSample:
        """Join the samples of several scenes."""
        return cls(
            np.concatenate([sample.X for sample in samples]),
            np.repeat(np.arange(len(samples)), [len(sample.X) for sample in samples]),
        )

    def select_columns(self, columns: NDArray[np.intp]) -> SceneSample:
        """Return a copy of the sample with only some columns. `columns` is a (k,) intp array of column indices."""
        return SceneSample(np.ascontiguousarray(self.X[:, columns]), self.scene)

    def of_scenes(self, scenes: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the values of the sampled pixels of some scenes, as a (k, width) float32 array.

        `scenes` has the indices of the scenes. No test scene may be among them, because heads are fitted on the values.
        """
        return self.X[np.isin(self.scene, scenes)]


def readable_pixels(features: Features, layout: Layout) -> NDArray[np.bool_]:
    """Return a (rows, cols) bool mask of the pixels that have a value in every column of a layout."""
    return features.readable if layout.stored else features.valid
