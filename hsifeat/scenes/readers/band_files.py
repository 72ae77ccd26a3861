"""Reader of scenes with one file per band, from a folder or from a list of files in band order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import SOFTWARE, is_hsifeat_png
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.nodata import by_band, combine_bands, describe_bands
from hsifeat.scenes.readers.envi_header import has_envi_header
from hsifeat.scenes.readers.raster import Packing, Raster
from hsifeat.scenes.readers.single_file import read_file
from hsifeat.scenes.readers.source_paths import check_exists
from hsifeat.scenes.readers.suffixes import reader_suffixes
from hsifeat.types import Cube

# Suffixes that are not accepted for single-band files.
_NO_BAND_SUFFIXES = {"gz", "npz", "zarr", "vrt"}


class BandStack(ArrayView):
    """A (rows, cols, bands) view of a stack of single-band arrays.

    Parameters
    ----------
    layers : sequence of array-like of shape (rows, cols)
        One array per band, all with the same shape and dtype.
    """

    def __init__(self, layers: Sequence[Cube]) -> None:
        super().__init__((*layers[0].shape, len(layers)), layers[0].dtype)
        self._layers = tuple(layers)

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        *_, bands = parts
        key = as_slices(parts[:2])
        if isinstance(bands, int):
            return np.asarray(self._layers[bands][key])
        return np.stack([np.asarray(self._layers[band][key]) for band in bands], axis=-1)


def read_band_folder(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read the single-band files of a folder as a cube.

    Bands are in the natural order of file names, in which ``b2`` precedes ``b10``. Pictures that hsifeat wrote, such as those of
    ``hsifeat scenes show``, are left out.

    Parameters
    ----------
    path : Path
        A folder whose readable files all have the same suffix.
    ndim : int
        Must be 3.
    variable : str or None
        Must be None.

    Raises
    ------
    SceneError
        If `ndim` is not 3, or `variable` is not None. If the folder has no readable file. If the readable files differ
        in suffix, or can't be stacked; see `stack_band_files`.
    """
    if ndim != 3 or variable is not None:
        raise SceneError(
            f"{path} is a folder of single-band files: it can be read as a scene, but not as a label map, and it has no "
            "variables"
        )
    known = set(reader_suffixes()) - _NO_BAND_SUFFIXES
    by_suffix: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith(".") and not _is_own_picture(file):
            by_suffix[file.suffix.lower().lstrip(".")].append(file)
    # An ENVI raster is read by its header, so data files with a header are skipped.
    bands = {
        suffix: [f for f in files if suffix == "hdr" or not has_envi_header(f)] for suffix, files in by_suffix.items()
    }
    readable = {suffix: files for suffix, files in bands.items() if suffix in known and files}
    if len(readable) != 1:
        content = ", ".join(f"{len(files)} .{suffix}" for suffix, files in readable.items()) or "none"
        raise SceneError(
            f"{path} is a folder; expected single-band files of one readable suffix, found {content}: list the files in "
            "band order, or give the file of the scene"
        )
    ((suffix, files),) = readable.items()
    files = sorted(files, key=lambda file: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", file.name)])
    raster = stack_band_files(files)
    names = [file.name for file in files]
    order = ", ".join(names if len(names) <= 4 else [*names[:2], "…", names[-1]])
    note = f"{path.name}: read its {len(files)} .{suffix} files as bands, in the order {order}"
    return replace(raster, notes=(note, *raster.notes))


def _is_own_picture(path: Path) -> bool:
    if path.suffix.lower() == ".png":
        with suppress(Exception):  # damaged files raise errors of many classes
            return is_hsifeat_png(path) or is_hsifeat_png(path, f"{SOFTWARE} map")
    return False


def stack_band_files(paths: Sequence[Path]) -> Raster:
    """Read single-band files as a cube.

    Parameters
    ----------
    paths : sequence of Path
        Files with one (rows, cols) band each, in band order.

    Raises
    ------
    SceneError
        If a file does not exist or has more than one band. If a file differs from the first file in shape, dtype or
        georeference.
    """
    for path in paths:
        check_exists(path)
        if path.is_dir():
            raise SceneError(f"{path} is a folder; a list of paths must be single-band files, in band order")
    rasters = [read_file(path, 2) for path in paths]
    for path, raster in zip(paths[1:], rasters[1:], strict=True):
        if difference := _difference(rasters[0], raster):
            raise SceneError(f"{path} has {difference} of {paths[0]}: all bands of a scene must share one grid")
    nodata = combine_bands([by_band(raster.nodata, 1)[0] for raster in rasters])
    folder = paths[0].absolute().parent.name
    differing = describe_bands(nodata)
    nodata_notes = (f"{folder}: its bands have different no-data values: {differing}",) if differing else ()
    scale, scale_notes = rasters[0].scale, tuple(dict.fromkeys(note for one in rasters for note in one.scale_notes))
    if any(one.scale != scale for one in rasters):
        differ = (
            f"{folder}: the reflectance scales of its bands are not applied, because they differ: values are as stored"
        )
        scale, scale_notes = 1.0, (differ,)
    return Raster(
        array=BandStack([raster.array for raster in rasters]),
        wavelengths_nm=_concatenate([raster.wavelengths_nm for raster in rasters]),
        fwhm_nm=_concatenate([raster.fwhm_nm for raster in rasters]),
        band_names=tuple(path.stem for path in paths),
        bad_bands=tuple(band for band, raster in enumerate(rasters) if raster.bad_bands),
        nodata=nodata,
        scale=scale,
        scale_notes=scale_notes,
        packing=Packing(
            *(tuple(getattr(raster.packing, part)[0] for raster in rasters) for part in ("factors", "offsets"))
        ),
        georeference=rasters[0].georeference,
        notes=(*dict.fromkeys(note for raster in rasters for note in raster.notes), *nodata_notes),
    )


def _difference(first: Raster, other: Raster) -> str:
    """Describe the first difference between two single-band rasters, or return an empty string if they agree."""
    if tuple(first.array.shape) != tuple(other.array.shape):
        return f"{' x '.join(map(str, other.array.shape))} pixels, not the {' x '.join(map(str, first.array.shape))}"
    if np.dtype(first.array.dtype) != np.dtype(other.array.dtype):
        return f"dtype {other.array.dtype}, not the {first.array.dtype}"
    return _grid_difference(first.georeference, other.georeference)


def _grid_difference(first: Georeference | None, other: Georeference | None) -> str:
    if first is None or other is None:
        return "" if first is other else f"{'no' if other is None else 'a'} georeference, unlike that"
    if first.crs != other.crs and not first.same_crs(other):
        return f"the CRS {other.crs_name}, not the {first.crs_name}"
    near = np.allclose(first.transform, other.transform, rtol=1e-9, atol=1e-6 * min(first.pixel_size))
    return "" if near else f"the transform {other.transform}, not the {first.transform}"


def _concatenate(vectors: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    known = [vector for vector in vectors if vector is not None]
    return np.concatenate(known) if len(known) == len(vectors) else None
