"""Class maps of label sets in memory."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

# Total size of the maps. A map that is no longer in memory is made again from the log.
MAPS_BYTES = 2**28


class ClassMaps:
    """Class maps of label sets in memory, up to a total of `MAPS_BYTES`. The map that `keep` got last always stays."""

    def __init__(self) -> None:
        self._maps: OrderedDict[int, tuple[int, NDArray[np.uint16]]] = OrderedDict()

    def get(self, set_id: int, default: tuple[int, NDArray[np.uint16]]) -> tuple[int, NDArray[np.uint16]]:
        """Return the version and the (rows, cols) uint16 class map of a label set, or `default` if no map is kept."""
        return self._maps.get(set_id, default)

    def keep(self, set_id: int, version: int, classes: NDArray[np.uint16]) -> None:
        """Keep a class map in memory. If the maps are too large in total, those that were not used for longest are dropped.

        Parameters
        ----------
        set_id : int
            Number of the label set.
        version : int
            Version of the label set.
        classes : (rows, cols) uint16 array
            Class of each pixel at this version.
        """
        self._maps[set_id] = version, classes
        self._maps.move_to_end(set_id)
        while len(self._maps) > 1 and sum(kept.nbytes for _, kept in self._maps.values()) > MAPS_BYTES:
            self._maps.popitem(last=False)
