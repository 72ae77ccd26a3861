"""Write computed features to the store in a background thread, while the model computes the next features."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.store.plane_layout import PlaneSpec, Unit
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing

# Maximum number of steps that wait to be written. A step has one block of features per plane of its timestep.
_QUEUE_LENGTH = 2
STEPS_IN_MEMORY = _QUEUE_LENGTH + 2
"""Maximum number of steps whose features are in memory: one that is computed, one that is complete, and those that wait."""


class BackgroundWriter:
    """Context manager that writes blocks of features to a store in one background thread.

    Blocks are written in the order of the calls of `write`. The end of the ``with`` statement waits until all blocks are
    written, even after an error or an interrupt.

    Parameters
    ----------
    store : Store
        Store that is open for writing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hsifeat-write")
        self._queue: deque[Future[None]] = deque()

    def write(
        self, unit: Unit, blocks: Mapping[PlaneSpec, NDArray[np.generic]], timings: Sequence[Timing] = ()
    ) -> None:
        """Queue the features of a step (one shard of each plane at one timestep) for writing.

        This method waits if two steps are already in the queue.

        Parameters
        ----------
        unit : Unit
            The unit, whose shards are written.
        blocks : mapping of PlaneSpec to array
            A complete block per plane. A block has the plane's dtype, and the shape of the unit in the store's layout.
        timings : sequence of Timing
            Run times of the step. They are written after the blocks.

        Raises
        ------
        StoreError
            If an earlier block could not be written.
        """
        while len(self._queue) >= _QUEUE_LENGTH:
            self._queue.popleft().result()
        self._queue.append(self._thread.submit(self._write, unit, blocks, timings))

    def _write(self, unit: Unit, blocks: Mapping[PlaneSpec, NDArray[np.generic]], timings: Sequence[Timing]) -> None:
        for plane, values in blocks.items():
            self._store.write(plane.id, unit, values)
        self._store.add_timings(timings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            for writing in self._queue:
                writing.result()
