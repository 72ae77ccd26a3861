"""Choice of the bands of a pseudo-RGB image. Constant bands are replaced. Without wavelengths, the bands are guessed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.projection.image import SpectralImage
from hsifeat.scenes.band_ranges import format_bands
from hsifeat.scenes.colours import RGB_NM, rgb_bands
from hsifeat.scenes.scene_blocks import sample_bands

# A note reports bands whose distance from red, green or blue is larger than this.
_FAR_NM = 60.0
# A band is constant if its relative range is at most this number, the rounding error of float32.
_RELATIVE_RANGE = 1e-6

Percentiles = tuple[float, float]


def choose_rgb_bands(
    image: SpectralImage, mask: NDArray[np.bool_], percentiles: Percentiles
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Choose the bands for red, green and blue. A constant band is replaced by the nearest band that varies.

    Parameters
    ----------
    image : SpectralImage
        The image. Without wavelengths, the bands are guessed; see `hsifeat.scenes.colours.rgb_bands`.
    mask : (rows, cols) bool array
        Mask of the pixels from which percentiles are computed.
    percentiles : tuple of 2 floats
        A band counts as constant if its values at these two percentiles are equal.

    Returns
    -------
    bands : tuple of 3 int
        Indices of the bands for red, green and blue.
    notes : tuple of str
        Notes on guessed bands, on bands far from 640, 550 and 460 nm, and on constant bands.
    """
    nm, preferred = image.wavelengths_nm, rgb_bands(image.bands, image.wavelengths_nm)
    constant = set(_constant_bands(image, preferred, mask, percentiles))
    bands: list[int] = []
    for target, first in zip(RGB_NM, preferred, strict=True):
        distance = np.abs(np.arange(image.bands) - first) if nm is None else np.abs(nm - target)
        order = np.argsort(distance, kind="stable").tolist()
        # A band is used twice only if there are too few others.
        candidates = (
            [first, *(band for band in order if band not in {*bands, *preferred}), *order]
            if first in constant
            else [first]
        )
        for band in candidates:
            if band not in constant and (band in preferred or not _constant_bands(image, [band], mask, percentiles)):
                bands.append(band)
                break
            constant.add(band)
        else:
            note = f"{image.name}: every band is constant over the valid pixels; the channels of rgb are 0: check `nodata` and `variable`"
            return preferred, (note,)
    listed = ", ".join(map(str, bands))
    notes = []
    if constant:
        notes.append(
            f"{image.name}: the bands {format_bands(constant)} (counted from 0 as in bands:i,j,k) are constant over the valid pixels; the bands "
            f"{listed} are red, green and blue"
        )
    if nm is None:
        notes.append(
            f"{image.name}: has no wavelengths; assumed the bands {listed} (counted from 0) to be red, green and blue: "
            "`projection='bands:i,j,k'` names others, and pca:3 uses all bands"
        )
    elif max(abs(nm[band] - target) for band, target in zip(bands, RGB_NM, strict=True)) > _FAR_NM or len(
        set(bands)
    ) < len(bands):
        lengths = ", ".join(f"{nm[band]:g}" for band in bands)
        notes.append(
            f"{image.name}: its bands for red, green and blue are those at {lengths} nm: `projection='bands:i,j,k'` names others, and "
            "pca:3 uses all bands"
        )
    return tuple(bands), tuple(notes)


def check_bands(
    spec: str, bands: Sequence[int], image: SpectralImage, mask: NDArray[np.bool_], percentiles: Percentiles
) -> tuple[int, ...]:
    """Check that the bands of a projection ``bands:i,j,k`` are not constant, and return `bands` as a tuple.

    Parameters
    ----------
    spec : str
        Text form of the projection, for errors.
    bands : sequence of int
        Indices of the bands.
    image : SpectralImage
        The image.
    mask : (rows, cols) bool array
        Mask of the pixels from which percentiles are computed.
    percentiles : tuple of 2 floats
        A band counts as constant if its values at these two percentiles are equal.

    Raises
    ------
    ProjectionError
        If a band is constant.
    """
    if constant := _constant_bands(image, bands, mask, percentiles):
        raise ProjectionError(
            f"{spec}: the bands {format_bands(constant)} (counted from 0) of {image.name} are constant between their percentiles {percentiles[0]:g} and "
            f"{percentiles[1]:g}: name others"
        )
    return tuple(bands)


def _constant_bands(
    image: SpectralImage, bands: Sequence[int], mask: NDArray[np.bool_], percentiles: Percentiles
) -> list[int]:
    distinct = list(dict.fromkeys(bands))
    samples = sample_bands(image.cube, distinct, mask)
    low, high = np.percentile(samples, percentiles, axis=0)
    return [band for band, *ends in zip(distinct, low, high, strict=True) if is_constant(*ends)]


def is_constant(low: float, high: float) -> bool:
    """Return whether two percentiles `low` and `high` of a band differ by at most the rounding error of float32."""
    return bool(high - low <= _RELATIVE_RANGE * max(abs(low), abs(high)))
