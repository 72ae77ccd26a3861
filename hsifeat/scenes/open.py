"""From what a user types to a scene or a label map: a registry name, or a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError, nearest
from hsifeat.scenes.blocks import blocks
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.scene import Labels, Scene


def open_scene(source: str | Path, *, variable: str | None = None, labels: str | Path | None = None) -> Scene:
    """Open a scene by registry name or path.

    Parameters
    ----------
    source : str or Path
        A registry name such as ``indian-pines``, or a ``.mat`` or ``.npy`` file of shape (rows, cols, bands).
    variable : str, optional
        The variable to take from a file that holds several. By default there must be a single candidate.
    labels : str or Path, optional
        A label map as `open_labels` takes it, attached under the name of its file.

    Returns
    -------
    Scene

    Raises
    ------
    SceneError
        No such name or file, a damaged file, several candidates, or labels of another shape.

    Examples
    --------
    >>> open_scene("indian-pines").cube.shape
    (145, 145, 200)
    """
    entry = REGISTRY.get(str(source))
    if entry is not None:
        if variable is not None:
            raise SceneError(f"{entry.name} is a scene of the registry and has no variables; leave out {variable!r}")
        scene = entry.load(entry)
    else:
        scene = _from_file(Path(source), variable)
    return scene if labels is None else scene.with_labels(open_labels(labels))


def open_labels(source: str | Path) -> Labels:
    """Open a label map.

    Parameters
    ----------
    source : str or Path
        A ``.mat`` or ``.npy`` file of shape (rows, cols), as ``FILE`` or, when it holds several variables,
        ``FILE:VARIABLE``. Values are whole numbers, 0 = unlabelled.

    Returns
    -------
    Labels
        Named after the file, or after the variable when one is given.

    Raises
    ------
    SceneError
        No such file, a damaged file, several candidates, or values that are not whole numbers from 0 up.
    """
    path, variable = Path(source), None
    if not path.exists() and ":" in str(source):
        head, _, variable = str(source).rpartition(":")
        path = Path(head)
    values = np.asarray(read_raster(path, 2, variable).array)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating):
        values = _whole_numbers(values, source)
    return Labels(variable or path.stem, values)


def _from_file(path: Path, variable: str | None) -> Scene:
    if not path.exists() and path.suffix == "":
        raise SceneError(f"no scene or file named {str(path)!r}; scenes: {nearest(str(path), REGISTRY)}")
    raster = read_raster(path, 3, variable)
    return Scene(path.stem, raster.array, raster.wavelengths_nm, notes=raster.notes)


def _whole_numbers(values: NDArray[np.floating], source: str | Path) -> NDArray[np.integer]:
    """Return floats as the smallest integers that hold them; `SceneError` for fractions, NaN and infinity."""
    parts = [values[block.slices] for block in blocks(*values.shape)]
    if not all((np.isfinite(part) & (part == np.floor(part))).all() for part in parts):
        raise SceneError(f"{source}: labels are whole numbers with 0 for unlabelled; found fractions or NaN")
    kinds = [np.min_scalar_type(int(end)) for end in (values.min(initial=0), values.max(initial=0))]
    return values.astype(np.result_type(*kinds))
