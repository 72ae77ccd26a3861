"""A fitted projection: one affine map per pixel, ``channels = spectrum @ weights + offset``.

Channels that were stretched are then clipped to [-1, 1] and may be bent by a gamma. What was fitted travels with stores
and backbones, so that another scene is seen in the same way.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.scenes.scene import Scene


@dataclass(frozen=True, eq=False)
class Projection:
    """A fitted rule from bands to channels.

    Attributes
    ----------
    spec : str
        How it was asked for, see `hsifeat.projection.spec`.
    weights : (bands, channels) float32 array
        Fitted linear part.
    offset : (channels,) float32 array
        Fitted constant part.
    clip : bool
        Whether channels are cut to [-1, 1], the range of image models.
    gamma : float
        Exponent that clipped channels get on the way from 0 to 1; below 1 dark pixels become lighter.
    """

    spec: str
    weights: NDArray[np.float32]
    offset: NDArray[np.float32]
    clip: bool
    gamma: float = 1.0

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
        bent = "" if self.gamma == 1 else f",{self.gamma!r}"
        digest = hashlib.sha256(f"{self.bands},{self.channels},{self.clip}{bent};".encode())
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
        if self.clip:
            channels = np.clip(channels, -1, 1)
        if self.gamma != 1:
            channels = 2 * ((channels + 1) / 2) ** np.float32(self.gamma) - 1
        return channels

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
            {"weights": self.weights, "offset": self.offset},
            path,
            {"spec": self.spec, "clip": str(int(self.clip)), "gamma": repr(self.gamma)},
        )

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read what `save` wrote; `ProjectionError` for a damaged or foreign file."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                weights, offset = file.get_tensor("weights"), file.get_tensor("offset")
                return cls(facts["spec"], weights, offset, facts["clip"] == "1", float(facts.get("gamma", 1)))
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise ProjectionError(f"{path} is not a projection that hsifeat wrote: {error}") from error
