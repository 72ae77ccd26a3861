"""Interface of the images on which projections are fitted and applied, and an implementation for plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.formatting import format_value
from hsifeat.scenes.cube_shape import CubeShape
from hsifeat.scenes.scene_checks import check_image
from hsifeat.types import Cube


class SpectralImage(Protocol):
    """Interface of an image with a spectrum per pixel, implemented by `Scene` and `ArrayImage`."""

    @property
    def name(self) -> str:
        """Name of the image in messages."""
        ...

    @property
    def cube(self) -> Cube:
        """Values as an array-like of shape (rows, cols, bands), sliced like a NumPy array."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels, as a (rows, cols) bool array."""
        ...

    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None:
        """Centre wavelengths in nm, as a (bands,) float64 array; None if unknown."""
        ...

    @property
    def rows(self) -> int:
        """Height in pixels."""
        ...

    @property
    def cols(self) -> int:
        """Width in pixels."""
        ...

    @property
    def bands(self) -> int:
        """Number of bands."""
        ...


def check_spectral_image(image: object) -> None:
    """Raise `ProjectionError` unless a value has the attributes of a `SpectralImage`.

    Raise `SceneError` if the cube of a scene can't be read, has a mask, or has other values than real numbers of at most 64 bits. Also
    if an array in memory has changed since the valid pixels of its scene were computed.
    """
    if isinstance(image, CubeShape) and hasattr(image, "cube"):
        check_image(image.cube, str(getattr(image, "name", "image")), "cube")
    if not all(hasattr(image, name) for name in ("name", "cube", "valid", "wavelengths_nm", "bands")):
        raise ProjectionError(
            f"a projection takes a hsifeat.Scene, such as open_scene returns; found {format_value(image)}"
        )
    if (check := getattr(image, "check_unchanged", None)) is not None:
        check()


@dataclass(frozen=True, eq=False)
class ArrayImage(CubeShape):
    """A spectral image made of an array, without the metadata of a `Scene`.

    Attributes
    ----------
    name : str
        Name of the image in messages.
    cube : array-like of shape (rows, cols, bands)
        Values, sliced like a NumPy array.
    valid : (rows, cols) bool array
        Mask of the valid pixels.
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths in nm, or None if unknown.
    """

    name: str
    cube: Cube
    valid: NDArray[np.bool_]
    wavelengths_nm: NDArray[np.float64] | None = None
