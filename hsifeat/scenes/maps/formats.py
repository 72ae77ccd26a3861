"""Maps and probabilities into files: the suffix says the format, and what can't be written is refused before any work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.blocks import count_values
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.maps import arrays, geotiff
from hsifeat.scenes.maps import map_image as picture
from hsifeat.scenes.maps.legend import Legend
from hsifeat.types import Window

_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".mat")
# A palette of 16 bits.
_MOST_CLASS = 2**16 - 1
# A variable of MATLAB's format 5 is smaller than this.
_MAT_BYTES = 2**31


def check_map_path(path: Path, *, probabilities: bool = False) -> None:
    """Raise `SceneError` unless a map, or `probabilities`, can be written to `path`: before work is spent on it."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise SceneError(f"a map is written as .tif, .png, .npy or .mat; found {path.name!r}")
    if probabilities and suffix == ".png":
        raise SceneError(
            f"a PNG shows one class a pixel and no probabilities: write .tif, .npy or .mat; found {path.name!r}"
        )
    if path.is_dir():
        raise SceneError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise SceneError(f"no such folder: {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise SceneError(f"nothing can be written in {path.parent}: name a file in a folder of yours")


def check_map_fits(path: Path, shape: tuple[int, int], legend: Legend, *, probabilities: bool = False) -> None:
    """Raise `SceneError` where the format or the disk can't hold a map of this shape (rows, cols) or of these classes."""
    suffix, most = path.suffix.lower(), max(legend.numbers, default=0)
    if suffix in {".tif", ".tiff", ".png"} and most > _MOST_CLASS and not probabilities:
        raise SceneError(f"a palette has room for classes up to {_MOST_CLASS}; found {most}: write .npy or .mat")
    pixel_bytes = 4 * len(legend.numbers) if probabilities else np.min_scalar_type(most).itemsize
    size = shape[0] * shape[1] * pixel_bytes
    if suffix == ".mat" and size >= _MAT_BYTES:
        raise SceneError(
            f"{path.name}: {shape[0]} x {shape[1]} pixels of {pixel_bytes} bytes are {size / 2**30:.1f} GiB, and a variable "
            f"of a .mat file is smaller than {_MAT_BYTES / 2**30:g} GiB: write .tif or .npy"
        )
    free = shutil.disk_usage(path.parent).free
    if probabilities and suffix != ".mat" and size > free:
        raise SceneError(
            f"the probabilities of {shape[0]} x {shape[1]} pixels and {len(legend.numbers)} classes take {size / 2**30:.1f} "
            f"GiB while they are written, and {path.parent} has {free / 2**30:.1f} GiB free: free some space, or map classes"
        )


def write_map(
    path: Path, classes: NDArray[np.integer], legend: Legend, georeference: Georeference | None = None
) -> tuple[str, ...]:
    """Write a map of classes; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        ``.tif``: cloud-optimised GeoTIFF, uint8 or uint16, with a palette, nodata 0 and, in ``.tif.aux.xml`` beside it, the
        classes' names. ``.png``: a picture with a legend. ``.npy``: the class numbers. ``.mat``: `map`, `class_numbers`,
        `class_names`, `class_colours`.
    classes : (rows, cols) integer array
        Class of each pixel, 0 = no data.
    legend : Legend
        All classes that occur.
    georeference : Georeference, optional
        Where the map lies; only a GeoTIFF can say it.

    Returns
    -------
    tuple of str
        What a reader of the file should know.

    Raises
    ------
    SceneError
        As `check_map_path` and `check_map_fits` tell; a class that the legend lacks.
    """
    check_map_path(path)
    check_map_fits(path, (classes.shape[0], classes.shape[1]), legend)
    if unnamed := sorted(set(count_values(classes)) - {0, *legend.numbers}):
        raise SceneError(f"the map holds classes that its legend lacks: {', '.join(map(str, unnamed[:12]))}")
    match path.suffix.lower():
        case ".png":
            return picture.write_map(path, classes, legend)
        case ".npy":
            arrays.write_npy(path, classes)
        case ".mat":
            arrays.write_mat(path, "map", classes, legend)
        case _:
            geotiff.write_map(path, classes, legend, georeference)
            return _lost(path, georeference)
    return ()


def write_probabilities(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[np.float32]]],
    shape: tuple[int, int],
    legend: Legend,
    georeference: Georeference | None = None,
) -> tuple[str, ...]:
    """Write probabilities block by block; memory does not grow with the scene, except for ``.mat``.

    Parameters
    ----------
    path : Path
        ``.tif``: cloud-optimised GeoTIFF, float32, one band a class with the class's name, nodata NaN. ``.npy``:
        (rows, cols, classes) float32. ``.mat``: `probabilities`, the same array, and the legend as `write_map` has it.
    blocks : iterable of (Window, (rows, cols, classes) float32 array)
        Windows that cover the scene, each with its probabilities, NaN = no data.
    shape : tuple of int
        Rows and columns of the scene.
    legend, georeference
        As `write_map` takes them.

    Returns
    -------
    tuple of str
        What a reader of the file should know.

    Raises
    ------
    SceneError
        As `check_map_path` and `check_map_fits` tell.
    """
    check_map_path(path, probabilities=True)
    check_map_fits(path, shape, legend, probabilities=True)
    whole_shape = (*shape, len(legend.numbers))
    match path.suffix.lower():
        case ".npy":
            arrays.write_npy_blocks(path, blocks, whole_shape)
        case ".mat":
            values = np.full(whole_shape, np.nan, np.float32)
            for window, block in blocks:
                values[window.slices] = block
            arrays.write_mat(path, "probabilities", values, legend)
        case _:
            geotiff.write_probabilities(path, blocks, shape, legend, georeference)
            return _lost(path, georeference)
    return ()


def _lost(path: Path, georeference: Georeference | None) -> tuple[str, ...]:
    if georeference is None:
        return (f"the scene does not say where it lies, so {path.name} has neither CRS nor transform",)
    if georeference.crs is None:
        return (f"the scene has a transform but no CRS, and so has {path.name}",)
    if not geotiff.holds_crs(path, georeference):
        return (f"{path.name} can't hold the scene's CRS, {georeference.crs_name}: assign it where you use the map",)
    return ()
