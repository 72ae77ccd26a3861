"""Data types of file readers: a variable of a file, and an array with its metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.nodata import NoData
from hsifeat.types import Cube

NO_UNIT = {"", "-", "?", "none", "n/a", "na", "unknown"}
"""Texts in lower case that state no unit."""


@dataclass(frozen=True, eq=False)
class FileVariable:
    """An array in a file, and the array's dimension names and attributes.

    Attributes
    ----------
    dims : tuple of str
        Dimension names, or an empty tuple if the file does not name dimensions.
    array : array-like
        Values, in memory or on disk.
    attrs : dict
        Attributes as stored.
    """

    dims: tuple[str, ...]
    array: Cube
    attrs: dict[str, Any]

    @property
    def unit(self) -> str:
        """Unit from the attribute ``units`` or ``unit``, or an empty string."""
        attrs = {key.lower(): value for key, value in self.attrs.items()}
        unit = attrs.get("units", attrs.get("unit", ""))
        return unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)

    def values(self) -> list[float]:
        """Return all values as a flat list of floats, unpacked with CF's ``scale_factor`` and ``add_offset``.

        If one of these two attributes is not a number, or the array does not contain real numbers, all values are NaN.
        """
        stored = np.ravel(np.asarray(self.array))
        if stored.dtype.kind not in "biuf":
            return [float("nan")] * len(stored)
        factor, offset = (
            _as_number(self.attrs.get(key, start)) for key, start in (("scale_factor", 1), ("add_offset", 0))
        )
        values = stored.astype(np.float64)
        flat: list[float] = (values if (factor, offset) == (1, 0) else values * factor + offset).tolist()
        return flat


def _as_number(value: Any) -> float:
    try:
        return float(np.ravel(value)[0])
    except (IndexError, TypeError, ValueError):
        return float("nan")


@dataclass(frozen=True)
class Packing:
    """Declared scale factors and offsets: a stored value v means ``factor * v + offset``.

    Attributes
    ----------
    factors, offsets : tuple of float
        One number for all bands, or one for each band. NaN if what is declared is not a number.
    """

    factors: tuple[float, ...] = (1.0,)
    offsets: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, eq=False)
class Raster:
    """An array in a file, and the array's metadata.

    Attributes
    ----------
    array : array-like
        Values, read lazily if the format allows it.
    ordered : bool
        Whether the format defines the axis order. If True, `array` is (rows, cols, bands) or (rows, cols). If False, the
        axes may have any order, as in MATLAB and NumPy files.
    variable : str
        Name of the variable within the file, or an empty string.
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Centre wavelengths and full widths at half maximum in nm.
    band_names : tuple of str
        Band names, or an empty tuple.
    band_colours : tuple of str
        Colour that the file declares for each band, such as ``red``; empty if it declares none.
    bad_bands : tuple of int
        Indices of the bands that the file marks as bad. `array` includes these bands.
    nodata : tuple of float, or tuple of one tuple of float per band
        No-data values; see `hsifeat.scenes.nodata`.
    scale : float
        Stored value that corresponds to a reflectance of 1; 1 if unknown.
    scale_notes : tuple of str
        Notes on `scale`.
    packing : Packing
        Scale factors and offsets as declared. `array` has the stored values.
    georeference : Georeference or None
        Position of the grid.
    pixel_axes : tuple of FileVariable
        Coordinates of rows and columns in pixels of a scene, if they alone state the position; otherwise empty.
    class_names : dict of int to str
        Class names of a label map. The number 0 (unlabelled) can have a name, too.
    class_colours : dict of int to str
        Class colours of a label map as ``#rrggbb``.
    spectral_vectors : dict of str to FileVariable
        If `ordered` is False, vectors in the file that may be wavelengths, bandwidths or bad-band flags. `attach_spectrum`
        uses these vectors when the axis order is known.
    notes : tuple of str
        Notes on further assumptions made while reading.
    """

    array: Cube
    ordered: bool = True
    variable: str = ""
    wavelengths_nm: NDArray[np.float64] | None = None
    fwhm_nm: NDArray[np.float64] | None = None
    band_names: tuple[str, ...] = ()
    band_colours: tuple[str, ...] = ()
    bad_bands: tuple[int, ...] = ()
    nodata: NoData = ()
    scale: float = 1.0
    scale_notes: tuple[str, ...] = ()
    packing: Packing = Packing()
    georeference: Georeference | None = None
    pixel_axes: tuple[FileVariable, ...] = ()
    class_names: dict[int, str] = field(default_factory=dict)
    class_colours: dict[int, str] = field(default_factory=dict)
    spectral_vectors: dict[str, FileVariable] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Reader = Callable[[Path, int, str | None], Raster]
"""Type of a reader: ``read(path, ndim, variable) -> Raster``.

`ndim` is the number of dimensions: 2 for a label map, 2 for a cube with all pixels on one axis, 3 for other cubes.
`variable` is the name of an array in the file, or None. A reader raises `SceneError` if no array matches, or if `variable`
is None and several arrays match.
"""
