"""Fitting a projection on a scene's valid pixels, or on those of a mask; block by block, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.projection.projection import Projection
from hsifeat.projection.spec import ProjectionSpec, parse_projection
from hsifeat.scenes import open_labels
from hsifeat.scenes.band_ranges import format_bands
from hsifeat.scenes.blocks import blocks, sample_bands
from hsifeat.scenes.colours import rgb_bands
from hsifeat.scenes.scene import Scene

# What a float32 number can tell apart, with room for a sum of some hundred of them.
_FLOAT32_BITS = 1e-6


def fit_projection(spec: str, scene: Scene) -> Projection:
    """Fit a projection on a scene.

    Parameters
    ----------
    spec : str
        ``rgb``: the bands nearest to 640, 550 and 460 nm; ``bands:i,j,k``: those bands (from 0). Each is stretched from
        its 2nd and 98th percentile to [-1, 1] and clipped; ``:stretch=joint`` takes common percentiles for all,
        ``:percentiles=0-100`` others, and ``:gamma=0.4`` bends what was stretched. ``pca:N``: N principal components,
        each scaled to mean 0 and standard deviation 1, as MTMSD does; the sign makes the largest weight positive.
        ``all``: every band scaled to mean 0 and standard deviation 1. ``:mask=FILE`` fits on the labelled pixels of a
        label map only, for a fit that never sees the others (not transductive).
    scene : Scene
        Its valid pixels are all that the fit sees; classes play no part.

    Returns
    -------
    Projection

    Raises
    ------
    ProjectionError
        An unknown form or option, a band that the scene does not have, more components than bands, or no valid pixel.
    SceneError
        The mask can't be read, or is not on the scene's grid.

    Notes
    -----
    In a scene of more than about a million pixels, percentiles are those of an even sample of a million.
    """
    rule = parse_projection(spec)
    seen, digest = scene.valid, ""
    if rule.mask is not None:
        marked = open_labels(rule.mask, scene).classes != 0
        if marked.shape != seen.shape:
            raise ProjectionError(f"{spec}: the mask has the shape {marked.shape}, {scene.name} has {seen.shape}")
        seen = seen & marked
        digest = hashlib.sha256(np.packbits(marked).data).hexdigest()[:12]
    _check_seen(scene, seen, "" if rule.mask is None else f" in the mask {rule.mask}")
    if most := max(rule.numbers, default=0):
        if rule.kind == "bands" and most >= scene.bands:
            raise ProjectionError(f"{spec}: {scene.name} has the bands 0 to {scene.bands - 1}; found {most}")
        if rule.kind == "pca":
            _check_count(most, scene)
    name = rule.spec(digest)
    if rule.kind == "pca":
        return _principal_components(name, rule.numbers[0], *_moments([(scene, seen)]))
    if rule.kind == "all":
        mean, covariance = _moments([(scene, seen)])
        scale = 1 / np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        return _affine(name, np.diag(scale), -mean * scale)
    bands = rule.numbers or rgb_bands(scene.bands, scene.wavelengths_nm)
    return _stretched(name, rule, bands, scene, seen)


def fit_components(count: int, scenes: Sequence[Scene]) -> Projection:
    """Fit ``pca:count`` on the valid pixels of several scenes as if they were one.

    Parameters
    ----------
    count : int
        Principal components.
    scenes : sequence of Scene
        All with the same number of bands.

    Raises
    ------
    ProjectionError
        A scene without valid pixels, more components than bands, or more than tell pixels apart: the others would be
        nothing but rounding.
    """
    for scene in scenes:
        _check_seen(scene, scene.valid, "")
        _check_count(count, scene)
    mean, covariance = _moments([(scene, scene.valid) for scene in scenes])
    variances, square = np.linalg.eigvalsh(covariance), mean @ mean + np.trace(covariance)
    # A component is a sum of float32 products about as large as a pixel's norm.
    there = int(np.count_nonzero(variances > (_FLOAT32_BITS**2) * square))
    if there < count:
        names = ", ".join(scene.name for scene in scenes)
        found = f"{there} components tell them apart: ask for {there} at most" if there else "all of them are the same"
        raise ProjectionError(f"{names}: no {count} principal components can be taken of the valid pixels, for {found}")
    return _principal_components(f"pca:{count}", count, mean, covariance)


def _check_seen(scene: Scene, seen: NDArray[np.bool_], where: str) -> None:
    if not seen.any():
        raise ProjectionError(
            f"{scene.name} has no valid pixel{where}: every one holds nodata, NaN, infinity or zeros only{_blamed(scene)}"
        )


def _check_count(count: int, scene: Scene) -> None:
    if count > scene.bands:
        raise ProjectionError(f"pca:{count}: at most {scene.bands} components, as many as {scene.name} has bands")


def _blamed(scene: Scene) -> str:
    """Name the bands that make every pixel of a scene invalid, if some but not all do."""
    empty = () if scene.valid.any() else scene.empty_bands()
    if not 0 < len(empty) < scene.bands:
        return ""
    listed = format_bands(empty)
    return f"; of its {scene.bands} bands (from 0) {listed} have no valid value at all: leave them out by --bad-bands {listed}"


def _stretched(
    name: str, rule: ProjectionSpec, bands: tuple[int, ...], scene: Scene, seen: NDArray[np.bool_]
) -> Projection:
    weights = np.zeros((scene.bands, len(bands)))
    offset = np.empty(len(bands))
    samples = sample_bands(scene.cube, bands, seen)
    common = np.percentile(samples, rule.percentiles) if rule.joint else None
    for channel, (band, values) in enumerate(zip(bands, samples.T, strict=True)):
        low, high = np.percentile(values, rule.percentiles) if common is None else common
        weights[band, channel] = scale = 2 / max(high - low, 1e-12)
        offset[channel] = -1 - scale * low
    return _affine(name, weights, offset, clip=True, gamma=rule.gamma)


def _principal_components(
    name: str, count: int, mean: NDArray[np.float64], covariance: NDArray[np.float64]
) -> Projection:
    variances, vectors = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:count]
    components = vectors[:, order]
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])
    weights = components / np.sqrt(np.maximum(variances[order], 1e-12))
    return _affine(name, weights, -mean @ weights)


def _moments(seen: Sequence[tuple[Scene, NDArray[np.bool_]]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (bands,) and population covariance (bands, bands) of the pixels seen of each scene, block by block."""
    bands = seen[0][0].bands
    count, total = 0, np.zeros(bands)
    for pixels in _pixels(seen):
        count += len(pixels)
        total += pixels.sum(axis=0)
    mean = total / count
    scatter = np.zeros((bands, bands))
    for pixels in _pixels(seen):
        centred = pixels - mean
        scatter += centred.T @ centred
    return mean, scatter / count


def _pixels(seen: Sequence[tuple[Scene, NDArray[np.bool_]]]) -> Iterator[NDArray[np.float64]]:
    for scene, mask in seen:
        for block in blocks(scene.rows, scene.cols, scene.bands):
            if mask[block.slices].any():
                yield np.asarray(scene.cube[block.slices])[mask[block.slices]].astype(np.float64)


def _affine(
    spec: str, weights: NDArray[np.float64], offset: NDArray[np.float64], *, clip: bool = False, gamma: float = 1.0
) -> Projection:
    # Rounding to float32 hides the last bits, in which linear algebra libraries differ, from the key.
    linear, constant = (np.ascontiguousarray(values, np.float32) for values in (weights, offset))
    return Projection(spec, linear, constant, clip, gamma)
