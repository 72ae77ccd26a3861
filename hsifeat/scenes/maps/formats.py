"""Writers of class maps and probabilities, and checks before writing. The suffix of a file selects its format."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import check_output, check_replaced, check_utf8
from hsifeat.formatting import SOFTWARE
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.maps import arrays, geotiff_writer, map_image
from hsifeat.scenes.maps.legend import Legend
from hsifeat.scenes.scene_blocks import count_values
from hsifeat.types import Window

_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".mat")
# Highest class number of a 16-bit palette.
_MAX_PALETTE_CLASS = 2**16 - 1
# Variables of MATLAB's format 5 must be smaller than this.
_MAX_MAT_BYTES = 2**31


def check_map_path(path: Path, *, probabilities: bool = False) -> None:
    """Check that a map can be written to a path.

    Parameters
    ----------
    path : Path
        The file.
    probabilities : bool
        Whether the map contains probabilities, which a PNG file can't store.

    Raises
    ------
    SceneError
        If the suffix is unknown, or is ``.png`` for probabilities. If the path is a folder. If the parent folder is
        missing.
    StoreError
        If the parent folder is not writable, or lies in a store or a model. If the path of a GeoTIFF is not UTF-8.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise SceneError(f"a map can be written as .tif, .png, .npy or .mat; found {path.name!r}")
    if probabilities and suffix == ".png":
        raise SceneError(
            f"a PNG holds one class per pixel and no probabilities: write .tif, .npy or .mat; found {path.name!r}"
        )
    if path.is_dir():
        raise SceneError(f"{path} is a folder: give a file")
    check_output(path)
    if suffix in {".tif", ".tiff"}:
        check_utf8(path)
    if not path.parent.is_dir():
        raise SceneError(f"no such folder: {path.parent}; create it first")


def check_replaces_map(path: Path) -> None:
    """Check that a file which a map would replace is an earlier map.

    Parameters
    ----------
    path : Path
        The file, which need not exist.

    Raises
    ------
    StoreError
        If the file exists and hsifeat did not write it as a map.
    """
    is_map = {".png": map_image.is_map_image, ".npy": arrays.is_map_npy, ".mat": arrays.is_map_mat}
    check_replaced(path, "map", is_map.get(path.suffix.lower(), geotiff_writer.is_map))


def check_map_fits(path: Path, shape: tuple[int, int], legend: Legend, *, probabilities: bool = False) -> None:
    """Check that the file format and the disk can hold a map.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Rows and columns of the map.
    legend : Legend
        Classes of the map.
    probabilities : bool
        Whether the map contains probabilities instead of classes.

    Raises
    ------
    SceneError
        If a class number is too high for the palette of the file format. If the array is too large for a MATLAB file.
        If the disk has no room for the probabilities.
    """
    suffix, highest = path.suffix.lower(), max(legend.numbers, default=0)
    if suffix in {".tif", ".tiff", ".png"} and highest > _MAX_PALETTE_CLASS and not probabilities:
        raise SceneError(
            f"a palette holds classes up to {_MAX_PALETTE_CLASS}; found {highest}: write .npy or .mat, or labels as .gpkg or .csv, or renumber the classes"
        )
    pixel_bytes = 4 * len(legend.numbers) if probabilities else np.min_scalar_type(highest).itemsize
    size = shape[0] * shape[1] * pixel_bytes
    if suffix == ".mat" and size >= _MAX_MAT_BYTES:
        raise SceneError(
            f"{path.name}: {shape[0]} x {shape[1]} pixels of {pixel_bytes} bytes are {size / 2**30:.1f} GiB, but a variable "
            f"of a .mat file must be smaller than {_MAX_MAT_BYTES / 2**30:g} GiB: write .tif or .npy"
        )
    free = shutil.disk_usage(path.parent).free
    if probabilities and suffix != ".mat" and size > free:
        raise SceneError(
            f"the probabilities of {shape[0]} x {shape[1]} pixels and {len(legend.numbers)} classes take {size / 2**30:.1f} "
            f"GiB during writing, but {path.parent} has only {free / 2**30:.1f} GiB free: free some space, or write classes instead"
        )


