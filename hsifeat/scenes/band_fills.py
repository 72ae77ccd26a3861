"""Search for possible fill values. Such a value is far outside the other values of its band, and several pixels have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.formatting import format_count, list_some
from hsifeat.scenes.band_ranges import format_bands

_MIN_PIXELS = 4
# Distance to the nearest other value, as a share of the range of the other values. In crops of the scenes of the tests, also if
# they are stretched to 8 bits and clipped at percentiles, the lowest value that four pixels share is nearer.
_MIN_SHARE = 0.5
# With few levels, one level is a large share of the range. The distance must be this multiple of the median distance between
# the nearest ten levels.
_MIN_STEPS = 10
_LEVELS = 10
# Number of pixels that give the range and the levels of each band.
_SAMPLE_PIXELS = 4096


@dataclass(frozen=True)
class BandFill:
    """A possible fill value. It is far outside the other values of its band, and several valid pixels have it.

    Attributes
    ----------
    band : int
        Index of the band.
    value : int or float
        The lowest or the highest value of the band.
    pixels : int
        Number of valid pixels with this value. Pixels with a repeated spectrum are not counted; see `RepeatedSpectrum`.
    """

    band: int
    value: float
    pixels: int


def fill_note(fills: Iterable[BandFill]) -> str:
    """Return a note on fill values of bands; empty if there are none."""
    by_value: dict[float, list[BandFill]] = {}
    for fill in fills:
        by_value.setdefault(fill.value, []).append(fill)
    if not by_value:
        return ""
    named = (
        f"{value:.9g} at {'up to ' if len(same) > 1 else ''}{format_count(max(fill.pixels for fill in same), 'pixel')} in band"
        f"{'s' if len(same) > 1 else ''} {format_bands(fill.band for fill in same)}"
        for value, same in by_value.items()
    )
    advice = "set them to NaN"
    if len(by_value) == 1 and 0 not in by_value:
        advice += f", or open or extract the scene with `nodata={next(iter(by_value)):.9g}`, which makes each pixel with this value invalid"
    return (
        f"a value is far outside the others of its band (counted from 0 as in `bad_bands`) and counts as valid: {list_some(named)}; if such values "
        f"mean no data, {advice}"
    )


class BandFills:
    """Lowest and highest value of each band, and how many pixels have each of the two. Pixels are added block by block.

    Parameters
    ----------
    pixels : int
        Number of pixels of the scene.

    Examples
    --------
    >>> cube = np.arange(100, 160).reshape(30, 2)
    >>> cube[3:8, 1] = -9999
    >>> fills = BandFills(30)
    >>> fills.add(cube, np.arange(30))
    >>> fills.unusual([])
    [BandFill(band=1, value=-9999, pixels=5)]
    """

    def __init__(self, pixels: int) -> None:
        self._share = min(_SAMPLE_PIXELS / max(pixels, 1), 1.0)
        self._sample: list[NDArray[Any]] = []
        self._ends = (_BandEnd(np.minimum, np.inf), _BandEnd(np.maximum, -np.inf))

    def add(self, spectra: NDArray[Any], pixels: NDArray[np.int64]) -> None:
        """Add further pixels.

        Parameters
        ----------
        spectra : (n, bands) array
            Spectra of valid pixels.
        pixels : (n,) int64 array
            Indices of the pixels in the flattened scene.
        """
        if not len(pixels):
            return
        for end in self._ends:
            end.add(spectra)
        # Multiples of an odd number modulo 2**32 are spread evenly, whatever the width of the scene is.
        spread = pixels.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
        self._sample.append(spectra[spread < self._share * 2**32])

    def unusual(self, noted: Iterable[tuple[NDArray[Any], int]]) -> list[BandFill]:
        """Return the values that may mean no data.

        Such a value is the lowest or the highest of a band, and at least four pixels have it. Its distance to the
        nearest other value is at least half the range of the other values. The distance is also at least ten times the
        usual distance between a value and the next higher one.

        Parameters
        ----------
        noted : iterable of (array of shape (bands,), int)
            Spectra that `RepeatedSpectra.unusual` found, and the number of pixels of each. These pixels are not counted.
        """
        if not self._sample:
            return []
        sample = np.concatenate(self._sample)
        fills = []
        for end in self._ends:
            pixels = end.pixels.copy()
            for spectrum, count in noted:
                pixels -= np.where(spectrum == end.values, count, 0)
            for band in np.flatnonzero((pixels >= _MIN_PIXELS) & np.isfinite(end.nearest)):
                value = end.values[band].item()
                if _is_far(float(value), float(end.nearest[band]), sample[:, band].astype(np.float64)):
                    fills.append(BandFill(int(band), value, int(pixels[band])))
        return fills


def _is_far(value: float, nearest: float, sample: NDArray[np.float64]) -> bool:
    """Return whether the distance of a value to the nearest other value of a band is unusual; `sample` has pixels of the band."""
    sample = sample[sample != value]
    gap = abs(nearest - value)
    levels = np.unique(np.abs(np.append(sample, nearest) - value))
    steps = np.diff(levels[: _LEVELS + 1])
    far = gap >= _MIN_SHARE * (levels[-1] - levels[0])
    return bool(far and len(steps) and gap >= _MIN_STEPS * np.median(steps))


class _BandEnd:
    """The lowest or the highest value of each band, the number of pixels with this value, and the nearest other value."""

    def __init__(self, ufunc: np.ufunc, none: float) -> None:
        self._ufunc, self._none = ufunc, none
        self.values: NDArray[Any] = np.empty(0)
        self.pixels: NDArray[np.int64] = np.empty(0, np.int64)
        self.nearest: NDArray[np.float64] = np.empty(0)

    def add(self, spectra: NDArray[Any]) -> None:
        """Add the spectra of further pixels, an (n, bands) array."""
        ends = self._ufunc.reduce(spectra, axis=0)
        if not len(self.values):
            self.values, self.pixels = ends, np.zeros(len(ends), np.int64)
            self.nearest = np.full(len(ends), self._none)
        values = self._ufunc(ends, self.values)
        improved = values != self.values
        self.nearest = np.where(improved, self.values, self.nearest)
        self.pixels[improved] = 0
        self.values = values
        reached = ends == values
        self.nearest = np.where(reached, self.nearest, self._ufunc(self.nearest, ends))
        if reached.any():
            some = spectra[:, reached]
            equal = some == values[reached]
            self.pixels[reached] += np.count_nonzero(equal, axis=0)
            others = self._ufunc.reduce(np.where(equal, self._none, some), axis=0)
            self.nearest[reached] = self._ufunc(self.nearest[reached], others)
