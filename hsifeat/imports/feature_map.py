"""A map of features from another tool, on the grid of its file. Some cells may have no value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.imports.quantisation import Dequantiser, check_quantised
from hsifeat.imports.unpacking import Unpacking
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.longitudes import columns_per_turn
from hsifeat.scenes.nodata import NoData, by_band, is_nodata
from hsifeat.types import Cube, PlaneId, Window, as_float32, load_slice


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Features of one file on the grid of the file.

    Attributes
    ----------
    plane : PlaneId
        Name of the plane to which the features are imported.
    source : str
        Name of the file, for messages and provenance.
    array : array-like of shape (rows, cols, channels)
        Values as stored. A cell of a masked array is missing if the mask is True in any channel.
    nodata : tuple of float, or tuple of tuples of float
        Values that mark missing features, in addition to NaN and infinities. A tuple of tuples has the values of each channel.
    georeference : Georeference or None
        CRS and transform of the grid of the file; None if unknown.
    in_pixels : bool
        Whether `georeference` is in pixel coordinates of the scene instead of map coordinates.
    dequantiser : Dequantiser, optional
        Restores quantised values. [default: values are used as stored]
    unpacking : Unpacking, optional
        Applies the declared scale factors and offsets. Not used with a `dequantiser`. [default: values are used
        as stored]
    notes : tuple of str
        Assumptions that were made when the file was opened, as messages.
    channel_names : tuple of str
        Name of each channel; empty if unknown.
    """

    plane: PlaneId
    source: str
    array: Cube
    nodata: NoData = ()
    georeference: Georeference | None = None
    in_pixels: bool = False
    dequantiser: Dequantiser | None = None
    unpacking: Unpacking | None = None
    notes: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns of cells."""
        rows, cols, _ = self.array.shape
        return int(rows), int(cols)

    @property
    def channels(self) -> int:
        """Number of features of a cell."""
        return int(self.array.shape[2])

    @property
    def treatment(self) -> str:
        """What is done to the stored values: they are ``dequantised`` or ``scaled``, or features are ``as stored``."""
        if self.dequantiser is not None:
            return "dequantised"
        return "as stored" if self.unpacking is None else "scaled"

    @cached_property
    def columns_per_turn(self) -> int | None:
        """Number of columns after which longitudes repeat; None if there is no such number."""
        return None if self.georeference is None else columns_per_turn(self.georeference)

    def read(self, window: Window) -> NDArray[np.float32]:
        """Read the features of a window of cells. The window may reach beyond the file.

        If the longitudes of the columns repeat, columns beyond the file are those a whole turn away.

        Returns
        -------
        (window rows, window cols, channels) float32 array
            Features; NaN in all channels of a cell without a value, such as a cell outside of the file.
        """
        columns = np.arange(window.col, window.col + window.cols)
        if self.columns_per_turn is not None:
            outside = (columns < 0) | (columns >= self.shape[1])
            columns[outside] %= self.columns_per_turn
        values = np.full((window.rows, window.cols, self.channels), np.nan, np.float32)
        left = 0
        for run in np.split(columns, np.flatnonzero(np.diff(columns) != 1) + 1):
            if not len(run):
                break
            part = Window(window.row, int(run[0]), window.rows, len(run))
            inside = part.clip(*self.shape)
            if inside.rows and inside.cols:
                top, start = inside.row - part.row, left + inside.col - part.col
                values[top : top + inside.rows, start : start + inside.cols] = self._read_inside(inside)
            left += len(run)
        return values

    def _read_inside(self, window: Window) -> NDArray[np.float32]:
        part = load_slice(self.array[window.slices])
        stored = np.asarray(part)
        missing = _is_missing(stored, self.nodata)
        if stored.dtype.kind == "f":
            missing |= ~np.isfinite(stored).all(axis=2)
        if isinstance(part, np.ma.MaskedArray):
            missing |= np.ma.getmaskarray(part).any(axis=2)
        if self.dequantiser is not None:
            check_quantised(stored, ~missing, self.dequantiser.limits, self.plane.layer)
            values = self.dequantiser(stored, window)
        else:
            values = as_float32(stored) if self.unpacking is None else self.unpacking(stored)
        missing |= ~np.isfinite(values).all(axis=2)
        return np.where(missing[..., np.newaxis], np.float32(np.nan), values)


def _is_missing(stored: NDArray[np.generic], nodata: NoData) -> NDArray[np.bool_]:
    """Return the mask of the cells with a no-data value in any channel. The no-data value 0 counts only if all channels are 0."""
    per_channel = by_band(nodata, stored.shape[2])
    if not all(0 in values for values in per_channel):
        return np.asarray(is_nodata(stored, nodata).any(axis=2))
    others = tuple(tuple(value for value in values if value != 0) for values in per_channel)
    return np.asarray(is_nodata(stored, others).any(axis=2) | (stored == 0).all(axis=2))
