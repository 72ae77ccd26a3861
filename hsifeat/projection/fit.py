"""Fitting of projections on the valid pixels of images, block by block in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.formatting import format_count
from hsifeat.projection.image import SpectralImage, check_spectral_image
from hsifeat.projection.projection import Projection
from hsifeat.projection.rgb import check_bands, choose_rgb_bands
from hsifeat.projection.spec import ProjectionSpec, parse_projection
from hsifeat.projection.stretch import affine, scale_bands
from hsifeat.scenes import Scene, open_labels
from hsifeat.scenes.array_views import opened_bands
from hsifeat.scenes.band_matching import names_of_bands
from hsifeat.scenes.band_ranges import format_bands
from hsifeat.scenes.scene_blocks import blocks, sample_bands

# Relative rounding error of a sum of a few hundred float32 numbers.
_FLOAT32_ERROR = 1e-6
# One pixel is noted if it has more than this share of the variance of a band, in a scene of enough pixels.
_MOST = 0.5
_ENOUGH_PIXELS = 100


def fit_projection(spec: str, image: SpectralImage) -> Projection:
    """Fit a projection on an image.

    Parameters
    ----------
    spec : str
        Text form of the projection, followed by options, such as ``rgb:stretch=joint:gamma=0.4``. The forms are:

        - ``rgb``: the bands nearest to 640, 550 and 460 nm
        - ``bands:i,j,k``: the bands with these indices, counted from 0
        - ``pca:N``: the first N principal components, each scaled to mean 0 and standard deviation 1. The sign of a
          component is chosen so that its weight of largest magnitude is positive
        - ``all``: every band, scaled to mean 0 and standard deviation 1

        The forms ``rgb`` and ``bands`` map the 2nd and 98th percentiles of each band to -1 and 1, and clip the result. Both
        forms have the options:

        - ``:stretch=joint``: compute the percentiles from all selected bands together
        - ``:percentiles=0-100``: use these percentiles
        - ``:gamma=0.4``: map the channels to the range 0 to 1, raise them to this power, and map them back to the range -1
          to 1

        The forms ``pca`` and ``all`` have the option ``:clip=2.5``, which maps 2.5 standard deviations to 1 and clips channels to
        [-1, 1], the range of image models. ``:clip=none`` is the default.

        If a band of ``rgb`` is constant, the next nearest band that varies replaces it, and a note states the replacement.

        Every form has the option ``:mask=FILE``. FILE is a label map, and the fit uses only its labelled pixels.
    image : SpectralImage
        A scene or another spectral image. The fit uses its valid pixels and ignores its labels.

    Returns
    -------
    Projection
        The fitted projection, which maps bands to channels. It has the wavelengths of the image, by which an extraction selects
        the bands of another scene, and the names of its bands.

    Raises
    ------
    ProjectionError
        If the form or an option is unknown. If an option has an invalid value. If a band of ``bands:i,j,k`` is constant or
        missing from the image. If N of ``pca:N`` exceeds the number of bands or the number of significant components; see
        `fit_components`. If the mask and the image differ in shape. If no pixel is both valid and labelled in the mask.
    SceneError
        If the mask can't be read or can't be aligned with the grid of the scene. If the file of the scene's array was closed.

    Notes
    -----
    In an image of more than about a million pixels, percentiles are computed from a regular sample of about a million
    pixels: every k-th row and column. Stripes that repeat every k rows or columns may therefore be missed, or be all
    that is read. The forms ``pca`` and ``all`` are fitted to all pixels.

    Examples
    --------
    >>> scene = Scene("small", np.arange(1.0, 25).reshape(2, 3, 4))
    >>> projection = fit_projection("pca:1", scene)
    >>> projection.spec, projection.bands, projection.channels
    ('pca:1', 4, 1)
    """
    check_spectral_image(image)
    names, scale = (names_of_bands(image), image.scale) if isinstance(image, Scene) else ((), None)
    return replace(_fit(spec, image), wavelengths_nm=image.wavelengths_nm, band_names=names, scale=scale)


def _fit(spec: str, image: SpectralImage) -> Projection:
    parsed = parse_projection(spec)
    fit_mask, mask_digest = image.valid, ""
    if parsed.mask is not None:
        labelled = open_labels(parsed.mask, image if isinstance(image, Scene) else None).classes != 0
        if labelled.shape != fit_mask.shape:
            raise ProjectionError(
                f"{spec}: the mask has the shape {labelled.shape}, but {image.name} has {fit_mask.shape}: give a mask on the "
                "image's grid"
            )
        fit_mask = fit_mask & labelled
        mask_digest = hashlib.sha256(np.packbits(labelled).data).hexdigest()[:12]
    _check_any(image, fit_mask, "" if parsed.mask is None else f" in the mask {parsed.mask}")
    if largest := max(parsed.numbers, default=0):
        if parsed.kind == "bands" and largest >= image.bands:
            raise ProjectionError(f"{spec}: {image.name} has the bands 0 to {image.bands - 1}; found {largest}")
        if parsed.kind == "pca":
            _check_count(largest, image)
    name = parsed.to_text(mask_digest)
    if parsed.kind == "pca":
        moments = _moments([(image, fit_mask)])
        _check_significant(parsed.numbers[0], moments, image.name)
        return _clipped(_principal_components(name, parsed.numbers[0], moments, image.name), parsed)
    if parsed.kind == "all":
        moments = _moments([(image, fit_mask)])
        scale = 1 / np.sqrt(np.where(moments.constant, np.inf, moments.variances))
        fitted = affine(name, np.diag(scale), -moments.mean * scale)
        return _clipped(replace(fitted, notes=moments.notes(image.name)), parsed)
    # With common percentiles, a band counts as constant only if all its values are equal.
    percentiles = (0.0, 100.0) if parsed.joint else parsed.percentiles
    if parsed.kind == "bands":
        return _stretched(
            name, parsed, check_bands(spec, parsed.numbers, image, fit_mask, percentiles), image, fit_mask
        )
    bands, notes = choose_rgb_bands(image, fit_mask, percentiles)
    return replace(_stretched(name, parsed, bands, image, fit_mask), notes=notes)


def _clipped(projection: Projection, spec: ProjectionSpec) -> Projection:
    """If `spec.clip` is a finite number, map this number of standard deviations to 1 and clip channels to [-1, 1]."""
    if not spec.clips or spec.clip is None:
        return projection
    weights, offset = (values / np.float32(spec.clip) for values in (projection.weights, projection.offset))
    return replace(projection, weights=weights, offset=offset, clip=True)


def fit_components(count: int, images: Sequence[SpectralImage]) -> Projection:
    """Fit one projection ``pca:N`` on the valid pixels of several images together.

    Parameters
    ----------
    count : int
        Number N of principal components.
    images : sequence of SpectralImage
        Images that all have the same number of bands.

    Returns
    -------
    Projection
        The fitted projection, with `count` channels.

    Raises
    ------
    ProjectionError
        If an image has no valid pixels or fewer bands than `count`. If the pixels have fewer than `count` significant
        components. A component is significant if its variance exceeds the rounding error of float32 sums.
    """
    for image in images:
        _check_any(image, image.valid, "")
        _check_count(count, image)
    moments = _moments([(image, image.valid) for image in images])
    names = ", ".join(image.name for image in images)
    _check_significant(count, moments, names)
    return _principal_components(f"pca:{count}", count, moments, names)


def fit_band_ranges(count: int, images: Sequence[SpectralImage]) -> Projection:
    """Fit one projection ``bands:i,j,…:percentiles=0-100`` on the valid pixels of several images together.

    Parameters
    ----------
    count : int
        Number of bands to select. The selected bands are evenly spaced, and include the first and the last band.
    images : sequence of SpectralImage
        Images that all have the same number of bands.

    Returns
    -------
    Projection
        The fitted projection. It maps the smallest and the largest value of each band to -1 and 1. It maps a constant band
        to 0.

    Raises
    ------
    ProjectionError
        If an image has no valid pixels or fewer bands than `count`.

    Examples
    --------
    >>> fit_band_ranges(2, [Scene("small", np.arange(1.0, 25).reshape(2, 3, 4))]).spec
    'bands:0,3:percentiles=0-100'
    """
    for image in images:
        _check_any(image, image.valid, "")
        if count > image.bands:
            raise ProjectionError(
                f"{image.name} has {format_count(image.bands, 'band')}, fewer than the {count} bands of the network"
            )
    bands = tuple(int(band) for band in np.linspace(0, images[0].bands - 1, count).round())
    samples = np.concatenate([sample_bands(image.cube, bands, image.valid) for image in images])
    spec = ProjectionSpec("bands", bands, percentiles=(0.0, 100.0))
    return scale_bands(spec.to_text(), spec, bands, images[0].bands, samples)


def fit_leading_components(limit: int, image: SpectralImage) -> Projection:
    """Fit a projection ``pca:N`` on the valid pixels of an image. N is as large as possible, but at most `limit`.

    Parameters
    ----------
    limit : int
        Maximum number of components.
    image : SpectralImage
        The image. If the image has fewer significant components than `limit`, N is the number of significant components; see
        `fit_components`.

    Returns
    -------
    Projection
        The fitted projection, with N channels.

    Raises
    ------
    ProjectionError
        If the image has no valid pixel.

    Examples
    --------
    >>> fit_leading_components(60, Scene("small", np.arange(1.0, 25).reshape(2, 3, 4))).spec
    'pca:1'
    """
    _check_any(image, image.valid, "")
    moments = _moments([(image, image.valid)])
    count = max(1, min(limit, moments.significant))
    return _principal_components(f"pca:{count}", count, moments, image.name)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Moments of the pixels on which a projection is fitted.

    Attributes
    ----------
    count : int
        Number of pixels.
    mean : (bands,) float64 array
    covariance : (bands, bands) float64 array
        Population covariance.
    largest : (bands,) float64 array
        Largest absolute deviation from the mean in each band.
    bands : (bands,) intp array or None
        Number of each band in the option `bad_bands`, see `opened_bands`. None for images that are no scenes, and for scenes whose
        bands have different numbers.
    """

    count: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    largest: NDArray[np.float64]
    bands: NDArray[np.intp] | None

    @property
    def variances(self) -> NDArray[np.float64]:
        """Variance of each band."""
        return np.diag(self.covariance)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether the standard deviation of each band is within the rounding error of float32 numbers."""
        return self.variances <= (_FLOAT32_ERROR**2) * (self.mean**2 + self.variances)

    @cached_property
    def rounding_variance(self) -> float:
        """Largest variance of a component that rounding can explain.

        The rounding error of a component grows with the norm of the pixel, because a component is a sum of float32 products.
        """
        return float(_FLOAT32_ERROR**2 * (self.mean @ self.mean + np.trace(self.covariance)))

    @cached_property
    def significant(self) -> int:
        """Number of principal components whose variance exceeds the rounding error of float32 sums."""
        return int(np.count_nonzero(np.linalg.eigvalsh(self.covariance) > self.rounding_variance))

    def _numbers(self, selected: NDArray[np.bool_]) -> str:
        if self.bands is None:
            return f"{format_bands(np.flatnonzero(selected).tolist())} (counted from 0)"
        return f"{format_bands(self.bands[selected].tolist())} (counted from 0 as in `bad_bands`)"

    def notes(self, names: str) -> tuple[str, ...]:
        """Return notes on constant bands, and on bands in which one pixel has most of the variance."""
        notes = []
        if self.constant.any():
            notes.append(
                f"{names}: bands that are equal at all valid pixels, up to the rounding of float32: "
                f"{self._numbers(self.constant)}; they carry no information"
            )
        alone = ~self.constant & (self.largest**2 > _MOST * self.count * self.variances)
        if alone.any() and self.count >= _ENOUGH_PIXELS:
            band = int(np.flatnonzero(alone)[0])
            notes.append(
                f"{names}: one pixel has most of the variance of the bands {self._numbers(alone)}; in band "
                f"{band if self.bands is None else self.bands[band]}, it is {self.largest[band]:.3g} away from the mean of {self.mean[band]:.3g}: if this is a missing "
                "value, declare it with `nodata`"
            )
        return tuple(notes)


def _check_significant(count: int, moments: _Moments, names: str) -> None:
    significant = moments.significant
    if significant < count:
        advice = f"use at most pca:{significant}" if significant else "all valid pixels are equal, up to rounding"
        reasons = "".join(f"; {note}" for note in moments.notes(names)) if significant else ""
        raise ProjectionError(
            f"{names}: pca:{count} can't be fitted, because the valid pixels have {significant} significant components: "
            f"{advice}{reasons}"
        )


def _check_any(image: SpectralImage, mask: NDArray[np.bool_], where: str) -> None:
    if not mask.any():
        raise ProjectionError(
            f"{image.name} has no valid pixel{where}: each has nodata, NaN, infinity, numbers beyond float32 (3.4e38) or nothing but zeros"
            f"{_empty_bands(image)}"
        )


def _check_count(count: int, image: SpectralImage) -> None:
    if count > image.bands:
        raise ProjectionError(
            f"pca:{count}: {image.name} has {format_count(image.bands, 'band')} and so at most {format_count(image.bands, 'component')}"
        )


def _empty_bands(image: SpectralImage) -> str:
    """Return advice to drop the empty bands of a scene that has no valid pixel.

    Return an empty string if the scene has a valid pixel, or if none or all of its bands are empty.
    """
    empty = image.empty_bands() if isinstance(image, Scene) and not image.valid.any() else ()
    if not 0 < len(empty) < image.bands:
        return ""
    numbers = format_bands(opened_bands(image.cube)[list(empty)].tolist())
    return f"; the bands {numbers} (counted from 0 as in `bad_bands`) have no valid value: drop them with `bad_bands={numbers!r}`"


def _stretched(
    name: str, spec: ProjectionSpec, bands: tuple[int, ...], image: SpectralImage, mask: NDArray[np.bool_]
) -> Projection:
    return scale_bands(name, spec, bands, image.bands, sample_bands(image.cube, bands, mask))


def _principal_components(name: str, count: int, moments: _Moments, names: str) -> Projection:
    variances, vectors = np.linalg.eigh(moments.covariance)
    order = np.argsort(variances)[::-1][:count]
    components = vectors[:, order]
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])
    # Only the first component can be insignificant, if all pixels are equal. Its channel is 0.
    varies = variances[order] > moments.rounding_variance
    weights = components / np.sqrt(np.where(varies, variances[order], np.inf))
    return replace(affine(name, weights, -moments.mean @ weights), notes=moments.notes(names))


def _moments(images: Sequence[tuple[SpectralImage, NDArray[np.bool_]]]) -> _Moments:
    """Return the moments of the pixels that the masks select."""
    bands = images[0][0].bands
    count, total = 0, np.zeros(bands)
    for pixels in _pixels(images):
        count += len(pixels)
        total += pixels.sum(axis=0)
        del pixels  # before the next block is read
    mean = total / count
    scatter, largest = np.zeros((bands, bands)), np.zeros(bands)
    for pixels in _pixels(images):
        np.subtract(pixels, mean, out=pixels)
        scatter += pixels.T @ pixels
        largest = np.maximum(largest, np.maximum(pixels.max(axis=0), -pixels.min(axis=0)))
        del pixels
    numbers = [opened_bands(image.cube) if isinstance(image, Scene) else None for image, _ in images]
    are_equal = numbers[0] is not None and all(np.array_equal(one, numbers[0]) for one in numbers if one is not None)
    return _Moments(count, mean, scatter / count, largest, numbers[0] if are_equal else None)


def _pixels(images: Sequence[tuple[SpectralImage, NDArray[np.bool_]]]) -> Iterator[NDArray[np.float64]]:
    for image, mask in images:
        for block in blocks(image.rows, image.cols, image.bands):
            if mask[block.slices].any():
                yield np.asarray(image.cube[block.slices])[mask[block.slices]].astype(np.float64)
