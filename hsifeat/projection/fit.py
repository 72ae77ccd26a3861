"""Fitting a projection on the valid pixels of an image, block by block in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.projection.image import SpectralImage
from hsifeat.projection.projection import Projection
from hsifeat.projection.spec import ProjectionSpec, parse_projection
from hsifeat.scenes import Scene, open_labels
from hsifeat.scenes.band_ranges import format_bands
from hsifeat.scenes.blocks import blocks, sample_bands
from hsifeat.scenes.colours import rgb_bands

# Relative rounding error of a sum of some hundred float32 numbers.
_FLOAT32_ERROR = 1e-6


def fit_projection(spec: str, image: SpectralImage) -> Projection:
    """Fit a projection on an image.

    Parameters
    ----------
    spec : str
        Form of the projection, with options such as ``rgb:stretch=joint:gamma=0.4``:

        - ``rgb``: the bands nearest to 640, 550 and 460 nm; ``bands:i,j,k``: those bands, from 0. Each is stretched from
          its 2nd and 98th percentile to [-1, 1] and clipped. ``:stretch=joint`` takes common percentiles for all bands,
          ``:percentiles=0-100`` others, and ``:gamma=0.4`` applies a gamma after the stretch.
        - ``pca:N``: N principal components, each scaled to mean 0 and standard deviation 1, as in MTMSD. Signs are chosen
          so that the largest weight of a component is positive.
        - ``all``: every band scaled to mean 0 and standard deviation 1.
        - ``:mask=FILE``, with any form: fit on the labelled pixels of a label map only, so that the fit does not see the
          others (not transductive).
    image : SpectralImage
        A scene, or another spectral image. Only its valid pixels are used; labels are not.

    Returns
    -------
    Projection

    Raises
    ------
    ProjectionError
        An unknown form or option, a band that the image does not have, more components than bands, or no valid pixel.
    SceneError
        The mask can't be read, or is not on the grid of the image.

    Notes
    -----
    In an image of more than about a million pixels, percentiles are those of a regular sample of a million.

    Examples
    --------
    >>> scene = Scene("small", np.arange(1.0, 25).reshape(2, 3, 4))
    >>> projection = fit_projection("pca:1", scene)
    >>> projection.spec, projection.bands, projection.channels
    ('pca:1', 4, 1)
    """
    parsed = parse_projection(spec)
    fit_mask, mask_digest = image.valid, ""
    if parsed.mask is not None:
        labelled = open_labels(parsed.mask, image if isinstance(image, Scene) else None).classes != 0
        if labelled.shape != fit_mask.shape:
            raise ProjectionError(
                f"{spec}: the mask has the shape {labelled.shape}, {image.name} has {fit_mask.shape}: give a mask on the image's "
                "grid"
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
        return _principal_components(name, parsed.numbers[0], *_moments([(image, fit_mask)]))
    if parsed.kind == "all":
        mean, covariance = _moments([(image, fit_mask)])
        scale = 1 / np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        return _affine(name, np.diag(scale), -mean * scale)
    bands = parsed.numbers or rgb_bands(image.bands, image.wavelengths_nm)
    return _stretched(name, parsed, bands, image, fit_mask)


def fit_components(count: int, images: Sequence[SpectralImage]) -> Projection:
    """Fit ``pca:count`` on the valid pixels of several images as if they were one.

    Parameters
    ----------
    count : int
        Number of principal components.
    images : sequence of SpectralImage
        All with the same number of bands.

    Returns
    -------
    Projection

    Raises
    ------
    ProjectionError
        An image has no valid pixels or fewer bands than `count`, or the pixels have fewer significant components: the
        others would be rounding errors.
    """
    for image in images:
        _check_any(image, image.valid, "")
        _check_count(count, image)
    mean, covariance = _moments([(image, image.valid) for image in images])
    variances, mean_square = np.linalg.eigvalsh(covariance), mean @ mean + np.trace(covariance)
    # A component is a sum of float32 products about as large as a pixel's norm.
    significant = int(np.count_nonzero(variances > (_FLOAT32_ERROR**2) * mean_square))
    if significant < count:
        names = ", ".join(image.name for image in images)
        advice = f"ask for {significant} at most" if significant else "all of them are the same"
        raise ProjectionError(
            f"{names}: pca:{count} can't be fitted, since valid pixels have {significant} significant components: {advice}"
        )
    return _principal_components(f"pca:{count}", count, mean, covariance)


def _check_any(image: SpectralImage, mask: NDArray[np.bool_], where: str) -> None:
    if not mask.any():
        raise ProjectionError(
            f"{image.name} has no valid pixel{where}: each has nodata, NaN, infinity or nothing but zeros"
            f"{_empty_bands(image)}"
        )


def _check_count(count: int, image: SpectralImage) -> None:
    if count > image.bands:
        raise ProjectionError(f"pca:{count}: at most {image.bands} components, as many as {image.name} has bands")


def _empty_bands(image: SpectralImage) -> str:
    """Name the bands that make every pixel of a scene invalid, if some but not all do."""
    empty = image.empty_bands() if isinstance(image, Scene) and not image.valid.any() else ()
    if not 0 < len(empty) < image.bands:
        return ""
    numbers = format_bands(empty)
    return f"; of its {image.bands} bands (from 0) {numbers} have no valid value at all: leave them out by --bad-bands {numbers}"


def _stretched(
    name: str, spec: ProjectionSpec, bands: tuple[int, ...], image: SpectralImage, mask: NDArray[np.bool_]
) -> Projection:
    weights = np.zeros((image.bands, len(bands)))
    offset = np.empty(len(bands))
    samples = sample_bands(image.cube, bands, mask)
    joint = np.percentile(samples, spec.percentiles) if spec.joint else None
    for channel, (band, values) in enumerate(zip(bands, samples.T, strict=True)):
        low, high = np.percentile(values, spec.percentiles) if joint is None else joint
        weights[band, channel] = scale = 2 / max(high - low, 1e-12)
        offset[channel] = -1 - scale * low
    return _affine(name, weights, offset, clip=True, gamma=spec.gamma)


def _principal_components(
    name: str, count: int, mean: NDArray[np.float64], covariance: NDArray[np.float64]
) -> Projection:
    variances, vectors = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:count]
    components = vectors[:, order]
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])
    weights = components / np.sqrt(np.maximum(variances[order], 1e-12))
    return _affine(name, weights, -mean @ weights)


def _moments(
    images: Sequence[tuple[SpectralImage, NDArray[np.bool_]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (bands,) and population covariance (bands, bands) of the pixels in the mask of each image."""
    bands = images[0][0].bands
    count, total = 0, np.zeros(bands)
    for pixels in _pixels(images):
        count += len(pixels)
        total += pixels.sum(axis=0)
    mean = total / count
    scatter = np.zeros((bands, bands))
    for pixels in _pixels(images):
        centred = pixels - mean
        scatter += centred.T @ centred
    return mean, scatter / count


def _pixels(images: Sequence[tuple[SpectralImage, NDArray[np.bool_]]]) -> Iterator[NDArray[np.float64]]:
    for image, mask in images:
        for block in blocks(image.rows, image.cols, image.bands):
            if mask[block.slices].any():
                yield np.asarray(image.cube[block.slices])[mask[block.slices]].astype(np.float64)


def _affine(
    spec: str, weights: NDArray[np.float64], offset: NDArray[np.float64], *, clip: bool = False, gamma: float = 1.0
) -> Projection:
    # Rounding to float32 hides the last bits, in which linear algebra libraries differ, from the key.
    linear, constant = (np.ascontiguousarray(values, np.float32) for values in (weights, offset))
    return Projection(spec, linear, constant, clip, gamma)
