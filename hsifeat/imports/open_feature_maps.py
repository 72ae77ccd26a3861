"""Open files of features, and find their plane names, axes, no-data values, georeferences and scale factors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsifeat.errors import HsifeatError, SceneError
from hsifeat.files import open_regular
from hsifeat.formatting import format_value
from hsifeat.imports.config import ImportConfig
from hsifeat.imports.exported_table import is_exported_table, read_exported_table
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.placement import fitting_strides
from hsifeat.imports.quantisation import AlphaEarth, Dequantiser, scale_factors
from hsifeat.imports.scales_beside import scales_beside
from hsifeat.imports.unpacking import unpacking
from hsifeat.scenes import Scene
from hsifeat.scenes.array_coordinates import (
    array_pixel_axes,
    check_pixel_numbers,
    coordinate_georeference,
    has_numbers,
    number_axes,
    own_georeference,
)
from hsifeat.scenes.array_metadata import add_array_values, channel_labels
from hsifeat.scenes.axes import order_axes, parse_axes
from hsifeat.scenes.nodata import NoData, add_values
from hsifeat.scenes.pixel_grid import PixelGrid
from hsifeat.scenes.readers import Raster, read_raster
from hsifeat.scenes.readers.npy import read_array_header
from hsifeat.scenes.readers.pixel_coordinates import pixel_georeference
from hsifeat.scenes.readers.raster import FileVariable, Packing
from hsifeat.scenes.readers.reading_errors import reading_errors
from hsifeat.scenes.readers.source_paths import split_variable
from hsifeat.scenes.scene_checks import check_dimensions, check_slices, shape_and_dtype
from hsifeat.scenes.temporary_copy import rechunk_for_blocks
from hsifeat.types import Cube, PlaneId

FeatureSource = str | Path | Cube
"""A file, as ``FILE`` or ``FILE:VARIABLE``, or an array of shape (rows, cols, channels)."""

_NAMED = re.compile(r"((?:t\d+/)?[A-Za-z0-9_.-]+)=(.+)", re.DOTALL)
_NAME = re.compile(r"(?:t(\d{1,9})/)?([A-Za-z0-9_.-]{1,200})")
_ALPHAEARTH_NODATA = -128.0
_TOLERANCE_PX = 0.01  # of the edges of cells, in pixels of the scene


def open_feature_maps(
    features: Mapping[str, FeatureSource] | Sequence[str | Path] | str | Path, scene: Scene, config: ImportConfig
) -> list[FeatureMap]:
    """Open features on their own grids.

    Parameters
    ----------
    features : mapping of str to file or array, sequence of str or Path, str or Path
        Files or arrays, see `hsifeat.import_planes`.
    scene : Scene
        Scene that the features belong to.
    config : ImportConfig
        Options of the import.

    Returns
    -------
    list of FeatureMap
        Features in the order of an exported table, or sorted by the names of their planes if there are other sources.

    Raises
    ------
    HsifeatError
        If a file can't be read, or its axes are ambiguous. If a name can't be the name of a plane, or occurs twice.
    """
    sources = list(_named_sources(features))
    if not sources:
        raise HsifeatError("no features: name one file or more with `features`")
    if len(sources) > 1 and config.dequantise not in {None, "alphaearth"}:
        raise HsifeatError(
            f"{config.dequantise} has the factors of one file: import several quantised files from X.npy with X_scales.npy beside each"
        )
    grid = None if config.grid is None else _read_grid(config.grid)
    maps = [one for name, source in sources for one in _open_source(name, source, scene, grid, config)]
    maps = [_without_useless_georeference(one, scene) for one in maps]
    names = [str(one.plane) for one in maps]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HsifeatError(f"several features have the name {twice[0]}: name them apart, as NAME=FILE")
    return maps if len(sources) == 1 else sorted(maps, key=lambda one: one.plane)


def _without_useless_georeference(features: FeatureMap, scene: Scene) -> FeatureMap:
    """Remove the georeference of features, with a note, if the scene has none, so that they are placed by their shape."""
    if features.georeference is None or features.in_pixels or scene.georeference is not None:
        return features
    note = f"{features.plane.layer}: placed by its shape, because the scene has no georeference; its own is not used"
    return replace(features, georeference=None, notes=(*features.notes, note))


def _named_sources(
    features: Mapping[str, FeatureSource] | Sequence[str | Path] | str | Path,
) -> Iterator[tuple[str | None, FeatureSource]]:
    if isinstance(features, Mapping):
        yield from features.items()
        return
    files = [features] if isinstance(features, str | Path) or not isinstance(features, Iterable) else list(features)
    if not all(isinstance(file, str | Path) for file in files):
        raise HsifeatError(
            f"features are files, or a mapping such as {{'encoder': array}}; found {format_value(features)}"
        )
    for text in files:
        match = None if Path(text).exists() else _NAMED.fullmatch(str(text))
        yield (None, text) if match is None else (match[1], match[2])


def _open_source(
    name: str | None,
    source: FeatureSource,
    scene: Scene,
    grid: Raster | None,
    config: ImportConfig,
) -> list[FeatureMap]:
    if not isinstance(source, str | Path):
        if config.feature_axes is not None:
            raise HsifeatError(
                f"{name}: an array has the axes rows, cols, channels: leave out `feature_axes`, or give array.transpose(…)"
            )
        array = _checked(source, str(name))
        check_dimensions(array, str(name), "feature array")
        check_slices(array, str(name), "feature array", masks=True)
        georeference, notes, in_pixels = None, tuple[str, ...](), array_pixel_axes(array)
        if not in_pixels:
            georeference, notes = (
                own_georeference(array, str(name))
                if scene.georeference is None
                else coordinate_georeference(array, scene.georeference, str(name))
            )
        if scene.georeference is None and georeference is None and not in_pixels:
            check_pixel_numbers(number_axes(array), scene.cube, str(name), scene.name)
        values = add_array_values(Raster(array), str(name))
        opened = FeatureMap(
            _plane_id(name or ""),
            "array",
            array,
            values.nodata,
            georeference,
            notes=(*notes, *values.notes),
            channel_names=channel_labels(array),
        )
        return [_with_options(_in_pixels(opened, in_pixels, scene, str(name)), config, grid, values.packing)]
    path, variable = split_variable(source)
    if is_exported_table(path):
        if name is not None:
            raise HsifeatError(f"{path} is an exported table, which has names of planes: leave out {name}=")
        return read_exported_table(path, scene)
    axes = parse_axes(config.feature_axes)
    raster = read_raster(path, _axis_count(path) if axes is None else len(axes), variable)
    rows_cols = None if raster.georeference is not None or grid is None else grid.array.shape[:2]
    shape = None if rows_cols is None else (int(rows_cols[0]), int(rows_cols[1]))
    array, notes = (raster.array, raster.notes) if raster.ordered else _ordered(raster, axes, shape, scene, path.name)
    array, copy_notes = rechunk_for_blocks(_checked(array, str(source)), path.name)
    stem = (variable or "").rpartition("/")[2] or path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    plane = _plane_id(name if name is not None else re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-"))
    opened = FeatureMap(
        plane,
        str(source),
        array,
        raster.nodata,
        raster.georeference,
        notes=(*notes, *copy_notes),
        channel_names=raster.band_names if len(raster.band_names) == array.shape[2] else (),
    )
    return [_with_options(_in_pixels(opened, raster.pixel_axes, scene, path.name), config, grid, raster.packing, path)]


def _in_pixels(features: FeatureMap, axes: Sequence[FileVariable], scene: Scene, name: str) -> FeatureMap:
    """Place features by coordinates in pixels of a scene.

    A georeference without a CRS may be that of a part in pixels of the whole scene, as `open_scene` reads it. Otherwise, the
    first pixel of the scene is 0. `axes` are the coordinates of rows and columns; empty if they are not in pixels.

    Raises
    ------
    SceneError
        If the coordinates are not evenly spaced. If cells lie outside of the scene, or contradict the
        coordinates of its cube.
    """
    if not axes:
        return features
    place = pixel_georeference(axes, name)
    if scene.georeference is not None and scene.georeference.crs is None:
        return replace(features, georeference=place)
    if scene.georeference is None and has_numbers(scene.cube):
        check_pixel_numbers(axes, scene.cube, name, scene.name)
        return features
    height, width = abs(place.transform[4]), abs(place.transform[0])
    for axis, pixels, side in zip(axes, (scene.rows, scene.cols), (height, width), strict=True):
        first, last = min(axis.values()), max(axis.values())
        if first < -0.5 - _TOLERANCE_PX or last - side / 2 > pixels - 0.5 - _TOLERANCE_PX:
            raise SceneError(
                f"{name}: its coordinates {axis.dims[0]} are {first:g} to {last:g} in pixels, but the pixels of {scene.name} are 0 to "
                f"{pixels - 1}: give features of this scene, or remove the coordinates if they count the pixels of another one"
            )
    return replace(features, georeference=place, in_pixels=True)


def _with_options(
    features: FeatureMap,
    config: ImportConfig,
    grid: Raster | None,
    packing: Packing,
    path: Path | None = None,
) -> FeatureMap:
    nodata: NoData = features.nodata
    if config.feature_nodata is not None:
        nodata = add_values(nodata, (config.feature_nodata,))
    georeference = features.georeference
    if georeference is None and grid is not None:
        _check_shape(features, grid, str(config.grid))
        georeference = grid.georeference
    name = features.plane.layer if path is None else path.name
    dequantiser, notes = _dequantiser(replace(features, georeference=georeference), config, path, name)
    if isinstance(dequantiser, AlphaEarth):
        nodata = add_values(nodata, (_ALPHAEARTH_NODATA,))
    restore, note = unpacking(packing, np.dtype(features.array.dtype), features.channels, name)
    if note and dequantiser is not None:
        restore, note = None, f"{name}: its scale and offset are not applied, because its values are dequantised"
    return replace(
        features,
        nodata=nodata,
        georeference=georeference,
        dequantiser=dequantiser,
        unpacking=restore,
        notes=(*features.notes, *notes, *filter(None, [note])),
    )


def _dequantiser(
    features: FeatureMap, config: ImportConfig, path: Path | None, name: str
) -> tuple[Dequantiser | None, tuple[str, ...]]:
    """Return what restores the values of features, and notes. Factors beside a file take precedence over AlphaEarth's formula."""
    file, notes = config.dequantise, tuple[str, ...]()
    if file in {None, "alphaearth"} and np.dtype(features.array.dtype).kind in "iu":
        beside = scales_beside(path, features.array, features.plane.layer)
        if beside is not None:
            own_name = beside.name.removesuffix("_scales.npy") + ".npy"
            file, notes = str(beside), (f"{own_name}: multiplied by the factors of {beside.name}",)
    if file == "alphaearth":
        return AlphaEarth(), (f"{name}: restored by the formula of AlphaEarth",)
    if file is None:
        return None, ()
    raster = _read_map(file)
    _check_factors_grid(raster, features, str(file))
    factors: Any = raster.array
    if len(factors.shape) == 3 and factors.shape[2] == 1:
        factors = factors[..., 0]
    return scale_factors(factors, features.array.shape, str(file), features.source), notes


