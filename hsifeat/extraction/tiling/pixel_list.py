"""The pixels that are each to be seen in a window of their own, as a user names them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import HsifeatError, nearest
from hsifeat.scenes import Labels, Scene
from hsifeat.store.recipe import PixelsPart

PixelsLike = str | Labels | tuple[ArrayLike, ArrayLike] | ArrayLike


@dataclass(frozen=True, eq=False)
class Pixels:
    """Valid pixels of a scene in row-major order, each once.

    Attributes
    ----------
    rows, cols : (n,) integer arrays
        Where they lie.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    @property
    def part(self) -> PixelsPart:
        """What a recipe says of them."""
        places = np.stack([self.rows, self.cols]).astype("<i8")
        return PixelsPart(count=len(self.rows), digest=hashlib.sha256(places.tobytes()).hexdigest())


def list_pixels(asked: PixelsLike, scene: Scene) -> Pixels:
    """Find the pixels that are asked for.

    Parameters
    ----------
    asked : str, Labels, tuple of two arrays, or (n, 2) integer array
        A label map or the name of one of the scene's: its labelled pixels that are valid. Or rows and columns.
    scene : Scene
        Where they lie.

    Returns
    -------
    Pixels
        In row-major order, whatever order they were given in, so that the same pixels always have the same key.

    Raises
    ------
    HsifeatError
        No such label map, no pixel, or pixels that are no whole numbers, lie outside or hold nothing.
    """
    if isinstance(asked, str):
        asked = _label_map(asked, scene)
    if isinstance(asked, Labels):
        scene.with_labels(asked)
        rows, cols = np.nonzero((asked.classes != 0) & scene.valid)
        if not len(rows):
            raise HsifeatError(f"the labels {asked.name!r} have no labelled pixel that holds something")
        return Pixels(rows, cols)
    places = _places(asked)
    inside = ((places >= 0) & (places < (scene.rows, scene.cols))).all(axis=1)
    if not inside.all():
        row, col = places[np.argmin(inside)]
        raise HsifeatError(f"pixel ({row}, {col}) lies outside the scene of {scene.rows} x {scene.cols}")
    places = np.unique(places, axis=0)
    rows, cols = (np.ascontiguousarray(axis, np.intp) for axis in places.T)
    valid = scene.valid[rows, cols]
    if not valid.all():
        row, col = places[np.argmin(valid)]
        raise HsifeatError(f"pixel ({row}, {col}) of {scene.name} holds nothing: name valid pixels only")
    return Pixels(rows, cols)


def _label_map(name: str, scene: Scene) -> Labels:
    if name not in scene.labels:
        there = nearest(name, scene.labels) if scene.labels else "it has none: attach some with --labels FILE"
        raise HsifeatError(f"{scene.name} has no labels {name!r} whose pixels could be taken; {there}")
    return scene.labels[name]


def _places(asked: Any) -> NDArray[np.int64]:
    """Return rows and columns as an (n, 2) array."""
    wanted = "pixels are the name of a label map, a tuple of rows and columns, or an (n, 2) array of whole numbers"
    try:
        if isinstance(asked, tuple) and len(asked) == 2:
            places = np.stack([np.atleast_1d(axis) for axis in asked], axis=1)
        else:
            places = np.asarray(asked)
    except ValueError as error:
        raise HsifeatError(f"{wanted}; found rows and columns of different lengths") from error
    if places.size == 0:
        raise HsifeatError("no pixel asked for")
    if places.ndim != 2 or places.shape[1] != 2 or not np.issubdtype(places.dtype, np.integer):
        raise HsifeatError(f"{wanted}; found {places.dtype} of shape {places.shape}")
    return places.astype(np.int64)
