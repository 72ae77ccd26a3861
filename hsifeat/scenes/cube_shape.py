"""Height, width and number of bands of a spectral image."""

from __future__ import annotations

from hsifeat.types import Cube


class CubeShape:
    """Base class that derives `rows`, `cols` and `bands` from the shape of `cube`."""

    cube: Cube

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.cube.shape[0])

    @property
    def cols(self) -> int:
        """Width in pixels."""
        return int(self.cube.shape[1])

    @property
    def bands(self) -> int:
        """Number of bands."""
        return int(self.cube.shape[2])
