"""Input image of the model: the projected bands of a scene or of its companion image, read tile by tile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import Padding
from hsifeat.formatting import format_count
from hsifeat.projection import ProjectedScene, Projection, fit_projection
from hsifeat.projection.default import default_projection
from hsifeat.projection.image import ArrayImage, SpectralImage
from hsifeat.scenes.band_matching import colour_name
from hsifeat.scenes.scene import Scene
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.scenes.valid_pixels import valid_pixels
from hsifeat.store.recipe import CompanionPart
from hsifeat.types import Cube, Window, plain_values


@dataclass(frozen=True)
class ModelInput:
    """Projected image that is the input of the model, with `factor` x `factor` pixels per scene pixel.

    Attributes
    ----------
    cube : array-like of shape (factor * rows, factor * cols, bands)
        Image before the projection. Only one tile is read at a time.
    projection : Projection
        Projection from the bands of the image to the input channels of the backbone.
    valid : (factor * rows, factor * cols) bool array or None
        Valid pixels of the image; all channels of other pixels are 0. None treats finite pixels as valid.
    padding : {"reflect", "zero"}
        Padding of the image beyond its edge. If the projection clips channels to [-1, 1], ``zero`` pads with -1, which
        corresponds to the value 0 of an 8-bit image. Otherwise ``zero`` pads with 0.
    factor : int
        Side of a scene pixel in pixels of the image; 1 if the image is not a companion image.
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
        """Read the projected image in a tile.

        Parameters
        ----------
        tile : Window
            Tile in scene pixels. It may reach beyond the scene by any number of pixels.

        Returns
        -------
        (channels, factor * tile rows, factor * tile cols) float32 array
            Channels of the tile. Pixels beyond the edge of the scene are padded; see `ModelInput`.
        """
        tile = Window(*(self.factor * n for n in (tile.row, tile.col, tile.rows, tile.cols)))
        rows, cols = int(self.cube.shape[0]), int(self.cube.shape[1])
        if self.padding == "zero":
            inside = tile.clip(rows, cols)
            black = self.projection.black
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
        """Return the image before the projection."""
        valid = valid_pixels(self.cube).mask if self.valid is None else self.valid
        return ArrayImage("the model's input", self.cube, valid)

    def companion_part(self) -> CompanionPart:
        """Return the recipe fields of a companion image: the digest of its values and valid pixels, and its resolution."""
        dtype = np.dtype(self.cube.dtype).newbyteorder("<")
        rows, cols, bands = map(int, self.cube.shape)
        digest = hashlib.sha256(f"{rows},{cols},{bands},{dtype.str};".encode())
        for block in blocks(rows, cols, bands):
            digest.update(np.ascontiguousarray(plain_values(self.cube[block.slices]), dtype=dtype).data)
        if self.valid is not None:
            digest.update(np.packbits(self.valid).data)
        return CompanionPart(digest=digest.hexdigest(), factor=self.factor, finer="mean")


def mirror_indices(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Return the indices of consecutive positions on an axis that is padded by reflection.

    The padding is that of ``np.pad`` with ``mode="reflect"``, which does not repeat the edge.

    Parameters
    ----------
    start : int
        First position; negative positions lie before the axis.
    count : int
        Number of positions.
    length : int
        Length of the axis without padding.

    Returns
    -------
    (count,) intp array
        Indices from 0 to ``length - 1``.

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
    """Return the input image of a backbone for a scene, with a fitted projection.

    Parameters
    ----------
    scene : Scene
        The scene.
    backbone : Backbone
        The diffusion model. The projection must give as many channels as the model has input channels.
    projection : str, Projection or None
        A fitted projection, or a text that `fit_projection` accepts. None selects the projection that
        `default_projection` returns. For a companion image, None and ``"rgb"`` select the first N bands, where N is the
        number of channels of the model.
    companion : bool
        Whether to use the companion image of the scene instead of the bands of the scene.
    padding : {"reflect", "zero"}
        Padding of the image beyond its edge; see `ModelInput`.

    Returns
    -------
    ModelInput
        The input image, which is read tile by tile.

    Raises
    ------
    HsifeatError
        If `companion` is True and the scene has no companion image. If the projection does not fit the image or the backbone.
    """
    image = _companion_image(scene) if companion else scene
    if companion and projection in {None, "rgb"}:
        first = _first_bands(image, backbone)
        projection = replace(first, notes=(*first.notes, *_colour_notes(scene, first.channels)))
    fitted = default_projection(
        image,
        projection,
        backbone=backbone.name,
        channels=backbone.channels,
        projection_file=backbone.projection_file,
    )
    factor = scene.companion_factor if companion else 1
    return ModelInput(image.cube, fitted, _companion_mask(scene) if companion else scene.valid, padding, factor)


def _companion_image(scene: Scene) -> SpectralImage:
    if scene.companion is None:
        raise HsifeatError(f"{scene.name} has no companion image: name one with `companion=FILE`")
    return ArrayImage(
        f"the companion image of {scene.name}",
        scene.companion,
        valid_pixels(scene.companion, scene.companion_nodata).mask,
    )


def _colour_notes(scene: Scene, channels: int) -> tuple[str, ...]:
    """Return a note if the first three channels of a companion image are colours, but not red, green and blue."""
    names = [colour_name(name) for name in scene.companion_names[:channels]]
    if channels != 3 or names == ["red", "green", "blue"] or not {"red", "green", "blue"} & {*names}:
        return ()
    note = (
        f"{scene.name}: the first channels of its companion image are {', '.join(names)}, and the model takes them as red, green and blue; "
        "bands:i,j,k as `projection` selects other channels"
    )
    return (note,)


def _companion_mask(scene: Scene) -> NDArray[np.bool_] | None:
    """Return the mask of the companion image's pixels with data, or None if the image has no no-data value."""
    if scene.companion is None or not scene.companion_nodata:
        return None
    return valid_pixels(scene.companion, scene.companion_nodata, blank_pixels="keep").mask


def _first_bands(image: SpectralImage, backbone: Backbone) -> Projection:
    """Return a projection to the first bands of an image, scaled to [-1, 1].

    Values of 8-bit images are scaled from 0-255, and other values from their 2nd and 98th percentiles.
    """
    count = backbone.channels
    if image.bands < count:
        raise HsifeatError(
            f"{image.name} has {format_count(image.bands, 'band')}, but {backbone.name} takes {format_count(count, 'channel')}"
        )
    bands = ",".join(map(str, range(count)))
    if np.dtype(image.cube.dtype) != np.uint8:
        return fit_projection(f"bands:{bands}", image)
    weights = np.eye(image.bands, count, dtype=np.float32) * np.float32(2 / 255)
    return Projection(f"companion:{bands}", weights, np.full(count, -1, np.float32), clip=True)
