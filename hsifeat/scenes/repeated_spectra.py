"""Search for spectra that many pixels of a scene have in common, such as an undeclared no-data value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pictures of up to three bands have many pixels of one colour.
_PICTURE_BANDS = 3
# With few bits or few bands, spectra also repeat by chance. Such a scene has many spectra that repeat about as often, so the
# repetitions of the most frequent spectrum are compared with those of the tenth.
_USUAL_RANK = 10
_UNUSUAL_RATIO = 10
_MIN_PIXELS = 4
# Number of pixels that are counted at a time, and twice the number of spectra that are kept.
_PIXELS_AT_A_TIME = 2**18


@dataclass(frozen=True)
class RepeatedSpectrum:
    """A spectrum that several valid pixels have, with exactly equal values in every band.

    Attributes
    ----------
    pixels : int
        Number of valid pixels with this spectrum.
    lowest, highest : int or float
        Lowest and highest value of the spectrum.
    fill : int, float or None
        No-data value that would make these pixels invalid, or None. `fill` equals `lowest` if the spectrum has, in each
        band, the lowest value of all valid pixels in that band. `fill` equals `highest` if the spectrum has, in each
        band, the highest value of all valid pixels in that band. Otherwise, `fill` is None.
    spectrum : (bands,) array
        Values of the spectrum.
    """

    pixels: int
    lowest: float
    highest: float
    fill: float | None
    spectrum: NDArray[Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, spectrum: NDArray[Any], pixels: int, end: np.ufunc | None = None) -> RepeatedSpectrum:
        """Describe a spectrum.

        Parameters
        ----------
        spectrum : (bands,) array
            Values of the spectrum, of any real dtype.
        pixels : int
            Number of valid pixels with this spectrum.
        end : numpy.minimum, numpy.maximum or None
            ``numpy.minimum`` if the spectrum has, in each band, the lowest value of all valid pixels in that band.
            ``numpy.maximum`` if the spectrum has, in each band, the highest value of all valid pixels in that band.
            None for any other spectrum.
        """
        fill = None if end is None else end.reduce(spectrum).item()
        return cls(pixels, spectrum.min().item(), spectrum.max().item(), fill, spectrum)

    @property
    def note(self) -> str:
        """Sentence for the user on the pixels with this spectrum."""
        equal = f"are {self.lowest:.9g} in all bands"
        if self.lowest != self.highest:
            equal = f"have exactly the same spectrum, with values from {self.lowest:.9g} to {self.highest:.9g},"
        if self.fill is None:
            return f"{self.pixels} pixels {equal} and count as valid; if they have no data, set them to NaN or to a no-data value"
        return f"{self.pixels} pixels {equal} and count as valid; if that means no data, open or extract the scene with `nodata={self.fill:.9g}`"


class RepeatedSpectra:
    """Counter of spectra that occur more than once in a scene.

    Spectra are added block by block. If a scene has at most 2**18 valid pixels, the counts are exact. In a larger scene,
    rare spectra are dropped after about every 2**18 pixels, and the 2**17 most frequent spectra are kept. If a dropped
    spectrum occurs again, its count starts again.

    Parameters
    ----------
    bands : int
        Number of bands. If there are at most three, nothing is counted.

    Examples
    --------
    >>> cube = np.array([[[1, 2, 3, 4], [-9, -8, -9, -9], [-9, -8, -9, -9]]])
    >>> spectra = RepeatedSpectra(4)
    >>> spectra.add(cube[0], np.array([0, 1, 2]))
    >>> spectra.unusual(cube)
    [RepeatedSpectrum(pixels=2, lowest=-9, highest=-8, fill=-9)]
    """

    def __init__(self, bands: int) -> None:
        self._bands = bands
        # Equal spectra have equal sums of products with these odd numbers, modulo 2**64. Other spectra practically never have.
        self._factors = np.random.default_rng(0).integers(2**64, size=bands, dtype=np.uint64) | np.uint64(1)
        # Sums, numbers of pixels, and an index of one of the pixels, of the spectra counted so far.
        self._counted = (np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
        self._waiting: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        self._ends = (_End(np.minimum), _End(np.maximum))

    def add(self, spectra: NDArray[Any], pixels: NDArray[np.int64]) -> None:
        """Count the spectra of more pixels.

        Parameters
        ----------
        spectra : (n, bands) array
            Spectra of valid pixels.
        pixels : (n,) int64 array
            Indices of the pixels in the flattened scene.
        """
        if self._bands <= _PICTURE_BANDS or not len(pixels):
            return
        for end in self._ends:
            end.add(spectra)
        bits = np.ascontiguousarray(spectra).view(f"u{spectra.dtype.itemsize}")
        self._waiting.append((np.einsum("ij,j->i", bits, self._factors), pixels))
        if sum(len(sums) for sums, _ in self._waiting) >= _PIXELS_AT_A_TIME:
            self._count()

    def _count(self) -> None:
        """Count the pixels that wait, and keep the most frequent spectra."""
        waiting_sums, waiting_pixels = zip(*self._waiting, strict=True) if self._waiting else ((), ())
        self._waiting = []
        sums, counts, pixels = self._counted
        sums, first, index = np.unique(np.concatenate([sums, *waiting_sums]), return_index=True, return_inverse=True)
        pixels = np.concatenate([pixels, *waiting_pixels])
        counts = np.bincount(index, np.append(counts, np.ones(len(pixels) - len(counts)))).astype(np.int64)
        frequent = np.argsort(-counts, kind="stable")[: _PIXELS_AT_A_TIME // 2]
        self._counted = sums[frequent], counts[frequent], pixels[first][frequent]

    def unusual(self, cube: Any) -> list[RepeatedSpectrum]:
        """Return at most three repeated spectra that may mean no data.

        - The spectrum that has, in each band, the lowest value of this band, if at least two pixels have this spectrum.
        - The spectrum that has, in each band, the highest value of this band, if at least two pixels have this spectrum.
        - The most frequent other spectrum, if at least four pixels have it, and if its number of repetitions is at least ten
          times that of the tenth most frequent of all spectra. A spectrum of n pixels has n - 1 repetitions.

        Parameters
        ----------
        cube : array-like of shape (rows, cols, bands)
            The cube whose spectra were added.
        """
        self._count()
        lowest, highest = self._ends
        ends = [end for end in self._ends if end.pixels > 1]
        if np.array_equal(lowest.spectrum, highest.spectrum):
            ends = []
        unusual = [RepeatedSpectrum.of(end.spectrum, end.pixels, end.ufunc) for end in ends]
        _, counts, pixels = self._counted
        usual = int(counts[_USUAL_RANK - 1]) if len(counts) >= _USUAL_RANK else 1
        needed = max(_MIN_PIXELS, 1 + _UNUSUAL_RATIO * (usual - 1))
        for pixel, count in zip(pixels[counts >= needed], counts[counts >= needed], strict=True):
            row, col = divmod(int(pixel), int(cube.shape[1]))
            spectrum = np.asarray(cube[row : row + 1, col : col + 1])[0, 0]
            if not any(np.array_equal(spectrum, end.spectrum) for end in ends):
                unusual.append(RepeatedSpectrum.of(spectrum, int(count)))
                break
        return unusual


class _End:
    """The lowest or the highest spectrum: the extreme value of each band, and the number of pixels with all these values."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc
        self.spectrum: NDArray[Any] = np.empty(0)
        self.pixels = 0

    def add(self, spectra: NDArray[Any]) -> None:
        """Add the spectra of further pixels, an (n, bands) array."""
        spectrum = self.ufunc.reduce(spectra, axis=0)
        if len(self.spectrum):
            spectrum = self.ufunc(spectrum, self.spectrum)
        if not np.array_equal(spectrum, self.spectrum):
            self.spectrum, self.pixels = spectrum, 0
        candidates = spectra[spectra[:, 0] == spectrum[0]]
        self.pixels += int(np.count_nonzero((candidates == spectrum).all(axis=1)))