def _check_factors_grid(factors: Raster, features: FeatureMap, name: str) -> None:
    """Raise `SceneError` if factors lie on another grid than features, such as one with its rows from south to north."""
    here, there = features.georeference, factors.georeference
    if here is not None and there is not None and not here.same_grid(there, *features.shape):
        raise SceneError(
            f"the factors of {name} lie on another grid than {features.source}: {there.crs_name}, {there.transform} instead of "
            f"{here.crs_name}, {here.transform}; bring them to the grid and order of rows of the features (gdalwarp -t_srs … -te … -tr …)"
        )


def _read_map(file: str) -> Raster:
    """Read a raster with or without an axis of bands."""
    path, variable = split_variable(file)
    try:
        return read_raster(path, 2, variable)
    except SceneError:
        return read_raster(path, 3, variable)


def _read_grid(file: str) -> Raster:
    raster = _read_map(file)
    if raster.georeference is None:
        raise SceneError(f"{file} has no georeference: name a raster with CRS and transform with `grid`")
    return raster


def _check_shape(features: FeatureMap, grid: Raster, name: str) -> None:
    wanted = tuple(int(side) for side in grid.array.shape[:2])
    if features.shape != wanted:
        found, expected = (" x ".join(map(str, sides)) for sides in (features.shape, wanted))
        raise SceneError(
            f"{features.source} has {found} cells, but {name} has {expected} pixels: name the raster of the same grid with `grid`"
        )


