"""Mask of the valid pixels of a cube."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.formatting import format_count
from hsifeat.mapped_arrays import empty_mask
from hsifeat.scenes.band_fills import BandFill, BandFills, fill_note
from hsifeat.scenes.band_ranges import format_bands
from hsifeat.scenes.nodata import NoData, by_band, is_nodata
from hsifeat.scenes.repeated_spectra import RepeatedSpectra, RepeatedSpectrum
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.types import Cube, plain_values


@dataclass(frozen=True, eq=False)
class Validity:
    """Mask of the valid pixels of a cube, and the number of invalid pixels by reason.

    Attributes
    ----------
    mask : (rows, cols) bool array
        Whether each pixel is valid.
    missing, zero, saturated : int
        Number of pixels by kind. A pixel is ``missing`` if at least one band is NaN, infinite, beyond the range of float32,
        or a no-data value. If 0 is a no-data value of every band, a band that is 0 does not make its pixel ``missing``.
        Other pixels are ``zero`` if all bands are 0. In a cube of integers, other pixels are ``saturated`` if all bands
        have the largest value of the dtype.
    partly_zero : int
        If 0 is a no-data value of every band, number of valid pixels with 0 in some bands only; otherwise 0.
    too_large : int
        Number of pixels with a finite value beyond the range of float32. These pixels are also counted in `missing`.
    zero_is_nodata : bool
        Whether 0 is a no-data value of every band.
    repeated : tuple of RepeatedSpectrum
        Spectra that several valid pixels have, and that may mean no data.
    fills : tuple of BandFill
        Values of single bands that several valid pixels have, and that may mean no data.
    partly_missing : int
        Number of pixels that have a value in some bands, but not in all.
    partly_missing_bands : tuple of int
        Indices of the bands in which a pixel of `partly_missing` has no value.
    """

    mask: NDArray[np.bool_]
    missing: int
    zero: int
    saturated: int
    partly_zero: int
    too_large: int
    zero_is_nodata: bool
    repeated: tuple[RepeatedSpectrum, ...]
    fills: tuple[BandFill, ...]
    partly_missing: int
    partly_missing_bands: tuple[int, ...]

    def renumbered(self, bands: NDArray[np.intp]) -> Validity:
        """Return the result with other band numbers: `bands`, a (bands,) intp array, has the new number of each band."""
        fills = tuple(dict.fromkeys(replace(fill, band=int(bands[fill.band])) for fill in self.fills))
        missing = tuple(sorted({int(bands[band]) for band in self.partly_missing_bands}))
        return replace(self, fills=fills, partly_missing_bands=missing)

    def notes(self, name: str, blank_pixels: str) -> tuple[str, ...]:
        """Return messages on pixels that were assumed to be valid or invalid.

        Parameters
        ----------
        name : str
            Name of the scene.
        blank_pixels : {"drop", "keep"}
            Value of `blank_pixels` in the call of `valid_pixels`.
        """
        notes = []
        blank = {"0": 0 if self.zero_is_nodata else self.zero, "the highest value of the dtype": self.saturated}
        for value, count in blank.items():
            if count and blank_pixels == "drop":
                notes.append(
                    f"{name}: {format_count(count, 'pixel is', 'pixels are')} {value} in all bands and {_count(count)} as invalid, although the file does not declare "
                    "that value as no data; `blank_pixels='keep'` makes them valid"
                )
        if blank_pixels == "drop":
            notes += [f"{name}: {spectrum.note}" for spectrum in self.repeated]
            # The note on 0 in some bands follows below.
            fills = [fill for fill in self.fills if fill.value != 0 or not self.zero_is_nodata]
            notes += [f"{name}: {fill_note(fills)}"] if fills else []
        if self.partly_missing:
            notes.append(
                f"{name}: {format_count(self.partly_missing, 'pixel has', 'pixels have')} no data in some bands only (bands {format_bands(self.partly_missing_bands)}, "
                f"counted from 0 as in `bad_bands`, which can leave them out) and {_count(self.partly_missing)} as invalid"
            )
        if self.too_large:
            notes.append(
                f"{name}: {format_count(self.too_large, 'pixel holds', 'pixels hold')} values beyond the range of float32 and {_count(self.too_large)} as invalid"
            )
        if self.partly_zero:
            notes.append(
                f"{name}: {format_count(self.partly_zero, 'pixel has', 'pixels have')} 0, the declared no-data value, in some bands only, and {_count(self.partly_zero)} as valid, "
                "because dark pixels can be 0"
            )
        return tuple(notes)


def valid_pixels(cube: Cube, nodata: NoData = (), *, blank_pixels: str = "drop") -> Validity:
    """Find the valid pixels of a cube, and count the invalid pixels by reason.

    A pixel is invalid if one of these conditions holds:

    - at least one band is NaN, infinite, beyond the range of float32, or a no-data value of this band
    - the pixel is blank, and `blank_pixels` is ``drop``

    A pixel is blank if all its bands are 0. In a cube of integers, a pixel is also blank if all its bands have the largest
    value of the dtype (saturation).

    There is one exception. If 0 is a no-data value of every band, a pixel with 0 in some bands only is valid. In such a
    pixel, 0 may be a low measured value.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        Values, in memory or on disk, which are read block by block.
    nodata : NoData
        One tuple of no-data values for all bands, or one tuple for each band.
    blank_pixels : {"drop", "keep"}
        ``drop``: blank pixels are invalid. ``keep``: blank pixels are valid. If 0 is a no-data value of every band, pixels
        with 0 in all bands are invalid in both cases.

    Examples
    --------
    >>> validity = valid_pixels(np.array([[[1, 2], [0, 0], [7, -1]]]), nodata=(-1.0,))
    >>> validity.mask.tolist(), validity.missing, validity.zero
    ([[True, False, False]], 1, 1)
    """
    rows, cols, bands = (int(side) for side in cube.shape)
    per_band = by_band(nodata, bands)
    zero_is_nodata = all(0 in values for values in per_band)
    if zero_is_nodata:
        nodata = tuple(tuple(value for value in values if value != 0) for values in per_band)
    dtype = np.dtype(cube.dtype)
    saturation = int(np.iinfo(dtype).max) if dtype.kind in "iu" else None
    mask = empty_mask(rows, cols)
    missing_count = zero_count = saturated_count = partly_zero_count = too_large_count = 0
    spectra, fills = RepeatedSpectra(bands), BandFills(rows * cols)
    partly_missing, partly_missing_bands = 0, np.zeros(bands, bool)
    for block in blocks(rows, cols, bands):
        values = plain_values(cube[block.slices])
        absent = ~np.isfinite(values) | is_nodata(values, nodata)
        present = ~absent.any(axis=2)
        partly = absent[~present]
        partly = partly[~partly.all(axis=1)]
        partly_missing += len(partly)
        partly_missing_bands |= partly.any(axis=0)
        too_large = present & ~_fits_float32(values).all(axis=2)
        too_large_count += int(np.count_nonzero(too_large))
        present &= ~too_large
        zero = present & ~(values != 0).any(axis=2)
        if zero_is_nodata:
            partly_zero_count += int(np.count_nonzero(present & ~zero & (values == 0).any(axis=2)))
        saturated = np.zeros_like(zero)
        if saturation is not None:
            saturated = present & ~(values != saturation).any(axis=2)
        missing_count += int(np.count_nonzero(~present))
        zero_count += int(np.count_nonzero(zero))
        saturated_count += int(np.count_nonzero(saturated))
        if blank_pixels == "keep":
            mask[block.slices] = present & ~zero if zero_is_nodata else present
        else:
            mask[block.slices] = present & ~zero & ~saturated
        valid_rows, valid_cols = np.nonzero(mask[block.slices])
        valid, pixels = values[mask[block.slices]], (block.row + valid_rows) * cols + block.col + valid_cols
        spectra.add(valid, pixels)
        fills.add(valid, pixels)
    repeated = tuple(spectra.unusual(cube))
    return Validity(
        mask=mask,
        missing=missing_count,
        zero=zero_count,
        saturated=saturated_count,
        partly_zero=partly_zero_count,
        too_large=too_large_count,
        zero_is_nodata=zero_is_nodata,
        repeated=repeated,
        fills=tuple(fills.unusual([(spectrum.spectrum, spectrum.pixels) for spectrum in repeated])),
        partly_missing=partly_missing,
        partly_missing_bands=tuple(np.flatnonzero(partly_missing_bands).tolist()),
    )


def bands_without_values(cube: Cube, nodata: NoData) -> tuple[int, ...]:
    """Return the indices of the bands in which no pixel has a value; see `Scene.empty_bands`."""
    has_data = np.zeros(cube.shape[2], dtype=bool)
    for block in blocks(*map(int, cube.shape)):
        values = np.asarray(cube[block.slices])
        good = np.isfinite(values) & (~is_nodata(values, nodata) | (values == 0))
        has_data |= good.any(axis=(0, 1))
        if has_data.all():
            break
    return tuple(np.flatnonzero(~has_data).tolist())


def drop_missing_values(mask: NDArray[np.bool_], cube: Cube) -> NDArray[np.bool_]:
    """Return a mask without the pixels in which a band is NaN, infinite or beyond the range of float32.

    Parameters
    ----------
    mask : (rows, cols) bool array
        Mask of pixels.
    cube : array-like of shape (rows, cols, bands)
        Values, which are read block by block. Integers are not read.

    Returns
    -------
    (rows, cols) bool array
        The mask without these pixels; `mask` itself if there are none.

    Examples
    --------
    >>> drop_missing_values(np.ones((1, 3), bool), np.array([[[1, 2], [np.nan, 2], [1, np.inf]]])).tolist()
    [[True, False, False]]
    """
    if np.dtype(cube.dtype).kind != "f":
        return mask
    rows, cols, bands = (int(side) for side in cube.shape)
    remaining = empty_mask(rows, cols)
    for block in blocks(rows, cols, bands):
        values = plain_values(cube[block.slices])
        remaining[block.slices] = mask[block.slices] & (np.isfinite(values) & _fits_float32(values)).all(axis=2)
    return mask if np.array_equal(remaining, mask) else remaining


def _fits_float32(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask of the values in the range of float32, the dtype in which projections and heads compute."""
    if values.dtype.kind != "f" or values.dtype.itemsize <= np.dtype(np.float32).itemsize:
        return np.ones(values.shape, dtype=bool)
    return np.asarray(np.abs(values) <= np.finfo(np.float32).max)


def _count(pixels: int) -> str:
    """Return the verb of a sentence about a number of pixels."""
    return "counts" if pixels == 1 else "count"
