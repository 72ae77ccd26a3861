"""From bands to the channels that a backbone takes: pseudo-RGB, principal components, chosen bands or all of them.

Every projection, once fitted, is one affine map per pixel: ``channels = spectrum @ weights + offset``, then perhaps a
clip to [-1, 1]. What was fitted travels with stores and backbones, so that another scene is seen in the same way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.scenes.blocks import blocks, sample_band
from hsifeat.scenes.colours import rgb_bands
from hsifeat.scenes.scene import Scene

FORMS = "rgb, pca:N, bands:i,j,k or all"


@dataclass(frozen=True, eq=False)
class Projection:
    """A fitted rule from bands to channels.

    Attributes
    ----------
    spec : str
        How it was asked for: ``rgb``, ``pca:N``, ``bands:i,j,k`` or ``all``.
    weights : (bands, channels) float32 array
        Fitted linear part.
    offset : (channels,) float32 array
        Fitted constant part.
    clip : bool
        Whether channels are cut to [-1, 1], the range of image models.
    """

    spec: str
    weights: NDArray[np.float32]
    offset: NDArray[np.float32]
    clip: bool

    @property
    def bands(self) -> int:
        """Bands that it takes."""
        return int(self.weights.shape[0])

    @property
    def channels(self) -> int:
        """Channels that it gives."""
        return int(self.weights.shape[1])

    @cached_property
    def digest(self) -> str:
        """sha256 of the fitted numbers."""
        digest = hashlib.sha256(f"{self.bands},{self.channels},{self.clip};".encode())
        digest.update(np.ascontiguousarray(self.weights, "<f4").data)
        digest.update(np.ascontiguousarray(self.offset, "<f4").data)
        return digest.hexdigest()

    def apply(self, block: NDArray[np.generic]) -> NDArray[np.float32]:
        """Project a block.

        Parameters
        ----------
        block : (..., bands) array
            Values as the scene delivers them.

        Returns
        -------
        (..., channels) float32 array
        """
        channels = block.astype(np.float32) @ self.weights + self.offset
        return np.clip(channels, -1, 1) if self.clip else channels

    def check(self, scene: Scene) -> None:
        """Raise `ProjectionError` unless the scene has the bands that the projection takes."""
        if scene.bands != self.bands:
            raise ProjectionError(
                f"the projection {self.spec} was fitted for {self.bands} bands; {scene.name} has {scene.bands}: "
                "name another with --projection"
            )

    def save(self, path: Path) -> None:
        """Write the projection as one safetensors file."""
        from safetensors.numpy import save_file

        save_file(
            {"weights": self.weights, "offset": self.offset}, path, {"spec": self.spec, "clip": str(int(self.clip))}
        )

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read what `save` wrote; `ProjectionError` for a damaged or foreign file."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                return cls(facts["spec"], file.get_tensor("weights"), file.get_tensor("offset"), facts["clip"] == "1")
        except (SafetensorError, KeyError, OSError) as error:
            raise ProjectionError(f"{path} is not a projection that hsifeat wrote: {error}") from error


def fit_projection(spec: str, scene: Scene) -> Projection:
    """Fit a projection on the valid pixels of a scene.

    Parameters
    ----------
    spec : str
        ``rgb``: the bands nearest to 640, 550 and 460 nm; ``bands:i,j,k``: those bands (from 0). Each is stretched from
        its 2nd and 98th percentile to [-1, 1] and clipped. ``pca:N``: N principal components, each scaled to mean 0
        and standard deviation 1, as MTMSD does; the sign makes the largest weight positive. ``all``: every band scaled
        to mean 0 and standard deviation 1.
    scene : Scene
        Its valid pixels are all that the fit sees; labels play no part.

    Returns
    -------
    Projection

    Raises
    ------
    ProjectionError
        An unknown form, a band that the scene does not have, more components than bands, or no valid pixel.
    """
    if not scene.valid.any():
        raise ProjectionError(f"{scene.name} has no valid pixel: every one holds NaN, infinity or zeros only")
    if spec == "rgb":
        return _stretched(spec, rgb_bands(scene.bands, scene.wavelengths_nm), scene)
    if match := re.fullmatch(r"bands:(\d+(?:,\d+)*)", spec):
        bands = tuple(int(b) for b in match[1].split(","))
        if max(bands) >= scene.bands:
            raise ProjectionError(f"{spec}: {scene.name} has the bands 0 to {scene.bands - 1}; found {max(bands)}")
        return _stretched(spec, bands, scene)
    if match := re.fullmatch(r"pca:([1-9]\d*)", spec):
        if int(match[1]) > scene.bands:
            raise ProjectionError(f"{spec}: at most {scene.bands} components, as many as {scene.name} has bands")
        return _principal_components(spec, int(match[1]), scene)
    if spec == "all":
        mean, covariance = _moments(scene)
        scale = 1 / np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        return _affine(spec, np.diag(scale), -mean * scale, clip=False)
    raise ProjectionError(f"unknown projection {spec!r}; allowed: {FORMS}")


def _stretched(spec: str, bands: tuple[int, ...], scene: Scene) -> Projection:
    weights = np.zeros((scene.bands, len(bands)))
    offset = np.empty(len(bands))
    for channel, band in enumerate(bands):
        low, high = np.percentile(sample_band(scene.cube, band, scene.valid), [2, 98])
        weights[band, channel] = scale = 2 / max(high - low, 1e-12)
        offset[channel] = -1 - scale * low
    return _affine(spec, weights, offset, clip=True)


def _principal_components(spec: str, count: int, scene: Scene) -> Projection:
    mean, covariance = _moments(scene)
    variances, vectors = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:count]
    components = vectors[:, order]
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])
    weights = components / np.sqrt(np.maximum(variances[order], 1e-12))
    return _affine(spec, weights, -mean @ weights, clip=False)


def _moments(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (bands,) and population covariance (bands, bands) of the valid pixels, block by block."""
    count, total = 0, np.zeros(scene.bands)
    for pixels in _valid_pixels(scene):
        count += len(pixels)
        total += pixels.sum(axis=0)
    mean = total / count
    scatter = np.zeros((scene.bands, scene.bands))
    for pixels in _valid_pixels(scene):
        centred = pixels - mean
        scatter += centred.T @ centred
    return mean, scatter / count


def _valid_pixels(scene: Scene) -> Iterator[NDArray[np.float64]]:
    for block in blocks(scene.rows, scene.cols, scene.bands):
        yield np.asarray(scene.cube[block.slices])[scene.valid[block.slices]].astype(np.float64)


def _affine(spec: str, weights: NDArray[np.float64], offset: NDArray[np.float64], *, clip: bool) -> Projection:
    # Rounding to float32 hides the last bits, in which linear algebra libraries differ, from the key.
    return Projection(spec, np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(offset, np.float32), clip)
