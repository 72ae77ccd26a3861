"""Sight: the image that the backbone is shown of a scene, its projected bands or its companion, tile by tile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.projection import Projection, fit_projection
from hsifeat.projection.default import usual_projection
from hsifeat.scenes.blocks import blocks
from hsifeat.scenes.scene import Scene
from hsifeat.store.recipe import CompanionPart
from hsifeat.types import Cube, Window

PADDINGS = ("reflect", "zero")


@dataclass(frozen=True)
class ModelInput:
    """An image that lies over a scene, with `factor` x `factor` pixels for each of the scene's.

    Attributes
    ----------
    cube : array-like of shape (factor rows, factor cols, bands)
        Sliced only where a tile lies.
    projection : Projection
        From its bands to the backbone's channels.
    valid : (rows, cols) bool array or None
        Pixels that are shown, the others are 0; None: all that are finite.
    padding : str
        What lies beyond the edge: ``reflect`` mirrors the image, ``zero`` is black: -1 where the projection clips to
        [-1, 1], which is an 8-bit image's 0, and else 0.
    factor : int
        1 for the scene's own bands.
    """

    cube: Cube
    projection: Projection
    valid: NDArray[np.bool_] | None
    padding: str = "reflect"
    factor: int = 1

    def read(self, tile: Window) -> NDArray[np.float32]:
        """Read what the model is shown of a tile.

        Parameters
        ----------
        tile : Window
            In pixels of the scene; may reach beyond it by any length.

        Returns
        -------
        (channels, factor tile rows, factor tile cols) float32 array
        """
        tile = Window(*(self.factor * n for n in (tile.row, tile.col, tile.rows, tile.cols)))
        rows, cols = int(self.cube.shape[0]), int(self.cube.shape[1])
        if self.padding == "zero":
            inside = tile.clip(rows, cols)
            black = -1 if self.projection.clip else 0
            shown = np.full((tile.rows, tile.cols, self.projection.channels), black, np.float32)
            part = Window(inside.row - tile.row, inside.col - tile.col, inside.rows, inside.cols)
            shown[part.slices] = self._project(inside)
        else:
            down, across = reflect(tile.row, tile.rows, rows), reflect(tile.col, tile.cols, cols)
            top, left = int(down.min()), int(across.min())
            inside = Window(top, left, int(down.max()) + 1 - top, int(across.max()) + 1 - left)
            shown = self._project(inside)[np.ix_(down - top, across - left)]
        return np.ascontiguousarray(shown.transpose(2, 0, 1))

    def _project(self, inside: Window) -> NDArray[np.float32]:
        block = np.asarray(self.cube[inside.slices])
        channels = self.projection.apply(block)
        shown = np.isfinite(block).all(axis=2) if self.valid is None else self.valid[inside.slices]
        channels[~shown] = 0
        return channels


def reflect(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Return the indices within [0, length) that mirror padding gives from `start` on; the edge is not repeated.

    >>> reflect(-2, 8, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if length == 1:
        return np.zeros(count, dtype=np.intp)
    period = 2 * (length - 1)
    offset = np.arange(start, start + count) % period
    return np.minimum(offset, period - offset)


def look(
    scene: Scene, backbone: Backbone, spec: str | Projection | None, *, companion: bool, padding: str
) -> ModelInput:
    """Settle what a backbone is shown.

    Parameters
    ----------
    scene : Scene
        Its bands are shown, or its companion image.
    backbone : Backbone
        Whose channels are wanted.
    spec : str, Projection or None
        As `prepare` takes it; fitted on what is shown.
    companion : bool
        Show the companion image.
    padding : str
        See `ModelInput`.

    Raises
    ------
    HsifeatError
        An unknown padding, no companion image, or a projection that does not fit.
    """
    if padding not in PADDINGS:
        raise HsifeatError(f"unknown padding {padding!r}; allowed: {', '.join(PADDINGS)}")
    shown = _companion(scene) if companion else scene
    if companion and spec in {None, "rgb"}:
        spec = _whole_range(shown, backbone)
    fitted = usual_projection(
        shown, spec, name=backbone.name, channels=backbone.channels, brought=backbone.projection_file
    )
    factor = scene.companion_factor if companion else 1
    return ModelInput(shown.cube, fitted, None if companion else scene.valid, padding, factor)


def _companion(scene: Scene) -> Scene:
    if scene.companion is None:
        raise HsifeatError(f"{scene.name} has no companion image: name one with --companion FILE")
    return Scene(f"the companion image of {scene.name}", scene.companion)


def _whole_range(image: Scene, backbone: Backbone) -> Projection:
    """Take an image's first bands: of 8 bits from 0 to 255, of others stretched from the 2nd to the 98th percentile."""
    count = backbone.channels
    if image.bands < count:
        raise HsifeatError(f"{image.name} has {image.bands} bands, but {backbone.name} takes {count} channels")
    chosen = ",".join(map(str, range(count)))
    if np.dtype(image.cube.dtype) != np.uint8:
        return fit_projection(f"bands:{chosen}", image)
    weights = np.eye(image.bands, count, dtype=np.float32) * np.float32(2 / 255)
    return Projection(f"companion:{chosen}", weights, np.full(count, -1, np.float32), clip=True)


def companion_part(sight: ModelInput) -> CompanionPart:
    """Return what a recipe says of a companion image: its content, whatever file it lies in, and its resolution."""
    dtype = np.dtype(sight.cube.dtype).newbyteorder("<")
    rows, cols, bands = map(int, sight.cube.shape)
    digest = hashlib.sha256(f"{rows},{cols},{bands},{dtype.str};".encode())
    for block in blocks(rows, cols, bands):
        digest.update(np.ascontiguousarray(sight.cube[block.slices], dtype=dtype).data)
    return CompanionPart(digest=digest.hexdigest(), factor=sight.factor, finer="mean")