def _ordered(
    raster: Raster, axes: tuple[str, ...] | None, shape: tuple[int, int] | None, scene: PixelGrid, name: str
) -> tuple[Cube, tuple[str, ...]]:
    """Return features with the axes rows, cols, channels, from a format that defines no order of axes.

    `shape` has the rows and columns of cells; None if they follow from the scene and a stride.
    """
    array: Any = raster.array
    if len(array.shape) == 4:
        array = array[0]
    sides = shape or (scene.rows, scene.cols)
    if axes is not None:
        rows, cols = sides if len(axes) == 2 else (None, None)
        return order_axes(array, axes, rows, cols, name)
    orders = {"rows,cols,bands": (0, 1), "bands,rows,cols": (1, 2)}
    found_shapes = {order: (array.shape[first], array.shape[second]) for order, (first, second) in orders.items()}
    fitting = [
        order
        for order, cells in found_shapes.items()
        if (cells == shape if shape is not None else bool(fitting_strides(cells, scene)))
    ]
    if len(fitting) == 1:
        return order_axes(array, parse_axes(fitting[0]), None, None, name)[0], raster.notes
    sizes = " x ".join(map(str, array.shape))
    grid_text = f"{sides[0]} x {sides[1]} pixels"
    if fitting:
        raise SceneError(
            f"{name}: the order of the axes of {sizes} values is ambiguous for {grid_text}: set `feature_axes`"
        )
    # With floor(side / stride) cells, no order is certain. Channels are usually last.
    first, second, third = array.shape
    order = "bands,rows,cols" if first > max(second, third) else "rows,cols,bands"
    ordered, _ = order_axes(array, parse_axes(order), None, None, name)
    return ordered, (
        *raster.notes,
        f"{name}: assumed the axes of its {sizes} values to be {order}; set `feature_axes` if this is wrong",
    )


def _checked(array: Cube, name: str) -> Cube:
    sizes, dtype = shape_and_dtype(array, f"{name}: features", "a file, or an array that NumPy can slice")
    if len(sizes) != 3 or min(sizes) < 1 or dtype.kind not in "iuf" or dtype.itemsize > 8:
        shape = " x ".join(map(str, sizes))
        raise SceneError(
            f"{name}: features are real numbers of at most 64 bits with the axes rows, cols, channels; found {shape} values of {dtype}"
        )
    return array


def _axis_count(path: Path) -> int:
    """Return 4 for a ``.npy`` file of a batch of one image, as many tools write it, else 3."""
    if path.suffix.lower() == ".npy" and path.is_file():
        with reading_errors(path), open_regular(path) as file:
            shape, _, _ = read_array_header(file)
        return 4 if len(shape) == 4 and shape[0] == 1 else 3
    return 3


def _plane_id(name: str) -> PlaneId:
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None or match[2] in {".", "..", "zarr.json"}:
        raise HsifeatError(
            f"{format_value(name)} can't be the name of a plane: use at most 200 letters, digits, '_', '.' and '-', as in NAME=FILE, and not zarr.json"
        )
    return PlaneId(int(match[1] or 0), match[2])
