"""Values of planes at pixels: interpolated where planes cover the scene, looked up where they list pixels.

Planes that cover a scene lie in the store at their own resolution; what is read is interpolated to scene pixels as
``torch.nn.functional.interpolate(plane, scale_factor=stride, mode="bilinear", align_corners=False)`` would, block by
block: the map of full size is never built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.features.neighbourhoods import Pixels, gathered, groups, pooled
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import Window


class Reader(Protocol):
    """Reads the planes of a store."""

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Mask (rows, cols) of the pixels whose values can be read."""
        ...

    def sample(self, plane: PlaneSpec, at: Pixels, pool: int | None) -> NDArray[np.float32]:
        """Read values at pixels, or means over windows of side `pool` around them: (n, channels)."""
        ...

    def patches(self, plane: PlaneSpec, at: Pixels, side_px: int) -> NDArray[np.float32]:
        """Read the neighbourhoods of pixels: (n, side_px, side_px, channels)."""
        ...

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Read a block at full resolution: (rows, cols, channels)."""
        ...


class Covering:
    """Reads planes that cover the scene.

    Parameters
    ----------
    store : Store
        What is read.
    valid : callable
        Gives the mask (rows, cols) of the pixels that hold something.
    """

    def __init__(self, store: Store, valid: Callable[[], NDArray[np.bool_]]) -> None:
        self._store, self._valid = store, valid

    @property
    def readable(self) -> NDArray[np.bool_]:
        """The valid pixels."""
        return self._valid()

    def sample(self, plane: PlaneSpec, at: Pixels, pool: int | None) -> NDArray[np.float32]:
        """Interpolate between the four cells around each pixel, or average what `read` gives over windows."""
        if pool is not None:
            return pooled(at, pool, lambda window: self.read(plane, window), plane.channels, self._valid())
        array = self._store.plane(plane.id)
        height, width, _ = array.shape
        y, x = _Neighbours.of(at.rows, plane.stride, height), _Neighbours.of(at.cols, plane.stride, width)
        values = np.empty((len(at.rows), plane.channels), np.float32)
        side = (array.shards or array.chunks)[0]
        for chosen, _ in Pixels(y.low, x.low).by_block(side):
            top, left = int(y.low[chosen].min()), int(x.low[chosen].min())
            bottom, right = int(y.high[chosen].max()) + 1, int(x.high[chosen].max()) + 1
            cells = self._store.read(plane.id, Window(top, left, bottom - top, right - left))
            y0, y1, x0, x1 = y.low[chosen] - top, y.high[chosen] - top, x.low[chosen] - left, x.high[chosen] - left
            dy, dx = y.fraction[chosen, None], x.fraction[chosen, None]
            if plane.stride == 1:
                values[chosen] = cells[y0, x0]
            else:
                upper = cells[y0, x0] * (1 - dx) + cells[y0, x1] * dx
                lower = cells[y1, x0] * (1 - dx) + cells[y1, x1] * dx
                values[chosen] = upper * (1 - dy) + lower * dy
        return values

    def patches(self, plane: PlaneSpec, at: Pixels, side_px: int) -> NDArray[np.float32]:
        """Take neighbourhoods from what `read` gives, mirrored at the scene's edge."""
        return gathered(at, side_px, lambda window: self.read(plane, window), plane.channels, self._valid())

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Interpolate a block."""
        array = self._store.plane(plane.id)
        y = _Neighbours.of(np.arange(window.row, window.row + window.rows), plane.stride, array.shape[0])
        x = _Neighbours.of(np.arange(window.col, window.col + window.cols), plane.stride, array.shape[1])
        top, left = int(y.low[0]), int(x.low[0])
        cells = self._store.read(plane.id, Window(top, left, int(y.high[-1]) + 1 - top, int(x.high[-1]) + 1 - left))
        if plane.stride == 1:
            return cells
        dy, dx = y.fraction[:, None, None], x.fraction[:, None]
        tall = cells[y.low - top] * (1 - dy) + cells[y.high - top] * dy
        return np.asarray(tall[:, x.low - left] * (1 - dx) + tall[:, x.high - left] * dx)


class Listed:
    """Reads planes that list pixels, each seen in a window of its own.

    Parameters
    ----------
    store : Store
        What is read.
    rows, cols : (n,) integer arrays
        The pixels, in row-major order.
    """

    def __init__(self, store: Store, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> None:
        self._store, self._rows, self._cols = store, rows, cols
        self._side: int = store.layout.window_px or 0

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """The pixels that are listed."""
        mask = np.zeros((self._store.manifest.scene.rows, self._store.manifest.scene.cols), bool)
        mask[self._rows, self._cols] = True
        return mask

    def sample(self, plane: PlaneSpec, at: Pixels, pool: int | None) -> NDArray[np.float32]:
        """Look up the values at pixels of the list, or the means over their windows.

        Raises
        ------
        StoreError
            Another pixel, or a window of another side.
        """
        if pool not in {None, self._side}:
            raise StoreError(
                f"{self._store.location.name} holds means over windows of {self._side} px, not of {pool} px: "
                "extract the scene without --pixels for windows of any side"
            )
        found = self._find(at)
        values = np.empty((len(found), plane.channels), np.float32)
        part = 0 if pool is None else 1
        array = self._store.plane(plane.id)
        for chosen in groups(found // (array.shards or array.chunks)[0]):
            first, last = int(found[chosen].min()), int(found[chosen].max())
            block = self._store.read(plane.id, Window(first, part, last + 1 - first, 1))
            values[chosen] = block[found[chosen] - first, 0]
        return values

    def patches(self, plane: PlaneSpec, at: Pixels, side_px: int) -> NDArray[np.float32]:  # noqa: ARG002  # as Reader has it
        """Refuse: neighbours are not there."""
        raise StoreError(f"{self._only}, so {plane.id} has no neighbourhoods of {side_px} px: {_DENSE}")

    def read(self, plane: PlaneSpec, window: Window) -> NDArray[np.float32]:
        """Refuse: there is no map."""
        raise StoreError(f"{self._only}, so {plane.id} can't be read as a map of {window}: {_DENSE}")

    def _find(self, at: Pixels) -> NDArray[np.intp]:
        """Return where pixels stand in the list."""
        width = self._store.manifest.scene.cols
        there, wanted = self._rows * width + self._cols, at.rows * width + at.cols
        found = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
        missing = there[found] != wanted
        if missing.any():
            row, col = (int(axis[np.argmax(missing)]) for axis in (at.rows, at.cols))
            raise StoreError(f"{self._only}, not around pixel ({row}, {col}): {_DENSE}")
        return found

    @property
    def _only(self) -> str:
        return f"{self._store.location.name} holds windows around {len(self._rows)} pixels only"


_DENSE = "extract the scene without --pixels for all of it"


@dataclass(frozen=True)
class _Neighbours:
    """The two cells between which each pixel's centre lies along one axis, and how far it is from the first."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    fraction: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.intp], stride: int, cells: int) -> _Neighbours:
        centre = np.maximum((pixels + 0.5) / stride - 0.5, 0)
        low = np.minimum(centre.astype(np.intp), cells - 1)
        return cls(low, np.minimum(low + (centre > low), cells - 1), (centre - low).astype(np.float32))
