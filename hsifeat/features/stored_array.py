"""View of an array in a store. Damaged values raise a `StoreError` with the name of the file or array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.store.store_files import damage_errors

if TYPE_CHECKING:
    import zarr


class StoredArray(ArrayView):
    """View of an array in a store. If the values that are read are damaged, `StoreError` is raised.

    Parameters
    ----------
    array : zarr.Array
        Array of an open store.
    """

    def __init__(self, array: zarr.Array[Any]) -> None:
        super().__init__(array.shape, array.dtype, array.chunks)
        self._array = array

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        store: Any = self._array.store_path.store
        with damage_errors(store.location, self._path(parts)):
            return np.asarray(self._array[as_slices(parts)])

    def _path(self, parts: tuple[AxisIndex, ...]) -> str:
        """Return the path of the file with the values at `parts`. If several files have them, return the path of the array."""
        ends = [(part, part) if isinstance(part, int) else (part[0], part[-1]) for part in parts]
        sides = self._array.shards or self._array.chunks
        first, last = (
            "/".join(str(end // side) for end, side in zip(corner, sides, strict=True))
            for corner in zip(*ends, strict=True)
        )
        return f"{self._array.path}/c/{first}" if first == last else self._array.path
