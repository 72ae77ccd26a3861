"""Label maps from files, brought onto a scene's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.blocks import blocks
from hsifeat.scenes.readers import read_raster, split_variable
from hsifeat.scenes.scene import Labels, Scene


def open_labels(source: str | Path, scene: Scene | None = None) -> Labels:  # noqa: ARG001
    """Open a label map.

    Parameters
    ----------
    source : str or Path
        A ``.mat`` or ``.npy`` file of shape (rows, cols), as ``FILE`` or, when it holds several variables,
        ``FILE:VARIABLE``. Values are whole numbers, 0 = unlabelled.
    scene : Scene, optional
        The scene whose grid the labels are wanted on.

    Returns
    -------
    Labels
        Named after the file, or after the variable when one is given.

    Raises
    ------
    SceneError
        No such file, a damaged file, several candidates, or values that are not whole numbers from 0 up.
    """
    path, variable = split_variable(source)
    values = np.asarray(read_raster(path, 2, variable).array)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating):
        values = _whole_numbers(values, source)
    return Labels(variable or path.stem, values)


def _whole_numbers(values: NDArray[np.floating], source: str | Path) -> NDArray[np.integer]:
    """Return floats as the smallest integers that hold them; `SceneError` for fractions, NaN and infinity."""
    parts = [values[block.slices] for block in blocks(*values.shape)]
    if not all((np.isfinite(part) & (part == np.floor(part))).all() for part in parts):
        raise SceneError(f"{source}: labels are whole numbers with 0 for unlabelled; found fractions or NaN")
    kinds = [np.min_scalar_type(int(end)) for end in (values.min(initial=0), values.max(initial=0))]
    return values.astype(np.result_type(*kinds))
