"""The image that the model sees of a scene, its projected bands or its projected companion image, read tile by tile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import Padding
from hsifeat.projection import ProjectedScene, Projection, fit_projection
from hsifeat.projection.default import default_projection
from hsifeat.projection.image import ArrayImage, SpectralImage
from hsifeat.scenes.blocks import blocks
from hsifeat.scenes.scene import Scene
from hsifeat.scenes.valid_pixels import valid_pixels
from hsifeat.store.recipe import CompanionPart
from hsifeat.types import Cube, Window


@dataclass(frozen=True)
class ModelInput:
    """An image on the grid of a scene, with `factor` x `factor` pixels per scene pixel, behind a projection.

    Attributes
    ----------
    cube : array-like of shape (factor * rows, factor * cols, bands)
        Values; only tiles are read.
    projection : Projection
        From its bands to the channels of the backbone.
    valid : (rows, cols) bool array or None
        Pixels that keep their channels, all others are 0. None keeps those that are finite.
    padding : {"reflect", "zero"}
        How the image continues beyond its edge: mirrored, or black. Black is -1 if the projection clips to [-1, 1], where
        it is the 0 of an 8-bit image, else 0.
    factor : int
        1 for the scene's own bands.
    """

    cube: Cube
    projection: Projection
    valid: NDArray[np.bool_] | None
    padding: Padding = "reflect"
    factor: int = 1

    @cached_property
    def _channels(self) -> ProjectedScene:
        return ProjectedScene(self.cube, self.projection, self.valid)

    def read(self, tile: Window) -> NDArray[np.float32]:
        """Read the model's input for a tile.

        Parameters
        ----------
        tile : Window
            In scene pixels; it may reach beyond the scene by any length.

        Returns
        -------
        (channels, factor * tile rows, factor * tile cols) float32 array
        """
        tile = Window(*(self.factor * n for n in (tile.row, tile.col, tile.rows, tile.cols)))
        rows, cols = int(self.cube.shape[0]), int(self.cube.shape[1])
        if self.padding == "zero":
            inside = tile.clip(rows, cols)
            black = -1 if self.projection.clip else 0
            channels = np.full((tile.rows, tile.cols, self.projection.channels), black, np.float32)
            part = Window(inside.row - tile.row, inside.col - tile.col, inside.rows, inside.cols)
            channels[part.slices] = self._channels[inside.slices]
        else:
            row_indices, col_indices = (
                mirror_indices(tile.row, tile.rows, rows),
                mirror_indices(tile.col, tile.cols, cols),
            )
            top, left = int(row_indices.min()), int(col_indices.min())
            inside = Window(top, left, int(row_indices.max()) + 1 - top, int(col_indices.max()) + 1 - left)
            channels = self._channels[inside.slices][np.ix_(row_indices - top, col_indices - left)]
        return np.ascontiguousarray(channels.transpose(2, 0, 1))

    def image(self) -> SpectralImage:
        """Return the image before the projection, with its valid pixels."""
        valid = valid_pixels(self.cube) if self.valid is None else self.valid
        return ArrayImage("the model's input", self.cube, valid)

    def companion_part(self) -> CompanionPart:
        """Return what a recipe records of a companion image: a digest of its values, and its resolution."""
        dtype = np.dtype(self.cube.dtype).newbyteorder("<")
        rows, cols, bands = map(int, self.cube.shape)
        digest = hashlib.sha256(f"{rows},{cols},{bands},{dtype.str};".encode())
        for block in blocks(rows, cols, bands):
            digest.update(np.ascontiguousarray(self.cube[block.slices], dtype=dtype).data)
        return CompanionPart(digest=digest.hexdigest(), factor=self.factor, finer="mean")


def mirror_indices(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Return indices of reflection padding that does not repeat the edge, as ``np.pad`` with ``mode="reflect"``.

    Parameters
    ----------
    start : int
        First position, possibly negative.
    count : int
        Number of positions.
    length : int
        Length of the axis.

    Returns
    -------
    (count,) intp array
        Indices in [0, length).

    Examples
    --------
    >>> mirror_indices(-2, 8, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if length == 1:
        return np.zeros(count, dtype=np.intp)
    period = 2 * (length - 1)
    offset = np.arange(start, start + count) % period
    return np.minimum(offset, period - offset)


def make_model_input(
    scene: Scene, backbone: Backbone, projection: str | Projection | None, *, companion: bool, padding: Padding
) -> ModelInput:
    """Make the input of a backbone from a scene, and fit its projection.

    Parameters
    ----------
    scene : Scene
        The scene.
    backbone : Backbone
        The backbone, whose channels the projection must give.
    projection : str, Projection or None
        As `fit_projection` takes it, or a fitted projection. [default: see `default_projection`; the first bands of a
        companion image]
    companion : bool
        Use the scene's companion image instead of its bands.
    padding : {"reflect", "zero"}
        See `ModelInput`.

    Raises
    ------
    HsifeatError
        No companion image, or a projection that does not fit.
    """
    image = _companion_image(scene) if companion else scene
    if companion and projection in {None, "rgb"}:
        projection = _first_bands(image, backbone)
    fitted = default_projection(
        image,
        projection,
        backbone=backbone.name,
        channels=backbone.channels,
        projection_file=backbone.projection_file,
    )
    factor = scene.companion_factor if companion else 1
    return ModelInput(image.cube, fitted, None if companion else scene.valid, padding, factor)


def _companion_image(scene: Scene) -> SpectralImage:
    if scene.companion is None:
        raise HsifeatError(f"{scene.name} has no companion image: name one with --companion FILE")
    return ArrayImage(f"the companion image of {scene.name}", scene.companion, valid_pixels(scene.companion))


def _first_bands(image: SpectralImage, backbone: Backbone) -> Projection:
    """Project an image's first bands: 8-bit values from 0-255 to [-1, 1], others by their 2nd and 98th percentiles."""
    count = backbone.channels
    if image.bands < count:
        raise HsifeatError(f"{image.name} has {image.bands} bands, but {backbone.name} takes {count} channels")
    bands = ",".join(map(str, range(count)))
    if np.dtype(image.cube.dtype) != np.uint8:
        return fit_projection(f"bands:{bands}", image)
    weights = np.eye(image.bands, count, dtype=np.float32) * np.float32(2 / 255)
    return Projection(f"companion:{bands}", weights, np.full(count, -1, np.float32), clip=True)