def write_map(
    path: Path,
    classes: NDArray[np.integer],
    legend: Legend,
    georeference: Georeference | None = None,
    *,
    mark: str = SOFTWARE,
) -> tuple[str, ...]:
    """Write a classification map.

    The file appears at `path` only when it is complete.

    Parameters
    ----------
    path : Path
        The suffix selects the format:

        - ``.tif``: cloud-optimised GeoTIFF of uint8 or uint16 with a palette and nodata 0. An auxiliary file
          ``.tif.aux.xml`` has the class names
        - ``.png``: picture with a legend
        - ``.npy``: class numbers
        - ``.mat``: variables ``map``, ``class_numbers``, ``class_names`` and ``class_colours``.
    classes : (rows, cols) integer array
        Class of each pixel; 0 is no data.
    legend : Legend
        Legend that includes all classes of the map.
    georeference : Georeference, optional
        Position of the map, which only a GeoTIFF stores.
    mark : str
        Tag of a GeoTIFF that says what wrote it. A file with another mark does not count as a map that may be replaced.

    Returns
    -------
    tuple of str
        Notes on limitations of the file, such as a missing CRS or a reduced resolution.

    Raises
    ------
    SceneError
        If `check_map_path` or `check_map_fits` raises an error. If the legend lacks a class of the map.
    """
    check_map_path(path)
    check_map_fits(path, (classes.shape[0], classes.shape[1]), legend)
    if unnamed := sorted(set(count_values(classes)) - {0, *legend.numbers}):
        raise SceneError(f"the map holds classes that its legend lacks: {', '.join(map(str, unnamed[:12]))}")
    match path.suffix.lower():
        case ".png":
            return map_image.write_map_image(path, classes, legend)
        case ".npy":
            arrays.write_npy(path, classes)
        case ".mat":
            arrays.write_mat(path, "map", classes, legend)
        case _:
            geotiff_writer.write_map_geotiff(path, classes, legend, georeference, mark=mark)
            return _geotiff_notes(path, georeference)
    return ()


def write_probabilities(
    path: Path,
    blocks: Iterable[tuple[Window, NDArray[np.float32]]],
    shape: tuple[int, int],
    legend: Legend,
    georeference: Georeference | None = None,
) -> tuple[str, ...]:
    """Write class probabilities block by block.

    A ``.mat`` file needs memory for all probabilities. For other formats, memory use does not grow with the scene.

    Parameters
    ----------
    path : Path
        The suffix selects the format:

        - ``.tif``: cloud-optimised float32 GeoTIFF with nodata NaN and one band per class; the description of a band is
          the class name
        - ``.npy``: (rows, cols, classes) float32 array
        - ``.mat``: (rows, cols, classes) float32 array as the variable ``probabilities``, and the legend as in
          `write_map`.
    blocks : iterable of (Window, (rows, cols, classes) float32 array)
        Windows that cover the scene, and the probabilities in each window; NaN is no data.
    shape : tuple of int
        Rows and columns of the scene.
    legend : Legend
        Legend with the classes in the order of the probabilities.
    georeference : Georeference, optional
        Position of the map, which only a GeoTIFF stores.

    Returns
    -------
    tuple of str
        Notes on limitations of the file, such as a missing CRS.

    Raises
    ------
    SceneError
        If `check_map_path` or `check_map_fits` raises an error.
    """
    check_map_path(path, probabilities=True)
    check_map_fits(path, shape, legend, probabilities=True)
    array_shape = (*shape, len(legend.numbers))
    match path.suffix.lower():
        case ".npy":
            arrays.write_npy_blocks(path, blocks, array_shape)
        case ".mat":
            values = np.full(array_shape, np.nan, np.float32)
            for window, block in blocks:
                values[window.slices] = block
            arrays.write_mat(path, "probabilities", values, legend)
        case _:
            geotiff_writer.write_probabilities_geotiff(path, blocks, shape, legend, georeference)
            return _geotiff_notes(path, georeference)
    return ()


def _geotiff_notes(path: Path, georeference: Georeference | None) -> tuple[str, ...]:
    notes = _georeference_notes(path, georeference)
    aux_file = path.with_name(f"{path.name}.aux.xml")
    if foreign := [file.name for file in geotiff_writer.side_files(path) if file != aux_file]:
        notes += (
            (
                f"{path.name}: GDAL also reads {', '.join(foreign)}, which hsifeat did not write: move such files elsewhere if "
                "they belong to another map"
            ),
        )
    return notes


def _georeference_notes(path: Path, georeference: Georeference | None) -> tuple[str, ...]:
    if georeference is None:
        return (f"the scene has no georeference, so {path.name} has neither CRS nor transform",)
    if georeference.crs is None:
        return (f"the scene, and therefore {path.name}, has a transform but no CRS",)
    if not geotiff_writer.holds_crs(path, georeference):
        return (
            f"{path.name} can't hold the scene's CRS, {georeference.crs_name}: assign it in the program that uses the map",
        )
    return ()
