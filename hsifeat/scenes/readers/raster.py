"""What a reader returns: the array of one file variable with its metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.georeference import Georeference
from hsifeat.types import Cube


@dataclass(frozen=True)
class FileVariable:
    """An array in a file with its dimension names and attributes.

    Attributes
    ----------
    dims : tuple of str
        Dimension names; empty where the file has none.
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
        """Unit as the attribute ``units`` or ``unit`` states it, or an empty string."""
        attrs = {key.lower(): value for key, value in self.attrs.items()}
        unit = attrs.get("units", attrs.get("unit", ""))
        return unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)

    def values(self) -> list[float]:
        """Read all values, flattened."""
        flat: list[float] = np.ravel(np.asarray(self.array)).astype(np.float64).tolist()
        return flat


@dataclass(frozen=True)
class Raster:
    """An array read from a file, with the metadata that the file holds about it.

    Attributes
    ----------
    array : array-like
        Values, read lazily where the format allows it.
    ordered : bool
        True if the format defines the axes: `array` is then (rows, cols, bands) or (rows, cols). False if they may be in
        any order, as in MATLAB and NumPy files.
    variable : str
        Name of the variable within the file, or an empty string.
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Centre wavelengths and full widths at half maximum in nm.
    band_names : tuple of str
        Band names, or an empty tuple.
    bad_bands : tuple of int
        Indices of the bands that the file marks as bad; `array` still holds them.
    nodata : tuple of float
        Values that mean no data.
    scale : float
        Stored value that corresponds to a reflectance of 1; 1 if the file does not say.
    georeference : Georeference or None
        Position of the grid.
    class_names : dict of int to str
        Class names of a label map, including the name of 0 (unlabelled).
    class_colours : dict of int to str
        Class colours of a label map as ``#rrggbb``.
    spectral_vectors : dict of str to FileVariable
        If `ordered` is False: vectors in the file that are named like wavelengths or widths. Whether they belong to the
        bands is known only once the axes are.
    notes : tuple of str
        Guesses made while reading.
    """

    array: Cube
    ordered: bool = True
    variable: str = ""
    wavelengths_nm: NDArray[np.float64] | None = None
    fwhm_nm: NDArray[np.float64] | None = None
    band_names: tuple[str, ...] = ()
    bad_bands: tuple[int, ...] = ()
    nodata: tuple[float, ...] = ()
    scale: float = 1.0
    georeference: Georeference | None = None
    class_names: dict[int, str] = field(default_factory=dict)
    class_colours: dict[int, str] = field(default_factory=dict)
    spectral_vectors: dict[str, FileVariable] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Reader = Callable[[Path, int, str | None], Raster]
"""Type of a reader: ``read(path, ndim, variable) -> Raster``.

`ndim` is 3 for a cube, and 2 for a label map or a cube whose pixels share one axis. `variable` names an array in a file
that holds several, or is None. A reader raises `SceneError` if no array matches, or if several do and none is named.
"""
