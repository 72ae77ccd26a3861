"""Folders and lists of single-band files, stacked into one scene."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Part, View
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.readers import Raster, check_exists, read_raster, spectrum, suffixes
from hsifeat.scenes.readers.envi import has_header
from hsifeat.types import Cube

# Files of these suffixes are no band of a stack, even where one of them is all that a folder holds.
_NEVER = {"gz", "npz", "zarr", "vrt"}


class Stack(View):
    """Maps (rows, cols) as the bands of a cube (rows, cols, bands).

    Parameters
    ----------
    maps : sequence of array-like of shape (rows, cols)
        All of one shape and dtype.
    """

    def __init__(self, maps: Sequence[Cube]) -> None:
        super().__init__((*maps[0].shape, len(maps)), maps[0].dtype)
        self._maps = tuple(maps)

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        rows, cols, bands = parts
        key = tuple(part if isinstance(part, int) else slice(part.start, part.stop, part.step) for part in (rows, cols))
        if isinstance(bands, int):
            return np.asarray(self._maps[bands][key])
        return np.stack([np.asarray(self._maps[band][key]) for band in bands], axis=-1)


def read_folder(path: Path, ndim: int, variable: str | None) -> Raster:
    """Stack the files of a folder, those of the only suffix that can be read, in natural order: ``b2`` before ``b10``.

    Parameters
    ----------
    path : Path
        The folder.
    ndim : int
        Must be 3.
    variable : str or None
        Must be None.

    Raises
    ------
    SceneError
        Files of no or of several suffixes that can be read, or files that don't fit one another.
    """
    if ndim != 3 or variable is not None:
        raise SceneError(
            f"{path} is a folder of single-band files, which is a scene (rows, cols, bands) without a name"
        )
    known = set(suffixes()) - _NEVER
    found: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            found[file.suffix.lower().lstrip(".")].append(file)
    # Headers stand for the data files beside them.
    found = {suffix: [f for f in files if suffix == "hdr" or not has_header(f)] for suffix, files in found.items()}
    readable = {suffix: files for suffix, files in found.items() if suffix in known and files}
    if len(readable) != 1:
        held = ", ".join(f"{len(files)} .{suffix}" for suffix, files in readable.items()) or "none"
        raise SceneError(
            f"{path} is a folder; wanted single-band files of one suffix that can be read, found {held}: name the files in "
            "the order of their bands, or the file that is the scene"
        )
    ((suffix, files),) = readable.items()
    files = sorted(files, key=lambda file: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", file.name)])
    raster = read_stack(files)
    shown = [file.name for file in files]
    order = ", ".join(shown if len(shown) <= 4 else [*shown[:2], "…", shown[-1]])
    note = f"{path.name}: took its {len(files)} .{suffix} files as bands, in the order {order}"
    return replace(raster, notes=(note, *raster.notes))


def read_stack(paths: Sequence[Path]) -> Raster:
    """Stack single-band files in the order given.

    Parameters
    ----------
    paths : sequence of Path
        Files, each of one band (rows, cols), all of the same shape, dtype and georeference.

    Raises
    ------
    SceneError
        A file holds more than one band, or differs from the first one.
    """
    for path in paths:
        check_exists(path)
        if path.is_dir():
            raise SceneError(f"{path} is a folder; several paths are single-band files, in the order of their bands")
    rasters = [read_raster(path, 2) for path in paths]
    for path, raster in zip(paths[1:], rasters[1:], strict=True):
        if difference := _difference(rasters[0], raster):
            raise SceneError(f"{path} has {difference} of {paths[0]}: bands of one scene lie on one grid")
    names = tuple(path.stem for path in paths)
    return Raster(
        array=Stack([raster.array for raster in rasters]),
        wavelengths_nm=_joined([raster.wavelengths_nm for raster in rasters]),
        fwhm_nm=_joined([raster.fwhm_nm for raster in rasters]),
        band_names=names,
        bad_bands=tuple(band for band, raster in enumerate(rasters) if raster.bad_bands),
        nodata=spectrum.nodata_of([value for raster in rasters for value in raster.nodata]),
        scale=rasters[0].scale,
        georeference=rasters[0].georeference,
        notes=tuple(dict.fromkeys(note for raster in rasters for note in raster.notes)),
    )


def _difference(first: Raster, other: Raster) -> str:
    """Say in what two bands differ, or nothing."""
    if tuple(first.array.shape) != tuple(other.array.shape):
        return f"{' x '.join(map(str, other.array.shape))} pixels, not the {' x '.join(map(str, first.array.shape))}"
    if np.dtype(first.array.dtype) != np.dtype(other.array.dtype):
        return f"dtype {other.array.dtype}, not the {first.array.dtype}"
    if first.scale != other.scale:
        return f"reflectance scale {other.scale:g}, not the {first.scale:g}"
    return _elsewhere(first.georeference, other.georeference)


def _elsewhere(here: Georeference | None, there: Georeference | None) -> str:
    if here is None or there is None:
        return "" if here is there else f"{'no place' if there is None else 'a place'} on the map, unlike that"
    if here.crs != there.crs and not here.same_crs(there):
        return f"the CRS {there.crs_name}, not the {here.crs_name}"
    near = np.allclose(here.transform, there.transform, rtol=1e-9, atol=1e-6 * min(here.pixel_size))
    return "" if near else f"the transform {there.transform}, not the {here.transform}"


def _joined(parts: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
